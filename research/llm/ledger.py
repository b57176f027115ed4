"""What the language model may cost and has cost: caps are reserved before a call and settled after it."""

import threading
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from math import inf
from typing import Any, final

from pydantic import Field

from refusal import Refusal
from research.llm.price import Rate, ReplyEnergy, Usage
from research.types import Record

CACHED = "cached"
"""the outcome of an exchange that repeated a known reply"""
_COUNTABLE = 2**31 - 1  # what an integer column of the database holds


@final
class LlmCaps(Record):
    """Upper bounds over the ledger's life; None is no bound."""

    calls: int | None = Field(default=None, ge=0)
    tokens: int | None = Field(default=None, ge=0)
    dollars: float | None = Field(default=None, ge=0)
    joules: float | None = Field(default=None, ge=0)


@final
class CapReached(Exception):
    """The next call could pass a cap, so it was not made; the statistical proposers carry on."""

    def __init__(self, cap: str, bound: float, used: float) -> None:
        super().__init__(
            f"the language model has used {used:g} of its {bound:g} {cap} and the next call could pass that: "
            f"raise llm.caps.{cap} for more."
        )
        self.cap = cap


@final
@dataclass(frozen=True)
class LlmSpent:
    """What was used; dollars and joules are None when nothing tells them, which is not the same as zero."""

    calls: int = 0
    tokens_in: int = 0
    tokens_out: int = 0
    dollars: float | None = None
    joules: float | None = None
    seconds: float = 0.0
    cached: int = 0
    """replies that were known from an equal question: no call, no cost"""
    known_joules: float = 0.0
    """of those calls whose joules something tells: `joules` is None as soon as one of them is unknown"""
    unknown_calls: int = 0
    """calls whose joules nothing tells"""

    def plus(self, *, dollars: float | None, joules: float | None, **counts: float) -> "LlmSpent":
        """What is used after one exchange more, told by the names of the fields; None is unknown."""
        sums: dict[str, Any] = {name: getattr(self, name) + more for name, more in counts.items()}
        sums |= {name: min(sums[name], _COUNTABLE) for name in ("tokens_in", "tokens_out")}
        return replace(
            self,
            dollars=_sum(self.dollars, dollars),
            joules=_sum(self.joules, joules),
            known_joules=self.known_joules + (joules or 0.0),
            unknown_calls=self.unknown_calls + (joules is None),
            **sums,
        )


@final
@dataclass(frozen=True)
class CallCost:
    """What one call cost; None is unknown. The joules are the upper end of the range that `energy` holds."""

    dollars: float | None
    energy: ReplyEnergy | None

    @property
    def joules(self) -> float | None:
        """The upper end: what a search costs is never told too low."""
        return None if self.energy is None else self.energy.high_j

    @classmethod
    def none(cls) -> "CallCost":
        """What a known reply costs."""
        return cls(0.0, ReplyEnergy(low_j=0.0, high_j=0.0, method="no call was made"))


@final
class LlmLedger:
    """Counts calls, tokens, dollars and joules against `caps`; safe to share between threads.

    Every call comes with the `Rate` of the model that is asked. `already` is what an interrupted campaign
    had spent before.
    """

    def __init__(self, caps: LlmCaps, *, already: LlmSpent | None = None) -> None:
        self._caps = caps
        self._spent = already or LlmSpent(dollars=0.0, joules=0.0)
        self._held: dict[int, tuple[Rate, dict[str, float]]] = {}
        self._tickets = 0
        self._lock = threading.Lock()

    @property
    def spent(self) -> LlmSpent:
        """What settled calls have used."""
        return self._spent

    def admit(self, model: str, rate: Rate) -> None:
        """Raise `Refusal` when a cap cannot be kept with a model: what is unknown is not free."""
        if self._caps.dollars is not None and rate.price is None:
            raise Refusal(
                f"the price of this model is unknown ({model}), so llm.caps.dollars cannot be kept: give "
                "llm.price.input and llm.price.output in dollars per million tokens (0 and 0 for a server of "
                "your own that bills nothing), or set llm.caps.dollars=null."
            )
        if self._caps.joules is not None and not rate.tells_joules:
            raise Refusal(
                f"what a token of this model costs in joules is unknown ({model}), so llm.caps.joules cannot "
                "be kept: give llm.token_joules, or llm.ecologits, or set llm.caps.joules=null."
            )

    def reserve(self, tokens_in: int, tokens_out: int, rate: Rate) -> int:
        """Hold an upper bound for one call and return its ticket; raises `CapReached` if it could pass."""
        wanted = self._bound(Usage(tokens_in, tokens_out), rate)
        with self._lock:
            for cap, bound in self._caps.model_dump(exclude_none=True).items():
                used = self._used(cap) + sum(held[cap] for _, held in self._held.values())
                if used + wanted[cap] > bound:
                    raise CapReached(cap, bound, used)
            self._tickets += 1
            self._held[self._tickets] = (rate, wanted)
            return self._tickets

    def settle(self, ticket: int, usage: Usage, seconds: float) -> CallCost:
        """Replace what a ticket held by what the call used, and return that.

        A call that was refused unbilled used no tokens.
        """
        rate, _ = self._held[ticket]
        cost = CallCost(rate.dollars(usage), rate.energy(usage, seconds))
        with self._lock:
            del self._held[ticket]
            self._spent = self._spent.plus(
                calls=1,
                tokens_in=usage.tokens_in,
                tokens_out=usage.tokens_out,
                dollars=cost.dollars,
                joules=cost.joules,
                seconds=seconds,
            )
        return cost

    def repeated(self) -> None:
        """Count a reply that was known and cost nothing."""
        with self._lock:
            self._spent = replace(self._spent, cached=self._spent.cached + 1)

    def _used(self, cap: str) -> float:
        if cap == "tokens":
            return self._spent.tokens_in + self._spent.tokens_out
        used = getattr(self._spent, cap)
        return inf if used is None else float(used)

    def _bound(self, usage: Usage, rate: Rate) -> dict[str, float]:
        """The most that a call may use, by the names of the caps that are set; what is unknown is endless."""
        wanted: dict[str, float] = {"calls": 1, "tokens": usage.tokens_in + usage.tokens_out}
        if self._caps.dollars is not None:
            dollars = rate.dollars(usage)
            wanted["dollars"] = inf if dollars is None else dollars
        if self._caps.joules is not None:
            energy = rate.energy(usage)
            wanted["joules"] = inf if energy is None else energy.high_j
        return wanted


def tally(rows: Iterable[Mapping[str, Any]]) -> LlmSpent:
    """What an interrupted campaign had spent, from its rows of the `interaction` table."""
    spent = LlmSpent(dollars=0.0, joules=0.0)
    for row in rows:
        known = row["outcome"] == CACHED
        spent = spent.plus(
            calls=not known,
            tokens_in=row["tokens_in"] or 0,
            tokens_out=row["tokens_out"] or 0,
            dollars=row["dollars"],
            joules=row["joules"],
            seconds=row["seconds"] or 0.0,
            cached=known,
        )
    return spent


def _sum(before: float | None, more: float | None) -> float | None:
    """Unknown plus anything is unknown."""
    return None if before is None or more is None else before + more
