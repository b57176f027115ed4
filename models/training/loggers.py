"""Where learning curves go besides the database: CSV and Weights & Biases, through Lightning's loggers."""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, final

from lightning.pytorch.loggers import CSVLogger, Logger, WandbLogger


@final
@dataclass(frozen=True)
class Run:
    """What a logger may know of the trial; `config` is redacted before it gets here."""

    folder: Path
    id: str
    name: str
    group: str | None
    tags: tuple[str, ...]
    config: dict[str, Any]


def csv(run: Run) -> CSVLogger:
    """Log to `<folder>/csv-N/metrics.csv`; a resumed trial opens the next N and keeps what was there."""
    attempt = len(list(run.folder.glob("csv-*")))
    return CSVLogger(str(run.folder), name="", version=f"csv-{attempt}")


def logged_in() -> bool:
    """Whether Weights & Biases has a key, from the environment or ~/.netrc, without asking the network.

    Its own lookup is asked: the address that a key is kept under has changed from version to version.
    """
    import wandb as sdk
    from wandb.sdk.lib import wbauth

    if os.environ.get("WANDB_API_KEY"):
        return True
    host = os.environ.get("WANDB_BASE_URL") or sdk.Settings().base_url
    try:
        return wbauth.read_netrc_auth(host=host) is not None
    except sdk.errors.AuthenticationError:
        return False


def wandb(run: Run, project: str, entity: str | None) -> WandbLogger:
    """Open one Weights & Biases run for the trial: uploaded when logged in, else kept offline in the folder.

    Raises:
        ValueError: WANDB_MODE is none of the modes that Weights & Biases knows.
    """
    import wandb as sdk

    # Any word that somebody set, which wandb refuses if it is no mode.
    mode: Any = os.environ.get("WANDB_MODE") or ("online" if logged_in() else "offline")
    settings = sdk.Settings(
        silent=True,
        console="off",
        disable_git=True,
        save_code=False,
        # Its system monitor would be charged to the trial's joules.
        x_disable_stats=True,
    )
    # Opened here and not by Lightning, whose own `wandb.init` warns about a setting that it always passes.
    opened = sdk.init(
        project=project,
        entity=entity,
        name=run.name,
        id=run.id,
        resume="allow",
        group=run.group,
        tags=list(run.tags),
        config=run.config,
        dir=str(run.folder),
        mode=mode,
        settings=settings,
    )
    opened.define_metric("trainer/global_step")
    for key in ("train/*", "val/*", "second", "cpu_second", "joule"):
        opened.define_metric(key, step_metric="trainer/global_step", summary="last")
    return WandbLogger(experiment=opened, save_dir=str(run.folder))


def finish(
    loggers: list[Logger], metrics: Mapping[str, float], facts: Mapping[str, Any], exit_code: int
) -> None:
    """Write the summary and close every run with the trial's exit code, also after a failure.

    Without `wandb.finish` the trials of one process would merge into one run.
    """
    for logger in loggers:
        if isinstance(logger, WandbLogger):
            logger.experiment.summary.update({**metrics, "energy/method": facts.get("energy_method")})
            logger.experiment.finish(exit_code=exit_code)
        else:
            logger.finalize("success" if exit_code == 0 else "failed")
