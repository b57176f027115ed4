"""What no trial could run with is refused before anything is trained, and before a row is written."""

import difflib
import os
import re
from typing import Any

from construct import refuse_untrusted
from refusal import Refusal
from research.compose.override import spelt
from research.metrics import METRICS, VALIDATION, elsewhere
from research.run.given import check_given
from research.space import knobs

_WHOLE = {"seed": (-(2**53), 2**53), "launcher.threads": (1, 1024), "launcher.jobs": (1, 4096)}
"""least and most of numbers that count something"""
_WANDB_MODES = ("online", "offline", "disabled", "shared", "dryrun", "run")


def check(config: dict[str, Any]) -> None:
    """Raise `Refusal` for what no trial could run with, before anything is trained."""
    check_score(config["score"], config["data"].get("task"))
    check_numbers(config)
    knobs.own().refuse_misfits(config)
    check_wandb(config)
    check_given(config)
    refuse_untrusted(config)


def check_numbers(config: dict[str, Any]) -> None:
    """Raise `Refusal` for numbers that are not whole or too large, and switches neither true nor false."""
    launcher = config.get("launcher") or {}
    asked = {f"launcher.{key}": launcher[key] for key in ("threads", "jobs") if launcher.get(key) is not None}
    for name, value in {"seed": config.get("seed"), **asked}.items():
        least, most = _WHOLE[name]
        if type(value) is not int or not least <= value <= most:
            raise Refusal(f"{name}={value} is no whole number from {least} to {most:,}: write {name}=1.")
    root = config.get("root", "runs")
    if type(root) is not str or not root:
        raise Refusal(f"root={spelt(root)} is no folder: write root=runs.")
    for key in ("force", "dry_run"):
        if type(config.get(key, False)) is not bool:  # every text would be true, `no` as well
            raise Refusal(f"{key}={config[key]} is neither yes nor no: write {key}=true or {key}=false.")


def check_wandb(config: dict[str, Any]) -> None:
    """Raise `Refusal` for variables by which Weights & Biases could not run, before anything is trained."""
    if not any("wandb" in str(part) for part in (config.get("logger") or {})):
        return
    mode, url = (os.environ.get(f"WANDB_{name}") for name in ("MODE", "BASE_URL"))
    if mode and mode not in _WANDB_MODES:
        raise Refusal(
            f"WANDB_MODE={mode} is no mode of Weights & Biases: set it to online, offline or disabled, "
            "or choose logger=csv."
        )
    if url and not re.match(r"https?://[^/\s]+", url):
        raise Refusal(
            "WANDB_BASE_URL is no address of a server: set it as https://api.wandb.ai, or unset it."
        )


def check_score(score: str, task: str | None = None) -> None:
    """Raise `Refusal` when no trial (of this task) measures such a metric, before anything is trained."""
    names = [*METRICS, *VALIDATION]
    if score not in names:
        near = difflib.get_close_matches(str(score), names, n=3, cutoff=0.4) or ["val/accuracy", "val/loss"]
        raise Refusal(f"score={score} is no metric of the lab: choose for example {' or '.join(near)}.")
    only = elsewhere(score, task) if task else None
    if only:
        choose = "choose for example val/accuracy or val/loss"
        usual = "set score=val/rmse and loss=squared_error" if task == "regression" else choose
        raise Refusal(f"score={score} is measured for {only}, and the task of this data is {task}: {usual}.")
