"""Who proposes next: turns follow what each source has earned per joule, within floors and the model's cap.

Probability matching with a floor (Thierens, 2005, GECCO, 1539-1546, eq. 1 to 3): a source's part of the turns
is its floor plus a part of the rest in proportion to its quality. Changed: quality is gain per joule, shrunk
towards the mean of all and weighted by the share that conf/proposer gives, because a campaign of two dozen
turns tells little; and turns are dealt out by what each is owed instead of by lot, so that they repeat.
"""

import math
import random
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import final

from refusal import Refusal
from research.metrics import is_ratio, rank
from research.propose.proposer import Proposer, Seen, State
from research.types import Record

_KEPT = 0.95
"""of an earlier turn at each later one of anybody: what helped at the start may not help at the end"""
_PRIOR = 3.0
"""turns of the usual gain and cost that each source is credited with before it had any"""
_TELLING, _LATE = 12, 0.85
"""turns before anything is said of those to come; of an earlier one at each later, what it says of them"""
_NOTHING = 1e-9
"""a gain or a cost below which there was none"""


@final
class Asked(Record):
    """What questions to the language model cost."""

    joules: float = 0.0
    """known or estimated, the upper end of the estimate"""
    unknown: int = 0
    """calls whose joules nobody knows: they are in no sum, so whoever shows the sum says so"""


NOTHING = Asked()


@final
@dataclass
class Account:
    """One source's gain and joules: in all, and as sums in which older turns fade."""

    told: int = 0
    gained: float = 0.0
    paid: float = 0.0
    gain: float = 0.0
    cost: float = 0.0
    turns: float = 0.0
    asked: float = 0.0
    """joules of the model's own questions, which `paid` holds too"""
    unknown: int = 0
    """calls of the model whose joules are in none of these sums"""

    @staticmethod
    def of(accounts: Iterable["Account"]) -> "Account":
        """The sum of some accounts."""
        total = Account()
        for account in accounts:
            for name, value in vars(account).items():
                setattr(total, name, getattr(total, name) + value)
        return total

    @property
    def each(self) -> float:
        """Joules of a usual turn; 1 before the first: where nothing is measured, turns are compared."""
        return self.cost / self.turns if self.turns else 1.0

    def age(self, kept: float = _KEPT) -> None:
        """Let what was earned count for less."""
        self.gain, self.cost, self.turns = kept * self.gain, kept * self.cost, kept * self.turns

    def add(self, gain: float, joules: float) -> None:
        """Count one turn."""
        self.told, self.gained, self.paid = self.told + 1, self.gained + gain, self.paid + joules
        self.gain, self.cost, self.turns = self.gain + gain, self.cost + joules, self.turns + 1

    def pay(self, asked: Asked, counted: bool) -> None:
        """Count questions, which are no turn; `counted` says whether turns are compared by their joules."""
        self.paid, self.asked = self.paid + asked.joules, self.asked + asked.joules
        self.cost, self.unknown = self.cost + asked.joules * counted, self.unknown + asked.unknown

    def quality(self, everyone: "Account") -> float:
        """Gain per joule as a multiple of everyone's, shrunk: 1 where nothing is known, never 0."""
        if everyone.gain < _NOTHING or everyone.cost < _NOTHING:
            return 1.0
        usual, prior = everyone.gain / everyone.cost, _PRIOR * everyone.each
        return (self.gain + prior * usual) / (self.cost + prior) / usual


def gain(state: State, seen: Seen) -> float:
    """How much a result improves on the incumbent of `state`, in 0..1; 0 where it does not.

    Bounds first: while the incumbent misses some, the gain is the fall of what is missed. Then the figure:
    for a cost the logarithm of the ratio, so that halving counts alike at any size, and for a score the rise
    as a share of what has been gained over the control with it.
    """
    if seen.status != "done" or state.incumbent is None:
        return 0.0
    before, after = (rank(state.objective, result.metrics) for result in (state.incumbent, seen))
    if after >= before or math.isinf(after[0]):
        return 0.0
    if before[0] > 0:
        return min(1.0, before[0] - after[0]) if after[0] > 0 else 1.0
    return _risen(state, before[1], after[1])


def _risen(state: State, before: float, after: float) -> float:
    """Both are minimised."""
    if is_ratio(state.objective.metric):
        old, new = abs(before), abs(after)
        return min(1.0, abs(math.log(old / new))) if old and new else 1.0
    start = rank(state.objective, state.control.metrics)[1] if state.control else before
    gone = abs(start - before) if math.isfinite(start) else 0.0
    return (before - after) / (before - after + gone)


MODEL, CAP = "llm", 0.3
"""the source whose part is capped until it has earned more, and the cap"""
FLOOR = 0.5
"""of its share, what is left to a source that earns nothing"""
OPENING = 5
"""turns that a source which goes first has before all others"""
_PROVEN = 5
"""turns before the model can have earned more than its cap"""


