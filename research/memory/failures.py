"""A learnt predictor of failures: from the knobs of a configuration to the chance that its trial fails.

A random forest (Breiman 2001), which a single outlying configuration or a knob's scale cannot mislead.
A configuration is refused when its score lies above nearly all scores that successes got from the trees that
had not seen them: of n successes at most `most_false * (n + 1) - 1` may lie above the threshold, so that the
expected share of refused successes is at most `most_false` where the next trials are like the last ones
(split conformal prediction with out-of-bag scores; Vovk et al. 2005; arXiv 2107.07511).
With fewer than 1 / most_false successes no threshold can promise that, and the predictor is silent.
"""

from collections.abc import Sequence
from typing import Any, final

from research.memory.features import Columns, Flat

_TREES = 100
_TRIED = 0.3
"""share of the columns that a split may choose from"""
_MOST = 8000
"""configurations learnt from, the newest: more cost seconds and tell little"""


@final
class Failures:
    """Predicts failures once it has learnt; the same cases in the same order give the same predictions."""

    def __init__(self, *, most_false: float = 0.01, least: int = 10) -> None:
        """`most_false`: share of successes that may be refused; silent below `least` failures."""
        self.most_false, self.least = most_false, least
        self.threshold: float | None = None
        """score above which a configuration is refused; None while it is silent"""
        self.found: float | None = None
        """share of the failures learnt from that the threshold would have refused, out of bag"""
        self._columns: Columns | None = None
        self._trees: Any = None

    def learn(self, cases: Sequence[Flat], failed: Sequence[bool]) -> None:
        """Learn from configurations, oldest first, and how each ended; one failure of equal ones counts."""
        told: dict[tuple[Any, ...], tuple[Flat, bool]] = {}
        for case, bad in zip(cases, failed, strict=True):
            same = identity(case)
            before = told.pop(same, (case, False))[1]
            told[same] = (case, bad or before)
        chosen = list(told.values())[-_MOST:]
        self.threshold = self.found = self._trees = None
        failures = sum(wrong for _, wrong in chosen)
        if failures >= max(self.least, 1) and self._allowed(len(chosen) - failures) >= 0:
            self._fit([case for case, _ in chosen], [wrong for _, wrong in chosen])

    def _allowed(self, successes: int) -> int:
        """How many successes may lie above the threshold; negative when there are too few to promise any."""
        return int(self.most_false * (successes + 1) + 1e-9) - 1

    def _fit(self, cases: list[Flat], failed: list[bool]) -> None:
        import numpy as np
        from sklearn.ensemble import RandomForestClassifier

        self._columns = Columns(cases, failed)
        trees = RandomForestClassifier(_TREES, max_features=_TRIED, oob_score=True, random_state=0)
        truth = np.asarray(failed)
        self._trees = trees.fit(self._columns.rows(cases), truth)
        scores = trees.oob_decision_function_[:, 1]
        good = np.sort(scores[~truth])[::-1]
        self.threshold = max(0.5, float(good[self._allowed(len(good))]))
        self.found = float((scores[truth] > self.threshold).mean())

    def chances(self, cases: Sequence[Flat]) -> list[float]:
        """Scores between 0 and 1, the share of trees that expect a failure; zeros while it is silent."""
        if self._trees is None or self._columns is None:
            return [0.0] * len(cases)
        return [float(one) for one in self._trees.predict_proba(self._columns.rows(cases))[:, 1]]

    def refuses(self, case: Flat) -> float | None:
        """The chance of failing where it is high enough to refuse, else None."""
        chance = self.chances([case])[0]
        return chance if self.threshold is not None and chance > self.threshold else None


def identity(case: Flat) -> tuple[tuple[str, str], ...]:
    """What two equal configurations have in common: every knob with its value, 1 and 1.0 alike."""
    return tuple(sorted((key, _canonical(value)) for key, value in case.items()))


def _canonical(value: Any) -> str:
    whole = isinstance(value, float) and value.is_integer() and abs(value) < 2**53
    return repr(int(value) if whole else value)
