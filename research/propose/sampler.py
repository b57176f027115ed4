"""An Optuna sampler behind the dimensions of the space: what all of them share, ask and tell in memory."""

import math
import random
import warnings
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from typing import Any, final

from research.metrics import is_ratio, shortfalls
from research.propose.dimensions import Dimension, Dimensions, Drawn, typed
from research.propose.proposer import Proposer, Seen, State, claim
from research.types import Proposal

_START = 6
"""results below which it varies the control at random: from fewer there is nothing to estimate"""
_TINY = 1e-300


class Sampler(Proposer, ABC):
    """Draws some dimensions anew by an Optuna sampler and keeps the others as the incumbent has them.

    It is told what every proposer found, as long as its own dimensions can say it. A failure and a refusal
    count as the worst value seen, with every bound missed by its whole size. After a repeat the model, which
    would ask for the same again, has one dimension of its next draw drawn by lot.
    """

    joint = False
    """whether its model is one of all dimensions of the incumbent at once: it then starts anew when the
    incumbent's options, and with them the dimensions, change; what a result lacks, it has as the incumbent"""

    def __init__(self, vocabulary: dict[str, Any], fixed: tuple[str, ...], seed: int) -> None:
        import optuna

        optuna.logging.set_verbosity(optuna.logging.ERROR)
        self._optuna, self._seed = optuna, seed
        self._dimensions = Dimensions(vocabulary, fixed)
        self._rng = random.Random(f"{self.name} {seed}")
        self._space: dict[str, Dimension] = {}
        self._kept: dict[str, Any] = {}
        self._study = self._opened([])
        self._told: list[dict[str, Any]] = []
        self._worst: float | None = None
        self._asked: dict[tuple[str, ...], dict[str, Any]] = {}
        self._waiting: list[tuple[Drawn, Seen]] = []
        self._repeated = False
        self._state: State | None = None

    @abstractmethod
    def _sampler(self, seed: int, start: Mapping[str, Any]) -> Any:
        """A fresh Optuna sampler; `start` are the incumbent's values by dimension, empty before the first."""

    def _redraws(self, kept: Drawn, state: State) -> set[str]:
        """Names of the dimensions to draw anew: a few, by lot."""
        return self._dimensions.choose(self._rng, state.objective.metric, kept)

    def ask(self, state: State) -> Proposal | None:
        """The next draw; the control's own result is the first thing that it learns."""
        default = self._dimensions.default()
        if not default:
            return None
        # A control that an earlier sprint has confirmed is told with the rest of what was seen.
        if self._state is None and state.control and not state.control.overrides:
            self._waiting.insert(0, (default, state.control))
        held = self._dimensions.read(state.stopped.overrides) if state.stopped else None
        if self._state is None and held and state.stopped:
            self._waiting.insert(0, (held, state.stopped))
        self._state = state
        while self._waiting:
            self._learn(*self._waiting.pop(0), state)
        if len(self._told) < _START:
            base = state.stopped.overrides if state.stopped else None
            drawn = self._dimensions.vary(self._rng, state.objective.metric, base)
        else:
            base = state.incumbent.overrides if state.incumbent else None
            drawn = self._redrawn(state)
        return claim((*typed(drawn), *self._dimensions.carried(base or ())), state, self.name)

    def tell(self, proposal: Proposal, seen: Seen) -> None:
        """Keep a result for the next draw; a repeat says no more than that it was one."""
        self._repeated = seen.status == "repeat"
        drawn = self._dimensions.read(proposal.overrides)
        if drawn and not self._repeated:
            self._waiting.append((drawn, seen))

    def _redrawn(self, state: State) -> Drawn:
        best = self._dimensions.read(state.incumbent.overrides) if state.incumbent else None
        kept = best or self._dimensions.default()
        self._renew(kept)
        texts, chosen = {axis.name: text for axis, text in kept}, self._redraws(kept, state)
        trial = self._study.ask()

        def pick(draw: Callable[[Dimension], str]) -> Drawn:
            return self._dimensions.walk(
                lambda axis: draw(axis) if axis.name in chosen else texts.get(axis.name, axis.default)
            )

        lot = self._rng.choice(sorted(chosen)) if self._repeated else None
        drawn = pick(lambda axis: axis.draw(self._rng) if axis.name == lot else _suggest(trial, axis))
        # What it asked comes back through tell like everybody's; the open trial is closed unused.
        closed = self._study.tell(trial, state=self._optuna.trial.TrialState.FAIL)
        words = self._dimensions.carried(state.incumbent.overrides) if state.incumbent else ()
        made = frozenset((*typed(drawn), *words))
        if made in {frozenset(self._dimensions.acting(axis.overrides)) for axis in state.seen}:
            return pick(lambda axis: axis.draw(self._rng))  # a model that is sure would ask the same for ever
        self._asked[typed(drawn)] = dict(closed.system_attrs)
        return drawn

    def _renew(self, kept: Drawn) -> None:
        """Start a joint model anew when its dimensions have changed, from what is known of the new ones."""
        space = {axis.name: axis for axis, _ in kept}
        if self.joint and space != self._space:
            self._space, self._kept = space, as_trial(kept)["params"]
            self._study = self._opened(kept)
            for told in self._told:
                self._add(told, {})

    def _opened(self, kept: Drawn) -> Any:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", FutureWarning)
            sampler = self._sampler(self._seed, {axis.name: _value(axis, text) for axis, text in kept})
        return self._optuna.create_study(sampler=sampler)

    def _learn(self, drawn: Drawn, seen: Seen, state: State) -> None:
        told = {"value": self._minimised(seen, state), "constraints": gaps(seen, state), **as_trial(drawn)}
        self._told.append(told)
        self._add(told, self._asked.pop(typed(drawn), {}))

    def _add(self, told: dict[str, Any], attributes: dict[str, Any]) -> None:
        if self.joint and not self._space:
            return  # the model is made, of all that was told, with the first draw
        known = self._imputed(told) if self.joint else told
        self._study.add_trial(self._optuna.trial.create_trial(**known, system_attrs=attributes))

    def _imputed(self, told: dict[str, Any]) -> dict[str, Any]:
        """A result in the incumbent's dimensions, as if what it lacks were as the incumbent has it."""
        params = {name: told["params"].get(name, value) for name, value in self._kept.items()}
        distributions = {name: _distribution(axis) for name, axis in self._space.items()}
        return told | {"params": params, "distributions": distributions}

    def _minimised(self, seen: Seen, state: State) -> float:
        """The figure as it is minimised, the logarithm of a cost; a model of it takes no infinity."""
        value = seen.metrics.get(state.objective.metric, math.nan)
        if is_ratio(state.objective.metric):
            value = math.log(max(value, _TINY))
        value = value if state.objective.direction == "min" else -value
        if seen.status != "done" or not math.isfinite(value):
            return 0.0 if self._worst is None else self._worst
        self._worst = value if self._worst is None else max(value, self._worst)
        return value


