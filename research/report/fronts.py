"""Which arms no other arm beats in both score and cost."""

from collections.abc import Sequence

from research.objective import METRICS
from research.report.arms import Arm


def front_of(arms: Sequence[Arm], score: str, cost: str) -> list[Arm]:
    """The arms that no other is at least as good as in both and better in one, the cheapest first."""
    points = [(arm.of(cost).mean, _sign(score) * arm.of(score).mean, arm) for arm in arms]
    kept = [
        (x, y, arm)
        for x, y, arm in points
        if not any(a <= x and b <= y and (a < x or b < y) for a, b, _ in points)
    ]
    return [arm for _, _, arm in sorted(kept, key=lambda point: point[:2])]


def _sign(score: str) -> int:
    """-1 where more is better, so that less always is."""
    known = METRICS.get("test/" + score.partition("/")[2])
    return -1 if known is None or known.better == "max" else 1
