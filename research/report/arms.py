"""Arms as rows of a report's table: read from the store, and what they are called there."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, final

from research.report.markdown import code
from research.run.retold import retold
from research.stats.arms import Arm
from research.store.store import Store

DECIDED = ("supported", "refuted", "open")


def named(arm: Arm) -> str:
    """What an arm's row is called."""
    own = code(" ".join(arm.overrides)) if arm.overrides else ""
    if arm.stopped:
        return f"{own} (control, stopped at the bound)"
    if arm.control:
        return f"{own} (control)" if own else "control"
    return own or "`defaults`"


def measured(store: Store, overrides: Sequence[str], proposer: str, status: str, ids: Iterable[int]) -> Arm:
    """An arm of the finished ones among the trials `ids`, in the order given; read from the store."""
    wanted = list(ids)
    return Read(store, wanted).arm(overrides, proposer, status, wanted)


@final
class Read:
    """Trials with their results, read at once: arms of a campaign are many, and each query costs.

    Joules and carbon are told by today's calibration and the grid of `meter`, else of each trial's own.
    """

    def __init__(self, store: Store, ids: Iterable[int], meter: Mapping[str, Any] | None = None) -> None:
        wanted = list(dict.fromkeys(ids))
        self._trials = {trial.id: trial for trial in store.trials(ids=wanted)}
        found = store.results(wanted)
        meters = {number: meter or trial.config.get("meter") for number, trial in self._trials.items()}
        self._results = {number: retold(one, meters.get(number)) for number, one in found.items()}

    def arm(
        self,
        overrides: Sequence[str],
        proposer: str,
        status: str,
        ids: Iterable[int],
        stopped: bool = False,
    ) -> Arm:
        """An arm of the finished ones among the trials `ids`, each once."""
        done = [one for one in dict.fromkeys(ids) if one in self._results and one in self._trials]
        return Arm(
            overrides=tuple(overrides),
            proposer=proposer,
            status=status,
            facts={"stopped": True} if stopped else {},
            results=tuple(self._results[number] for number in done),
            rows=tuple(self._trials[number] for number in done),
        )
