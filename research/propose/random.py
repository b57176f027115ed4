"""Random search: a few knobs of the control turned at once, or all of them; the yardstick of the others."""

import random
from typing import Any, final

from research.metrics import words
from research.propose.dimensions import Dimensions, typed
from research.propose.proposer import Proposer, State
from research.stats.claims import refutation
from research.types import Proposal


@final
class Random(Proposer):
    """Uniform draws of a few dimensions, of all in a small space; Bergstra and Bengio (2012), JMLR 13."""

    name = "random"

    def __init__(self, vocabulary: dict[str, Any], fixed: tuple[str, ...], seed: int) -> None:
        self._dimensions = Dimensions(vocabulary, fixed)
        self._rng = random.Random(f"{self.name} {seed}")

    def ask(self, state: State) -> Proposal | None:
        """A new draw, whatever was seen; None where nothing is left to turn."""
        if not self._dimensions.default():
            return None
        stopped = state.stopped.overrides if state.stopped else None
        drawn = self._dimensions.vary(self._rng, state.objective.metric, stopped)
        return claim((*typed(drawn), *self._dimensions.carried(stopped or ())), state, self.name)


@final
class Uniform(Proposer):
    """Uniform draws of every dimension, whatever their number."""

    name = "uniform"

    def __init__(self, vocabulary: dict[str, Any], fixed: tuple[str, ...], seed: int) -> None:
        self._dimensions = Dimensions(vocabulary, fixed)
        self._rng = random.Random(f"{self.name} {seed}")

    def ask(self, state: State) -> Proposal | None:
        """A new draw, whatever was seen; None where nothing is left to turn."""
        if not self._dimensions.default():
            return None
        words = self._dimensions.carried(state.stopped.overrides if state.stopped else ())
        return claim(
            (*typed(self._dimensions.walk(lambda axis: axis.draw(self._rng))), *words), state, self.name
        )


def claim(overrides: tuple[str, ...], state: State, proposer: str) -> Proposal:
    """A sampler's proposal: the claim that these overrides improve what the goal asks for."""
    verb = "lowers" if state.objective.direction == "min" else "raises"
    what = ", ".join(overrides) or "the control"
    return Proposal(
        hypothesis=f"{what} {verb} {words(state.objective.metric)} against the control.",
        overrides=overrides,
        metric=state.objective.metric,
        direction=state.objective.direction,
        refuted_by=refutation(state.objective),
        proposer=proposer,
    )
