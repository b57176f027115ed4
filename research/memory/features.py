"""Flat configurations as rows of numbers: logarithms, products of knobs, and one column for each choice."""

import math
import statistics
from collections.abc import Iterator, Mapping, Sequence
from itertools import combinations
from typing import TYPE_CHECKING, Any, final

if TYPE_CHECKING:
    import numpy as np

Flat = Mapping[str, Any]
"""knob -> number, text, bool or None; a knob that a configuration lacks is left out"""
_CHOICES = 24
"""distinct texts beyond which a knob names things (a path, a label) and says nothing of failures"""
_PAIRED = 14
"""knobs whose products are columns of their own: 91 of them, chosen by how far each separates alone"""


def flat(config: Mapping[str, Any], skip: Sequence[str] = ()) -> dict[str, Any]:
    """A nested plain config as one level of dotted keys, without `skip` and what lies under it."""
    return {
        key: value
        for key, value in _walk(config, "")
        if not any(key == name or key.startswith(f"{name}.") for name in skip)
    }


def _walk(node: Any, key: str) -> Iterator[tuple[str, Any]]:
    if isinstance(node, Mapping):
        for name, value in node.items():
            yield from _walk(value, f"{key}.{name}" if key else str(name))
    elif isinstance(node, list | tuple):
        numbers = all(isinstance(item, int | float) and not isinstance(item, bool) for item in node)
        yield from ((f"{key}.{at}", item) for at, item in enumerate(node)) if numbers else [(key, str(node))]
    else:
        yield key, node


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


@final
class Columns:
    """What was learnt about the knobs of some configurations: which columns a row of numbers has.

    Sums of two logarithms are products of knobs, as layers x width, which is what memory and time are made
    of.
    """

    def __init__(self, cases: Sequence[Flat], failed: Sequence[bool]) -> None:
        told: dict[str, set[Any]] = {}
        for key in sorted({key for case in cases for key in case}):
            values = {case[key] for case in cases if key in case}
            if len(values) > 1 or any(key not in case for case in cases):
                told[key] = values
        self.numbers = [key for key, values in told.items() if any(map(_is_number, values))]
        self.floors = {key: _floor(told[key]) for key in self.numbers}
        self.usual = {
            key: statistics.median(self._scaled(key, one[key]) for one in cases if _is_number(one.get(key)))
            for key in self.numbers
        }
        self.missing = [key for key in self.numbers if not all(_is_number(one.get(key)) for one in cases)]
        self.choices = [
            (key, value)
            for key, values in told.items()
            for value in sorted({str(one) for one in values if not _is_number(one)})
            if len(values) <= _CHOICES or key in self.floors
        ]
        apart = {key: self._apart(key, cases, failed) for key in self.numbers if self.floors[key]}
        self.paired = sorted(sorted(apart, key=lambda key: (-apart[key], key))[:_PAIRED])

    def _apart(self, key: str, cases: Sequence[Flat], failed: Sequence[bool]) -> float:
        """How far failures lie from the rest along one knob, 0 to 1: the Kolmogorov-Smirnov statistic."""
        from scipy.stats import ks_2samp

        sides: tuple[list[float], list[float]] = ([], [])
        for case, bad in zip(cases, failed, strict=True):
            if _is_number(case.get(key)):
                sides[bad].append(case[key])
        return float(ks_2samp(*sides).statistic) if all(sides) else 0.0

    def rows(self, cases: Sequence[Flat]) -> "np.ndarray[Any, Any]":
        """Configurations as float64[cases, columns].

        A number that is missing is the usual one, and a column of its own says so: far below all others it
        would leave a tree that cuts ranges by lot nothing but that cut.
        """
        import numpy as np

        table = [[self._value(case, key) for key in self.numbers] for case in cases]
        place = {key: at for at, key in enumerate(self.numbers)}
        numbers = np.asarray(table, dtype=np.float64).reshape(len(cases), len(self.numbers))
        products = [
            numbers[:, place[one]] + numbers[:, place[two]] for one, two in combinations(self.paired, 2)
        ]
        choices = [
            [float(key in case and str(case[key]) == value) for case in cases] for key, value in self.choices
        ]
        without = [[float(not _is_number(case.get(key))) for case in cases] for key in self.missing]
        return np.column_stack([numbers, *products, *choices, *without])

    def _value(self, case: Flat, key: str) -> float:
        value = case.get(key)
        return self.usual[key] if not _is_number(value) else self._scaled(key, value)

    def _scaled(self, key: str, value: Any) -> float:
        floor = self.floors[key]
        return math.log(max(value, floor)) if floor else float(value)


def _floor(values: set[Any]) -> float | None:
    """The smallest positive value of a knob that is never negative, for its logarithm; None for any other."""
    numbers = [value for value in values if _is_number(value)]
    positive = [value for value in numbers if value > 0]
    return min(positive) if positive and min(numbers) >= 0 else None
