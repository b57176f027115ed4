"""Efficiency against a baseline, E = (accuracy / baseline accuracy) x (baseline energy / energy)."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import final

from research.stats.comparable import comparable
from research.types import Result, Trial


@final
@dataclass(frozen=True)
class Efficiency:
    """E, or None with the reason that it must not be shown."""

    value: float | None
    reason: str | None


def efficiency(
    trial: Trial,
    baseline: Trial,
    results: Mapping[int, Result],
    *,
    floor: float,
    accuracy: str = "test/accuracy",
    energy: str = "train/energy_j",
) -> Efficiency:
    """E of a trial; above 1 is better than the baseline.

    None where E would mislead: energies of different methods or hardware, a figure that is missing or not
    above zero, or an accuracy below `floor`, because alone E rewards small bad models.
    """
    complaint = comparable(energy, (trial, baseline), results)
    if complaint:
        return Efficiency(None, complaint)
    figures = []
    for one in (trial, baseline):
        metrics = results[one.id].metrics if one.id in results else {}
        for name in (accuracy, energy):
            value = metrics.get(name, math.nan)
            if not 0 < value < math.inf:
                return Efficiency(None, f"Trial {one.id} has no {name} above zero.")
            figures.append(value)
    reached, spent, base_reached, base_spent = figures
    if reached < floor:
        return Efficiency(None, f"{accuracy} {reached:.4g} is below the floor of {floor:g}.")
    return Efficiency((reached / base_reached) * (base_spent / spent), None)
