"""report.md of a recipe's experiment: the answer first, the figures, how they were judged, what they cost."""

import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import final

from research.metrics import is_energy, quantity
from research.page import counted, put
from research.report import cost, pictures
from research.report.answer import SAID
from research.report.arms import ArmNames, arms_table
from research.report.markdown import code, fenced, plain, prose, section, table
from research.stats.arms import Arm, apart, joules, method
from research.stats.intervals import told
from research.stats.sentences import difference, method_words
from research.stats.verdicts import ClaimVerdict, PartVerdict
from research.store.spending import lost_joules
from research.store.store import Store

_ALWAYS = ("test/accuracy", "test/bits_per_byte", "train/energy_j", "train/seconds")


@final
@dataclass(frozen=True)
class StudyReport:
    """What the report of a recipe's experiment is written from."""

    name: str
    question: str
    claim: str
    """what was expected"""
    metrics: tuple[str, ...]
    """those that a claim reads"""
    seeds: tuple[int, ...]
    alpha: float
    timed: bool
    """whether a claim is about what a clock takes"""
    arms: tuple[Arm, ...]
    """the control first"""
    verdicts: tuple[ClaimVerdict, ...]
    commands: tuple[str, ...]
    """the whole experiment, then each arm"""
    failures: tuple[tuple[int, str, str], ...]
    """seed, overrides and reason of each trial that failed"""
    left_out: tuple[str, ...]
    """lines of arms that this machine cannot run"""


def write(found: StudyReport, store: Store, folder: Path) -> Path:
    """Write report.md and its pictures; `Refusal` when the folder cannot be written."""
    stage = "Test split, finished networks"
    drawn = pictures.of_arms(store, found.arms, found.metrics, stage, ArmNames(found.arms))
    for picture in drawn:
        put(picture.svg, folder, picture.file)
    with store.read() as connection:
        lost = lost_joules(connection, folder.name)
    return put(text(found, drawn, lost), folder)


def text(found: StudyReport, drawn: Sequence[pictures.Picture] = (), lost: float = 0.0) -> str:
    """The report as Markdown; `lost` are the joules of attempts that are in no figure."""
    names = ArmNames(found.arms)
    parts = [
        f"# {plain(found.name)}: {plain(found.question)}",
        *_answer(found, names),
        *section("Arms", names.table()),
        *section("Figures", arms_table(found.arms, _columns(found), names)),
        *pictures.shown(drawn),
        *section("How it was judged", _claims(found, names)),
        *section("What it cost", _cost(found, lost)),
        *section("Repeat it", _repeat(found)),
        *section("Notes", _notes(found)),
    ]
    return "\n".join(parts) + "\n"


def sentence(one: ClaimVerdict) -> str:
    """The claim, whose it is, and the figures that decided it."""
    return _sentence(one, f"`{one.arm}`", f"`{one.against}`")


def _sentence(one: ClaimVerdict, arm: str, against: str) -> str:
    told = "; ".join(_told(part) for part in one.parts)
    return f"{one.claim.says.rstrip('.')} ({arm} against {against}): {told}."


def _answer(found: StudyReport, names: ArmNames) -> list[str]:
    """What was asked and expected, and what was found of each claim."""
    words = [one.word for one in found.verdicts]
    lines = ["", f"Asked was: {plain(found.question)} Expected was: {plain(found.claim.rstrip('.'))}."]
    if not words:
        return [*lines, "", "**Open.** No arm of a claim can be run here."]
    counts = ", ".join(f"{words.count(word)} {word}" for word in dict.fromkeys(words))
    claims = "1 claim" if len(words) == 1 else f"{len(words)} claims"
    energy = any(is_energy(metric) for metric in found.metrics)
    how = f"; {method_words(method(found.arms))}" if energy else ""
    lines += ["", f"Found was, of {claims}: {counts}{how}."]
    told = [_sentence(one, names.line(one.arm), names.line(one.against)) for one in found.verdicts]
    pairs = zip(found.verdicts, told, strict=True)
    return lines + [
        line for one, said in pairs for line in ("", f"**{one.word.capitalize()}.** {prose(said, 2000)}")
    ]


