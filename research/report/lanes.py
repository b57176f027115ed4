"""The control arm of the search itself: what the same budget found without the language model."""

from bisect import bisect_right
from collections import Counter
from collections.abc import Mapping, Sequence
from itertools import accumulate

from research.metrics import quantity, rank, scale, words
from research.propose.bandit import MODEL
from research.propose.proposer import lane_of
from research.report.arms import figure
from research.report.cost import model_joules, used
from research.report.findings import RAN, Findings, Row, ids
from research.report.markdown import capital, plain, table
from research.stats.arms import Arm, joules, method
from research.stats.decide import ENOUGH
from research.stats.intervals import compare, over_seeds
from research.stats.sentences import method_words
from research.types import ProposalFacts, SprintFacts

_LANES = {"team": "with the model", "control": "without the model"}


def lanes(found: Findings) -> list[str]:
    """A row for each lane with what it ran, spent and found; nothing where the sprint had one lane only."""
    rows = {lane: [row for row in found.experiments if ProposalFacts.of(row).lane == lane] for lane in _LANES}
    if not all(rows.values()):
        return []
    asked = found.wanted
    heads = ["lane", "proposed", "ran", "joules", f"best {words(asked.metric)}", "arm", "supported"]
    cells = [_cells(found, lane, rows[lane]) for lane in _LANES]
    arms = [arm for lane in _LANES for arm in _arms(found, rows[lane])]
    said = [
        f"Both lanes begin at the same default and see their own results alone{_part(found)}.",
        *_shared(rows),
        _compared(found, rows),
        "The best of the table are means of the screening, which claims nothing.",
        f"{plain(capital(method_words(method(arms))))}; they are those of trainings, and the model's "
        f"questions come on top: {model_joules(used(found))}.",
    ]
    return [" ".join(said), "", *table(heads, cells)]


def _compared(found: Findings, rows: Mapping[str, Sequence[Row]]) -> str:
    """The best arms of both lanes at equal turns and joules, over the promotion's seeds.

    Those chose neither of them; contenders that were confirmed have seeds of their own, and share none.
    """
    level = equal({lane: _turns(found, own) for lane, own in rows.items()})
    best = {lane: _best(found, [row for row, _ in turns]) for lane, turns in level.items()}
    team, control = best["team"], best["control"]
    lacks = [named for lane, named in _LANES.items() if best[lane] is None]
    metric, why = found.wanted.metric, f"no arm {' and none '.join(lacks)} was promoted"
    if team is not None and control is not None:
        seeds = sorted({*team.seeds} & {*control.seeds})
        if len(seeds) >= ENOUGH:
            before, after = control.by_seed(metric, seeds), team.by_seed(metric, seeds)
            size = over_seeds(compare(before, after, metric, scale=scale(metric)))
            told = f"{metric} of the best with the model is that of the best without {size}"
            return f"At {_spent(level)}, {told}, as they were promoted; it is no claim."
        why = "their promoted arms share too few seeds"
    return f"With and without the model cannot be compared: at {_spent(level)} {why}."


Turns = Sequence[tuple[Row, float]]
"""what a lane has run, in its order, each with its joules"""


def equal(lanes: Mapping[str, Turns]) -> dict[str, Turns]:
    """Equally many turns of each lane, and of the dearer lane only as many as the other lane's joules buy."""
    count = min(map(len, lanes.values()))
    first = {lane: turns[:count] for lane, turns in lanes.items()}
    most = min(sum(spent for _, spent in turns) for turns in first.values())
    sums = {lane: list(accumulate(spent for _, spent in turns)) for lane, turns in first.items()}
    return {lane: turns[: bisect_right(sums[lane], most * (1 + 1e-9))] for lane, turns in first.items()}


def _turns(found: Findings, rows: Sequence[Row]) -> Turns:
    """What a lane has run; trials that were stopped early or failed count with the joules known of them."""
    ran = [row for row in rows if row["status"] in (*RAN, "failed", "stopped")]
    ran.sort(key=lambda row: row["facts"].get("carried") or row["id"])
    return [(row, _paid(found, row)) for row in ran]


def _paid(found: Findings, row: Row) -> float:
    """Joules of screening a proposal; of one that ended early or failed only rows of today tell."""
    known = ProposalFacts.of(row).joules
    return joules(_arms(found, [row])) if known is None else known


def _best(found: Findings, rows: Sequence[Row]) -> Arm | None:
    arms = [found.arm("promoted", row) for row in rows if ids(row, "promoted")]
    return min(arms, key=lambda arm: rank(found.wanted, arm.means), default=None)


def _spent(lanes: Mapping[str, Turns]) -> str:
    """`4 and 3 turns with 5.1 J and 5 J`."""
    turns = " and ".join(str(len(own)) for own in lanes.values())
    spent = " and ".join(quantity("train/energy_j", sum(each for _, each in own)) for own in lanes.values())
    return f"{turns} turns of the lanes with {spent}"


def _part(found: Findings) -> str:
    """How many of its lane's turns the model had, as far as the sprints tell of turns."""
    turns: Counter[str] = Counter()
    for row in found.sprints:
        for name, one in SprintFacts.of(row).turns.items():
            turns[name if name == MODEL else lane_of(name)] += int(one.get("turns", 0))
    own = turns[MODEL]
    return f"; the model had {own} of the {own + turns['team']} in its own" if turns else ""


def _shared(rows: Mapping[str, Sequence[Row]]) -> list[str]:
    """Both lanes start from the same seed: what both draw is trained once, and is no difference."""
    ran = [
        {ProposalFacts.of(row).signature for row in lane if ids(row, "screened")} for lane in rows.values()
    ]
    both = len(set.intersection(*ran) - {None})
    one = "1 configuration was" if both == 1 else f"{both} configurations were"
    told = f"{one} proposed in both and trained once: what it cost stands in both rows."
    return [told if both == 1 else told.replace("it cost", "they cost")] if both else []


def _cells(found: Findings, lane: str, rows: Sequence[Row]) -> list[str]:
    asked = found.wanted
    arms = sorted(_arms(found, rows), key=lambda arm: rank(asked, arm.means))
    best = figure(asked.metric, arms[0].of(asked.metric)) if arms else "-"
    return [
        _LANES[lane],
        str(len(rows)),
        str(sum(row["status"] in RAN for row in rows)),
        quantity("train/energy_j", sum(spent for _, spent in _turns(found, rows))) if arms else "-",
        best,
        found.names(arms[0]) if arms else "-",
        str(sum(_supported(found, row) for row in rows)),
    ]


def _supported(found: Findings, row: Row) -> bool:
    """Whether a proposal was supported; one that both lanes made counts for both, whoever was first."""
    own = ProposalFacts.of(row).signature
    return any(
        one is row or (own is not None and ProposalFacts.of(one).signature == own)
        for one in found.experiments
        if one["status"] == "supported"
    )


def _arms(found: Findings, rows: Sequence[Row]) -> list[Arm]:
    """The lane's own arms as they were screened; a configuration of both lanes stands in both."""
    return [found.arm("screened", row) for row in rows if ids(row, "screened")]
