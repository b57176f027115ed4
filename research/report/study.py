"""report.md of a recipe's experiment: the answer first, the figures, how they were judged, what they cost."""

import time
from collections.abc import Iterable, Sequence
from pathlib import Path

from research.campaign.evidence import Evidence
from research.metrics import quantity
from research.page import put
from research.report import pictures
from research.report.arms import Arm, apart, joules, measured, method
from research.report.markdown import code, fenced, plain, prose, section, table
from research.report.repeat import SAID
from research.report.tables import arms_table
from research.stats.intervals import told
from research.stats.sentences import command, difference, method_words
from research.stats.verdicts import ClaimVerdict, PartVerdict

_ALWAYS = ("test/accuracy", "test/bits_per_byte", "train/energy_j", "train/seconds")


def write(found: Evidence, folder: Path) -> Path:
    """Write report.md and its pictures; `Refusal` when the folder cannot be written."""
    arms = rows(found)
    drawn = pictures.of_arms(found.bench.store, arms, found.study.metrics, "Test split, finished networks")
    for one in drawn:
        put(one.svg, folder, one.file)
    return put(text(found, drawn), folder)


def text(found: Evidence, drawn: Sequence[pictures.Picture] = ()) -> str:
    """The report as Markdown; the same evidence gives the same text."""
    arms = rows(found)
    parts = [
        f"# {plain(found.name)}: {plain(found.study.question)}",
        *_answer(found),
        *section("Figures", arms_table(arms, _columns(found, arms))),
        *pictures.shown(drawn),
        *section("How it was judged", _claims(found, arms)),
        *section("What it cost", _cost(found, arms)),
        *section("Repeat it", _repeat(found)),
        *section("Notes", _notes(found)),
    ]
    return "\n".join(parts) + "\n"


def rows(found: Evidence) -> list[Arm]:
    """The arms as rows of the table, the control first, each read from the store."""
    arms = [
        measured(
            found.bench.store,
            arm.overrides,
            arm.proposer,
            "control" if arm.proposer == "control" else "ran",
            [arm.trials[seed] for seed in found.study.seeds if seed in arm.trials],
        )
        for arm in found.arms
    ]
    return sorted(arms, key=lambda arm: not arm.control)


def sentence(one: ClaimVerdict) -> str:
    """The claim, whose it is, and the figures that decided it."""
    told = "; ".join(_told(part) for part in one.parts)
    return f"{one.claim.says.rstrip('.')} (`{one.arm}` against `{one.against}`): {told}."


def _answer(found: Evidence) -> list[str]:
    words = [one.word for one in found.verdicts]
    if not words:
        return ["", "**Open.** No arm of a claim can be run here."]
    counts = ", ".join(f"{words.count(word)} {word}" for word in dict.fromkeys(words))
    expected = plain(found.study.claim.rstrip("."))
    claims = "1 claim" if len(words) == 1 else f"{len(words)} claims"
    lines = ["", f"{claims}: {counts}. Expected was: {expected}."]
    return lines + [
        line
        for one in found.verdicts
        for line in ("", f"**{one.word.capitalize()}.** {prose(sentence(one))}")
    ]


def _told(found: PartVerdict) -> str:
    compared = found.comparison
    if compared is None or not compared.n:
        return f"{found.part.words}: {found.reason.rstrip('.')}"
    why = f", {found.reason.rstrip('.')}" if found.word == "open" else ""
    return f"{found.part.metric} {difference(compared)}, n = {compared.n}{told(compared.over)}{why}"


def _columns(found: Evidence, arms: Sequence[Arm]) -> list[str]:
    measured_keys = {key for arm in arms for result in arm.results for key in result.metrics}
    return list(dict.fromkeys([*found.study.metrics, *(key for key in _ALWAYS if key in measured_keys)]))


