"""A comparison's numbers as people read them: four digits, and bytes by the thousand in full."""

from research.types import Comparison


def spelt(value: float, sign: str = "") -> str:
    """`-12.1`, `0.0034`, `-40,540`; `sign` is `+` where a plus is told too."""
    return f"{value:{sign},.0f}" if 1e4 <= abs(value) < 1e15 else f"{value:{sign}.4g}"


def interval(found: Comparison) -> str:
    """`[-14, -9.8]`."""
    return f"[{spelt(found.low)}, {spelt(found.high)}]"


def over_seeds(found: Comparison) -> str:
    """`-12.1 [-14, -9.8] over 5 seeds`."""
    return f"{spelt(found.difference, '+')} {interval(found)} over {found.n} seeds"
