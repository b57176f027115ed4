"""`task=reproduce id=...`: a trial, or all trials of an insight, run again; do the figures agree?

Scores, sizes and FLOPs must be equal to the last digit on the same kind of machine, code and number of
threads. What a clock takes must lie in the prediction interval of what was measured before, at 95 % for all
such figures together; fewer than three earlier values make none, and are told as `open`.
"""

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Literal, final

from construct import renamed
from refusal import Refusal
from research.metrics import METRICS, VALIDATION, is_exact, is_score, quantity
from research.stats.comparable import comparable
from research.stats.decide import ENOUGH, critical
from research.stats.intervals import summary
from research.store.queries import siblings
from research.tasks.answer import Answer, absent, reference, table
from research.tasks.desk import Desk
from research.tasks.show import row_of
from research.types import Record, Result, Trial

if TYPE_CHECKING:
    from research.store.store import Store

_ALPHA = 0.05
"""chance that any timed figure of all trials is called different without being so"""
Word = Literal["equal", "within", "differs", "open"]


@final
class Check(Record):
    """One figure of one trial, before and after."""

    trial: int
    metric: str
    before: float
    after: float
    word: Word
    low: float | None = None
    high: float | None = None
    """of timed figures: where repetitions lie, by the earlier values"""
    reason: str = ""


@final
class Reproduced(Answer):
    """Whether it came out again: None when nothing differs but a figure could not be settled."""

    of: str
    replicates: dict[int, int]
    """trial -> its new replicate"""
    agrees: bool | None
    checks: tuple[Check, ...]
    notes: tuple[str, ...]

    def text(self) -> str:
        """The answer, then every figure."""
        words = {True: "agrees", False: "does not agree", None: "agrees as far as it can be told"}
        rows = [
            (str(one.trial), one.metric, _told(one, one.before), _told(one, one.after), one.word, one.reason)
            for one in self.checks
        ]
        lines = table(("trial", "metric", "before", "after", "is", "why"), rows)
        return "\n".join([f"{self.of} {words[self.agrees]}", *self.notes, "", *lines])


def reproduce(desk: Desk, id: int | str | None) -> Reproduced:
    """Run it again. Raises `Refusal` for what is not there or not finished, or cannot be run again."""
    wanted = reference(id, "id", ("trial", "insight"))
    store = desk.known
    ids = (
        [wanted.number]
        if wanted.kind == "trial"
        else row_of(store, wanted)["insight"]["verdict"]["trial_ids"]
    )
    trials = store.trials(ids=ids)
    if not trials:
        raise absent(wanted)
    unfinished = next((one for one in trials if one.status != "done"), None)
    if unfinished is not None:
        raise Refusal(
            f"Trial {unfinished.id} is {unfinished.word}: only what was trained to its end can be reproduced."
        )
    replicates = _again(desk, trials)
    checks = [check for one in trials for check in _checks(store, one, replicates[one.id], len(trials))]
    words = {check.word for check in checks}
    return Reproduced(
        of=str(wanted),
        replicates={one: new.id for one, new in replicates.items()},
        agrees=False if "differs" in words else None if "open" in words else True,
        checks=tuple(checks),
        notes=tuple(dict.fromkeys(note for one in trials for note in _notes(one, replicates[one.id]))),
    )


def _again(desk: Desk, trials: Sequence[Trial]) -> dict[int, Trial]:
    """Each trial as a declared replicate, one at a time, so that none is timed beside another."""
    from research.run.runner import Job

    own = {**desk.harness, "force": True}
    results = desk.store.results([one.id for one in trials])
    found: dict[int, Trial] = {}
    # Sums of another number of threads are rounded otherwise.
    for threads in sorted({_threads(one) for one in results.values()}, key=str):
        some = [one for one in trials if _threads(results[one.id]) == threads]
        with desk.running("reproduce", alone=True, threads=threads) as run:
            for one in some:
                # Of no sweep: what is checked later is no part of what the campaign cost.
                job = Job(renamed(one.config) | own, list(one.overrides))
                for outcome in run([job]):
                    if not outcome.ok or outcome.trial_id is None:
                        raise Refusal(f"Trial {one.id} cannot be run again: {outcome.reason}.")
                    (found[one.id],) = desk.store.trials(ids=[outcome.trial_id])
                    desk.lines.say(f"trial {one.id} was run again as trial {outcome.trial_id}")
    return found


