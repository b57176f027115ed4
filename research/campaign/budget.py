"""What a campaign may spend and its trials are expected to cost; dollars are the ledger's, see ledger.py."""

import math
import statistics
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Literal, NamedTuple, final

from refusal import Refusal
from research.llm.ledger import LlmSpent, tally
from research.propose.bandit import NOTHING, Asked
from research.space import identity
from research.stats.costs import Case, Costs, Forecast
from research.store.store import Store
from research.types import Key, Result, Trial


class Price(NamedTuple):
    """What trials are expected to cost."""

    trials: int
    seconds: float
    joules: float

    def plus(self, other: "Price") -> "Price":
        """Both together."""
        return Price(self.trials + other.trials, self.seconds + other.seconds, self.joules + other.joules)


NO_PRICE = Price(0, 0.0, 0.0)


def share(seconds: float | None) -> float | None:
    """What one trial or question may take of a budget of seconds: a fifth of it, at least a minute."""
    return None if seconds is None else max(60.0, seconds / 5)


@final
class Spend:
    """Limits, what is spent, and the prediction of what comes next from the median of what was."""

    def __init__(
        self,
        *,
        trials: float | None = None,
        seconds: float | None = None,
        joules: float | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Raise `Refusal` for a limit that is not above 0; None is no limit."""
        given = {"trials": trials, "seconds": seconds, "joules": joules}
        for name, limit in given.items():
            if limit is not None and not limit > 0:
                hint = "give a number above 0, or null for no limit"
                raise Refusal(f"budget.{name}={limit:g} buys nothing: {hint}.")
        if trials is not None and trials != math.inf and trials != int(trials):
            raise Refusal(f"budget.trials={trials:g} is no number of trials: give a whole one.")
        self.limits = {name: math.inf if limit is None else float(limit) for name, limit in given.items()}
        self.clock = clock
        self._began = clock()
        self._seconds: list[float] = []
        self._joules: list[float] = []
        self._paid: dict[Key, float] = {}

    @property
    def seconds(self) -> float:
        """Seconds since the campaign began."""
        return self.clock() - self._began

    @property
    def each_s(self) -> float:
        """Seconds that a trial usually takes, 0 before the first: the median, for one may have hung."""
        return statistics.median(self._seconds) if self._seconds else 0.0

    @property
    def each_j(self) -> float:
        """Joules that a trial usually takes, 0 before the first."""
        return statistics.median(self._joules) if self._joules else 0.0

    @property
    def trials(self) -> int:
        """Trials that were run."""
        return len(self._seconds)

    @property
    def joules(self) -> float:
        """Joules of all of them."""
        return sum(self._joules)

    def pay(self, key: Key, seconds: float | None, joules: float) -> None:
        """Count what all attempts at a trial come to, less what was counted; without `seconds` it goes on."""
        more = max(0.0, joules - self._paid.get(key, 0.0))
        self._paid[key] = self._paid.get(key, 0.0) + more
        self._seconds += [] if seconds is None else [seconds]
        self._joules.append(more)

    def usual(self, trials: int, at_once: int = 1) -> Price:
        """What so many trials cost when they are like those before."""
        return Price(trials, self.each_s * math.ceil(trials / max(1, at_once)), self.each_j * trials)

    def short(self, price: Price, later: Price = NO_PRICE) -> str | None:
        """Why a price cannot be paid when another is kept back for later; None when it can.

        At most half of a limit is kept back, so that a small budget is not all reserve.
        """
        spent = Price(self.trials, self.seconds, self.joules)
        for name, limit in self.limits.items():
            soon, reserve = getattr(spent, name) + getattr(price, name), getattr(later, name)
            if soon + min(reserve, limit / 2) > limit:
                kept = f", and {reserve:.3g} are kept back for what follows" if reserve else ""
                return f"budget.{name}={limit:g} would be passed: {soon:.3g} with the next{kept}"
        return None

    def left_s(self) -> float:
        """Seconds that are left."""
        return self.limits["seconds"] - self.seconds


Box = Literal["discuss", "implement", "validate"]
SHARES: dict[Box, float] = {"discuss": 5 / 15, "implement": 8 / 15, "validate": 2 / 15}


@final
class Timeboxes:
    """What each box may use and has used of a sprint's minutes; a box may be opened several times.

    A box bounds the work that it is named for: questions go on in the one to discuss while trials train in
    another. What discussing and implementing leave over goes to validating.
    """

    def __init__(
        self, minutes: float, clock: Callable[[], float] = time.monotonic, budget_s: float = math.inf
    ) -> None:
        """`budget_s` is what the budget leaves: half of a shorter one is kept for what was discussed."""
        self._limits = {name: 60 * minutes * share for name, share in SHARES.items()}
        self._limits["discuss"] = min(self._limits["discuss"], budget_s / 2)
        self._used = dict.fromkeys(SHARES, 0.0)
        self._clock = clock
        self._open: dict[Box, float] = {}

    @contextmanager
    def open(self, name: Box) -> Iterator[None]:
        """Count the time of the body to a box; the body ends by itself, seeing `left_s` or `until`."""
        self._open[name] = self._clock()
        try:
            yield
        finally:
            self._used[name] = self._spent(name)
            del self._open[name]

    @property
    def _training(self) -> Box | None:
        """The open box that trials run in, else the one to discuss; None when none is open."""
        return next((name for name in self._open if name != "discuss"), next(iter(self._open), None))

    def left_of(self, name: Box) -> float:
        """Seconds that are left of a box, open or not."""
        return self._limit(name) - self._spent(name)

    def left_s(self) -> float:
        """Seconds that are left of the open box; infinite when none is."""
        return math.inf if self._training is None else self.left_of(self._training)

    def limit_s(self) -> float:
        """Seconds that the open box has in all; infinite when none is."""
        return math.inf if self._training is None else self._limit(self._training)

    def until(self) -> float | None:
        """When the open box ends, by the clock; None when none is open."""
        left = self.left_s()
        return None if math.isinf(left) else self._clock() + left

    def short(self, seconds: float) -> str | None:
        """Why something of so many seconds does not fit into the open box; None when it does."""
        if self._training is None or seconds <= self.left_s():
            return None
        name, left = self._training, max(0.0, self.left_s())
        return (
            f"the sprint's box to {name} has {left:.0f} s left of {self._limit(name):.0f}, "
            f"and {seconds:.0f} s would be needed (sprint.minutes)"
        )

    def facts(self) -> dict[str, dict[str, float]]:
        """Box -> `limit_s` and `used_s`."""
        return {
            name: {"limit_s": round(self._limit(name), 3), "used_s": round(self._spent(name), 3)}
            for name in SHARES
        }

    def _spent(self, name: Box) -> float:
        return self._used[name] + (self._clock() - self._open[name] if name in self._open else 0.0)

    def _limit(self, name: Box) -> float:
        if name != "validate":
            return self._limits[name]
        return self._limits[name] + sum(max(0.0, self.left_of(one)) for one in ("discuss", "implement"))


_FREE = LlmSpent(dollars=0.0, joules=0.0)


@final
class ModelAccount:
    """Hands out what is due since it was last asked; without a model nothing ever is.

    A discussion is paid in equal parts with the proposals that it has queued. A part stands in its proposal's
    row, so that a sprint that continues pays the same again.
    """

    def __init__(
        self,
        spent: Callable[[], LlmSpent] = lambda: _FREE,
        waiting: Callable[[], int] = lambda: 0,
        owed: Asked = NOTHING,
    ) -> None:
        """`spent` is the ledger's, `waiting` counts queued proposals, `owed` is what an earlier run left."""
        self._spent, self._waiting = spent, waiting
        at = spent()
        self._joules, self._unknown = at.known_joules - owed.joules, at.unknown_calls - owed.unknown

    def part(self) -> Asked:
        """What is due with one proposal; what still waits in the queue keeps its share."""
        return self._take(1 + self._waiting())

    def rest(self) -> Asked:
        """All that is due: questions of which no proposal has come."""
        return self._take(1)

    def _take(self, among: int) -> Asked:
        now = self._spent()
        joules = (now.known_joules - self._joules) / among
        due = Asked(joules=joules, unknown=now.unknown_calls - self._unknown)
        self._joules, self._unknown = self._joules + due.joules, now.unknown_calls
        return due


def paid(facts: Mapping[str, Any]) -> Asked | None:
    """What a proposal's row says that it has paid; None where it says nothing."""
    return Asked.model_validate(facts["asked"]) if facts.get("asked") else None


def owed(store: Store, sprint_id: int, rows: Iterable[Mapping[str, Any]]) -> Asked:
    """What an interrupted run of a sprint has asked the model without paying it with the sprint's `rows`."""
    used = tally(store.interactions(sprint_id=sprint_id))
    parts = [part for row in rows if (part := paid(row["facts"]))]
    joules = used.known_joules - sum(part.joules for part in parts)
    return Asked(joules=max(0.0, joules), unknown=max(0, used.unknown_calls - sum(p.unknown for p in parts)))


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
            rows, begun = self._store.trials(status="done", limit=_LOOKED_AT), self._opened
            trainer = self._control().get("trainer")
            hardware = identity.hardware_class(trainer) if trainer else ""
            before = [r for r in rows if r.key.hardware == hardware and (r.finished or begun) < begun]
            results = self._store.results([row.id for row in before])
            found = {row.id: Case.of(row, results[row.id]) for row in before if row.id in results}
            self._cases = {number: case for number, case in found.items() if case is not None}
        return self._cases
