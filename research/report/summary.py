"""research_summary.md: two pages for a colleague: asked, found and how sure, what failed, next, the cost."""

from collections.abc import Sequence

from research.metrics import screening, words
from research.report import answer
from research.report.arms import figure
from research.report.cost import cost, price
from research.report.findings import RAN, Findings, Row, harness
from research.report.markdown import capped, code, fenced, plain, prose, section
from research.report.tried import refused
from research.stats.arms import Arm, beside, complaint
from research.stats.draws import shared
from research.stats.sentences import command

_EACH = 8


def text(found: Findings) -> str:
    """The summary as Markdown."""
    parts = [
        f"# Summary: {plain(found.sprint['goal'])}",
        *answer.opening(found),
        *section("What was asked", _asked(found)),
        *section("What was found, and how sure it is", _found(found)),
        *section("What was tried and did not work", _failed(found)),
        *section("What to do next", _next(found)),
        *section("What it cost", cost(found)),
    ]
    parts += [
        *section("Arms", found.names.table()),
        "",
        "The tables and commands are in `report.md`, every comparison is in `statistical_analysis.md`.",
    ]
    return "\n".join(parts) + "\n"


def _asked(found: Findings) -> list[str]:
    count = len(found.sprints)
    worked = "one sprint" if count == 1 else f"{count} sprints"
    state = {"done": "is done", "running": "still runs", "interrupted": "was interrupted", "failed": "failed"}
    status = state.get(found.sprint["status"], f"is {plain(found.sprint['status'])}")
    control = f"the lab's default with these{answer.since(found)}"
    return [
        f"Every trial ran with {code(' '.join(found.fixed))}, and the control is {control}. "
        f"The campaign took {worked}; the last one {status}."
    ]


def _found(found: Findings) -> list[str]:
    if not found.found:
        return [f"Nothing was confirmed. {answer.why_nothing(found)}", "", _looked(found)]
    lines = [line for row in found.found[-_EACH:] for line in (*_finding(found, row), "")]
    left = len(found.found) - _EACH
    lines += [f"{left} earlier comparisons are in `statistical_analysis.md`.", ""] if left > 0 else []
    return [*lines, _looked(found), *_copy(found)]


def _finding(found: Findings, row: Row) -> list[str]:
    """A finding as a paragraph, then what tells how sure it is and what it costs, line by line."""
    insight = row["insight"]
    compared = insight.verdict.comparison
    arm, opened = found.arm_of(row), row is (found.winner or found.found[-1])
    lines = [f"Of {found.names(arm)}:" if opened and arm else answer.claimed(found, row), ""]
    power = answer.powered(found, compared)
    if power is not None and compared is not None and not insight.verdict.by_bounds:
        lines.append(f"- power: {answer.power_words(power, compared.unit)}")
    beside = price(found, row)
    lines += [f"- against the same control: {'; '.join(beside)}"] if beside else []
    control = found.control_of(row)
    if arm and control:
        lines.append(f"- the means of {_beside(found, arm, control)}")
    more = filter(None, (answer.rating_words(row), answer.kept(row)))
    lines += [f"- {said[:1].lower()}{said[1:]}" for said in more]
    return lines


def _looked(found: Findings) -> str:
    """How many proposals the findings were picked from: a finding weighs less when many were looked at."""
    own = [row for row in found.experiments if not harness(row)]
    ran = sum(row["status"] in RAN for row in own)
    judged = len(found.found)
    alpha = found.told.charter.get("alpha")
    promise = f", under an error rate of {alpha:g} for the whole campaign" if alpha else ""
    return (
        f"{len(own)} proposals were made and {ran} of them ran; {judged} "
        f"{'was' if judged == 1 else 'were'} compared with the control on fresh seeds{promise}."
    )


