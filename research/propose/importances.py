"""Which knobs mattered so far: fANOVA over what was tried, for a proposer that is told in words."""

import math
from collections.abc import Mapping
from typing import Any

from research.metrics import rank
from research.propose.dimensions import Dimensions, Drawn
from research.propose.proposer import Seen, State

ENOUGH = 12
"""results below which nothing is said"""
_SHOWN = 8
Place = tuple[float, float]


def importances(state: State, vocabulary: Mapping[str, Any]) -> dict[str, float]:
    """The most important knobs of the incumbent and their shares, largest first; at most 1 in all.

    fANOVA (Hutter, Hoos, Leyton-Brown, 2014, ICML): of the variance of the results' ranks (bounds first, as
    everywhere here) the part that each knob explains by itself, in a random forest over all results that have
    the incumbent's knobs. Empty where those are fewer than `ENOUGH`, or most of them equally good. PED-ANOVA
    is ten times as fast and named knobs without any effect here: most draws leave most knobs alone. About
    0.5 CPU seconds, and 3 for Optuna's and scikit-learn's imports before the first one.
    """
    known = _comparable(state, Dimensions(vocabulary, state.fixed))
    order = sorted(place for _, place in known)
    if len(order) < ENOUGH or order[len(order) // 2] == order[0]:
        return {}
    shares = _evaluated([(drawn, float(order.index(place))) for drawn, place in known])
    largest = sorted(shares.items(), key=lambda item: -item[1])[:_SHOWN]
    return {name: round(float(share), 3) for name, share in largest if share >= 0.005}


def _comparable(state: State, dimensions: Dimensions) -> list[tuple[Drawn, Place]]:
    """The results that have every dimension of the incumbent, with these alone, and their rank."""
    best = dimensions.read(state.incumbent.overrides) if state.incumbent else None
    names = {one.name for one, _ in best or ()}
    found = []
    for seen in (state.control, *state.seen):
        drawn = _drawn(seen, dimensions, names)
        place = rank(state.objective, seen.metrics) if seen else (math.inf, math.inf)
        if drawn and not math.isinf(place[0]):
            found.append((drawn, place))
    return found


def _drawn(seen: Seen | None, dimensions: Dimensions, names: set[str]) -> Drawn:
    read = dimensions.read(seen.overrides) if seen and seen.status == "done" else None
    kept = [(one, text) for one, text in read or () if one.name in names]
    return kept if len(kept) == len(names) else []


def _evaluated(placed: list[tuple[Drawn, float]]) -> dict[str, float]:
    """Importance by knob; a place stands for the figure, because only the order counts."""
    import optuna

    from research.propose.sampler import as_trial

    optuna.logging.set_verbosity(optuna.logging.ERROR)
    study = optuna.create_study()
    for drawn, place in placed:
        study.add_trial(optuna.trial.create_trial(value=place, **as_trial(drawn)))
    evaluator = optuna.importance.FanovaImportanceEvaluator(seed=0)
    found: dict[str, float] = optuna.importance.get_param_importances(study, evaluator=evaluator)
    return found
