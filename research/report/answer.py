"""What a reader looks for first: the finding with its figures, how sure it is, and what was asked."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from research.goal.saying import recalled
from research.metrics import compares, words
from research.page import exact
from research.report.cost import price
from research.report.findings import Findings, Row
from research.report.markdown import capital, code, fenced, plain, prose
from research.stats.arms import Arm
from research.stats.draws import shared
from research.stats.power import Powered, told
from research.stats.sentences import command, method_words
from research.types import Comparison


def answer(found: Findings) -> list[str]:
    """What was asked, the verdict in bold, the line to copy where one was supported, what else was judged."""
    if not found.found:
        return opening(found)
    best = found.winner or found.found[-1]
    lines = ["", asked_for(found), *finding(found, best)]
    arm = found.arm_of(best)
    if best["word"] == "supported" and arm is not None:
        lines += ["", "The line to copy:", "", *fenced([command([*found.fixed, *arm.overrides], ())])]
    lines += [line for said in further(found) for line in ("", f"{capital(said)}.")]
    others = [(claimed(found, row), rating_words(row)) for row in found.found if row is not best]
    return lines + [line for said in others for line in ("", " ".join(filter(None, said)))]


def opening(found: Findings) -> list[str]:
    """The first two sentences of every paper: what was asked, and what was found."""
    if not found.found:
        return ["", asked_for(found), "", f"**Nothing was confirmed.** {why_nothing(found)}"]
    return ["", asked_for(found), "", claimed(found, found.winner or found.found[-1])]


def asked_for(found: Findings) -> str:
    """What was asked, as it was understood, in a sentence."""
    return f"Asked was: {plain(recalled(found.told.charter, found.objective))}"


def claimed(found: Findings, row: Row) -> str:
    """One verdict in bold with its claim, the arm by its name in the tables."""
    insight, arm = row["insight"], found.arm_of(row)
    line = f"`{' '.join(arm.overrides)}`" if arm else ""
    said = insight.claim.replace(line, f"{found.names(arm)} ({line})", 1) if arm else insight.claim
    return f"**{insight.verdict.word.capitalize()}.** {prose(said, 1200)}"


def finding(found: Findings, row: Row) -> list[str]:
    """One verdict with its claim, and what tells how sure it is."""
    return ["", claimed(found, row), *(line for said in _sure(found, row) for line in ("", said))]


def why_nothing(found: Findings) -> str:
    """The last reason that a sprint noted, as a sentence."""
    notes = found.notes()
    return plain(f"{capital(notes[-1])}.") if notes else "No contender was found."


def asked(found: Findings) -> list[str]:
    """What every trial had in common, the control, and the promise about errors."""
    charter: Mapping[str, Any] = found.told.charter
    lines = [f"- every trial: {code(' '.join(found.fixed))}"]
    status = plain(found.sprint["status"])
    lines.append(
        f"- control: the defaults of `conf/train.yaml` with these{since(found)}; this run is {status}"
    )
    if "alpha" in charter:
        lines.append(
            f"- the chance that a campaign without any effect finds one is at most {charter['alpha']:g}"
        )
    return lines


def since(found: Findings) -> str:
    """The control that took the place of defaults that break a bound, and the sprint that confirmed it."""
    base = found.baseline
    if not base:
        return ""
    own = code(" ".join(base["overrides"]))
    return f", and since sprint {base['sprint']}, which confirmed that it keeps the bounds, {own}"


def further(found: Findings) -> list[str]:
    """What is still open where only a bound was confirmed, and the goal's own metric was never compared."""
    metric = found.objective.metric
    if found.winner is None or any(compares(row["insight"].verdict, metric) for row in found.found):
        return []
    return [
        f"the control broke a bound, so {words(metric)} was not compared: more sprints (`sprint.count`) and "
        "a longer budget go on from what was confirmed"
    ]


