"""report.md of a campaign: the answer first, its table, what was tried, what it cost, how to repeat it."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from research.objective import METRICS, is_energy, rank, screening, screening_objective, sentence
from research.report.findings import Arm, Findings
from research.report.page import put
from research.report.quantity import quantity
from research.report.sentences import command, method_words
from research.stats import Summary
from research.store import Store

_SHOWN = 10
"""screened arms in the table; the database has them all"""
_ALWAYS = ("train/energy_j", "size/parameters", "infer/latency_s_p50")


def write(store: Store, sprint_id: int, folder: Path) -> Path:
    """Write report.md of a sprint, whole or not at all; `Refusal` when the folder cannot be written."""
    return put(text(Findings(store, sprint_id)), folder)


def text(found: Findings) -> str:
    """The report as Markdown."""
    parts = [
        f"# {_plain(found.sprint['goal'])}",
        *_answer(found),
        *_asked(found),
        *_table(found, "confirmed", "Confirmed on fresh seeds, test split", found.arms("confirmed")),
        *_screened(found),
        *_proposals(found),
        *_cost(found),
        *_repeat(found),
        *_notes(found),
    ]
    return "\n".join(parts) + "\n"


def _answer(found: Findings) -> list[str]:
    if not found.insights:
        return ["", "**Nothing was confirmed.** " + _why(found)]
    best = next((one for one in found.insights if one.verdict.word == "supported"), found.insights[-1])
    lines = ["", f"**{best.verdict.word.capitalize()}.** {best.claim}"]
    if best.verdict.word == "supported":
        winner = next(arm for arm in found.arms("confirmed") if arm.status == "supported")
        lines += ["", "The line to copy:", "", "```", command([*_fixed(found), *winner.overrides], ()), "```"]
    others = [one for one in found.insights if one is not best]
    return lines + [line for one in others for line in ("", f"{one.verdict.word.capitalize()}: {one.claim}")]


def _why(found: Findings) -> str:
    notes = found.facts.get("notes", [])
    return f"{str(notes[-1])[:1].upper()}{str(notes[-1])[1:]}." if notes else "No contender was found."


def _asked(found: Findings) -> list[str]:
    charter = found.facts["charter"]
    effect = charter["goal"]["smallest_effect"]
    least = [f"- counts only when it improves by {100 * effect:g} % or more"] if effect else []
    return [
        "",
        "## What was asked",
        "",
        f"- {sentence(found.objective)}",
        *least,
        f"- every trial: `{' '.join(_fixed(found))}`",
        f"- control: the defaults of `conf/train.yaml` with these; this run is {found.sprint['status']}",
        f"- the chance that a campaign without any effect finds one is at most {charter['alpha']:g}",
    ]


def _columns(found: Findings, stage: str) -> list[str]:
    asked = [found.objective.metric, *(bound.metric for bound in found.objective.constraints)]
    claims = [one.verdict.comparison.metric for one in found.insights if one.verdict.comparison]
    wanted = [*asked, *(one.removesuffix(" [%]") for one in claims), *_ALWAYS]
    return list(dict.fromkeys(screening(one) if stage == "screened" else one for one in wanted))


def _table(found: Findings, stage: str, title: str, arms: Sequence[Arm]) -> list[str]:
    """Means ± half of the 95 % t-interval over seeds, the control first."""
    if not arms:
        return []
    columns = _columns(found, stage)
    methods = " / ".join(sorted({arm.method for arm in arms}))
    heads = [f"{column} [{methods}]" if is_energy(column) else column for column in columns]
    lines = ["", f"## {title}", "", "| arm | n | " + " | ".join(heads) + " | verdict |"]
    lines.append("|---" * (len(columns) + 3) + "|")
    for arm in arms:
        name = "control" if arm.status == "control" else f"`{' '.join(arm.overrides)}`"
        cells = [figure(column, arm.of(column)) for column in columns]
        verdict = arm.status if arm.status in ("supported", "refuted", "open") else ""
        lines.append(f"| {name} | {len(arm.results)} | " + " | ".join(cells) + f" | {verdict} |")
    return [*lines, "", "Mean ± half of the 95 % t-interval over n seeds."]


def _screened(found: Findings) -> list[str]:
    """The best of the screening: a cheap look, nothing is claimed of it."""
    arms, left = _best(found)
    title = f"Screened, validation split (control and the best {len(arms[1:])} of {len(arms[1:]) + left})"
    return _table(found, "screened", title, arms)


def _best(found: Findings) -> tuple[list[Arm], int]:
    """The control and the best screened arms, and how many more there are."""
    asked, arms = screening_objective(found.objective), found.arms("screened")
    rest = sorted(arms[1:], key=lambda arm: rank(asked, arm.means))
    return [*arms[:1], *rest[:_SHOWN]], max(0, len(rest) - _SHOWN)


def _proposals(found: Findings) -> list[str]:
    counts = found.counts()
    names = ("ran", "repeat", "refused", "failed", "interrupted")
    lines = [
        "",
        "## Who proposed",
        "",
        "| proposer | proposed | " + " | ".join(names) + " |",
        "|---" * 7 + "|",
    ]
    for proposer, ended in sorted(counts.items()):
        cells = " | ".join(str(ended[name]) for name in names)
        lines.append(f"| {proposer} | {sum(ended.values())} | {cells} |")
    reasons = [
        f"- {status} {count} x: {_plain(reason)}"
        for status in ("refused", "failed")
        for reason, count in found.reasons(status).most_common(5)
    ]
    return [*lines, *(["", *reasons] if reasons else [])]


def _cost(found: Findings) -> list[str]:
    cost = found.cost()
    methods = " / ".join(sorted({arm.method for arm in found.arms("screened")})) or "not measured"
    joules = quantity("train/energy_j", cost.joules)
    lines = [
        "",
        "## What the search cost",
        "",
        f"- {cost.trials} trials trained, {cost.failed} failed, {cost.known} known from before",
        f"- {joules} for the training of all its trials ({method_words(methods)}; what their evaluation and "
        "the lab's own processes took is not in it)",
        f"- {cost.seconds:.1f} s for this run of the command",
    ]
    if cost.calls:
        dollars = "an unknown price" if cost.dollars is None else f"${cost.dollars:.4f}"
        lines.append(f"- {cost.calls} calls of the language model, {cost.tokens} tokens, {dollars}")
    return lines + _payback(found, cost.joules)


def _payback(found: Findings, joules: float) -> list[str]:
    """After how many uses the joules of the search are saved, where the winner saves any."""
    arms = found.arms("confirmed")
    winner = next((arm for arm in arms if arm.status == "supported"), None)
    metric = found.objective.metric
    uses = {"train/energy_j": "trainings", "infer/energy_j_per_sample": "inferences"}.get(metric)
    if winner is None or uses is None:
        return []
    saved = arms[0].of(metric).mean - winner.of(metric).mean
    return (
        [f"- paid back after {joules / saved:.0f} {uses}, at {quantity(metric, saved)} saved each"]
        if saved > 0
        else []
    )


def _repeat(found: Findings) -> list[str]:
    """A command for each row of the tables, in their order."""
    arms = [*found.arms("confirmed"), *_best(found)[0]]
    lines = [command([*_fixed(found), *arm.overrides], arm.seeds) for arm in arms]
    said = "Row by row; known trials are looked up, `force=true` trains them again."
    return ["", "## Repeat it", "", said, "", "```", *lines, "```"]


def _notes(found: Findings) -> list[str]:
    notes = found.facts.get("notes", [])
    return ["", "## Notes", "", *(f"- {_plain(note)}" for note in notes)] if notes else []


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


def _fixed(found: Findings) -> list[str]:
    return [str(one) for one in found.facts["charter"]["fixed"]]


def _plain(value: Any) -> str:
    """Foreign text in one line that cannot open a block of its own."""
    return " ".join(str(value).split()).replace("|", "/").lstrip("#> ")
