"""Layers back to 32 bits, the worst first, until int8 keeps the score."""

import copy
from collections.abc import Callable
from typing import Any

import torch
from torch import nn

from models.compress.backend import Made
from models.compress.context import Context
from models.compress.rounding import layers, ranges, rounded, settle
from models.training.evaluate import evaluating
from refusal import Refusal

ROUNDING = 1e-9
"""that a difference of two scores may have of itself"""
Make = Callable[[frozenset[str]], Made]
"""the int8 form of a network whose layers of these names stay in 32 bits"""


def check_tolerance(tolerance: Any) -> None:
    """Raise `Refusal` for what is no loss of a score."""
    number = isinstance(tolerance, int | float) and not isinstance(tolerance, bool)
    if tolerance is not None and not (number and 0 <= tolerance < 1):
        raise Refusal(
            f"compress.tolerance={tolerance} is no loss of the score: give a number from 0 to below 1, as "
            "0.01 for a point of accuracy, or null."
        )


def held(net: nn.Module, context: Context, batches: int, make: Make) -> Made:
    """The int8 form of `net` that loses at most `context.tolerance` on validation, if there is one.

    Layers are ordered by what each does alone (`sensitivities`); the worst that is left is kept in 32 bits
    until the validation score holds, by the int8 network itself. Facts: `raised`, a row for each layer that
    is kept, with the score from then on, and `scores` of 32 bits and of int8 before any is. Where not even
    the last layer is enough, the network with the best score comes out, and `missed` says so.
    """
    made, facts = make(frozenset())
    if context.tolerance is None:
        return made, facts
    score, exact = context.score(made), context.score(net)
    told: list[dict[str, Any]] = []
    best = (score, made, facts, 0)
    bound = exact - context.tolerance - ROUNDING
    before = {"exact": exact, "all_int8": score}
    order = sensitivities(net, context, batches) if score < bound else []
    # Int8 of nothing is no int8: one layer stays.
    for name, error in order[:-1]:
        told.append({"layer": name, "error": error})
        made, facts = make(frozenset(row["layer"] for row in told))
        told[-1]["score"] = score = context.score(made)
        best = max(best, (score, made, facts, len(told)), key=lambda one: one[0])
        if score >= bound:
            break
    score, made, facts, count = best
    missed = {} if score >= bound else {"missed": f"{score:.4g} on validation, {bound:.4g} was asked"}
    return made, facts | {"raised": told[:count], "scores": before} | missed


def sensitivities(net: nn.Module, context: Context, batches: int) -> list[tuple[str, float]]:
    """Each layer by name with the error of the answers when it alone is int8, the largest first.

    The error is the mean squared difference over the mean square of the exact answers, on the examples that
    scales are taken from. Source: Nagel et al. (2021), A White Paper on Neural Network Quantization,
    arXiv 2106.08295, whose debugging steps look at layers one at a time.
    """
    inputs = list(context.calibration(batches))
    net = copy.deepcopy(net)
    limits = ranges(net, inputs)
    found: list[tuple[str, float]] = []
    with evaluating(net), torch.no_grad():
        exact = [net(batch).float() for batch in inputs]
        scale = sum(float(answer.square().sum()) for answer in exact)
        for name, module in layers(net).items():
            if module not in limits:
                continue
            rounded(module, limits[module])
            pairs = zip(inputs, exact, strict=True)
            moved = sum(float((net(batch).float() - answer).square().sum()) for batch, answer in pairs)
            settle(module)
            found.append((name, moved / scale if scale else moved))
    return sorted(found, key=lambda one: -one[1])
