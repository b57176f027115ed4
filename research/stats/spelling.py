"""A comparison's numbers as people read them: as many decimals as its interval is sure of."""

import math
from collections.abc import Mapping

from research.types import Comparison, Over

WORDS: Mapping[Over, str] = {
    "splits": "over splits drawn anew",
    "examples": "on this test set, its examples' variance included",
    "seeds": "on these examples alone, their variance not included",
}
"""what the interval of a score rests on"""
_DIGITS = 3
"""digits of half the interval that are told"""


def spelt(value: float, sign: str = "", places: int | None = None) -> str:
    """`-12.1`, `0.0034`, `-40,540`; `sign` is `+` where a plus is told too, no `places` means four digits."""
    if 1e4 <= abs(value) < 1e15:
        return f"{value:{sign},.0f}"
    return f"{value:{sign}.4g}" if places is None else f"{value:{sign}.{places}f}"


def places(found: Comparison) -> int | None:
    """Decimals that fit the width of the interval and tell no end of it as zero that is none; or None."""
    half, told = (found.high - found.low) / 2, (found.low, found.high, found.difference)
    if not 1e-4 < half < math.inf or all(one == round(one) for one in told):
        return None
    decimals = max(0, _DIGITS - 1 - math.floor(math.log10(half)))
    least = min(abs(one) for one in told if one)
    return max(decimals, min(8, -math.floor(math.log10(least)))) if least < 1 else decimals


def interval(found: Comparison) -> str:
    """`[-14.0, -9.8]`."""
    decimals = places(found)
    return f"[{spelt(found.low, places=decimals)}, {spelt(found.high, places=decimals)}]"


def over_seeds(found: Comparison) -> str:
    """`-12.1 % [-14.0, -9.8] over 5 seeds (95 % interval)`, and of a score what they were tested on."""
    told = f"{spelt(found.difference, '+', places(found))}{found.unit} {interval(found)}"
    return f"{told} {rests_on(found.over, found.n)} ({100 * found.level:.3g} % interval)"


def rests_on(over: Over | None, n: int) -> str:
    """What a mean over n seeds is over, in words."""
    if over == "splits":
        return f"over {n} splits drawn anew"
    return f"over {n} seeds{told(over)}"


def told(over: Over | None) -> str:
    """The same behind a number, with the blank before it; nothing for a cost."""
    return f" {WORDS[over]}" if over else ""
