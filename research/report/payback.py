"""After how many uses the joules of the search are saved, with the interval of the saving."""

from research.metrics import quantity
from research.report.findings import Findings
from research.report.markdown import plain
from research.stats.arms import Arm, complaint
from research.stats.decide import ENOUGH
from research.stats.intervals import compare

USES = {"train/energy_j": ("training", "trainings"), "infer/energy_j_per_sample": ("inference", "inferences")}


def payback(found: Findings, joules: float, *, whole: bool = True) -> list[str]:
    """A line for each use whose joules the winner saves; none where it saves nothing or none were taken.

    `joules` are the search's, `whole` says whether the language model's are all known and in them.
    """
    row = found.winner
    winner = None if row is None else found.arm_of(row)
    control = None if row is None else found.control_of(row)
    if winner is None or control is None or not joules > 0:
        return []
    lines = [_line(metric, control, winner, joules) for metric in USES]
    missing = "" if whole else "; what the model used unknown to us comes on top"
    return [f"{line}{missing}" for line in lines if line]


def _line(metric: str, control: Arm, winner: Arm, joules: float) -> str | None:
    one, several = USES[metric]
    told = compare(control.by_seed(metric), winner.by_seed(metric), metric)
    if told.n < ENOUGH:
        return None
    why = complaint(metric, [control, winner])
    if why:
        return f"- whether it is paid back by {several} is not said: {plain(why)}"
    saved, least, most = -told.difference, -told.high, -told.low
    if saved <= 0:
        return None
    each = quantity(metric, saved)
    if least <= 0:
        ends = f"[{quantity(metric, least)}, {quantity(metric, most)}]"
        open_ = f"whether {several} pay it back is not settled"
        return f"- {open_}: {each} {ends} saved in each (n = {told.n} pairs)"
    ends = f"[{_count(joules / most)}, {_count(joules / least)}]"
    after = f"paid back after {_count(joules / saved)} {several} {ends}"
    return f"- {after}, at {each} saved in each {one} (n = {told.n} pairs)"


def _count(uses: float) -> str:
    """A number of uses as people read it."""
    return f"{uses:,.0f}" if uses < 1e6 else f"{uses / 1e6:,.3g} million"