def _claims(found: Evidence, arms: Sequence[Arm]) -> list[str]:
    count = len(found.verdicts)
    judged = [
        [str(number), code(one.arm), plain(part.part.words), plain(part.reason), part.word]
        for number, one in enumerate(found.verdicts, start=1)
        for part in one.parts
    ]
    alpha = found.study.alpha
    shared = "claim has" if count == 1 else f"{count} claims share"
    return [
        *table(["claim", "arm", "part", "what was found", "verdict"], judged),
        "",
        f"Arms are paired by seed (seeds {_span(found.study.seeds)}, test split, finished networks). The "
        f"{shared} an error of {alpha:g}, so each is judged at {alpha / max(count, 1):.4g}; a "
        "claim of several parts is supported when every part is.",
        *_apart(found, arms),
    ]


def _apart(found: Evidence, arms: Sequence[Arm]) -> list[str]:
    """Of clocks, which drift with the machine: how far apart in time the pairs were taken."""
    named = {" ".join(arm.overrides): arm.trials for arm in arms}
    pairs = [(named[one.against], named[one.arm]) for one in found.verdicts]
    span = apart(pairs) if found.study.timed else None
    return ["", f"Seconds and joules: {span}."] if span else []


def _span(seeds: tuple[int, ...]) -> str:
    whole = seeds == tuple(range(seeds[0], seeds[0] + len(seeds)))
    return f"{seeds[0]} to {seeds[-1]}" if whole else ", ".join(map(str, seeds))


def _cost(found: Evidence, arms: Sequence[Arm]) -> list[str]:
    trials = found.trials()
    seconds = sum(trial.finished - trial.started for trial in trials if trial.finished is not None)
    having = sum("train/energy_j" in result.metrics for arm in arms for result in arm.results)
    lines = [f"- {len(trials)} trials, {seconds:.1f} s one after another"]
    if having:
        spent = quantity("train/energy_j", joules(arms))
        lines.append(f"- {spent} for the training of {having} of them ({method_words(method(arms))})")
    return lines + _machine(arms)


def _machine(arms: Sequence[Arm]) -> list[str]:
    trials = [trial for arm in arms for trial in arm.trials]
    facts = [result.facts for arm in arms for result in arm.results]
    if not trials:
        return []
    last = max(trial.finished or trial.started for trial in trials)
    torch, threads = (_several(fact.get(name) for fact in facts) for name in ("torch", "threads"))
    hardware = _several(trial.key.hardware for trial in trials)
    day = time.strftime("%Y-%m-%d", time.gmtime(last))
    return [
        f"- on {plain(hardware)}, torch {plain(torch)}, {plain(threads)} threads a trial, the last on {day}"
    ]


def _several(values: Iterable[object]) -> str:
    return " / ".join(sorted({str(value) for value in values}))


def _repeat(found: Evidence) -> list[str]:
    """The whole experiment, and a command for each row of the table."""
    base = found.fixed[1:]
    whole = " ".join(["python agent.py", found.fixed[0], *([f"base=[{','.join(base)}]"] if base else [])])
    each = [
        command([*found.fixed, *arm.overrides, *found.bench.typed.split(arm.overrides)], found.study.seeds)
        for arm in found.arms
    ]
    return [f"The experiment, then {SAID[:1].lower()}{SAID[1:]}", "", *fenced([whole, *each])]


def _notes(found: Evidence) -> list[str]:
    notes = [f"{code(line)} was left out: it needs a GPU" for line in found.left_out]
    notes += [
        f"seed {seed} of {code(' '.join(arm.overrides))} failed: {plain(why.split(' [printed:')[0])}"
        for arm in found.arms
        for seed, why in sorted(arm.failures.items())
    ]
    doubts = [note for arm in found.arms for one in found.results(arm) for note in one.facts.get("notes", [])]
    kinds = [note.split(": ")[0] for note in doubts]  # what follows is the trial's own figure
    notes += [f"{plain(kind)} (in {kinds.count(kind)} trials)" for kind in dict.fromkeys(kinds)]
    return [f"- {note}" for note in notes]
