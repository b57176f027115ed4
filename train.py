"""Train one model, or sweep many: overrides -> objects -> metrics -> one row of the database."""

import functools
import sys
from pathlib import Path
from typing import Any

import refusal

if __name__ == "__main__":
    refusal.from_the_start()

import hydra
from hydra.core.hydra_config import HydraConfig
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf

import construct
from construct import build
from reading.learnt import found
from redact import redact
from refusal import Refusal

PARTS = (
    "data",
    "model",
    "loss",
    "metric",
    "optimizer",
    "scheduler",
    "compress",
    "backend",
    "callbacks",
    "trainer",
    "budget",
    "meter",
    "logger",
)
CONF = Path(__file__).parent / "conf"
READ: list[tuple[dict[str, Any], list[str]]] = []
"""the configuration of a trial by itself, and what was typed for it"""
OWN = {"own_loss": "loss", "own_score": "metric", "own_error": "metric"}
"""figures that a person brings -> the group that they are of"""
TURNS = "models.training.leftovers:state"
"""what must be after a trial as it was before, so that its process may run another"""


def trial(
    config: dict[str, Any],
    *,
    overrides: list[str],
    sweep: str | None = None,
    source: str = "person",
    threads: int | None = None,
    spent_s: float = 0.0,
    leased: list[Any] | None = None,
) -> dict[str, Any]:
    """Run the trial of a resolved config, or return what is known of it; its row is written either way.

    `spent_s`: CPU seconds that this process has spent on others before. `leased`: id and token of the row
    that this process was started for.

    Raises:
        Refusal: bad input, or a part of the machine that is missing.
        Exception: whatever ended the training, after the row was written as `failed` with the reason.
    """
    construct.refuse_untrusted(config)
    refuse_unjudged(config)
    from research.report.card import leave
    from research.run.row import claimed
    from research.run.teachers import taught
    from research.types import Result

    with claimed(config, overrides=overrides, sweep=sweep, source=source, leased=leased) as row:
        if row.status == "partial":
            row.complete(*complete(config, row.folder, row.facts))
        elif row.status != "known":
            teach = functools.partial(trial, source=source, threads=threads)
            with_teacher = taught(config, lambda own, recipe: teach(own, overrides=recipe))
            weights = row.files.get("model.weights", {}).get("sha256")
            begun = with_teacher.config | {"ckpt_path": row.ckpt_path, "weights_sha256": weights}
            measured = measure(begun, row.folder, row.digest, overrides, sweep, threads, spent_s)
            found = measured.metrics | with_teacher.metrics, measured.facts | with_teacher.facts
            leave(row.trial, Result(trial_id=row.trial_id, metrics=found[0], facts=found[1]))
            row.finish(*found, measured.curve)
    return row.answer(config["score"])


def refuse_unjudged(config: dict[str, Any]) -> None:
    """Raise `Refusal` for a score that only a loss or a metric of the person's has, where there is none."""
    target = str(config["budget"].get("target")).partition(">")[0].partition("<")[0].strip()
    for key, score in (("score", config["score"]), ("budget.target", target)):
        group = OWN.get(score.partition("/")[2])
        if group and not (config.get(group) or {}).get("target"):
            own = f"{group}=own {group}.target=module.name"
            raise Refusal(f"{key}={score} is of your own {group}: add {own}.")


def measure(
    config: dict[str, Any],
    folder: Path,
    digest: str,
    overrides: list[str],
    sweep: str | None,
    threads: int | None,
    spent_s: float = 0.0,
) -> Any:
    """Build every part from its group, train, and measure the final network."""
    from models.startup import lean  # noqa: F401 - lean comes first: it makes Lightning load less
    from models import trial
    from models.own import beginning
    from models.training import loggers

    trial.prepare(folder, config["seed"], threads)
    parts = {part: build(config.get(part) or {}) for part in PARTS}
    own = construct.beginning(config["model"])
    parts["beginning"] = beginning.Beginning(**own, sha256=config.get("weights_sha256"))
    if sweep is None and sys.stderr.isatty():
        from models.training.callbacks.progress import ProgressLine

        parts["callbacks"] = {**(parts["callbacks"] or {}), "progress": ProgressLine(config["score"])}
    name = config["name"] or " ".join(overrides) or "defaults"
    run = loggers.Run(folder, digest, redact(name), sweep, tuple(redact(config["tags"])), redact(config))
    begun = {"seed": config["seed"], "ckpt_path": config["ckpt_path"], "signature": digest}
    begun["unmeasured"] = config.get("unmeasured") or ()
    return trial.run(run=run, spent_s=spent_s, **begun, **parts)


