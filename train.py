"""Train one model, or sweep many: overrides -> objects -> metrics -> one row of the database."""

import functools
import sys
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import hydra
from hydra.core.hydra_config import HydraConfig
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf

import refusal
from construct import build
from reading.learnt import found

PARTS = (
    "data",
    "model",
    "loss",
    "optimizer",
    "scheduler",
    "compress",
    "callbacks",
    "trainer",
    "budget",
    "meter",
    "logger",
)
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
) -> dict[str, Any]:
    """Run the trial of a resolved config, or return what is known of it; its row is written either way.

    `spent_s`: CPU seconds that this process has spent on others before.

    Raises:
        Refusal: bad input, or a part of the machine that is missing.
        Exception: whatever ended the training, after the row was written as `failed` with the reason.
    """
    from research.run.row import claimed
    from research.run.teachers import taught

    with claimed(config, overrides=overrides, sweep=sweep, source=source) as row:
        if row.status == "partial":
            row.complete(*complete(config, row.folder, row.facts))
        elif row.status != "known":
            teach = functools.partial(trial, source=source, threads=threads)
            with_teacher = taught(config, lambda own, recipe: teach(own, overrides=recipe))
            begun = with_teacher.config | {"ckpt_path": row.ckpt_path}
            measured = measure(begun, row.folder, row.digest, overrides, sweep, threads, spent_s)
            found = measured.metrics | with_teacher.metrics, measured.facts | with_teacher.facts
            row.finish(*found, measured.curve)
    return row.answer(config["score"])


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
    from models.training import loggers
    from redact import redact

    trial.prepare(folder, config["seed"], threads)
    parts = {part: build(config.get(part) or {}) for part in PARTS}
    name = config["name"] or " ".join(overrides) or "defaults"
    run = loggers.Run(folder, digest, redact(name), sweep, tuple(config["tags"]), redact(config))
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


@refusal.command
@hydra.main(version_base="1.3", config_path="conf", config_name="train")
def main(cfg: DictConfig) -> float | None:
    """Run one job of Hydra's; the score goes back to the sweeper."""
    with refusal.told():
        learnt = found(OmegaConf.to_container(cfg.data, resolve=True))
    for key, value in learnt.items():
        cfg.data[key] = value
    resolved: Any = OmegaConf.to_container(cfg, resolve=True, throw_on_missing=True)
    config: dict[str, Any] = resolved
    overrides = list(HydraConfig.get().overrides.task)
    if config["dry_run"]:
        from research.run.plan import show

        show([config], [overrides])
        return None
    # Before Hydra prints a report of its own; the jobs of a sweep raise to their launcher.
    alone = HydraConfig.get().mode is RunMode.RUN
    with refusal.told() if alone else nullcontext():
        sweep = None if alone else Path(HydraConfig.get().sweep.dir).name
        answer = trial(config, overrides=overrides, sweep=sweep, threads=config["launcher"]["threads"])
    from research.run.lines import show_trial

    show_trial(answer, overrides)
    return answer["score"]


if __name__ == "__main__":
    from research.compose.defaults import Files
    from research.tasks.line import helps, manual, quoted

    if helps(sys.argv[1:]):
        sys.exit(print(manual(Files(Path(__file__).parent / "conf"), "train")))
    # A recipe is in the defaults, so Hydra takes `experiment=x` only; many write `+experiment=x`.
    sys.argv[1:] = quoted([text[1:] if text.startswith("+experiment=") else text for text in sys.argv[1:]])
    main()
