"""What the language model may cost and has cost: caps are reserved before a call and settled after it."""

import threading
from dataclasses import dataclass
from typing import final

from pydantic import Field

from refusal import Refusal
from research.types import Record

_COUNTABLE = 2**31 - 1  # what an integer column of the database holds


@final
class Price(Record):
    """Dollars per million tokens."""

    input: float = Field(ge=0)
    output: float = Field(ge=0)

    def dollars(self, tokens_in: int, tokens_out: int) -> float:
        """What so many tokens cost; cached tokens are counted at the full price."""
        return (tokens_in * self.input + tokens_out * self.output) / 1e6


@final
class Caps(Record):
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
class Spent:
    """What was used; dollars and joules are None when nothing tells them, which is not the same as zero."""

    calls: int = 0
    tokens_in: int = 0
    tokens_out: int = 0
    dollars: float | None = None
    joules: float | None = None
    seconds: float = 0.0
    estimated_calls: int = 0
    """calls whose server told no token counts, or may have billed without answering: taken at their bound"""

    def line(self) -> str:
        """One line for a person."""
        dollars = "dollars unknown" if self.dollars is None else f"${self.dollars:.4f}"
        joules = "joules unknown" if self.joules is None else f"{self.joules:.0f} J estimated"
        bound = f" ({self.estimated_calls} calls at their upper bound)" if self.estimated_calls else ""
        tokens = f"{self.tokens_in} + {self.tokens_out} tokens{bound}"
        return f"{self.calls} calls, {tokens}, {dollars}, {joules}, {self.seconds:.1f} s"


@final
@dataclass(frozen=True)
class Usage:
    """Tokens of one call; `estimated` when the server did not tell them."""

    tokens_in: int
    tokens_out: int
    estimated: bool = False


@final
class Ledger:
    """Counts calls, tokens, dollars and joules against `caps`; safe to share between threads.

    `price` and `token_joules` (of a reply) may be None, which is unknown: a cap on what cannot be known
    raises `Refusal`. `already` is what an interrupted campaign had spent before.
    """

    def __init__(
        self,
        caps: Caps,
        *,
        price: Price | None = None,
        token_joules: float | None = None,
        already: Spent | None = None,
    ) -> None:
        if caps.dollars is not None and price is None:
            raise Refusal(
                "the price of this model is unknown, so llm.caps.dollars cannot be kept: give "
                "llm.price.input and llm.price.output in dollars per million tokens, or set "
                "llm.caps.dollars=null."
            )
        if caps.joules is not None and token_joules is None:
            raise Refusal(
                "what a token of this model costs in joules is unknown, so llm.caps.joules cannot be kept: "
                "give llm.token_joules, or set llm.caps.joules=null."
            )
        self._caps, self._price, self._token_joules = caps, price, token_joules
        self._spent = already or Spent(
            dollars=None if price is None else 0.0, joules=None if token_joules is None else 0.0
        )
        self._held: dict[int, dict[str, float]] = {}
        self._tickets = 0
        self._lock = threading.Lock()

    @property
    def spent(self) -> Spent:
        """What settled calls have used."""
        return self._spent

    def reserve(self, tokens_in: int, tokens_out: int) -> int:
        """Hold an upper bound for one call and return its ticket; raises `CapReached` if it could pass."""
        wanted = self._amounts(tokens_in, tokens_out)
        with self._lock:
            for cap, bound in self._caps.model_dump(exclude_none=True).items():
                used = self._used(cap) + sum(held[cap] for held in self._held.values())
                if used + wanted[cap] > bound:
                    raise CapReached(cap, bound, used)
            self._tickets += 1
            self._held[self._tickets] = wanted
            return self._tickets

    def settle(self, ticket: int, usage: Usage, seconds: float) -> None:
        """Replace what a ticket held by what the call used; no tokens for one that was refused unbilled."""
        cost = self._amounts(usage.tokens_in, usage.tokens_out)
        with self._lock:
            del self._held[ticket]
            before = self._spent
            self._spent = Spent(
                calls=before.calls + 1,
                tokens_in=min(before.tokens_in + usage.tokens_in, _COUNTABLE),
                tokens_out=min(before.tokens_out + usage.tokens_out, _COUNTABLE),
                dollars=_sum(before.dollars, cost.get("dollars")),
                joules=_sum(before.joules, cost.get("joules")),
                seconds=before.seconds + seconds,
                estimated_calls=before.estimated_calls + usage.estimated,
            )

    def cost(self, usage: Usage) -> dict[str, float | None]:
        """What one call cost in dollars and joules; None is unknown."""
        known = self._amounts(usage.tokens_in, usage.tokens_out)
        return {"dollars": known.get("dollars"), "joules": known.get("joules")}

    def _used(self, cap: str) -> float:
        if cap == "tokens":
            return self._spent.tokens_in + self._spent.tokens_out
        return float(getattr(self._spent, cap) or 0.0)

    def _amounts(self, tokens_in: int, tokens_out: int) -> dict[str, float]:
        """What is known of a call's cost, by the names of the caps."""
        known: dict[str, float] = {"calls": 1, "tokens": tokens_in + tokens_out}
        if self._price is not None:
            known["dollars"] = self._price.dollars(tokens_in, tokens_out)
        if self._token_joules is not None:
            known["joules"] = self._token_joules * tokens_out
        return known


def _sum(before: float | None, more: float | None) -> float | None:
    """Unknown plus anything is unknown."""
    return None if before is None or more is None else before + more
