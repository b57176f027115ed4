"""Arms as rows of a report's tables: read from the store, their figures, and what they are called there.

A page calls them `control`, `A`, `B`, ... in the order in which it tells of them, and has one table of what
each does otherwise than the control.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, final

from research.compose.override import override
from research.metrics import METRICS, is_energy, quantity, words
from research.report.markdown import code, plain, table
from research.run.lookup import needed, retold
from research.stats.arms import Arm, basis, complaint, method
from research.stats.intervals import Summary
from research.store.store import Store
from research.types import Trial

DECIDED = ("supported", "refuted", "open")
"""statuses of an arm that has its verdict"""


def measured(store: Store, overrides: Sequence[str], proposer: str, status: str, ids: Iterable[int]) -> Arm:
    """An arm made of those of the trials `ids` that are finished, in the given order; read from the store."""
    wanted = list(ids)
    return Read(store, wanted).arm(overrides, proposer, status, wanted)


@final
class Read:
    """Trials with their results, read at once: arms of a campaign are many, and each query costs.

    Joules and carbon are told by today's calibration and the grid of `meter`, else of each trial's own.
    """

    def __init__(
        self,
        store: Store,
        ids: Iterable[int],
        meter: Mapping[str, Any] | None = None,
        trials: Sequence[Trial] | None = None,
        keys: Iterable[str] | None = None,
    ) -> None:
        """`trials` are those of `ids` where they were read already; `keys` the figures that are told."""
        wanted = list(dict.fromkeys(ids))
        self._trials = {trial.id: trial for trial in (store.trials(ids=wanted) if trials is None else trials)}
        found = store.results(wanted, None if keys is None else needed(keys))
        meters = {number: meter or trial.config.get("meter") for number, trial in self._trials.items()}
        self._results = {number: retold(one, meters.get(number)) for number, one in found.items()}

    def arm(
        self,
        overrides: Sequence[str],
        proposer: str,
        status: str,
        ids: Iterable[int],
        stopped: bool = False,
    ) -> Arm:
        """An arm made of those of the trials `ids` that are finished, each once."""
        done = [one for one in dict.fromkeys(ids) if one in self._results and one in self._trials]
        return Arm(
            overrides=tuple(overrides),
            proposer=proposer,
            status=status,
            trials={self._trials[number].seed: number for number in done},
            facts={"stopped": True} if stopped else {},
            results=tuple(self._results[number] for number in done),
            rows=tuple(self._trials[number] for number in done),
        )


@final
class ArmNames:
    """The names of arms on one page or several; an arm keeps its first name."""

    def __init__(self, arms: Iterable[Arm] = (), base: Arm | None = None) -> None:
        """`base` is what others are described against where there is no control, as a sweep.s first arm."""
        self._base, self._arms = base, dict[str, Arm]()
        self._letters: dict[tuple[str, ...], str] = {}
        for arm in arms:
            self(arm)

    def reserve(self, arms: Iterable[Arm]) -> "ArmNames":
        """Give these the next letters, in their order; the table has each once it is told of."""
        for arm in arms:
            if not (arm.control or arm.stopped):
                self._letter(arm.overrides)
        return self

    def __call__(self, arm: Arm) -> str:
        """What an arm is called; two controls of one campaign are told apart by their letters."""
        role = "control, stopped" if arm.stopped else "control" if arm.control else ""
        if role and self._arms.setdefault(role, arm).overrides == arm.overrides:
            return role
        name = f"{role} {self._letter(arm.overrides)}".strip()
        self._arms.setdefault(name, arm)
        return name

    def line(self, line: str) -> str:
        """What the arm of a line of overrides is called; the line itself where it has no name."""
        own = (name for name, arm in self._arms.items() if " ".join(arm.overrides) == line)
        return next(own, code(line))

    def legend(self, arm: Arm) -> str:
        """The name with what sets the arm apart from the others here, as `A: labels=soft`."""
        others = [other.overrides for other in self._arms.values() if other.overrides != arm.overrides]
        shared = {text for other in others for text in other}
        own = [text for text in arm.overrides if text not in shared] or self._apart(arm)
        told = " ".join(map(_short, own))
        return f"{self(arm)}: {told}" if told and not arm.control else self(arm)

    def table(self) -> list[str]:
        """Each name with how its arm differs from the control, and its verdict."""
        beside = "the control" if self._base is None else self(self._base)
        arms = sorted(self._arms.items(), key=lambda item: self._place(*item))
        rows = [[name, f"{self._told(arm)}{_word(arm)}"] for name, arm in arms]
        return table(["arm", f"differs from {beside} by"], rows) if rows else []

    def _place(self, name: str, arm: Arm) -> int:
        return -1 if name.startswith("control") else list(self._letters).index(arm.overrides)

    def _letter(self, overrides: tuple[str, ...]) -> str:
        if overrides not in self._letters:
            self._letters[overrides] = _letters(len(self._letters))
        return self._letters[overrides]

    @property
    def _control(self) -> tuple[str, ...]:
        arms = self._arms.values() if self._base is None else [self._base]
        return next((arm.overrides for arm in arms if arm.control or arm is self._base), ())

    def _told(self, arm: Arm) -> str:
        if arm.overrides == self._control:
            return f"nothing ({code(' '.join(arm.overrides), 2000)})" if arm.overrides else "nothing"
        keys = {override(text).key for text in arm.overrides}
        left = [text for text in self._control if override(text).key not in keys]
        own = self._apart(arm)
        said = [code(" ".join(own), 2000)] if own else []
        return " ".join([*said, *(["without", code(" ".join(left))] if left else [])]) or "nothing"

    def _apart(self, arm: Arm) -> Sequence[str]:
        return [text for text in arm.overrides if text not in self._control]


def _word(arm: Arm) -> str:
    return f", {arm.status}" if arm.status in DECIDED else ""


def _short(text: str) -> str:
    """`labels=soft` of `compress.distill.labels=soft`."""
    key, value, _ = override(text)
    return text if value is None else f"{key.rpartition('.')[2]}={value}"


def _letters(at: int) -> str:
    """`A` to `Z`, then `AA` and on."""
    first, last = divmod(at, 26)
    return f"{_letters(first - 1) if first else ''}{chr(ord('A') + last)}"


ALONE = "Means over n seeds; a dash was not measured."
HOW = "± is half of the 95 % t-interval of a mean over n seeds; a dash was not measured."


def arms_table(arms: Sequence[Arm], columns: Sequence[str], names: ArmNames) -> list[str]:
    """Rows of figures; a column's cell is `not comparable` where another machine or meter took it.

    What the arms are compared with is the first of them; below stands why a cell was left out.
    """
    against = {metric: _why_not(metric, arms) for metric in columns}
    rows = []
    for at, arm in enumerate(arms):
        cells = ["not comparable" if at in against[metric] else _cell(metric, arm) for metric in columns]
        rows.append([names(arm), str(len(arm.results)), *cells])
    heads = ["arm", "n", *(_head(metric, arms[:1]) for metric in columns)]
    how = HOW if any("±" in cell for row in rows for cell in row) else ALONE
    reasons = dict.fromkeys(plain(why) for found in against.values() for why in found.values())
    told = basis(arms) if any(map(is_energy, columns)) else None
    return [
        *table(heads, rows),
        "",
        f"{how} Joules are {plain(told)}." if told else how,
        *(line for why in reasons for line in ("", f"Not comparable: {why}")),
        *(line for said in _disturbed(arms, columns) for line in ("", said)),
    ]


def _cell(metric: str, arm: Arm) -> str:
    """A figure, and where it is not of all trials how many it is the mean of."""
    held, found = arm.disturbed(metric), arm.of(metric)
    if not found.n and held:
        return "disturbed"
    whole = found.n in (0, len(arm.results))
    return figure(metric, found) if whole else f"{figure(metric, found)} (n = {found.n})"


def _disturbed(arms: Sequence[Arm], columns: Sequence[str]) -> list[str]:
    """How many trials have no part in a column, and an example of why."""
    told = []
    for metric in columns:
        reasons = [why for arm in arms for why in arm.disturbed(metric)]
        if reasons:
            of = sum(len(arm.results) for arm in arms)
            told.append(
                f"Disturbed: {metric} of {len(reasons)} of {of} trials is left out ({plain(reasons[0])})."
            )
    return told


def figure(metric: str, found: Summary) -> str:
    """A mean with its interval as a cell: `12.1 ± 0.42 J`; a dash where nothing was measured."""
    if not found.n:
        return "-"
    exact = metric in METRICS and METRICS[metric].unit == "count"
    mean = f"{found.mean:.0f}" if exact else quantity(metric, found.mean)
    if not found.half_width:
        return mean
    number, _, unit = mean.partition(" ")
    factor = _factor(float(number.replace(",", "")), found.mean) if unit else 1.0
    half = factor * found.half_width
    decimals = max(0, 1 - math.floor(math.log10(half)))
    return f"{factor * found.mean:.{decimals}f} ± {half:.{decimals}f} {unit}".rstrip()


_FACTORS = (*(1000.0**power for power in range(-5, 6)), 1 / 60, 1 / 3600, 1 / 86400)
"""what a figure may have been multiplied by to be told in its unit"""


def _factor(told: float, mean: float) -> float:
    """Which of them it was: `told` is rounded."""
    return min(_FACTORS, key=lambda factor: abs(factor * mean - told)) if mean else 1.0


def _head(metric: str, first: Sequence[Arm]) -> str:
    return f"{words(metric)} [{method(first)}]" if is_energy(metric) else words(metric)


def _why_not(metric: str, arms: Sequence[Arm]) -> dict[int, str]:
    """Row -> why its figure must not stand beside the first row's."""
    if not arms or complaint(metric, arms) is None:
        return {}
    found = {at: complaint(metric, [arms[0], arm]) for at, arm in enumerate(arms)}
    return {at: why for at, why in found.items() if why}