def powered(found: Findings, compared: Comparison | None) -> Powered | None:
    """What a comparison could have found, at the campaign's smallest effect of interest."""
    if compared is None:
        return None
    effect = float((found.told.charter.get("goal") or {}).get("smallest_effect") or 0.0)
    effect = effect if compared.metric == found.objective.metric else 0.0
    return told(compared, 100 * effect if compared.scale == "relative" else effect)


def power_words(power: Powered, unit: str) -> str:
    """The power in a sentence: of the smallest effect where there is one, else what could be detected."""
    if not power.effect:
        return f"these {power.n} pairs find a change of {power.detectable:.3g}{unit} or more in 80 % of cases"
    least = f"{exact(power.effect)}{unit}"
    could = (
        f"these {power.n} pairs find a change of {power.supportable:.3g}{unit} or more to be beyond {least}, "
        "as is claimed, in 80 % of cases"
    )
    more = f"; 80 % would take {power.needed} pairs" if power.needed and power.power < 0.8 else ""
    chance = f"{100 * power.power:.0f} %"
    return f"an effect of {least} is told from none with a chance of {chance}{more}; {could}"


def rating_words(row: Row) -> str | None:
    """`Rated 3 of 10 by the rubric, which begins at 1. Counted: ran, compared.`; None where nobody did."""
    rating = row["facts"].get("rating")
    if not isinstance(rating, int | float):
        return None
    rubric = row["facts"].get("rubric") or {}
    counted = [plain(name, 40) for name, point in rubric.items() if _holds(point)]
    missing = [f"{plain(name, 40)}{_why(point)}" for name, point in rubric.items() if not _holds(point)]
    said = f"Rated {rating:g} of 10 by the rubric, which begins at 1."
    said += f" Counted: {', '.join(counted)}." if counted else ""
    return said + (f" Missing: {', '.join(missing)}." if missing else "")


def _holds(point: Any) -> bool:
    """Whether a line of the rubric counts: it is a record with `holds` or `points`, or a number."""
    if isinstance(point, Mapping):
        return bool(point.get("holds", point.get("points")))
    return bool(point[0] if isinstance(point, list | tuple) and point else point)


def _why(point: Any) -> str:
    why = point.get("why") if isinstance(point, Mapping) else None
    return f" ({plain(why, 120)})" if why else ""


def _sure(found: Findings, row: Row) -> list[str]:
    """How sure the finding is: the method of its joules where they are estimated, its power, its rating."""
    insight = row["insight"]
    compared = insight.verdict.comparison
    power = powered(found, compared)
    said = []
    if power is not None and compared is not None and not insight.verdict.by_bounds:
        said.append(f"Power: {power_words(power, compared.unit)}.")
    beside = price(found, row)
    if beside:
        said.append(f"Beside that, against the same control: {'; '.join(beside)}.")
    if "estimated" in insight.energy_method and "estimate" not in insight.claim:
        said.append(f"Joules: {method_words(insight.energy_method)}.")
    if spent := row["facts"].get("ledger"):
        left = f"{100 * float(spent['left']):.2g} % of its {100 * float(spent['alpha']):g} % is left"
        said.append(f"Comparison {spent['number']} of this question; {left}.")
    return [*said, *filter(None, [rating_words(row), worded(row), kept(row)])]


def worded(row: Row) -> str | None:
    """The validator's own words where a model gave some; the computed sentence stands above them."""
    words = row["facts"].get("words") or {}
    if not words.get("text") or words.get("by") != "model":
        return None
    return f"In the words of the model that validated it: {plain(words['text'], 1200)}"


def kept(row: Row) -> str | None:
    """Where the discovery was written as a recipe."""
    path = row["facts"].get("recipe")
    return f"It is kept as the recipe {code(path)}." if path else None


SAID = "Row by row; known trials are looked up, `force=true` trains them again."


def repeat(fixed: Sequence[str], arms: Iterable[Arm]) -> list[str]:
    """A command for each row of the tables, in their order."""
    lines = [command([*fixed, *arm.overrides, *shared(arm.rows)], arm.seeds) for arm in arms]
    return [SAID, "", *fenced(lines)] if lines else []
