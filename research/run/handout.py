"""The jobs of one run as their database hands them out: whoever asks for the same trials shares the work."""

import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from typing import Any, final

from refusal import Refusal
from research.run import lookup
from research.run.job import OVER, Job, Outcome, Status
from research.store.attempts import LEASE_S, LastRun
from research.store.outage import Unreachable, at_once
from research.store.states import FAILED, HELD, OPEN, AttemptOutcome
from research.store.store import Lost, Store, TrialClaim
from research.types import Result

_WAIT_S = 0.5
"""how often it is looked whether others have ended what this process waits for"""
_WINDOW = 200
"""trials that are asked for at a time"""


@final
class Handout:
    """Jobs that wait; `take` leases them, `elsewhere` tells those that others have ended.

    A job without a database, or with another than the first, is handed out as it comes. With a `source` the
    jobs are whatever it finds in the database at `url`, for as long as it finds any: a worker's, which has
    these `needs`.
    """

    def __init__(
        self,
        jobs: Sequence[Job],
        source: Callable[[Store, int], dict[int, Job]] | None = None,
        url: str | None = None,
        engine: str = "local",
        needs: Sequence[str] | None = None,
    ) -> None:
        urls = [
            job.config["store"]["url"] if {"store", "data"} <= job.config.keys() else None for job in jobs
        ]
        url = url or next(filter(None, urls), None)
        self._plain = deque(job for job, own in zip(jobs, urls, strict=True) if own != url or url is None)
        self._store = None if url is None else Store(url)
        self.first = jobs[0].config if jobs else None
        self._waiting: dict[int, list[Job]] = {}
        """row -> the jobs that it answers"""
        self._leased: list[TrialClaim] = []
        self._looked = self._extended = time.monotonic()
        self._told = False
        self._begun = 0
        self._source, self._engine, self._needs = source, engine, needs
        self._look()
        if self._store is not None:
            self._enqueue([job for job, own in zip(jobs, urls, strict=True) if own == url])

    @property
    def free(self) -> int:
        """How many trials nobody had begun when they were last looked at."""
        return max(0, len(self._waiting) - self._begun)

    def __len__(self) -> int:
        """How many jobs wait."""
        return len(self._plain) + sum(map(len, self._waiting.values()))

    @property
    def patience_s(self) -> float | None:
        """How long an end of one's own may be waited for; None where nothing else is."""
        return _WAIT_S if self._waiting else LEASE_S / 3 if self._leased else None

    def take(self, most: int) -> list[tuple[Job, TrialClaim | None]]:
        """Up to `most` jobs to begin now, with their claims."""
        taken: list[tuple[Job, TrialClaim | None]] = []
        while self._plain and len(taken) < most:
            taken.append((self._plain.popleft(), None))
        if most > len(taken) and not self._waiting:
            self._look()
        if self._store is None or not self._waiting or len(taken) == most:
            return taken
        asked = list(self._waiting)[:_WINDOW]
        for mine in self._store.take(asked, most - len(taken), needs=self._needs, engine=self._engine):
            first, *others = self._waiting.pop(mine.trial_id)
            if others:
                self._waiting[mine.trial_id] = others
            self._leased.append(mine)
            taken.append((first, mine))
        return taken

    def ready(self, most: int) -> int:
        """How many trials could be begun now, up to `most`, with what workers that died had begun."""
        return 0 if self._store is None else self._store.ready(list(self._waiting), most)

    def own(self) -> list[Job]:
        """Those that no other may run: they are known already but for what was left unmeasured."""
        own, self._plain = list(self._plain), deque()
        return own

    def jobs(self) -> list[Job]:
        """All that wait."""
        return [*self._plain, *(job for jobs in self._waiting.values() for job in jobs)]

    def late(self) -> Sequence[Job]:
        """Jobs whose time is over: they wait no more, and who runs one for this sweep is told to end."""
        late = [job for job in self.jobs() if job.left_s <= 0]
        gone = set(map(id, late))
        held = [number for number, own in self._waiting.items() if all(id(job) in gone for job in own)]
        if self._store is not None and held:
            states, ran = self._store.states(held), self._store.ran(held)
            sweeps = {job.sweep for job in late}
            run = [n for n in ran if states.get(n, ("",))[0] in HELD and ran[n].sweep in sweeps]
            self._store.cancel(run, OVER)
        return self.dropped(late)

    def dropped(self, jobs: Sequence[Job]) -> Sequence[Job]:
        """These, which wait no more from now on."""
        gone = set(map(id, jobs))
        if not gone:
            return jobs
        self._plain = deque(job for job in self._plain if id(job) not in gone)
        left = {number: [job for job in own if id(job) not in gone] for number, own in self._waiting.items()}
        if self._store is not None:
            self._store.withdraw([number for number, own in left.items() if not own])
        self._waiting = {number: own for number, own in left.items() if own}
        return jobs

    def elsewhere(self) -> Iterator[Outcome]:
        """Outcomes of what others have ended meanwhile, asked for twice a second at most."""
        self._extend()
        if self._store is None or time.monotonic() - self._looked < _WAIT_S:
            return
        self._looked = time.monotonic()
        if self._source is not None:
            return self._look()
        states = self._store.states(list(self._waiting))
        self._begun = sum(status in HELD for status, _ in states.values())
        self._enqueue(
            [job for number in self._waiting.keys() - states.keys() for job in self._waiting.pop(number)]
        )
        self._tell_paused()
        ended = [number for number, (status, _) in states.items() if status in ("done", "cancelled", *FAILED)]
        results, ran = self._store.results(ended), self._store.ran(ended)
        for number in ended:
            for job in self._waiting.pop(number):
                outcome = self._answered(job, number, states[number], results.get(number))
                if outcome is not None:
                    yield _by(outcome, None if states[number][0] == "dead" else ran.get(number))

    def _answered(
        self, job: Job, number: int, state: tuple[str, str | None], result: Result | None
    ) -> Outcome | None:
        """How a job ended that another has run; None where it is to be run again for what this one asks."""
        status, reason = state
        if result is None and status == "stopped" and not (job.config.get("callbacks") or {}).get("halving"):
            self._enqueue([job])  # a campaign's bars have ended it, and this job has none
            return None
        if result is None:
            return Outcome(job, "failed", reason or status, number)
        if lookup.lacking(result.facts, job.config):
            self._plain.append(job)
            return None
        return lookup.outcome(job, result)

    def over(self, mine: TrialClaim | None) -> None:
        """What was begun here has ended."""
        self._leased = [one for one in self._leased if one != mine]

    def failed(
        self, mine: TrialClaim | None, reason: str, outcome: AttemptOutcome, spent: Mapping[str, Any]
    ) -> str:
        """Write how what was begun here has failed, unless it has itself; returns what is to be added."""
        self.over(mine)
        if self._store is None or mine is None:
            return ""
        try:
            self._store.fail(mine, reason, outcome=outcome, spent=spent)
        except Lost:
            pass
        except Refusal as refusal:
            return f", and its row could not be written: {refusal}"
        return ""

    def again(self, job: Job, mine: TrialClaim | None) -> bool:
        """Whether a trial that failed here is tried again, by whomever: then its job waits for that."""
        if self._store is None or mine is None:
            return False
        try:
            status, _ = self._store.states([mine.trial_id]).get(mine.trial_id, ("", None))
        except Refusal:
            return False
        if status in OPEN:
            self._waiting.setdefault(mine.trial_id, []).append(job)
        return status in OPEN

    def close(self) -> None:
        """Take back what was not begun, and let go of the database."""
        if self._store is None:
            return
        try:
            # A command that ends does not wait for a database that is away: what is queued stays so.
            with at_once(), suppress(Unreachable):
                if self._waiting and self._source is None:
                    self._store.withdraw(list(self._waiting))
        finally:
            self._store.close()

    def _look(self) -> None:
        """Look what waits in the database now, for a worker that runs whatever it finds."""
        if self._source is not None and self._store is not None:
            self._waiting = {number: [job] for number, job in self._source(self._store, _WINDOW).items()}

    def _enqueue(self, jobs: Sequence[Job]) -> None:
        assert self._store is not None
        if not jobs:
            return
        numbers = self._store.enqueue([lookup.wanted_of(job) for job in jobs])
        states = self._store.states(numbers)
        for job, number in zip(jobs, numbers, strict=True):
            if states.get(number, ("", None))[0] == "done":
                self._plain.append(job)  # its process adds what was left unmeasured, or answers
            else:
                self._waiting.setdefault(number, []).append(job)

    def _extend(self) -> None:
        """Hold on to what was leased and has not begun: a process that imports everything takes its time."""
        if self._store is None or time.monotonic() - self._extended < LEASE_S / 3:
            return
        self._extended = time.monotonic()
        if self._leased:
            self._store.extend(self._leased)

    def _tell_paused(self) -> None:
        assert self._store is not None
        paused = set() if self._told else set(self._store.paused())
        names = {str(job.sweep) for job in self.jobs()} & paused or ({"all"} & paused)
        if names:
            self._told = True
            print(f"paused: python agent.py task=queue resume={min(names)} hands out the rest", flush=True)


def _by(outcome: Outcome, ran: LastRun | None) -> Outcome:
    """The outcome with who has run it; what was run for another sweep costs this one nothing."""
    if ran is None or ran.sweep != outcome.job.sweep:
        return outcome
    status: Status = "done" if outcome.ok else outcome.status
    return replace(outcome, status=status, by=ran.by, wall_s=ran.seconds)
