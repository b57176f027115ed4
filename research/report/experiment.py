"""report.md of an experiment: the answer first, the figures, how they were judged, what they cost."""

import time
from collections.abc import Iterable
from pathlib import Path

from research.campaigns.bench import Arm
from research.experiments.evidence import Evidence
from research.experiments.verdicts import Found, Judged
from research.objective import is_energy
from research.report.campaign import figure
from research.report.page import put
from research.report.quantity import quantity
from research.report.sentences import command, method_words
from research.statistics.comparable import energy_method
from research.stats import summary

_ALWAYS = ("test/accuracy", "test/bits_per_byte", "train/energy_j", "train/seconds")


def write(found: Evidence, folder: Path) -> Path:
    """Write report.md, whole or not at all; `Refusal` when the folder cannot be written."""
    return put(text(found), folder)


def text(found: Evidence) -> str:
    """The report as Markdown; the same evidence gives the same text."""
    parts = [
        f"# {found.name}: {found.study.question}",
        *_answer(found),
        *_table(found),
        *_claims(found),
        *_cost(found),
        *_repeat(found),
        *_notes(found),
    ]
    return "\n".join(parts) + "\n"


def _answer(found: Evidence) -> list[str]:
    words = [one.word for one in found.verdicts]
    if not words:
        return ["", "**Open.** No arm of a claim can be run here."]
    counts = ", ".join(f"{words.count(word)} {word}" for word in dict.fromkeys(words))
    lines = ["", f"{len(words)} claims: {counts}. Expected was: {found.study.claim.rstrip('.')}."]
    return lines + [
        line for one in found.verdicts for line in ("", f"**{one.word.capitalize()}.** {sentence(one)}")
    ]


def sentence(one: Judged) -> str:
    """The claim, whose it is, and the figures that decided it."""
    told = "; ".join(_told(part) for part in one.parts)
    return f"{one.claim.says.rstrip('.')} (`{one.arm}` against `{one.against}`): {told}."


def _told(found: Found) -> str:
    compared = found.comparison
    if compared is None or not compared.n:
        return f"{found.part.words}: {found.reason.rstrip('.')}"
    unit = " %" if compared.metric.endswith("[%]") else ""
    change = f"{compared.difference:+.4g}{unit} [{compared.low:.4g}, {compared.high:.4g}]"
    why = f", {found.reason.rstrip('.')}" if found.word == "open" else ""
    return f"{found.part.metric} {change}, n = {compared.n}{why}"


def _table(found: Evidence) -> list[str]:
    """Means ± half of the 95 % t-interval over seeds, the control first."""
    measured = {key for arm in found.arms for result in found.results(arm) for key in result.metrics}
    extra = [key for key in _ALWAYS if key in measured]
    columns = list(dict.fromkeys([*found.study.metrics, *extra]))
    methods = " / ".join(_methods(found)) or "not measured"
    heads = [f"{column} [{methods}]" if is_energy(column) else column for column in columns]
    lines = ["", "## Figures", "", "| arm | n | " + " | ".join(heads) + " |"]
    lines.append("|---" * (len(columns) + 2) + "|")
    for arm in found.arms:
        results = found.results(arm)
        cells = [
            figure(one, summary(result.metrics[one] for result in results if one in result.metrics))
            for one in columns
        ]
        name = f"`{' '.join(arm.overrides)}`" + (" (control)" if arm.proposer == "control" else "")
        lines.append(f"| {name} | {len(results)} | " + " | ".join(cells) + " |")
    return [*lines, "", "Mean ± half of the 95 % t-interval over n seeds; a dash was not measured."]


