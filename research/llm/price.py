"""What a call to one model costs in dollars and joules, where that can be known."""

from dataclasses import dataclass
from math import inf
from typing import final

from pydantic import Field

from research.llm import ecologits
from research.llm.ecologits import Energy
from research.types import Record

MEASURED = "llm.token_joules of the config"


@final
class Price(Record):
    """Dollars per million tokens."""

    input: float = Field(ge=0)
    output: float = Field(ge=0)

    def dollars(self, tokens_in: int, tokens_out: int) -> float:
        """What so many tokens cost; cached tokens are counted at the full price."""
        return (tokens_in * self.input + tokens_out * self.output) / 1e6


@final
@dataclass(frozen=True)
class Usage:
    """Tokens of one call; `estimated` when the server did not tell them."""

    tokens_in: int
    tokens_out: int
    estimated: bool = False


@final
@dataclass(frozen=True)
class Rate:
    """The price of a token and the way to its joules; None is unknown, which is not zero.

    `token_joules` (of a reply, as somebody measured it) wins over `known_as`, EcoLogits' name of the model.
    """

    price: Price | None = None
    token_joules: float | None = None
    known_as: str | None = None

    @property
    def tells_joules(self) -> bool:
        """Whether the joules of a reply are known or estimated at all."""
        return self.token_joules is not None or self.known_as is not None

    def dollars(self, usage: Usage) -> float | None:
        """Dollars of a call; a call that was refused before it used a token cost nothing."""
        if not usage.tokens_in and not usage.tokens_out:
            return 0.0
        return None if self.price is None else self.price.dollars(usage.tokens_in, usage.tokens_out)

    def energy(self, usage: Usage, seconds: float = inf) -> Energy | None:
        """Joules of a call that took `seconds`; without them an upper bound."""
        if self.token_joules is not None:
            joules = self.token_joules * usage.tokens_out
            return Energy(low_j=joules, high_j=joules, method=MEASURED)
        if not usage.tokens_in and not usage.tokens_out:
            return Energy(low_j=0.0, high_j=0.0, method="no token was used")
        return None if self.known_as is None else ecologits.estimate(self.known_as, usage.tokens_out, seconds)
