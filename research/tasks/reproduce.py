"""`task=reproduce id=...`: a trial, or all trials of an insight, run again; do the figures agree?

Scores, sizes and FLOPs must be equal on the same kind of machine, code and number of threads. What a clock
takes must lie in the 95 % prediction interval of three or more earlier values, for all such figures together.
"""

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal, final

from construct import refuse_untrusted, renamed
from refusal import Refusal
from research.campaign.campaign import Campaign
from research.metrics import METRICS, VALIDATION, is_exact, is_score, quantity
from research.stats.comparable import comparable
from research.stats.decide import ENOUGH, critical
from research.stats.intervals import summary
from research.store.claims import refuse_edited
from research.store.queries import siblings
from research.tasks.answer import Answer, absent, reference, table
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
            (str(check.trial), check.metric, *_figures(check), check.word, check.reason)
            for check in self.checks
        ]
        lines = table(("trial", "metric", "before", "after", "is", "why"), rows)
        return "\n".join([f"{self.of} {words[self.agrees]}", *self.notes, "", *lines])


def reproduce(campaign: Campaign, id: int | str | None) -> Reproduced:
    """Run it again. Raises `Refusal` for what is not there or not finished, or cannot be run again."""
    wanted = reference(id, "id", ("trial", "insight"))
    store = campaign.known
    alone = wanted.kind == "trial"
    ids = [wanted.number] if alone else row_of(store, wanted)["insight"]["verdict"]["trial_ids"]
    trials = store.trials(ids=ids)
    if not trials:
        raise absent(wanted)
    unfinished = next((trial for trial in trials if trial.status != "done"), None)
    if unfinished is not None:
        raise Refusal(
            f"Trial {unfinished.id} is {unfinished.word}: only what was trained to its end can be reproduced."
        )
    for trial in trials:
        refuse_edited(trial)
        refuse_untrusted(trial.config)
    replicates = _again(campaign, trials)
    pairs = [(trial, replicates[trial.id]) for trial in trials]
    checks = _checks(store, pairs)
    words = {check.word for check in checks}
    return Reproduced(
        of=str(wanted),
        replicates={number: again.id for number, again in replicates.items()},
        agrees=False if "differs" in words else None if "open" in words else True,
        checks=tuple(checks),
        notes=tuple(dict.fromkeys(note for first, again in pairs for note in _notes(first, again))),
    )


def _again(campaign: Campaign, trials: Sequence[Trial]) -> dict[int, Trial]:
    """Each trial as a declared replicate, one at a time, so that none is timed beside another."""
    from research.campaign.trials import running
    from research.run.runner import Job

    own = {**campaign.harness, "force": True}
    results = campaign.store.results([trial.id for trial in trials])
    replicates: dict[int, Trial] = {}
    # Sums of another number of threads are rounded otherwise.
    for threads in sorted({_threads(result) for result in results.values()}, key=str):
        as_then = {"jobs": 1} | ({} if threads is None else {"threads": threads})
        with running(campaign, "reproduce", own=as_then) as run:
            for trial in (trial for trial in trials if _threads(results[trial.id]) == threads):
                # Of no sweep: what is checked later is no part of what the campaign cost.
                (outcome,) = run([Job(renamed(trial.config) | own, list(trial.overrides), apart=True)])
                if not outcome.ok or outcome.trial_id is None:
                    raise Refusal(f"Trial {trial.id} cannot be run again: {outcome.reason}.")
                (replicates[trial.id],) = campaign.store.trials(ids=[outcome.trial_id])
                campaign.lines.say(f"trial {trial.id} was run again as trial {outcome.trial_id}")
    return replicates


def _threads(result: Result) -> int | None:
    given = result.facts.get("threads")
    return int(given) if isinstance(given, int | float) else None


def _checks(store: "Store", pairs: Sequence[tuple[Trial, Trial]]) -> list[Check]:
    new = {again.id for _, again in pairs}  # none of them is earlier than another
    checks: list[Check] = []
    for trial, again in pairs:
        earlier = [one for one in siblings(store, trial) if one.id not in new]
        results = store.results([trial.id, again.id, *(one.id for one in earlier)])
        before, after = results[trial.id].metrics, results[again.id].metrics
        shared = [key for key in (*METRICS, *VALIDATION) if key in before and key in after]
        alpha = _ALPHA / len(pairs) / max(1, sum(not _is_exact(key) for key in shared))
        repeats = [one for one in earlier if one.id in results]
        checks += [_check(key, trial, again, results, repeats, alpha) for key in shared]
    return checks


def _check(
    metric: str,
    trial: Trial,
    again: Trial,
    results: Mapping[int, Result],
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
    having = [one for one in earlier if metric in results[one.id].metrics]
    alike = [one for one in having if comparable(metric, [one, again], results) is None]
    values = [results[one.id].metrics[metric] for one in alike]
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
    notes = []
    if trial.config_sha is None:
        notes.append(
            f"the row of trial {trial.id} has no digest, so its configuration was taken as it stands"
        )
    if trial.key.code != again.key.code:
        notes.append("the code changed since it was run first")
    if trial.key.data != again.key.data:
        notes.append("the data changed since it was run first")
    if trial.key.hardware != again.key.hardware:
        notes.append(f"first on {trial.key.hardware}, now on {again.key.hardware}")
    return notes


def _is_exact(metric: str) -> bool:
    """Whether the same training gives the same figure again."""
    return is_exact(metric) or is_score(metric)


def _figures(check: Check) -> list[str]:
    both = (check.before, check.after)
    exact = _is_exact(check.metric)
    return [f"{value:.6g}" if exact else quantity(check.metric, value) for value in both]
