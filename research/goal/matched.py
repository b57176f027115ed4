"""The phrases that one rule of the grammar of goals has matched, by their signs."""

from collections.abc import Sequence
from typing import final

from research.goal.lexicon import Lexeme, Noun
from research.goal.quantities import Quantity


@final
class Matched:
    """The phrases that one rule matched."""

    def __init__(self, found: Sequence[Lexeme], typed: bool) -> None:
        self.found, self.typed = found, typed

    def first(self, wanted: str) -> Lexeme | None:
        """The first phrase with one of these signs."""
        return next((lexeme for lexeme in self.found if lexeme.sign in wanted), None)

    @property
    def op(self) -> str | None:
        """At least or at most, as its sign; None where no bound is said."""
        said = self.first("gl")
        return said.sign if said else None

    @property
    def amount(self) -> tuple[str, object] | None:
        """The quantity, fraction or multiple."""
        said = self.first("qfx")
        return (said.sign, said.value) if said else None

    @property
    def quantity(self) -> Quantity:
        """The quantity of a rule that has one."""
        said = self.first("q")
        assert said is not None
        value: Quantity = said.value
        return value

    @property
    def noun(self) -> Noun | None:
        """The metric, or what an adjective is about by itself; None for both, of which one is left over."""
        said, word = self.first("m"), self.first("aA")
        if said is None:
            return word.value.noun if word is not None else None
        noun: Noun = said.value
        apart = word is not None and word.value.whole and word.value.noun.concept != noun.concept
        return None if apart else noun

    def placed(self, noun: Noun | None) -> Noun | None:
        """A metric in the part of a trial's life that stands beside it."""
        part = self.first("p")
        if noun is None or part is None or noun.part is not None or part.value not in noun.concept.keys:
            return noun
        return noun._replace(part=part.value)
