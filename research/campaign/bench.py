"""Runs arms over seeds by the same path as `train.py`, and knows of them what the database knows."""

import functools
import math
import statistics
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, final

from research.campaign.budget import NO_PRICE, Expected, Price, Spend, Timeboxes
from research.campaign.halving import ends_alike
from research.campaign.trials import REPEATS, Quiet, Run, Sharing, Typed
from research.compose.override import keys_of
from research.run import teachers
from research.run.lines import Lines
from research.run.lookup import lacking, retold
from research.run.runner import Job, Outcome
from research.space.gate import Space
from research.stats.arms import Arm
from research.stats.comparable import sound
from research.stats.intervals import summary
from research.store.states import FAILED
from research.store.store import Store
from research.types import Key, Result, Trial

__all__ = ["Arm", "Bench", "Pair", "Run"]

Pair = tuple[Arm, int]
"""an arm and a seed: what one trial answers"""


@final
class Bench:
    """Turns an arm and a seed into a trial row; no figure is looked at that is not in the store."""

    def __init__(
        self,
        *,
        space: Space,
        store: Store,
        run: Run,
        spend: Spend,
        fixed: Sequence[str],
        quiet: Sequence[str],
        harness: dict[str, Any],
        sweep: str,
        lines: Lines,
        fresh: float = math.inf,
        watched: Sequence[str] = (),
        opened: float | None = None,
        launcher: Mapping[str, Any] | None = None,
    ) -> None:
        """`fixed` are the overrides of every trial; `quiet` and the keys of `harness` change no result.

        Seeds from `fresh` on draw their own split, where the data can be drawn anew: they confirm. A trial is
        run again where a busy machine disturbed one of the `watched` metrics, which decide. Costs are
        predicted from what the database held when the sprint was `opened`, and from its own trials. Others
        may run trials as its `launcher` says; without one nobody may.
        """
        self.space, self.store, self.spend = space, store, spend
        self.fixed = tuple(fixed)
        self._run, self._lines, self._sweep = run, lines, sweep
        self.typed = Typed(space, fixed, quiet, harness, fresh)
        self._busy, self._sharing, self._alone = Quiet(watched), Sharing(launcher, watched), False
        since = time.time() if opened is None else opened
        self.expected = Expected(store, since, lambda: self.config((), 0))
        self._ended: dict[Key, Trial] | None = None
        self._results: dict[int, Result] = {}
        self._spared: dict[str, list[str]] = {}
        self.boxes = Timeboxes(math.inf)
        """the sprint's; those of no sprint never end"""
        self.until: float | None = None
        """when its trials must end by `time.monotonic`: what runs then is interrupted, the rest not begun"""

    def config(self, overrides: Sequence[str], seed: int) -> dict[str, Any]:
        """The resolved config of one trial. Raises `Refusal` for an unknown key or option."""
        return self.typed.config(overrides, seed)

    def signature(self, overrides: Sequence[str]) -> str:
        """What makes two arms the same arm, whatever the seed."""
        return self.space.signature(self.config(overrides, 0))

    def idle(self, overrides: Sequence[str]) -> tuple[str, ...]:
        """A sentence for each override that changes nothing beside the others."""
        found = self.space.idle(self.config(overrides, 0))
        return tuple(said for key, said in found.items() if key in keys_of(overrides))

    def note(self, arm: Arm, status: str, **facts: Any) -> None:
        """Write down how far an arm came, beside what was written of it before."""
        arm.facts |= facts
        self.store.set_proposal(arm.proposal_id, status, arm.facts)

    def price(self, pairs: Sequence[Pair]) -> Price:
        """What the pairs cost that no finished trial answers yet, by what each arm's own trials cost."""
        new = [arm for (arm, _), known in self._found(pairs).items() if known is None]
        each = {id(arm): self._each(arm) for arm in new}
        return functools.reduce(Price.plus, (each[id(arm)] for arm in new), NO_PRICE)

    def short(self, price: Price, later: Price = NO_PRICE, spare_s: float = 0.0) -> str | None:
        """Why a price cannot be paid and leave `later` in the budget and `spare_s` in the open box."""
        return self.spend.short(price, later) or self.boxes.short(price.seconds + spare_s)

    def _found(self, pairs: Sequence[Pair]) -> dict[Pair, int | None]:
        """For each pair that its arm still misses, the finished trial that answers it, if there is one."""
        missing = [(arm, seed) for arm, seed in pairs if not self._whole(self.result(arm.trials.get(seed)))]
        keys = {pair: self._key(pair) for pair in missing}
        known = {key: one for key, one in self.store.known(keys.values()).items() if self._whole(one)}
        return {pair: known[key].trial_id if key in known else None for pair, key in keys.items()}

    def _whole(self, found: Result | None) -> bool:
        """Whether a trial has all that is asked for now."""
        return found is not None and not lacking(found.facts, self._spared)

    def _key(self, pair: Pair) -> Key:
        config = self.config(pair[0].overrides, pair[1])
        return teachers.key(config, self.space.signature(config))

    def _each(self, arm: Arm) -> Price:
        rows = self.store.trials(ids=list(arm.trials.values()))
        joules = [self._figures(row.id).get("train/energy_j", 0.0) for row in rows]
        seconds = arm.seconds or [row.finished - row.started for row in rows if row.finished is not None]
        if seconds and joules:
            return Price(1, statistics.fmean(seconds), statistics.fmean(joules))
        found, usual = self.expected.cost(self.config(arm.overrides, 0)), self.spend.usual(1)
        return Price(1, (found and found.seconds) or usual.seconds, (found and found.joules) or usual.joules)

    def run(
        self,
        pairs: Sequence[Pair],
        *,
        alone: bool = False,
        halving: dict[str, Any] | None = None,
        beside: Pair | None = None,
        spared: Sequence[str] = (),
    ) -> int | None:
        """Run what the pairs of arm and seed still miss, in their order; `alone` one at a time.

        `spared` need not be measured; what an earlier look spared and this one does not is added to its row.
        What is known already is taken from the store, without a process. `halving` are the settings of the
        callback of this name, which ends a training that cannot win. What a busy machine disturbed is run
        again a few times. `beside` is measured once more at the same time: its trial is returned.
        """
        self._spared, self._alone = {"unmeasured": list(spared)}, alone
        number = self._run_missing(pairs, alone, halving, beside)
        for arm, seed in [*pairs] * REPEATS:
            if self._busy.patient and self.held(arm, [seed]) and not self.spend.short(self.spend.usual(1)):
                self._again(arm, seed)
        return number

    def held(self, arm: Arm, seeds: Sequence[int]) -> str | None:
        """That the machine is too busy, where it disturbed a watched figure of one of these seeds."""
        ids = [arm.trials[seed] for seed in seeds if seed in arm.trials]
        why = next(filter(None, (self._busy.reason(self.result(number)) for number in ids)), None)
        return None if why is None else self._busy.sentence(why)

    def _again(self, arm: Arm, seed: int) -> None:
        """A replicate of a disturbed trial, alone; what answers for its key is the first undisturbed one."""
        known = self.store.known([self._key((arm, seed))]).values()
        if any(self._busy.reason(one) is None for one in known):
            arm.trials[seed] = next(iter(known)).trial_id  # another arm's repeat of the same configuration
            return
        for outcome in self._run([self._replicate(arm, seed)]):
            found = self.result(outcome.trial_id) if outcome.ok else None
            if found is not None and self._busy.look(found, again=True):
                arm.trials[seed] = found.trial_id
            self._pay(arm, seed, outcome)

    def _replicate(self, arm: Arm, seed: int) -> Job:
        job = self._job(arm, seed, None)
        return replace(job, config=job.config | {"force": True}, apart=True)

    def _run_missing(
        self, pairs: Sequence[Pair], alone: bool, halving: dict[str, Any] | None, beside: Pair | None
    ) -> int | None:
        jobs = self._missing(pairs, halving)
        batch, number = [job for job, _ in jobs.values()], None
        if beside is not None:
            batch.insert(0, self._replicate(*beside))
        for some in [[job] for job in batch] if alone else [batch] if batch else []:
            for outcome in self._run(some):
                if id(outcome.job) not in jobs and beside is not None:
                    number = outcome.trial_id if outcome.ok else None
                    self._pay(*beside, outcome)
                    continue
                first, *others = jobs[id(outcome.job)][1]
                self._take(*first, outcome)
                for pair in others:  # two lanes had the same idea: one trial answers both
                    self._share(*pair, outcome)
        return number

    def _missing(
        self, pairs: Sequence[Pair], halving: dict[str, Any] | None
    ) -> dict[int, tuple[Job, list[Pair]]]:
        """Jobs to run, by their identity, each with the pairs that it answers; what is known is taken."""
        jobs: dict[int, tuple[Job, list[Pair]]] = {}
        begun: dict[Key, Job] = {}
        for pair, known in self._found(pairs).items():
            job = self._job(*pair, halving)
            if known is not None:
                self._take(*pair, Outcome(job, "known", trial_id=known))
            elif twin := begun.get(self._key(pair)):
                jobs[id(twin)][1].append(pair)
            elif not self._known_to_end(*pair, job):
                jobs[id(job)], begun[self._key(pair)] = (job, [pair]), job
        return jobs

    def trials(self, arm: Arm, seeds: Sequence[int]) -> list[Trial]:
        """The rows of an arm's trials."""
        return self.store.trials(ids=[arm.trials[seed] for seed in seeds if seed in arm.trials])

    def results(self, arm: Arm, seeds: Sequence[int]) -> dict[int, Result]:
        """Seed -> what the arm's trial of that seed measured, read from the store."""
        found = {seed: self.result(arm.trials.get(seed)) for seed in seeds}
        return {seed: result for seed, result in found.items() if result}

    def result(self, trial_id: int | None) -> Result | None:
        """What a trial measured, by this campaign's grid; read once, for a finished trial never changes."""
        if trial_id is not None and trial_id not in self._results:
            meter = self.config((), 0).get("meter")  # which no arm turns
            found = self.store.results([trial_id])
            self._results |= {number: retold(one, meter) for number, one in found.items()}
        return None if trial_id is None else self._results.get(trial_id)

    def values(self, arm: Arm, metric: str, seeds: Sequence[int]) -> dict[int, float]:
        """Seed -> value of one metric; NaN where the trial failed, did not measure it, or was disturbed."""
        found = {seed: sound(result) for seed, result in self.results(arm, seeds).items()}
        return {seed: found.get(seed, {}).get(metric, float("nan")) for seed in seeds}

    def means(self, arm: Arm, seeds: Sequence[int]) -> dict[str, float]:
        """Means over the seeds of what all of them measured undisturbed; empty when one of them failed."""
        found = [sound(result) for result in self.results(arm, seeds).values()]
        if len(found) < len(seeds):
            return {}
        shared = set.intersection(*(set(metrics) for metrics in found))
        return {key: summary(metrics[key] for metrics in found).mean for key in sorted(shared)}

    def _job(self, arm: Arm, seed: int, halving: dict[str, Any] | None) -> Job:
        overrides, config = self.typed.line(arm.overrides, seed), self.config(arm.overrides, seed)
        if self._spared.get("unmeasured"):
            config = config | self._spared
        if halving:
            config = config | {"callbacks": (config.get("callbacks") or {}) | {"halving": halving}}
        job = Job(config, overrides, sweep=self._sweep, source="agent", until=self.until)
        return self._sharing.of(job, alone=self._alone, held=arm.proposer == "control")

    def _take(self, arm: Arm, seed: int, outcome: Outcome) -> None:
        if outcome.ok and outcome.trial_id is not None:
            arm.trials[seed] = outcome.trial_id
            self._results.pop(outcome.trial_id, None)  # what was left unmeasured may have been added
            found = self.result(outcome.trial_id)
            if found is not None:
                self.expected.learn(self.store.trials(ids=[outcome.trial_id])[0], found)
            self._busy.look(found)
        elif outcome.status != "interrupted":
            arm.failures[seed] = outcome.reason or outcome.status
            self._ended = None  # the other lane may propose what has just diverged
        self._pay(arm, seed, outcome)

    def _pay(self, arm: Arm, seed: int, outcome: Outcome) -> None:
        """Count what was run, and tell it; a known trial costs nothing, nor does one that never began."""
        if outcome.status != "known" and (outcome.status != "interrupted" or outcome.wall_s):
            key = self._key((arm, seed))
            arm.seconds.append(outcome.wall_s)
            self.spend.pay(key, outcome.wall_s, self.store.joules(self._sweep, key).get(key, 0.0))
        self._report(arm, seed, outcome)

    def _report(self, arm: Arm, seed: int, outcome: Outcome) -> None:
        """Tell a trial that has ended in one line."""
        metrics = self._figures(outcome.trial_id) if outcome.ok else {}
        how = (outcome.status, metrics, outcome.reason, outcome.by)
        self._lines.trial(arm.overrides, arm.proposer, seed, *how)

    def _share(self, arm: Arm, seed: int, outcome: Outcome) -> None:
        """Take the outcome of a trial that was paid for by another arm."""
        if outcome.ok:
            self._take(arm, seed, replace(outcome, status="known"))
        elif outcome.status != "interrupted":
            arm.failures[seed] = outcome.reason or outcome.status

    def _figures(self, trial_id: int | None) -> dict[str, float]:
        found = self.result(trial_id)
        return found.metrics if found else {}

    def lost(self, arm: Arm, seed: int) -> dict[str, float]:
        """What a trial that failed had spent by then; empty where that is not known."""
        return self.store.lost(self._sweep).get(self._key((arm, seed)), {})

    def _known_to_end(self, arm: Arm, seed: int, job: Job) -> bool:
        """A trial of this campaign that diverged, or was stopped by the same bars, is not paid for twice."""
        if self._ended is None:
            self._ended = {row.key: row for row in self.store.trials(sweep=self._sweep, status=FAILED)}
        row = self._ended.get(self._key((arm, seed))) if self._ended else None
        if row is None or not ends_alike(row, job):
            return False
        arm.failures[seed] = row.reason or "failed"
        self._report(arm, seed, Outcome(job, "failed", row.reason))
        return True
