"""The gate of memory: exact repeats, predicted failures, and how often a prediction was wrong.

Failures are predicted from the knobs of a configuration by a random forest (Breiman 2001), which a single
outlying configuration or a knob's scale cannot mislead. A configuration is refused when its score lies
above nearly all scores that successes got from the trees that had not seen them: of n successes at most
`most_false * (n + 1) - 1` may lie above the threshold, so that the expected share of refused successes is
at most `most_false` where the next trials are like the last ones (split conformal prediction with
out-of-bag scores; Vovk et al. 2005; arXiv 2107.07511). With fewer than 1 / most_false successes no
threshold can promise that, and the predictor is silent.
"""

import hashlib
from collections.abc import Mapping, Sequence
from typing import Any, final

from research.memory.features import Columns, Flat, flat
from research.memory.reading import configs, counts
from research.memory.records import Doubt
from research.run import teachers
from research.space.signature import INERT, signature
from research.stats.draws import KEY
from research.store import queries
from research.store.store import Store
from research.types import Key

_LEARNT_FROM = 4000
"""trials, the newest: each costs a tenth of a millisecond to read"""
_AGAIN = 25
"""trials that must have ended since it learnt before it learns again"""


@final
class Doubts:
    """Asks the past about configurations; each is counted once, however often it is asked about."""

    def __init__(
        self,
        store: Store,
        own: Store,
        *,
        most_false: float = 0.01,
        least: int = 10,
        probe: float = 0.1,
        inert: Sequence[str] = INERT,
    ) -> None:
        """`store` is read; `own` holds this campaign's trials, in which the fate of probes is looked up.

        `probe`: share of the configurations predicted to fail that is let through all the same, chosen by
        their hash: how many of those succeed tells how many of the refused would have.
        """
        self._store, self._own, self._inert = store, own, tuple(inert)
        self._failures = Failures(most_false=most_false, least=least)
        self._probe = probe
        self._learnt: int | None = None
        self._last = 0
        self._repeats, self._refused, self._probes = set[str](), set[str](), set[str]()

    def about(self, config: Mapping[str, Any]) -> Doubt | None:
        """Why a resolved config, seed included, need not be run; None where nothing is known against it.

        Raises `Refusal` when its data or device is not there, or the database cannot be used.
        """
        name = signature(config, self._inert)
        return self._repeat(teachers.key(config, name)) or self._predicted(config, name)

    def _repeat(self, key: Key) -> Doubt | None:
        known = self._store.known([key]).get(key)
        if known is not None:
            self._repeats.add(key.signature)
            said = f"Trial {known.trial_id} has run exactly this: its result is used."
            return Doubt(kind="repeat", sentence=said, chance=0.0, trial_id=known.trial_id)
        with self._store.read() as connection:
            row = queries.diverged(connection, key)
        if row is None:
            return None
        self._repeats.add(key.signature)
        said = f"Trial {row.id} has run exactly this and failed ({row.reason}): change something."
        return Doubt(kind="repeat", sentence=said, chance=1.0, trial_id=row.id)

    def _predicted(self, config: Mapping[str, Any], name: str) -> Doubt | None:
        self._learn()
        knobs = self.knobs(config)
        chance = self._failures.refuses(knobs)
        if chance is None:
            return None
        digest = hashlib.sha256(repr(identity(knobs)).encode()).digest()
        if int.from_bytes(digest[:4]) < self._probe * 2**32:
            self._probes.add(name)
            return None
        self._refused.add(name)
        said = (
            f"Trials like this one fail: {100 * chance:.0f} % of the trees that learnt from them expect it."
        )
        return Doubt(kind="failure", sentence=said, chance=chance)

    def knobs(self, config: Mapping[str, Any]) -> dict[str, Any]:
        """What a failure is predicted from: the config without its seeds and what changes no result."""
        return flat(config, (*self._inert, "seed", KEY))

    def _learn(self) -> None:
        """Learn, and learn again once a tenth more trials have ended: only new rows are counted."""
        with self._store.read() as connection:
            count, last = queries.ended_since(connection, self._last)
        if self._learnt is not None and count < max(_AGAIN, self._learnt // 10):
            return
        past = list(configs(self._store, _LEARNT_FROM))
        self._learnt, self._last = len(past), last
        self._failures.learn([self.knobs(config) for config, _ in past], [failed for _, failed in past])

    def counts(self) -> dict[str, int | None]:
        """Configurations by what was said of them, and of the probes how many ended and did not fail."""
        with self._own.read() as connection:
            ends = queries.ends(connection, self._probes)
        rows = [row for row in ends if counts(row.status, row.reason)]
        ended, good = {row.signature for row in rows}, {row.signature for row in rows if row.status == "done"}
        return {
            "repeats": len(self._repeats),
            "refused": len(self._refused),
            "probed": len(self._probes),
            "ended": len(ended),
            "false": len(good) if ended else None,
        }


_TREES, _TRIED = 100, 0.3
"""of the forest, and the share of the columns that a split may choose from"""
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
        self.threshold = self._trees = None
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

    def chances(self, cases: Sequence[Flat]) -> list[float]:
        """Scores between 0 and 1, the share of trees that expect a failure; zeros while it is silent."""
        if self._trees is None or self._columns is None:
            return [0.0] * len(cases)
        return [float(score) for score in self._trees.predict_proba(self._columns.rows(cases))[:, 1]]

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
