"""The table of arms: means with intervals, the control first, and no figure beside one of another kind."""

from collections.abc import Sequence

from research.metrics import METRICS, is_energy, quantity
from research.report.arms import DECIDED, named
from research.report.markdown import plain, table
from research.stats.arms import Arm, basis, complaint, method
from research.stats.intervals import Summary

HOW = "Mean ± half of the 95 % t-interval over n seeds; a dash was not measured."


def arms_table(arms: Sequence[Arm], columns: Sequence[str]) -> list[str]:
    """Rows of figures; a column's cell is `not comparable` where another machine or meter took it.

    What the arms are compared with is the first of them; below stands why a cell was left out.
    """
    verdicts = any(arm.status in DECIDED for arm in arms)
    against = {metric: _why_not(metric, arms) for metric in columns}
    rows = []
    for at, arm in enumerate(arms):
        cells = ["not comparable" if at in against[metric] else _cell(metric, arm) for metric in columns]
        word = [arm.status if arm.status in DECIDED else ""] * verdicts
        rows.append([named(arm), str(len(arm.results)), *cells, *word])
    heads = ["arm", "n", *(_head(metric, arms[:1]) for metric in columns), *["verdict"] * verdicts]
    reasons = dict.fromkeys(plain(why) for found in against.values() for why in found.values())
    return [
        *table(heads, rows),
        "",
        HOW + _rests(arms, columns),
        *(line for why in reasons for line in ("", f"Not comparable: {why}")),
        *(line for said in _disturbed(arms, columns) for line in ("", said)),
    ]


def _rests(arms: Sequence[Arm], columns: Sequence[str]) -> str:
    told = basis(arms) if any(map(is_energy, columns)) else None
    return f" Joules are {plain(told)}." if told else ""


def _cell(metric: str, arm: Arm) -> str:
    """A figure; of how many of the trials, where others of them were disturbed."""
    held, found = arm.disturbed(metric), arm.of(metric)
    if not held:
        return figure(metric, found)
    return f"{figure(metric, found)} (n = {found.n})" if found.n else "disturbed"


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
    """A mean with its interval as a cell: `12.1 J ± 0.42 J`; a dash where nothing was measured."""
    if not found.n:
        return "-"
    exact = metric in METRICS and METRICS[metric].unit == "count"
    mean = f"{found.mean:.0f}" if exact else quantity(metric, found.mean)
    if not found.half_width:
        return mean
    if exact:
        return f"{mean} ± {found.half_width:.2g}"
    return f"{mean} ± {quantity(metric, found.half_width)}"


def _head(metric: str, first: Sequence[Arm]) -> str:
    return f"{metric} [{method(first)}]" if is_energy(metric) else metric


def _why_not(metric: str, arms: Sequence[Arm]) -> dict[int, str]:
    """Row -> why its figure must not stand beside the first row's."""
    if not arms or complaint(metric, arms) is None:
        return {}
    found = {at: complaint(metric, [arms[0], arm]) for at, arm in enumerate(arms)}
    return {at: why for at, why in found.items() if why}
