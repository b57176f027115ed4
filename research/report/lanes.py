"""The control arm of the search itself: what the same budget found without the language model."""

from collections import Counter
from collections.abc import Mapping, Sequence

from research.metrics import quantity, rank, words
from research.propose.bandit import MODEL
from research.propose.lanes import lane_of
from research.report.arms import figure
from research.report.cost import model_joules
from research.report.findings import RAN, Findings, Row, ids
from research.report.markdown import plain, table
from research.report.spent import used
from research.stats.arms import Arm, joules, method
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
        f"The lanes took turns from the same default, so each was given as many{_part(found)}.",
        *_shared(rows),
        "The best are means of the screening, which claims nothing.",
        f"{_first(method_words(method(arms)))}; they are those of trainings, and the model's questions come "
        f"on top: {model_joules(used(found))}.",
    ]
    return [" ".join(said), "", *table(heads, cells)]


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
        quantity("train/energy_j", joules(arms)) if arms else "-",
        best,
        found.names(arms[0]) if arms else "-",
        str(sum(_supported(found, row) for row in rows)),
    ]


def _supported(found: Findings, row: Row) -> bool:
    """Whether a proposal was supported: one of both lanes is a finding of both, whoever was first."""
    own = ProposalFacts.of(row).signature
    return any(
        one is row or (own is not None and ProposalFacts.of(one).signature == own)
        for one in found.experiments
        if one["status"] == "supported"
    )


def _arms(found: Findings, rows: Sequence[Row]) -> list[Arm]:
    """The lane's own arms as they were screened; a configuration of both lanes stands in both."""
    return [found.arm(row, "screened") for row in rows if ids(row, "screened")]


def _first(words: str) -> str:
    return plain(f"{words[:1].upper()}{words[1:]}")
