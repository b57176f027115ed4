"""What a finding costs in the other figures of the goal: a gain in one is seldom free in all."""

from collections.abc import Mapping
from typing import Any

from research.metrics import scale
from research.report.findings import Findings, Row
from research.report.fronts import score_among
from research.report.markdown import plain
from research.stats.arms import complaint
from research.stats.decide import ENOUGH
from research.stats.intervals import compare
from research.stats.sentences import difference

_WORDS = {"supported": "as good", "refuted": "not as good"}


def price(found: Findings, row: Row) -> list[str]:
    """For each bounded metric and the score, the paired difference, and whether it is as good as the control.

    Nothing for the metric of the claim itself, for what was not measured in three pairs, or not alike.
    """
    arm, compared = found.arm_of(row), row["insight"].verdict.comparison
    control = found.control_of(row)
    if arm is None or compared is None or control is None:
        return []
    claimed = compared.metric
    told = []
    for metric in dict.fromkeys([*found.asked, *filter(None, [score_among(found.asked, [arm])])]):
        if metric == claimed or complaint(metric, [control, arm]):
            continue
        changed = compare(control.by_seed(metric), arm.by_seed(metric), metric, compared.level, scale(metric))
        if changed.n >= ENOUGH:
            sure = f"{100 * changed.level:.3g} % interval, n = {changed.n} pairs"
            told.append(f"{metric} {difference(changed)} ({sure}){_as_good(row, metric)}")
    return told


def as_good(told: Any) -> str:
    """A test of being as good as the control, in words: `as good within 0.01: ...`."""
    if not isinstance(told, Mapping):
        return plain(told)
    words = _WORDS.get(str(told.get("word")), "not shown to be as good")
    margin = f" within {told['margin']:g}" if isinstance(told.get("margin"), int | float) else ""
    reason = f": {plain(told['reason'])}" if told.get("reason") else ""
    return f"{words}{margin}{reason}"


def _as_good(row: Row, metric: str) -> str:
    told = (row["facts"].get("equivalent") or {}).get(metric)
    return f" ({as_good({**told, 'reason': ''})})" if isinstance(told, Mapping) else ""
