"""Random search: a few knobs of the control turned at once, or all of them; the yardstick of the others."""

import random
from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any, final

from research.metrics import words
from research.propose.dimensions import Dimensions, Drawn, typed
from research.propose.proposer import Proposer, State
from research.stats.claims import refutation
from research.types import Proposal


class Draws(Proposer, ABC):
    """Draws that ask nothing of what was seen."""

    def __init__(self, vocabulary: dict[str, Any], fixed: tuple[str, ...], seed: int) -> None:
        self._dimensions = Dimensions(vocabulary, fixed)
        self._rng = random.Random(f"{self.name} {seed}")

    def ask(self, state: State) -> Proposal | None:
        """A new draw, whatever was seen; None where nothing is left to turn."""
        if not self._dimensions.default():
            return None
        stopped = state.stopped.overrides if state.stopped else None
        carried = self._dimensions.carried(stopped or ())
        return claim((*typed(self._drawn(state.objective.metric, stopped)), *carried), state, self.name)

    @abstractmethod
    def _drawn(self, metric: str, stopped: Sequence[str] | None) -> Drawn:
        """A point; `stopped` are the overrides of the control stopped at the bound, where there is one."""


@final
class Random(Draws):
    """Uniform draws of a few dimensions, of all in a small space; Bergstra and Bengio (2012), JMLR 13."""

    name = "random"

    def _drawn(self, metric: str, stopped: Sequence[str] | None) -> Drawn:
        return self._dimensions.vary(self._rng, metric, stopped)


@final
class Uniform(Draws):
    """Uniform draws of every dimension, whatever their number."""

    name = "uniform"

    def _drawn(self, metric: str, stopped: Sequence[str] | None) -> Drawn:
        return self._dimensions.walk(lambda axis: axis.draw(self._rng))


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