def complete(config: dict[str, Any], folder: Path, facts: dict[str, Any]) -> Any:
    """What a finished trial left unmeasured, from the weights in its folder, with the threads that it had."""
    from models.startup import lean  # noqa: F401 - lean comes first
    from models import inference, trial

    trial.prepare(folder, config["seed"], facts.get("threads"))
    parts = {
        part: build(config.get(part) or {}) for part in ("data", "model", "compress", "trainer", "meter")
    }
    return inference.later(folder, facts, **parts)


def deliver(config: dict[str, Any], folder: Path, to: Path, form: str, threads: int | None) -> dict[str, Any]:
    """Write the network of a finished trial into the folder `to`, proven to run without the lab."""
    construct.refuse_untrusted(config)
    from models.startup import lean  # noqa: F401 - lean comes first
    from models import delivery, trial

    delivery.check(form, config.get("compress") or {})
    trial.seed_everything(config["seed"], threads)
    parts = {part: build(config.get(part) or {}) for part in ("data", "model", "compress")}
    return vars(delivery.deliver(folder, to, form, **parts))


def composed(cfg: DictConfig) -> tuple[dict[str, Any], list[str]]:
    """What Hydra has composed as a plain config, its targets trusted, and its overrides as they are told."""
    from research.compose.trees import unspaced

    learnt = found(OmegaConf.to_container(cfg.data, resolve=True))
    for key, value in learnt.items():
        cfg.data[key] = value
    resolved: Any = OmegaConf.to_container(cfg, resolve=True, throw_on_missing=True)
    construct.trust_composed(resolved, HydraConfig.get())
    return unspaced(resolved), redact(list(HydraConfig.get().overrides.task))


@hydra.main(version_base="1.3", config_path="conf", config_name="train")
def read(cfg: DictConfig) -> float | None:
    """Read the command line; a job of a sweep by Hydra's own sweeper runs here, and its score goes back."""
    with refusal.told():
        config, overrides = composed(cfg)
    if HydraConfig.get().mode is RunMode.RUN:
        # It runs after Hydra, which tells errors its own way, with all that was typed.
        READ.append((config, overrides))
        return None
    if planned(config, overrides):
        return None
    sweep = Path(HydraConfig.get().sweep.dir).name
    answer = trial(config, overrides=overrides, sweep=sweep, threads=config["launcher"]["threads"])
    score: float | None = answer["score"]
    return score


def planned(config: dict[str, Any], overrides: list[str]) -> bool:
    """Whether only a plan is asked for, which is told then."""
    if config["dry_run"]:
        from research.run.plan import show

        show([config], [overrides])
    return bool(config["dry_run"])


@refusal.command
def main() -> None:
    """Run the trial that was typed, or the sweep, and tell its figures."""
    read()
    for config, overrides in READ:
        if planned(config, overrides):
            continue
        answer = trial(config, overrides=overrides, threads=config["launcher"]["threads"])
        from research.run.lines import show_trial

        show_trial(answer, overrides)


if __name__ == "__main__":
    from research.compose.defaults import Files
    from research.tasks.line import helps, manual, put, training

    if helps(sys.argv[1:]):
        put(manual(Files(CONF), "train"), sys.stdout)
        sys.exit()
    construct.look_here()
    with refusal.told():
        sys.argv[1:] = training(sys.argv[1:], CONF)
    main()
