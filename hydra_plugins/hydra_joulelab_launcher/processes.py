"""`hydra/launcher=processes`: the jobs of a sweep through research/run/sweep.py, some at a time."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, final

from hydra.core.config_store import ConfigStore
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.utils import JobReturn, JobRuntime, JobStatus
from hydra.plugins.launcher import Launcher
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig, OmegaConf

if TYPE_CHECKING:
    from research.run.sweep import Launch


@final
@dataclass
class ProcessesConf:
    """No settings: those are the job's own `launcher.*` keys, where `--help` and recipes see them."""

    _target_: str = "hydra_plugins.hydra_joulelab_launcher.processes.Processes"


ConfigStore.instance().store("processes", ProcessesConf, group="hydra/launcher", provider="joulelab")


class TrialFailed(Exception):
    """What `JobReturn.return_value` raises for a trial without numbers; its reason was printed already."""


@final
@dataclass
class JobEnded(JobReturn):
    """A JobReturn that raises without printing: the sweep has told why."""

    @property
    def return_value(self) -> Any:
        """The score; raises `TrialFailed` when there is none."""
        if self.status is JobStatus.FAILED:
            raise self._return_value
        return self._return_value

    @return_value.setter
    def return_value(self, value: Any) -> None:
        self._return_value = value


@final
class Processes(Launcher):
    """Composes every job before the first one starts, so that a bad override stops the sweep, not a trial.

    Jobs are not Hydra's `run_job`: no folder, no chdir, no `on_job_start` callback. Their files, logs and
    configs are the trial's own business, the same from a person, a sweep and an agent.
    """

    def __init__(self) -> None:
        self._config: DictConfig | None = None
        self._context: HydraContext | None = None

    def setup(self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig) -> None:
        """Keep what `launch` needs; the task function is the script's `trial`, called in the children."""
        self._config, self._context = config, hydra_context

    def launch(self, job_overrides: Sequence[Sequence[str]], initial_job_idx: int) -> list[JobReturn]:
        """Run one batch of jobs; raises `Refusal` before any of them starts when one cannot be composed."""
        assert self._config is not None and self._context is not None
        return swept(self._config, self._context, job_overrides)


def swept(
    config: DictConfig,
    context: HydraContext,
    job_overrides: Sequence[Sequence[str]],
    launch: "Launch | None" = None,
) -> list[JobReturn]:
    """Compose one batch of jobs, run those that are not known, by `launch` where given, and tell all of them.

    Raises `Refusal` before any of them starts when one cannot be composed.
    """
    import construct
    from hydra_plugins.hydra_joulelab_launcher.points import points
    from redact import redact
    from research.run import sweep
    from research.run.runner import Job

    typed = [str(text) for text in config.hydra.overrides.task]
    name = sweep.name(typed, _swept_keys(typed))
    configs = points(config, context.config_loader, job_overrides)
    construct.trust_composed(configs, config.hydra)
    jobs = [
        Job(one, redact(list(overrides)), name) for one, overrides in zip(configs, job_overrides, strict=True)
    ]
    if any(job.config.get("dry_run") for job in jobs):
        from research.run.plan import show

        show([job.config for job in jobs], [job.overrides for job in jobs])
        return [_ended(job, JobStatus.COMPLETED, None) for job in jobs]
    outcomes = sweep.run(jobs, task=f"{JobRuntime.instance().get('name')}:trial", launch=launch)
    return [
        _ended(one.job, JobStatus.COMPLETED, one.score)
        if one.ok
        else _ended(one.job, JobStatus.FAILED, TrialFailed(one.reason))
        for one in outcomes
    ]


def _swept_keys(typed: list[str]) -> list[str]:
    overrides = OverridesParser.create().parse_overrides(typed)
    return [str(one.key_or_group) for one in overrides if one.is_sweep_override()]


def _ended(job: Any, status: JobStatus, value: Any) -> JobReturn:
    ended = JobEnded(
        overrides=job.overrides,
        cfg=OmegaConf.create(job.config),
        working_dir=str(Path.cwd()),
        task_name=JobRuntime.instance().get("name"),
        status=status,
    )
    ended.return_value = value
    return ended
