"""What a campaign cost, the language model included, and what was not spent because something stopped it."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, final

from research.metrics import quantity, scale
from research.page import counted
from research.report.findings import STAGES, Findings, Row, ids, number_of
from research.report.markdown import plain
from research.report.pictures import score_among
from research.stats.arms import Arm, complaint, method
from research.stats.decide import ENOUGH
from research.stats.intervals import compare
from research.stats.intervals import told as over
from research.stats.sentences import difference, method_words
from research.store.states import FAILED
from research.types import Result, SprintFacts


@final
@dataclass(frozen=True)
class Cost:
    """What the search itself used; None where nothing tells it."""

    trials: int
    stopped: int
    """ended early because they could not win"""
    failed: int
    known: int
    joules: float
    seconds: float
    calls: int
    tokens: int
    dollars: float | None
    model_joules: float
    model_unknown: int
    """calls of the model whose joules nobody knows"""
    stepped: float | None
    """share of its trials' CPU seconds that were steps"""


def used(found: Findings) -> Cost:
    """What these sprints cost, over all runs of the same command."""
    own, sweep = {row["id"] for row in found.runs}, str(found.told.campaign)
    ran = [trial for trial in found.store.trials(sweep=sweep) if _sprint_at(found, trial.started) in own]
    results, keys = found.store.results([trial.id for trial in ran]), {trial.key for trial in ran}
    paid = found.store.joules(sweep)  # of every attempt: a trial that was killed twice was paid three times
    known = {number for row in found.experiments for stage in STAGES for number in ids(row, stage)}
    ends = [trial.status == "stopped" for trial in ran if trial.status in FAILED]
    calls = found.interactions
    dollars = [row["dollars"] for row in calls]
    return Cost(
        trials=len(results),
        stopped=sum(ends),
        failed=len(ends) - sum(ends),
        known=len(known - {trial.id for trial in ran}),
        joules=sum(joules for key, joules in paid.items() if key in keys),
        seconds=found.seconds(*found.sprints),
        calls=len(calls),
        tokens=sum((row["tokens_in"] or 0) + (row["tokens_out"] or 0) for row in calls),
        dollars=None if None in dollars else sum(dollars),
        model_joules=sum(row["joules"] or 0.0 for row in calls),
        model_unknown=sum(row["joules"] is None for row in calls),
        stepped=steps_share(results.values()),
    )


def _sprint_at(found: Findings, moment: float) -> int:
    """The sprint that a trial begun then is of: each begins when the one before has ended."""
    began = sorted((row["created"], row["id"]) for row in found.all_runs)
    return int(next((number for start, number in reversed(began) if start <= moment), began[0][1]))


def steps_share(results: Iterable[Result]) -> float | None:
    """Share of the CPU seconds of those that tell both; None where none does."""
    both = [
        one.metrics for one in results if {"train/cpu_seconds", "trial/cpu_seconds"} <= one.metrics.keys()
    ]
    whole = sum(metrics["trial/cpu_seconds"] for metrics in both)
    return sum(metrics["train/cpu_seconds"] for metrics in both) / whole if whole else None


def cost(found: Findings) -> list[str]:
    """The lines of the section."""
    spent = used(found)
    how = method_words(method(found.arms("screened")))
    trials, joules = counted(spent.trials, "trial"), quantity("train/energy_j", spent.joules)
    return [
        f"- {trials} trained to {_its(spent.trials)} end, {spent.stopped} stopped early, "
        f"{spent.failed} failed, {spent.known} known from before",
        f"- {joules} for the training of all its trials, attempts that were killed among them ({how}; what "
        "their evaluation and the lab's own processes took is not in it)",
        f"- {spent.seconds:.1f} s by the clock for {_runs(found)}",
        *harness(spent.stepped),
        *model(spent),
        *_saved(found, how),
        *payback(found, spent.joules + spent.model_joules, whole=not spent.model_unknown),
    ]


def lost(joules: float) -> list[str]:
    """What attempts used that are in no figure; nothing where none did."""
    told = quantity("train/energy_j", joules)
    when = "by the watts of a core of their time"
    return [f"- {told} more for attempts that failed or were killed ({when})"] if joules else []


def harness(share: float | None) -> list[str]:
    """How much of its trials' processes was training; nothing where no trial tells it."""
    said = f"steps {share or 0:.0%} of the CPU seconds of its trials' processes; the rest is their harness"
    return [] if share is None else [f"- {said}"]


def model(spent: Cost) -> list[str]:
    """What the language model cost; nothing where none was asked."""
    if not spent.calls:
        return []
    dollars = "an unknown price" if spent.dollars is None else f"${spent.dollars:.4f}"
    tokens = counted(spent.tokens, "token")
    told = f"{counted(spent.calls, 'call')} of the language model, {tokens}, {dollars}"
    return [f"- {told}; {model_joules(spent)}"]


def model_joules(spent: Cost) -> str:
    """The model's joules: always an estimate, and unknown rather than none where nobody knows."""
    known = spent.calls - spent.model_unknown
    calls = counted(known, "call")
    if not known:
        return "its joules are unknown, so they are in no sum"
    each = quantity("train/energy_j", spent.model_joules)
    if not spent.model_unknown:
        return f"its joules are an estimate: {each}"
    return f"its joules are an estimate: {each} for {calls}, unknown for the other {spent.model_unknown}"