def _threads(result: Result) -> int | None:
    given = result.facts.get("threads")
    return int(given) if isinstance(given, int | float) else None


def _checks(store: "Store", trial: Trial, again: Trial, count: int) -> list[Check]:
    results = store.results([trial.id, again.id])
    before, after = results[trial.id].metrics, results[again.id].metrics
    earlier = [one for one in siblings(store, trial) if one.id != again.id]
    known = [*METRICS, *VALIDATION]
    shared = [key for key in known if key in before and key in after]
    alpha = _ALPHA / count / max(1, sum(not _is_exact(key) for key in shared))
    return [_check(store, key, trial, again, results, earlier, alpha) for key in shared]


def _check(
    store: "Store",
    metric: str,
    trial: Trial,
    again: Trial,
    results: dict[int, Result],
    earlier: Sequence[Trial],
    alpha: float,
) -> Check:
    before, after = results[trial.id].metrics[metric], results[again.id].metrics[metric]
    told: dict[str, Any] = {"trial": trial.id, "metric": metric, "before": before, "after": after}
    if _is_exact(metric):
        return Check(**told, **_equal(before, after, trial, again))
    complaint = comparable(metric, [trial, again], results)
    if complaint:
        return Check(**told, word="open", reason=complaint)
    values = [
        one.metrics[metric]
        for one in store.results([t.id for t in earlier]).values()
        if metric in one.metrics
    ]
    return Check(**told, **_predicted(values, after, alpha))


def _equal(before: float, after: float, trial: Trial, again: Trial) -> dict[str, Any]:
    if before == after or (math.isnan(before) and math.isnan(after)):
        return {"word": "equal"}
    if trial.key.hardware != again.key.hardware:
        return {"word": "open", "reason": "another kind of machine rounds otherwise"}
    if trial.key.code != again.key.code or trial.key.data != again.key.data:
        return {"word": "open", "reason": "the code or the data changed since"}
    if (trial.config.get("budget") or {}).get("steps") is None:
        return {"word": "open", "reason": "its length is not given in steps, so a clock decided it"}
    return {"word": "differs", "reason": f"by {after - before:+.3g}"}


def _predicted(values: Sequence[float], after: float, alpha: float) -> dict[str, Any]:
    """Whether a new value lies where repetitions do: Student's t on the logarithms of the earlier values."""
    logs = summary(math.log(value) for value in values if value > 0)
    if logs.n < ENOUGH or logs.std is None or not after > 0:
        return {"word": "open", "reason": f"{logs.n} of the {ENOUGH} earlier values that an interval needs"}
    if not logs.std:
        same = math.isclose(math.log(after), logs.mean, abs_tol=1e-9)
        return {"word": "within"} if same else {"word": "open", "reason": "the earlier values have no spread"}
    half = critical(alpha / 2, logs.n - 1) * logs.std * math.sqrt(1 + 1 / logs.n)
    low, high = math.exp(logs.mean - half), math.exp(logs.mean + half)
    word = "within" if low <= after <= high else "differs"
    return {"word": word, "low": low, "high": high, "reason": f"n = {logs.n} earlier"}


def _notes(trial: Trial, again: Trial) -> list[str]:
    found = []
    if trial.key.code != again.key.code:
        found.append("the code changed since it was run first")
    if trial.key.data != again.key.data:
        found.append("the data changed since it was run first")
    if trial.key.hardware != again.key.hardware:
        found.append(f"first on {trial.key.hardware}, now on {again.key.hardware}")
    return found


def _is_exact(metric: str) -> bool:
    """Whether the same training gives the same figure again."""
    return is_exact(metric) or is_score(metric)


def _told(check: Check, value: float) -> str:
    return f"{value:.6g}" if _is_exact(check.metric) else quantity(check.metric, value)
