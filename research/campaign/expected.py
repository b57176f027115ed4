"""What trials are expected to cost, by those that the database and this sprint have measured."""

from collections.abc import Callable, Mapping
from typing import Any, final

from research.space import identity
from research.stats.costs import Case, Costs, Forecast
from research.store.store import Store
from research.types import Result, Trial

_LOOKED_AT = 300
"""newest trials of the database that are learnt from: older ones tell of older code, and to read is slow"""


@final
class Expected:
    """Learns from each trial as it is taken, so a sprint that is continued expects the same at each point.

    What others ran since the sprint was opened is therefore left out.
    """

    def __init__(self, store: Store, opened: float, control: Callable[[], Mapping[str, Any]]) -> None:
        """`control` resolves the config whose hardware counts; it is asked when something is predicted."""
        self._store, self._opened, self._control = store, opened, control
        self._cases: dict[int, Case] | None = None
        self._costs: Costs | None = None

    def learn(self, trial: Trial, result: Result) -> None:
        """Take in a trial that is done."""
        case = Case.of(trial, result)
        if case is not None and trial.id not in self._known():
            self._known()[trial.id] = case
            self._costs = None

    def cost(self, config: Mapping[str, Any]) -> Forecast | None:
        """Of one trial; None where nothing tells it."""
        if self._costs is None:
            self._costs = Costs(list(self._known().values()))
        return self._costs.predict(config)

    def _known(self) -> dict[int, Case]:
        if self._cases is None:
            rows, hardware = self._store.trials(status="done", limit=_LOOKED_AT), self._hardware()
            before = [
                row
                for row in rows
                if row.key.hardware == hardware and (row.finished or self._opened) < self._opened
            ]
            results = self._store.results([row.id for row in before])
            found = {row.id: Case.of(row, results[row.id]) for row in before if row.id in results}
            self._cases = {number: case for number, case in found.items() if case is not None}
        return self._cases

    def _hardware(self) -> str:
        trainer = self._control().get("trainer")
        return identity.hardware_class(trainer) if trainer else ""
