"""A sweep through a launcher that is not ours, such as joblib or submitit: its jobs answer as ours do."""

import importlib
import time
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any, final

from hydra.core.utils import JobReturn, JobStatus
from hydra.plugins.launcher import Launcher
from omegaconf import DictConfig

from redact import redact

# Hydra reads this module at each start: what is behind these takes half a second.
if TYPE_CHECKING:
    from research.run.runner import Job, Outcome
    from research.run.sweep import Launch

_TOLD = ("status", "trial_id", "score", "metrics", "facts", "wall_s")


@final
class Answering:
    """What a launcher calls in its processes: the script's `trial`, of which a score tells too little."""

    def __init__(self, script: str) -> None:
        self.script = script
        self.sweep: str | None = None
        self.beside = 1
        """trials at a time on one machine, by which its standing draw is shared and its cores too"""

    def __call__(self, cfg: DictConfig) -> dict[str, Any]:
        """The answer of one trial, with its wall seconds."""
        from research.run import machine

        script = importlib.import_module(self.script)
        config, overrides = script.composed(cfg)
        begun = time.monotonic()
        answer: dict[str, Any] = script.trial(
            shared(config, self.beside),
            overrides=overrides,
            sweep=self.sweep,
            threads=config["launcher"]["threads"] or machine.threads(self.beside),
        )
        return answer | {"wall_s": time.monotonic() - begun}


def shared(config: dict[str, Any], beside: int) -> dict[str, Any]:
    """The config of a trial beside which others run on the same machine; a larger number typed stays."""
    meter = config.get("meter")
    if not isinstance(meter, dict):
        return config
    most = {name: max(beside, int(meter.get(name) or 1)) for name in ("concurrent", "concurrent_gpu")}
    return config | {"meter": meter | most}


def width(launcher: Launcher, count: int) -> int | None:
    """How many of `count` jobs a launcher runs at a time on one machine; None where it does not say.

    Jobs of a cluster have what they asked for to themselves.
    """
    kind = type(launcher).__name__
    if kind == "JoblibLauncher":
        from joblib import effective_n_jobs

        return min(count, int(effective_n_jobs(launcher.joblib["n_jobs"])))  # type: ignore[attr-defined]
    # submitit starts all that it is given at once on its own machine
    return {"BasicLauncher": 1, "LocalLauncher": count, "SlurmLauncher": 1}.get(kind)


def launched(
    launcher: Launcher, answering: Answering, batch: Sequence[Sequence[str]], started: int
) -> "Launch":
    """Runs jobs, which are some of `batch`, by `launcher`; all are told when the last of them has ended."""
    typed = {tuple(redact(list(overrides))): list(overrides) for overrides in batch}

    def run(jobs: Sequence["Job"]) -> Iterator["Outcome"]:
        at_a_time = width(launcher, len(jobs))
        answering.sweep, answering.beside = jobs[0].sweep, at_a_time or 1
        _announce(type(launcher).__name__, len(jobs), at_a_time)
        try:
            ended = launcher.launch([typed[tuple(job.overrides)] for job in jobs], started)
        except BaseException as error:
            yield from _left(jobs, error)
            if not isinstance(error, Exception):
                raise
        else:
            yield from (_outcome(job, one) for job, one in zip(jobs, ended, strict=True))

    return run


def _announce(name: str, count: int, at_a_time: int | None) -> None:
    how = f"{at_a_time} at a time"
    if at_a_time is None:
        how = "nobody knows how many at a time: set meter.concurrent to that, by which joules are shared"
    from research.page import counted

    print(f"{counted(count, 'trial')} through {name}, {how}; told when all have ended", flush=True)


def _outcome(job: "Job", ended: JobReturn) -> "Outcome":
    from refusal import Refusal
    from research.run.child import reason
    from research.run.runner import Outcome

    told = ended._return_value
    if ended.status is JobStatus.COMPLETED:
        return Outcome(job, **{name: told[name] for name in _TOLD})
    return Outcome(job, "failed", str(told) if isinstance(told, Refusal) else reason(told))


def _left(jobs: Sequence["Job"], error: BaseException) -> Iterator["Outcome"]:
    """The jobs of a launcher that broke off: what its processes had finished stands in the database."""
    from research.run import lookup
    from research.run.child import reason
    from research.run.runner import Outcome

    interrupted = isinstance(error, KeyboardInterrupt)
    why = "stopped before its end; the same command finishes it" if interrupted else reason(error)
    for job, done in zip(jobs, lookup.known(jobs), strict=True):
        yield done or Outcome(job, "interrupted" if interrupted else "died", why)