def _copy(found: Findings) -> list[str]:
    row = found.winner
    if row is None:
        return []
    arm, control = found.arm_of(row), found.control_of(row)
    lines = [row["insight"].command]
    if arm and control:
        beside = [trial for trial in control.rows if trial.seed in arm.seeds]
        typed = [*found.fixed, *control.overrides, *shared(beside)]
        lines.insert(0, command(typed, [trial.seed for trial in beside]))
    return ["", "To repeat the comparison, its control first:", "", *fenced(lines)]


def _failed(found: Findings) -> list[str]:
    """What was refuted or stayed open, what ran and lost, what never ran."""
    lost = [arm for arm in found.arms("promoted") if arm.status == "promoted"]
    lines = [f"- refuted: {prose(row['insight'].claim)}" for row in found.found if row["word"] == "refuted"]
    shown = [_beside(found, arm, beside(arm, found.arms("promoted")), screened=True) for arm in lost]
    lines += [f"- promoted, but not confirmed: {one}" for one in shown]
    lines = capped(lines, _EACH, "that did not hold")
    screened = sum(row["status"] == "screened" for row in found.experiments)
    if screened:
        once = "1 proposal was" if screened == 1 else f"{screened} proposals were"
        lines.append(f"- {once} screened and came no further")
    return [*lines, *refused(found)]


def _beside(found: Findings, arm: Arm, control: Arm | None, *, screened: bool = False) -> str:
    """An arm with what the goal asks for and its bounds, beside the control's where both may be."""
    told = []
    for metric in dict.fromkeys(screening(one) if screened else one for one in found.asked):
        if control is None or not arm.of(metric).n or complaint(metric, [control, arm]):
            continue
        own, other = figure(metric, arm.of(metric)), figure(metric, control.of(metric))
        told.append(f"{words(metric)} {own} (control {other}, n = {arm.of(metric).n})")
    return f"{found.names(arm)}: {'; '.join(told)}" if told else found.names(arm)


def _next(found: Findings) -> list[str]:
    """What the validator named, then what follows from the figures themselves."""
    named = [str(one) for row in found.found for one in row["facts"].get("next") or []]
    lines = capped([f"- {plain(one)}" for one in dict.fromkeys(named)], _EACH, "suggestions")
    lines += [f"- {one}" for one in [*answer.further(found), *_settle(found), *_reproduce(found)]]
    if found.sprint["status"] in ("interrupted", "running"):
        lines.append("- type the same command again: it continues where it stopped")
    if not found.found and found.sprint["status"] == "done":
        lines.append(
            "- give the campaign more proposals (`screen.turns`) or a longer budget (`budget.seconds`)"
        )
    return lines


def _settle(found: Findings) -> Sequence[str]:
    """What would settle what stayed open, by the spread that was seen."""
    said = []
    for row in found.found:
        power = answer.powered(found, row["insight"].verdict.comparison)
        if row["word"] != "open" or power is None:
            continue
        arm, bounds = found.arm_of(row), row["insight"].verdict.bounds
        name = "the open claim" if arm is None else found.names(arm)
        further = f"{name}: more seeds (`confirm.seeds`), or an arm further inside"
        said += [f"{further} {plain(one)}" for one in bounds]
        if row["insight"].verdict.by_bounds:
            continue
        compared = row["insight"].verdict.comparison
        what = "a larger test set" if compared.over == "examples" else "more seeds (`confirm.seeds`)"
        said.append(f"{name}: {what} if a change smaller than {power.supportable:.3g}{compared.unit} matters")
    return said


def _reproduce(found: Findings) -> list[str]:
    """A finding that nobody has reproduced is asked for again, on another machine or day."""
    row = found.winner
    point = ((row or {}).get("facts", {}).get("rubric") or {}).get("reproduced")
    if row is None or not isinstance(point, dict) or point.get("holds"):
        return []
    line = f"python agent.py task=reproduce id=insight:{row['id']}"
    return [f"reproduce the finding on another machine or day: `{line}`"]
