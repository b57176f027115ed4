"""Who proposes next: turns follow what each source has earned per joule, within floors and the model's cap.

Probability matching with a floor (Thierens, 2005, GECCO, 1539-1546, eq. 1 to 3): a source's part of the turns
is its floor plus a part of the rest in proportion to its quality. Changed: quality is gain per joule, shrunk
towards the mean of all and weighted by the share that conf/proposer gives, because a campaign of two dozen
turns tells little; and turns are dealt out by what each is owed instead of by lot, so that they repeat.
"""

import math
import random
from collections.abc import Mapping, Sequence
from typing import final

from refusal import Refusal
from research.propose.account import Account, Asked
from research.propose.proposer import Proposer

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

    A share of 0 leaves a proposer out. One that has nothing more to say leaves its turns to the others.
    Raises `Refusal` when nobody has a share.
    """

    def __init__(self, proposers: Sequence[Proposer], shares: Mapping[str, float], *, seed: int = 0) -> None:
        self._shares = {one.name: float(shares.get(one.name, 0.0)) for one in proposers}
        self._here = {one.name: one for one in proposers if self._shares[one.name] > 0}
        if any(not 0 <= share < math.inf for share in self._shares.values()) or not self._here:
            raise Refusal(f"proposer.shares={dict(shares)} gives nobody a turn: set one of them above 0.")
        lot = random.Random(seed)
        self._lot = {name: lot.random() for name in sorted(self._here)}
        self._owed = dict.fromkeys(self._here, 0.0)
        self.taken = dict.fromkeys(self._here, 0)
        self._accounts = {name: Account() for name in self._here}
        self._measured = False

    def next(self) -> Proposer | None:
        """The proposer whose turn it is, counted as taken; None when all have left."""
        if not self._here:
            return None
        opening = [name for name, one in self._here.items() if one.first and self.taken[name] < OPENING]
        name = min(opening, key=lambda one: (self.taken[one], self._lot[one])) if opening else self._due()
        self.taken[name] += 1
        return self._here[name]

    def leave(self, proposer: Proposer) -> None:
        """A proposer has nothing more to say; the turn it just took is not counted."""
        self._here.pop(proposer.name, None)
        self.taken[proposer.name] -= 1

    def learn(self, name: str, gain: float, joules: float) -> None:
        """What a turn of `name` brought (`account.gain`), and the joules of its trials.

        Where joules were not measured (0 or NaN) the turn counts as a usual one.
        """
        usual, measured = self._all().each, 0 < joules < math.inf
        self._measured = self._measured or measured
        for account in self._accounts.values():
            account.age()
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
        others = Account.of(one for name, one in self._accounts.items() if name != MODEL)
        return own.told >= _PROVEN and own.gain * others.cost > others.gain * own.cost
