"""Tree-structured Parzen estimator: a few knobs of the best so far, redrawn near what was good."""

import math
import random
from typing import Any, final

from research.objective import shortfalls
from research.proposers.dimensions import Dimension, Dimensions, Drawn, typed
from research.proposers.proposer import Proposer, Seen, State
from research.proposers.random import claim
from research.types import Proposal

_MOST = 4
"""knobs redrawn at once at the most"""
_START = 6
"""results below which it varies the control at random: from fewer there is nothing to estimate"""


@final
class Tpe(Proposer):
    """Optuna's ask and tell in memory; Bergstra et al. (2011), NeurIPS 24; Watanabe (2023), arXiv 2304.11127.

    Changed from the original: only a few dimensions of the incumbent are redrawn at a time, because a short
    campaign over a score of dimensions gives no density to draw all of them from. It is told what every
    proposer found, as long as its own dimensions can say it; failures count as worst.
    """

    name = "tpe"

    def __init__(self, vocabulary: dict[str, Any], fixed: tuple[str, ...], seed: int) -> None:
        import optuna

        optuna.logging.set_verbosity(optuna.logging.WARNING)
        sampler = optuna.samplers.TPESampler(seed=seed, n_startup_trials=_START)
        self._optuna = optuna
        self._study = optuna.create_study(sampler=sampler)
        self._dimensions = Dimensions(vocabulary, fixed)
        self._rng = random.Random(f"{self.name} {seed}")
        self._told = 0
        self._state: State | None = None

    def ask(self, state: State) -> Proposal | None:
        """The next draw; the control's own result is the first thing that it learns."""
        default = self._dimensions.default()
        if not default:
            return None
        if self._state is None and state.control:
            self._learn(default, state.control, state)
        self._state = state
        turned = self._rng.randint(1, _MOST)
        if self._told < _START:
            drawn = self._dimensions.vary(self._rng, turned, state.objective.metric)
        else:
            drawn = self._redrawn(state, turned)
        return claim(typed(drawn), state, self.name)

    def _redrawn(self, state: State, turned: int) -> Drawn:
        best = self._dimensions.read(state.incumbent.overrides) if state.incumbent else None
        kept = {one.name: text for one, text in best or self._dimensions.default()}
        chosen = self._dimensions.choose(self._rng, turned, state.objective.metric)
        trial = self._study.ask()
        drawn = self._dimensions.walk(
            lambda one: _suggest(trial, one) if one.name in chosen else kept.get(one.name, one.default)
        )
        # What it asked comes back through tell like everybody's; the open trial is closed unused.
        self._study.tell(trial, state=self._optuna.trial.TrialState.FAIL)
        return drawn

    def tell(self, proposal: Proposal, seen: Seen) -> None:
        """Learn a result; what was refused or repeated says nothing about the objective."""
        drawn = self._dimensions.read(proposal.overrides)
        if drawn and self._state and seen.status in ("done", "failed"):
            self._learn(drawn, seen, self._state)

    def _learn(self, drawn: Drawn, seen: Seen, state: State) -> None:
        worst = math.inf if state.objective.direction == "min" else -math.inf
        value = seen.metrics.get(state.objective.metric, math.nan)
        failed = seen.status == "failed" or math.isnan(value)
        gaps = [
            1.0 if failed or math.isnan(gap) else gap for gap in shortfalls(state.objective, seen.metrics)
        ]
        self._study.add_trial(
            self._optuna.trial.create_trial(
                value=_minimised(worst if failed else value, state),
                params={one.name: _value(one, text) for one, text in drawn},
                distributions={one.name: _distribution(one) for one, _ in drawn},
                constraints={str(place): gap for place, gap in enumerate([*gaps, 1.0 if failed else 0.0])},
            )
        )
        self._told += 1


def _minimised(value: float, state: State) -> float:
    return value if state.objective.direction == "min" else -value


def _suggest(trial: Any, one: Dimension) -> str:
    if one.values:
        return str(trial.suggest_categorical(one.name, list(one.values)))
    if one.whole:
        return one.text(trial.suggest_int(one.name, int(one.low), int(one.high), log=one.log))
    return one.text(trial.suggest_float(one.name, one.low, one.high, log=one.log))


def _value(one: Dimension, text: str) -> str | int | float:
    return text if one.values else int(float(text)) if one.whole else float(text)


def _distribution(one: Dimension) -> Any:
    from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

    if one.values:
        return CategoricalDistribution(one.values)
    if one.whole:
        return IntDistribution(int(one.low), int(one.high), log=one.log)
    return FloatDistribution(one.low, one.high, log=one.log)
