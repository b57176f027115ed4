"""What was good on other tasks: the ground of a portfolio of first configurations."""

import statistics
from collections import Counter
from collections.abc import Mapping, Sequence

from research.memory.history import Run
from research.memory.records import Configured
from research.metrics import is_timed, rank
from research.types import Objective


def configured(runs: Sequence[Run], objective: Objective) -> list[Configured]:
    """Each task's configurations that keep the objective's bounds, the best first within each task.

    Left out are those outside of the bounds and those of which a seed failed. `objective` is as screened.
    """
    tasks: dict[str, dict[tuple[str, ...], list[Run]]] = {}
    for run in _comparable(runs, objective):
        tasks.setdefault(str(run.task), {}).setdefault(run.overrides, []).append(run)
    return [one for task in sorted(tasks) for one in _task(task, tasks[task], objective)]


def _comparable(runs: Sequence[Run], objective: Objective) -> list[Run]:
    """Where a clock decides, of each task the runs of one machine and instrument: of those with most runs."""
    asked = (objective.metric, *(bound.metric for bound in objective.constraints))
    if not any(map(is_timed, asked)):
        return list(runs)
    kinds = Counter((str(run.task), run.hardware, run.instrument) for run in runs)
    most = {kind[0]: kind for kind, _ in sorted(kinds.items(), key=lambda item: item[1])}
    return [run for run in runs if (str(run.task), run.hardware, run.instrument) == most[str(run.task)]]


def _task(
    task: str, found: Mapping[tuple[str, ...], Sequence[Run]], objective: Objective
) -> list[Configured]:
    means = {overrides: _means(group, objective) for overrides, group in found.items()}
    ranks = {overrides: rank(objective, mean) for overrides, mean in means.items()}
    kept = sorted((ranks[one][1], one) for one in found if ranks[one][0] == 0)
    if not kept:
        return []
    best, worst = kept[0][0], kept[-1][0]
    return [
        Configured(
            task=task,
            overrides=overrides,
            value=means[overrides][objective.metric],
            regret=(value - best) / (worst - best) if worst > best else 0.0,
            trial_ids=tuple(sorted(run.id for run in found[overrides])),
        )
        for value, overrides in kept
    ]


def _means(group: Sequence[Run], objective: Objective) -> dict[str, float]:
    """Means over the seeds; empty where one failed or did not measure what is asked for."""
    keys = [objective.metric, *(bound.metric for bound in objective.constraints)]
    if any(run.failed or any(key not in run.figures for key in keys) for run in group):
        return {}
    return {key: statistics.fmean(run.figures[key] for run in group) for key in keys}