def _claims(found: Evidence) -> list[str]:
    count = len(found.verdicts)
    lines = ["", "## How it was judged", ""]
    lines += ["| claim | arm | part | what was found | verdict |", "|---|---|---|---|---|"]
    for number, one in enumerate(found.verdicts, start=1):
        for part in one.parts:
            row = (
                str(number),
                f"`{one.arm}`",
                part.part.words,
                part.reason.replace("|", "/"),
                part.word,
            )
            lines.append("| " + " | ".join(row) + " |")
    alpha = found.study.alpha
    return [
        *lines,
        "",
        f"Arms are paired by seed (seeds {_span(found.study.seeds)}, test split, finished networks). The "
        f"{count} claims share an error of {alpha:g}, so each is judged at {alpha / max(count, 1):.4g}; a "
        "claim of several parts is supported when every part is.",
    ]


def _span(seeds: tuple[int, ...]) -> str:
    whole = seeds == tuple(range(seeds[0], seeds[0] + len(seeds)))
    return f"{seeds[0]} to {seeds[-1]}" if whole else ", ".join(map(str, seeds))


def _cost(found: Evidence) -> list[str]:
    trials = found.trials()
    results = [result for arm in found.arms for result in found.results(arm)]
    seconds = sum(trial.finished - trial.started for trial in trials if trial.finished is not None)
    joules = [result.metrics["train/energy_j"] for result in results if "train/energy_j" in result.metrics]
    methods = "+".join(_methods(found)) or "not measured"
    lines = ["", "## What it cost", "", f"- {len(trials)} trials, {seconds:.1f} s one after another"]
    if joules:
        lines.append(
            f"- {quantity('train/energy_j', sum(joules))} for the training of {len(joules)} of them "
            f"({method_words(methods)})"
        )
    return lines + _machine(found)


def _machine(found: Evidence) -> list[str]:
    trials = found.trials()
    facts = [result.facts for arm in found.arms for result in found.results(arm)]
    if not trials:
        return []
    last = max(trial.finished or trial.started for trial in trials)
    torch, threads = (_several(fact.get(name) for fact in facts) for name in ("torch", "threads"))
    hardware = _several(trial.key.hardware for trial in trials)
    day = time.strftime("%Y-%m-%d", time.gmtime(last))
    return [f"- on {hardware}, torch {torch}, {threads} threads a trial, the last on {day}"]


def _several(values: Iterable[object]) -> str:
    return " / ".join(sorted({str(value) for value in values}))


def _repeat(found: Evidence) -> list[str]:
    """The whole experiment, and a command for each row of the table."""
    base = found.fixed[1:]
    whole = " ".join(["python agent.py", found.fixed[0], *([f"base=[{','.join(base)}]"] if base else [])])
    rows = [command([*found.fixed, *arm.overrides], found.study.seeds) for arm in found.arms]
    said = "The experiment, then row by row; known trials are looked up, `force=true` trains them again."
    return ["", "## Repeat it", "", said, "", "```", whole, *rows, "```"]


def _notes(found: Evidence) -> list[str]:
    notes = [f"`{line}` was left out: it needs a GPU" for line in found.left_out]
    notes += [f"seed {seed} of `{name}` failed: {why}" for name, seed, why in _failures(found.arms)]
    doubts = [note for arm in found.arms for one in found.results(arm) for note in one.facts.get("notes", [])]
    kinds = [note.split(": ")[0] for note in doubts]  # what follows is the trial's own figure
    notes += [f"{kind} (in {kinds.count(kind)} trials)" for kind in dict.fromkeys(kinds)]
    return ["", "## Notes", "", *(f"- {' '.join(note.split())}" for note in notes)] if notes else []


def _failures(arms: Iterable[Arm]) -> list[tuple[str, int, str]]:
    return [
        (" ".join(arm.overrides), seed, why.split(" [printed:")[0])
        for arm in arms
        for seed, why in sorted(arm.failures.items())
    ]


def _methods(found: Evidence) -> list[str]:
    results = [result for arm in found.arms for result in found.results(arm)]
    return sorted({str(energy_method(result)) for result in results if "train/energy_j" in result.metrics})
