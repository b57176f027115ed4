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
import math
import statistics
from collections.abc import Iterator, Mapping, Sequence
from itertools import combinations
from typing import TYPE_CHECKING, Any, final

from research.memory.reading import configs, counts
from research.run import teachers
from research.space.signature import INERT, signature
from research.stats.draws import KEY
from research.store import queries
from research.store.store import Store
from research.types import Key, Record

if TYPE_CHECKING:
    import numpy as np

Flat = Mapping[str, Any]
"""knob -> number, text, bool or None; a knob that a configuration lacks is left out"""
_LEARNT_FROM = 4000
"""trials, the newest: each costs a tenth of a millisecond to read"""
_AGAIN = 25
"""trials that must have ended since it learnt before it learns again"""


@final
class Doubt(Record):
    """A reason not to run a configuration."""

    sentence: str
    chance: float
    """of failing: 0 or 1 for what was run before"""


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
            return Doubt(sentence=said, chance=0.0)
        with self._store.read() as connection:
            row = queries.diverged(connection, key)
        if row is None:
            return None
        self._repeats.add(key.signature)
        said = f"Trial {row.id} has run exactly this and failed ({row.reason}): change something."
        return Doubt(sentence=said, chance=1.0)

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
        share = f"{100 * chance:.0f} % of the trees that learnt from them expect it"
        return Doubt(sentence=f"Trials like this one fail: {share}.", chance=chance)

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
            rows = [row for row in queries.ends(connection, self._probes) if counts(row.status, row.reason)]
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
_CHOICES = 24
"""distinct texts beyond which a knob names things (a path, a label) and says nothing of failures"""
_PAIRED = 14
"""knobs whose products are columns of their own: 91 of them, chosen by how far each separates alone"""


@final
class Failures:
    """Predicts failures once it has learnt; the same cases in the same order give the same predictions."""

    def __init__(self, *, most_false: float = 0.01, least: int = 10) -> None:
        """`most_false`: share of successes that may be refused; silent below `least` failures."""
        self._most_false, self._least = most_false, least
        self.threshold: float | None = None
        """score above which a configuration is refused; None while it is silent"""
        self._columns: Columns | None = None
        self._trees: Any = None

    def learn(self, cases: Sequence[Flat], failed: Sequence[bool]) -> None:
        """Learn from configurations, oldest first, and how each ended; one failure of equal ones counts."""
        told: dict[tuple[Any, ...], tuple[Flat, bool]] = {}
        for case, bad in zip(cases, failed, strict=True):
            before = told.pop(same := identity(case), (case, False))[1]
            told[same] = (case, bad or before)
        chosen = list(told.values())[-_MOST:]
        self.threshold = self._trees = None
        failures = sum(wrong for _, wrong in chosen)
        if failures >= max(self._least, 1) and self._allowed(len(chosen) - failures) >= 0:
            self._fit([case for case, _ in chosen], [wrong for _, wrong in chosen])

    def _allowed(self, successes: int) -> int:
        """How many successes may lie above the threshold; negative when there are too few to promise any."""
        return int(self._most_false * (successes + 1) + 1e-9) - 1

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
    whole = {key: isinstance(value, float) and value.is_integer() for key, value in case.items()}
    return tuple(sorted((key, repr(int(value) if whole[key] else value)) for key, value in case.items()))


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
    """Which columns a configuration has as a row of numbers.

    Sums of two logarithms are products of knobs, as layers x width, of which memory and time are made.
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
        pairs = combinations(self.paired, 2)
        products = [numbers[:, place[one]] + numbers[:, place[two]] for one, two in pairs]
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
