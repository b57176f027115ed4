"""`hydra/sweeper=grid`: Hydra's basic sweeper, without composing every job a second time."""

import os
import re
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, final

from hydra._internal.core_plugins.basic_sweeper import BasicSweeper, BasicSweeperConf
from hydra.core.config_store import ConfigStore
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.utils import JobReturn, JobRuntime, JobStatus
from hydra.errors import HydraException
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig

from refusal import Refusal

if TYPE_CHECKING:
    from research.compose.compose import Composer


@final
@dataclass
class GridConf(BasicSweeperConf):
    """The settings of Hydra's basic sweeper: `params` and `max_batch_size`."""

    _target_: str = "hydra_plugins.hydra_joulelab_launcher.grid.Grid"


_INTERPOLATED = re.compile(r"\$\\\{([\w.]+)\\\}")

ConfigStore.instance().store("grid", GridConf, group="hydra/sweeper", provider="joulelab")


@final
class Grid(BasicSweeper):
    """Every combination of the swept values, in the order typed, whatever launcher runs them.

    Hydra composes each job here to see whether it can be, and again in the launcher: 0.25 s a job. Ours
    composes all jobs before it starts one, which finds the same errors. A job that chooses a recipe with a
    study becomes the arms of the study over its seeds. What other launchers run, as joblib and submitit, is
    looked up, told and counted as what our own does.
    """

    def setup(self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig) -> None:
        """Have other launchers call what answers with a trial's numbers: a score is no row of a table."""
        from hydra_plugins.hydra_joulelab_launcher.launched import Answering

        self._answering = Answering(JobRuntime.instance().get("name"))
        super().setup(hydra_context=hydra_context, task_function=self._answering, config=config)

    def sweep(self, arguments: list[str]) -> list[Sequence[JobReturn]]:
        """Run all combinations; exits with code 1 when a trial failed, raises `Refusal` on bad overrides."""
        # Not at the top: Hydra's scan runs each module again, and its classes are then others.
        from hydra_plugins.hydra_joulelab_launcher.launched import launched
        from hydra_plugins.hydra_joulelab_launcher.processes import Processes, swept

        assert self.config is not None and self.hydra_context is not None and self.launcher is not None
        returns: list[Sequence[JobReturn]] = []
        for batch in self._batches(arguments):
            started = sum(len(done) for done in returns)
            if isinstance(self.launcher, Processes):
                returns.append(self.launcher.launch(batch, initial_job_idx=started))
                continue
            _let_workers_import_this()
            launch = launched(self.launcher, self._answering, batch, started)
            returns.append(swept(self.config, self.hydra_context, batch, launch))
        if any(one.status is JobStatus.FAILED for done in returns for one in done):
            sys.exit(1)
        return returns

    def _batches(self, arguments: list[str]) -> list[list[list[str]]]:
        assert self.hydra_context is not None
        overrides = read([*self._parse_config(), *arguments], self.hydra_context.config_loader)
        return self.split_arguments(overrides, self.max_batch_size)

    def split_arguments(self, overrides: Any, max_batch_size: int | None) -> list[list[list[str]]]:  # type: ignore[override]
        """Every job's overrides in batches, with recipes expanded; Hydra's own `sweep` asks here as well."""
        from hydra_plugins.hydra_joulelab_launcher.points import composer_of

        assert self.config is not None
        jobs = combinations(overrides, composer_of(self.config))
        return [list(chunk) for chunk in BasicSweeper.split_overrides_to_chunks(jobs, max_batch_size)]


def read(words: Sequence[str], loader: Any = None) -> list[Any]:
    """Overrides as Hydra reads them. Raises `Refusal` for what it cannot read."""
    parser: Any = OverridesParser.create(config_loader=loader)
    try:
        return list(parser.parse_overrides(list(words)))
    except HydraException as error:
        raise Refusal(str(error).strip().splitlines()[0]) from error


def combinations(overrides: Sequence[Any], composer: "Composer | None") -> list[list[str]]:
    """Every combination of the swept values as typed, recipes as the arms of their study over its seeds.

    `composer` resolves them, None where places are searched that it does not know.
    """
    from research.campaign.recipe import expanded

    try:
        (split,) = BasicSweeper.split_arguments(list(overrides), None)
    except HydraException as error:
        raise Refusal(str(error).strip().splitlines()[0]) from error
    typed = {one.get_key_element(): one.input_line for one in overrides if not one.is_sweep_override()}
    jobs = [[_as_typed(text, typed) for text in job] for job in split]
    if not jobs:
        raise Refusal("nothing is swept: some key has no value, as of range(0) or of a glob that finds none")
    if composer is None:
        return jobs
    return expanded(jobs, composer.files.folder, lambda job: composer.resolve(job).config)


def _as_typed(text: str, typed: Mapping[str, str]) -> str:
    """An override of a job in its typed spelling: Hydra's sweeper escapes what would need none."""
    from research.compose.override import override

    return typed.get(override(text).key) or _INTERPOLATED.sub(r"${\1}", text)


def _let_workers_import_this() -> None:
    """Put this project on the path of processes to come: submitit unpickles Hydra's list of plugins there."""
    paths = [str(Path(__file__).resolve().parents[2]), *filter(None, [os.environ.get("PYTHONPATH")])]
    os.environ["PYTHONPATH"] = os.pathsep.join(paths)
