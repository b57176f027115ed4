"""report.md of one experiment of a campaign: its question, its verdict, its figures beside the control's."""

from collections.abc import Sequence
from pathlib import Path

from refusal import Refusal
from research.metrics import quantity
from research.page import put
from research.report import pictures
from research.report.answer import asked_for, finding, repeat
from research.report.arms import arms_table
from research.report.findings import STAGES, Findings, Row, ids
from research.report.markdown import code, plain, prose, section
from research.report.tried import review_table
from research.stats.arms import Arm, beside
from research.store.store import Store
from research.types import ProposalFacts

_TITLES = {
    "screened": "Screened, validation split",
    "promoted": "Promoted, validation split",
    "confirmed": "Confirmed on fresh seeds, test split",
}


def write(store: Store, proposal_id: int, folder: Path) -> Path:
    """Write report.md of one experiment and its learning curves; returns the report's path.

    Raises `Refusal` when the database has no such experiment of a sprint, or the folder cannot be written.
    """
    rows = [row for row in store.proposals() if row["id"] == proposal_id and row["sprint_id"] is not None]
    if not rows:
        raise Refusal(f"The database has no experiment {proposal_id} of a sprint: task=list shows some.")
    found = Findings(store, rows[0]["sprint_id"])
    stages = {stage: _side_by_side(found, rows[0], stage) for stage in STAGES}
    last = next((arms for arms in reversed(stages.values()) if len(arms) > 1), [])
    asked, stage = [found.objective.metric], "beside the control"
    drawn = pictures.of_arms(store, last, asked, stage, found.names) if last else []
    for one in drawn:
        put(one.svg, folder, one.file)
    return put(_text(found, rows[0], stages, drawn), folder)


def _text(found: Findings, row: Row, stages: dict[str, list[Arm]], drawn: Sequence[pictures.Picture]) -> str:
    own = [one for one in found.reviews if one["proposal_id"] == row["id"]]
    shown = [(stage, arms) for stage, arms in reversed(stages.items()) if arms]
    tables = [
        section(_TITLES[stage], arms_table(arms, found.columns(stage), found.names)) for stage, arms in shown
    ]
    head = [
        f"# Experiment {row['id']}: {plain(row['proposal'].hypothesis)}",
        *_answer(found, row),
        *section("What was proposed", _proposed(row)),
    ]
    rest = [
        *(line for lines in tables for line in lines),
        *pictures.shown(drawn),
        *section("Reviews", review_table(own, found)),
        *section("Repeat it", repeat(found.fixed, [arm for _, arms in shown for arm in arms])),
    ]
    return "\n".join([*head, *section("Arms", found.names.table()), *rest]) + "\n"


def _answer(found: Findings, row: Row) -> list[str]:
    insights = [one for one in found.found if one["proposal_id"] == row["id"]]
    asked = ["", asked_for(found)]
    if insights:
        return [*asked, *(line for one in insights for line in finding(found, one))]
    reasons = [plain(one) for one in ProposalFacts.of(row).reasons]
    why = f": {'; '.join(reasons)}" if reasons else ", so nothing is claimed of it"
    return [*asked, "", f"**{plain(row['status']).capitalize()}**{why}."]


def _proposed(row: Row) -> list[str]:
    proposal, facts = row["proposal"], ProposalFacts.of(row)
    lines = [f"- overrides: {code(' '.join(proposal.overrides))}, by {plain(proposal.proposer)}"]
    lines += [f"- refuted by: {prose(proposal.refuted_by)}"] if proposal.refuted_by else []
    if tested := facts.tested:
        lines.append(
            f"- that, against {code(tested['against'])}: {tested['word']}: {plain(tested['reason'])}"
        )
    lines += [f"- improves experiment {proposal.parent}"] if proposal.parent is not None else []
    lines += [f"- changed after the review: {plain(facts.changed)}"] if facts.changed else []
    cited = ", ".join(plain(source, 60) for source in proposal.cites[:20])
    lines += [f"- rests on: {cited}"] if cited else []
    expected = [_expected(name, value) for name, value in proposal.cost.items()]
    return [*lines, *([f"- expected to cost {', '.join(expected)}"] if expected else [])]


def _expected(name: str, value: float) -> str:
    known = {"joules": "train/energy_j", "seconds": "train/seconds"}
    return quantity(known[name], value) if name in known else f"{value:g} {plain(name, 40)}"


def _side_by_side(found: Findings, row: Row, stage: str) -> list[Arm]:
    """The control and the experiment, each over its seeds of the stage; none where it did not run."""
    if not ids(row, stage):
        return []
    own = found.arm(stage, row)
    control = None if own.control else beside(own, found.arms(stage))
    return [own] if control is None else [control, own]
