"""Covariance matrix adaptation: all numbers of the incumbent move together, options now and then by lot."""

from collections.abc import Mapping
from typing import Any, final

from research.propose.dimensions import Drawn
from research.propose.proposer import Seen, State
from research.propose.sampler import Sampler, gaps

_OUTSIDE = 1e30
"""what a missed bound costs: CMA-ES compares by rank, so any number beyond all figures does"""


@final
class Cmaes(Sampler):
    """Optuna's CmaEsSampler (package cmaes; Hansen, 2016, arXiv 1604.00772), started at the incumbent.

    It knows numbers only: an option is drawn independently of everything, one at most in a proposal. It
    learns from its own draws, a generation of 4 + 3 ln(numbers) at a time, and knows no constraints, so a
    configuration outside its bounds counts as worse than all inside, by how far it misses them.
    """

    name = "cmaes"
    joint = True

    def _sampler(self, seed: int, start: Mapping[str, Any]) -> Any:
        numbers = {name: value for name, value in start.items() if not isinstance(value, str)}
        # `x0` warns that a later Optuna drops it; without it the search starts in the middle of every range.
        return self._optuna.samplers.CmaEsSampler(
            x0=numbers or None, seed=seed, warn_independent_sampling=False
        )

    def _redraws(self, kept: Drawn, state: State) -> set[str]:
        options = sorted(one.name for one, _ in kept if one.values)
        lot = self._rng.sample(options, min(len(options), self._rng.randint(0, 1)))
        return {one.name for one, _ in kept if not one.values} | set(lot)

    def _minimised(self, seen: Seen, state: State) -> float:
        missed = sum(gap for gap in gaps(seen, state).values() if gap > 0)
        return _OUTSIDE * (1 + missed) if missed else super()._minimised(seen, state)