def _told(found: PartVerdict) -> str:
    compared = found.comparison
    if compared is None or not compared.n:
        return f"{found.part.words}: {found.reason.rstrip('.')}"
    why = f", {found.reason.rstrip('.')}" if found.word == "open" else ""
    return f"{found.part.metric} {difference(compared)}, n = {compared.n}{told(compared.over)}{why}"


def _columns(found: StudyReport) -> list[str]:
    measured_keys = {key for arm in found.arms for result in arm.results for key in result.metrics}
    return list(dict.fromkeys([*found.metrics, *(key for key in _ALWAYS if key in measured_keys)]))


def _claims(found: StudyReport, names: ArmNames) -> list[str]:
    count = len(found.verdicts)
    judged = [
        [f"{number}{letter}", names.line(one.arm), plain(part.part.words), plain(part.reason), part.word]
        for number, one in enumerate(found.verdicts, start=1)
        for letter, part in zip(_letters(len(one.parts)), one.parts, strict=True)
    ]
    alpha = found.alpha
    shared = "claim has" if count == 1 else f"{count} claims share"
    return [
        *table(["claim", "arm", "part", "what was found", "verdict"], judged),
        "",
        f"Arms are paired by seed (seeds {_span(found.seeds)}, test split, finished networks). The "
        f"{shared} an error of {alpha:g}, so each is judged at {alpha / max(count, 1):.4g}; a "
        "claim of several parts is supported when every part is.",
        *_apart(found),
    ]


def _letters(parts: int) -> list[str]:
    """What tells the parts of a claim apart; nothing where it has one."""
    return [chr(ord("a") + at) for at in range(parts)] if parts > 1 else [""]


def _apart(found: StudyReport) -> list[str]:
    """Of clocks, which drift with the machine: how far apart in time the pairs were taken."""
    named = {" ".join(arm.overrides): arm.rows for arm in found.arms}
    pairs = [(named[one.against], named[one.arm]) for one in found.verdicts]
    span = apart(pairs) if found.timed else None
    return ["", f"Seconds and joules: {span}."] if span else []


def _span(seeds: tuple[int, ...]) -> str:
    whole = seeds == tuple(range(seeds[0], seeds[0] + len(seeds)))
    return f"{seeds[0]} to {seeds[-1]}" if whole else ", ".join(map(str, seeds))


def _cost(found: StudyReport, lost: float) -> list[str]:
    trials = [trial for arm in found.arms for trial in arm.rows]
    seconds = sum(trial.finished - trial.started for trial in trials if trial.finished is not None)
    having = sum("train/energy_j" in result.metrics for arm in found.arms for result in arm.results)
    lines = [f"- {counted(len(trials), 'trial')}, {seconds:.1f} s one after another"]
    if having:
        spent = quantity("train/energy_j", joules(found.arms))
        lines.append(f"- {spent} for the training of {having} of them ({method_words(method(found.arms))})")
    return lines + cost.lost(lost) + _machine(found.arms)


def _machine(arms: Sequence[Arm]) -> list[str]:
    trials = [trial for arm in arms for trial in arm.rows]
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


def _repeat(found: StudyReport) -> list[str]:
    return [f"The experiment, then {SAID[:1].lower()}{SAID[1:]}", "", *fenced(found.commands)]


def _notes(found: StudyReport) -> list[str]:
    notes = [f"{code(line)} was left out: it needs a GPU" for line in found.left_out]
    notes += [
        f"seed {seed} of {code(line)} failed: {plain(why.split(' [printed:')[0])}"
        for seed, line, why in found.failures
    ]
    doubts = [note for arm in found.arms for result in arm.results for note in result.facts.get("notes", [])]
    kinds = [note.split(": ")[0] for note in doubts]  # what follows is the trial's own figure
    notes += [f"{plain(kind)} (in {kinds.count(kind)} trials)" for kind in dict.fromkeys(kinds)]
    return [f"- {note}" for note in notes]