def _runs(found: Findings) -> str:
    """What the seconds cover: when a command is typed again, its earlier runs are not in them."""
    if len(found.runs) < len(found.all_runs):
        return "this sprint"
    clocks = [SprintFacts.of(row).seconds for row in found.runs]
    once = len(set(map(number_of, found.runs))) == len(clocks) and clocks == sorted(clocks)
    return "this run of the command" if once else "the last run of the command"


def _saved(found: Findings, how: str) -> list[str]:
    """Early stopping and predicted failures, where a sprint tells of them."""
    lines = []
    stopped, joules = found.total("pruned", "trials"), found.total("pruned", "joules_saved")
    if stopped is not None and joules is not None:
        saved = quantity("train/energy_j", joules)
        trials = counted(round(stopped), "trial")
        which = "what was left of each that was not trained to its end"
        lines.append(f"- early stopping ended {trials} and saved {saved} ({how}; {which})")
        lines += _audited(found) if stopped else []
    refused, false = found.total("predicted", "refused"), found.total("predicted", "false")
    if refused:
        checked = "none of them was run to see" if false is None else f"{false:.0f} of them would have run"
        were = f"{counted(round(refused), 'proposal')} {'was' if refused == 1 else 'were'} refused"
        lines.append(f"- {were} because {_its(refused)} failure was predicted; {checked}")
    return lines


def _its(count: float) -> str:
    return "its" if count == 1 else "their"


def _audited(found: Findings) -> list[str]:
    """How often early stopping was wrong: some that it would have stopped were trained to their end."""
    audited, wrong = found.total("pruned", "audited"), found.total("pruned", "wrong")
    if not audited:
        return ["- none of the stopped was trained to its end to see whether that was right"]
    trials = "1 of the stopped was" if audited == 1 else f"{audited:.0f} of the stopped were"
    come = "none could have won" if not wrong else f"{wrong:.0f} could have won, and went on as candidates"
    return [f"- {trials} trained to the end to see whether that was right: {come}"]


USES = {"train/energy_j": ("training", "trainings"), "infer/energy_j_per_sample": ("inference", "inferences")}


def payback(found: Findings, joules: float, *, whole: bool = True) -> list[str]:
    """A line for each use whose joules the winner saves; none where it saves nothing or none were taken.

    `joules` are the search's, `whole` says whether the language model's are all known and in them.
    """
    row = found.winner
    if row is None or not joules > 0:
        return []
    winner, control = found.arm_of(row), found.control_of(row)
    if winner is None or control is None:
        return []
    sides = found.telling(row, control, winner)
    which = "" if sides == (control, winner) else " that did not decide"
    lines = [_line(metric, *sides, joules, which) for metric in USES]
    missing = "" if whole else "; what the model used unknown to us comes on top"
    return [f"{line}{missing}" for line in lines if line]


def _line(metric: str, control: Arm, winner: Arm, joules: float, which: str) -> str | None:
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
        return f"- {open_}: {each} {ends} saved in each (n = {told.n} pairs{which})"
    ends = f"[{_count(joules / most)}, {_count(joules / least)}]"
    after = f"paid back after {_count(joules / saved)} {several} {ends}"
    return f"- {after}, at {each} saved in each {one} (n = {told.n} pairs{which})"


def _count(uses: float) -> str:
    """A number of uses as people read it."""
    return f"{uses:,.0f}" if uses < 1e6 else f"{uses / 1e6:,.3g} million"


_WORDS = {"supported": "as good", "refuted": "not as good"}


def price(found: Findings, row: Row) -> list[str]:
    """For each bounded metric and the score, the paired difference, and whether it is as good as the control.

    Nothing for the metric of the claim itself, for what was not measured in three pairs, or not alike.
    """
    arm, compared = found.arm_of(row), row["insight"].verdict.comparison
    control = found.control_of(row)
    if arm is None or compared is None or control is None:
        return []
    claimed = compared.metric
    told = []
    for metric in dict.fromkeys([*found.asked, *filter(None, [score_among(found.asked, [arm])])]):
        if metric == claimed or complaint(metric, [control, arm]):
            continue
        sides, rests = (control.by_seed(metric), arm.by_seed(metric)), arm.ground(metric, control)
        changed = compare(*sides, metric, compared.level, scale(metric), rests)
        if changed.n >= ENOUGH:
            sure = f"{100 * changed.level:.3g} % interval, n = {changed.n} pairs{over(changed.over)}"
            told.append(f"{metric} {difference(changed)} ({sure}){_as_good(row, metric)}")
    return told


def as_good(told: Any) -> str:
    """A test of being as good as the control, in words: `as good within 0.01: ...`."""
    if not isinstance(told, Mapping):
        return plain(told)
    words = _WORDS.get(str(told.get("word")), "not shown to be as good")
    margin = f" within {told['margin']:g}" if isinstance(told.get("margin"), int | float) else ""
    reason = f": {plain(told['reason'])}" if told.get("reason") else ""
    return f"{words}{margin}{reason}"


def _as_good(row: Row, metric: str) -> str:
    told = (row["facts"].get("equivalent") or {}).get(metric)
    return f" ({as_good({**told, 'reason': ''})})" if isinstance(told, Mapping) else ""