def as_trial(drawn: Drawn) -> dict[str, Any]:
    """A draw as Optuna's `create_trial` takes it: values and distributions by dimension."""
    return {
        "params": {axis.name: _value(axis, text) for axis, text in drawn},
        "distributions": {axis.name: _distribution(axis) for axis, _ in drawn},
    }


def gaps(seen: Seen, state: State) -> dict[str, float]:
    """How far each bound is missed, as Optuna's constraints: above 0 is outside."""
    failed = seen.status != "done"
    missed = shortfalls(state.objective, seen.metrics)
    return {str(place): 1.0 if failed or math.isnan(gap) else gap for place, gap in enumerate(missed)}


def _suggest(trial: Any, axis: Dimension) -> str:
    if axis.values:
        return str(trial.suggest_categorical(axis.name, list(axis.values)))
    if axis.whole:
        return axis.text(trial.suggest_int(axis.name, int(axis.low), int(axis.high), log=axis.log))
    return axis.text(trial.suggest_float(axis.name, axis.low, axis.high, log=axis.log))


def _value(axis: Dimension, text: str) -> str | int | float:
    return text if axis.values else int(float(text)) if axis.whole else float(text)


def _distribution(axis: Dimension) -> Any:
    from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

    if axis.values:
        return CategoricalDistribution(axis.values)
    if axis.whole:
        return IntDistribution(int(axis.low), int(axis.high), log=axis.log)
    return FloatDistribution(axis.low, axis.high, log=axis.log)


@final
class Tpe(Sampler):
    """Optuna's TPE; Bergstra et al. (2011), NeurIPS 24; Watanabe (2023), arXiv 2304.11127.

    Changed from the original: only a few dimensions of the incumbent are redrawn at a time, because a short
    campaign over a score of dimensions gives no density to draw all of them from.
    """

    name = "tpe"

    def _sampler(self, seed: int, start: Mapping[str, Any]) -> Any:
        return self._optuna.samplers.TPESampler(seed=seed, n_startup_trials=0)


@final
class Gp(Sampler):
    """Optuna's GPSampler (Matern 5/2, log expected improvement; Ament et al., 2023, arXiv 2310.20708).

    Changed from the original: it redraws a few dimensions of the incumbent and copies the others from it,
    which is BO by dropout (Li et al., 2017, arXiv 1802.05400, "dropout-copy").
    Its first proposal imports torch, for Optuna's sake: this process then holds 200 MB more.
    """

    name = "gp"
    joint = True

    def _sampler(self, seed: int, start: Mapping[str, Any]) -> Any:
        return self._optuna.samplers.GPSampler(seed=seed, n_startup_trials=0, warn_independent_sampling=False)


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
        options = sorted(axis.name for axis, _ in kept if axis.values)
        lot = self._rng.sample(options, min(len(options), self._rng.randint(0, 1)))
        return {axis.name for axis, _ in kept if not axis.values} | set(lot)

    def _minimised(self, seen: Seen, state: State) -> float:
        missed = sum(gap for gap in gaps(seen, state).values() if gap > 0)
        return _OUTSIDE * (1 + missed) if missed else super()._minimised(seen, state)