@final
class Bandit:
    """Shares the turns among proposers; all follows from the shares, what was learnt, and the seed.

    A share of 0 leaves a proposer out. One that has nothing more to say leaves its turns to the others, and
    one that has nothing new rests until something better was found: from there it may have.
    Raises `Refusal` when nobody has a share.
    """

    def __init__(self, proposers: Sequence[Proposer], shares: Mapping[str, float], *, seed: int = 0) -> None:
        self._shares = {proposer.name: float(shares.get(proposer.name, 0.0)) for proposer in proposers}
        self._here = {proposer.name: proposer for proposer in proposers if self._shares[proposer.name] > 0}
        self._resting: dict[str, Proposer] = {}
        if any(not 0 <= share < math.inf for share in self._shares.values()) or not self._here:
            raise Refusal(f"proposer.shares={dict(shares)} gives nobody a turn: set one of them above 0.")
        lot = random.Random(seed)
        self._lot = {name: lot.random() for name in sorted(self._here)}
        self._owed = dict.fromkeys(self._here, 0.0)
        self.taken = dict.fromkeys(self._here, 0)
        self._accounts, self._late = {name: Account() for name in self._here}, Account()
        self._measured = False

    def next(self, promised: str | None = None) -> Proposer | None:
        """The proposer whose turn it is, counted as taken; None when all have left.

        A turn that was `promised` to one goes to it, whatever others are owed.
        """
        if not self._here:
            return None
        if promised in self._here:
            self._owed[promised] -= 1.0
            self.taken[promised] += 1
            return self._here[promised]
        first = [name for name, source in self._here.items() if source.first and self.taken[name] < OPENING]
        name = min(first, key=lambda one: (self.taken[one], self._lot[one])) if first else self._due()
        self.taken[name] += 1
        return self._here[name]

    def due(self, promised: str | None = None) -> Proposer | None:
        """Whose turn `next` would tell, which is not taken."""
        owed, taken = dict(self._owed), dict(self.taken)
        try:
            return self.next(promised)
        finally:
            self._owed, self.taken = owed, taken

    def leave(self, proposer: Proposer) -> None:
        """A proposer has nothing more to say; the turn it just took is not counted."""
        self._here.pop(proposer.name, None)
        self.taken[proposer.name] -= 1

    def rest(self, proposer: Proposer) -> None:
        """A proposer has nothing new; as `leave`, until a turn of anybody brings a gain."""
        self._resting[proposer.name] = proposer
        self.leave(proposer)

    def learn(self, name: str, gain: float, joules: float) -> None:
        """What a turn of `name` brought (`account.gain`), and the joules of its trials.

        Where joules were not measured (0 or NaN) the turn counts as a usual one.
        """
        if gain > 0:
            self._here, self._resting = self._here | self._resting, {}
        usual, measured = self._all().each, 0 < joules < math.inf
        self._measured = self._measured or measured
        for account in self._accounts.values():
            account.age()
        self._late.age(_LATE)
        self._late.add(gain, joules if measured else usual)
        if name in self._accounts:
            self._accounts[name].add(gain, joules if measured else usual)

    def pay(self, name: str, asked: Asked) -> None:
        """What questions to the model cost `name` beside the trials of its turns; unknown joules add none."""
        if name in self._accounts:
            self._accounts[name].pay(asked, self._measured)

    def parts(self) -> dict[str, float]:
        """Each present source's part of the coming turns; they add up to 1."""
        total = sum(self._shares[name] for name in self._here)
        shares = {name: self._shares[name] / total for name in self._here}
        everyone = self._all()
        worth = {name: share * self._accounts[name].quality(everyone) for name, share in shares.items()}
        rest = (1 - FLOOR) / sum(worth.values())
        return self._capped({name: FLOOR * share + rest * worth[name] for name, share in shares.items()})

    @property
    def promise(self) -> float | None:
        """What a joule of the coming turns may be expected to gain, of what one has gained in all so far.

        Expected is what the latest turns have gained, older ones fading. None while little is known.
        """
        every = self._all()
        if every.told < _TELLING or min(every.gained, self._late.cost, every.paid) < _NOTHING:
            return None
        return self._late.gain / self._late.cost * every.paid / every.gained

    def facts(self) -> dict[str, dict[str, float]]:
        """Per source: turns, gain and joules in all, the model's own among them, and its part of what comes.

        `unknown` are calls of the model whose joules nobody knows: they are not in `joules`.
        """
        parts = self.parts() if self._here else {}
        return {
            name: {
                "turns": float(self.taken[name]),
                "gain": account.gained,
                "joules": account.paid,
                "asked": account.asked,
                "unknown": float(account.unknown),
                "part": parts.get(name, 0.0),
            }
            for name, account in self._accounts.items()
        }

    def _all(self) -> Account:
        return Account.of(self._accounts.values())

    def _due(self) -> str:
        """Whoever is owed most, once each is owed its part of this turn."""
        for name, part in self.parts().items():
            self._owed[name] += part
        may = [name for name in self._here if not self._beyond(name)] or list(self._here)
        name = max(may, key=lambda one: (round(self._owed[one], 9), self._shares[one], self._lot[one]))
        self._owed[name] -= 1.0
        return name

    def _beyond(self, name: str) -> bool:
        """Whether one more turn takes the model beyond its cap."""
        taken = sum(self.taken.values()) + 1
        return name == MODEL and not self._earned() and self.taken[name] + 1 > CAP * taken + 1e-9

    def _capped(self, parts: dict[str, float]) -> dict[str, float]:
        if parts.get(MODEL, 0.0) <= CAP or len(parts) == 1 or self._earned():
            return parts
        others = 1 - parts[MODEL]
        return {name: CAP if name == MODEL else part / others * (1 - CAP) for name, part in parts.items()}

    def _earned(self) -> bool:
        """Whether the model has brought more per joule than all the others together."""
        own = self._accounts.get(MODEL, Account())
        others = Account.of(account for name, account in self._accounts.items() if name != MODEL)
        return own.told >= _PROVEN and own.gain * others.cost > others.gain * own.cost
