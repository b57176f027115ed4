"""The verbs by which trials are handed out: enqueue, claim, beat, finish, fail, cancel, pause."""

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, final

import sqlalchemy as sa

from refusal import Refusal
from research.store import attempts, claims, spending, turns
from research.store.attempts import LEASE_S, LastRun, TrialClaim
from research.store.claims import WantedTrial
from research.store.journal import Journal
from research.store.outage import repeated
from research.store.owners import dead
from research.store.schema import FINAL, attempt, batches, clock, metric, pause, trial
from research.store.states import HELD, AttemptOutcome
from research.types import Key, Result, Trial

AXES = ("step", "second", "joule")
_C = trial.c
_FIGURES = sa.insert(metric)


@final
@dataclass(frozen=True)
class Known:
    """The trial was done before: here is what it measured."""

    trial: Trial
    result: Result


@final
@dataclass(frozen=True)
class Busy:
    """Another process runs the trial now."""

    trial: Trial


class Work(Journal, ABC):
    """Trials as work; every verb is one transaction."""

    @abstractmethod
    def trials(self, *, ids: Sequence[int] | None = None, sweep: str | None = None) -> list[Trial]:
        """Trials that match everything asked for, oldest first."""

    @abstractmethod
    def results(self, ids: Sequence[int]) -> dict[int, Result]:
        """What the finished trials among `ids` measured."""

    @repeated
    def claim(self, key: Key, *, lease_s: float = LEASE_S, **asked: Any) -> TrialClaim | Known | Busy:
        """Ask to run `key`: done already is `Known`, held by another is `Busy`, else the row is ours.

        A row that waits or failed, whose lease ended by the database's clock, or whose owner died on this
        host is taken over under a new token. `force` runs a replicate beside what is done or running; the
        rest of `asked` is what `claims.wanted` takes. Raises `Refusal` for a trial that is dead.
        """
        wanted = claims.wanted(key, **asked)
        return self._claimed(lambda connection: claims.claim(connection, wanted, lease_s))

    @repeated
    def whole(self, known: Known) -> Known | None:
        """The replicate of a known trial that left nothing unmeasured, if there is one."""
        with self.read() as connection:
            number = claims.whole(connection, known.trial.key)
        if number is None:
            return None
        return Known(self.trials(ids=[number])[0], self.results([number])[number])

    @repeated
    def begin(
        self, mine: TrialClaim, wanted: WantedTrial, lease_s: float = LEASE_S
    ) -> TrialClaim | Known | Busy:
        """Go on with what was leased, in the process that trains; answers as `claim`. Raises `Lost`."""
        return self._claimed(lambda connection: claims.begin(connection, mine, wanted, lease_s))

    def _claimed(self, ask: Callable[[sa.Connection], TrialClaim | int | None]) -> TrialClaim | Known | Busy:
        got: TrialClaim | int | None = None
        while got is None:
            with self.write() as connection:
                got = ask(connection)
        if isinstance(got, TrialClaim):
            return got
        (standing,) = self.trials(ids=[got])
        if standing.status == "dead":
            raise Refusal(
                f"Trial {got} is not tried again ({standing.reason}): force=true runs it once more."
            )
        if standing.status != "done":
            return Busy(standing)
        return Known(standing, self.results([got])[got])

    @repeated
    def enqueue(self, wanted: Sequence[WantedTrial]) -> list[int]:
        """Have all these trials queued that are not done, dead or held; returns the row of each."""
        with self.write() as connection:
            return claims.enqueue(connection, wanted)

    @repeated
    def take(
        self,
        ids: Sequence[int] | None = None,
        most: int = 1,
        *,
        needs: Sequence[str] | None = ("cpu", "gpu"),
        lease_s: float = LEASE_S,
        engine: str = "local",
    ) -> list[TrialClaim]:
        """Lease up to `most` of the trials that wait, of these ids or of all, for who has these `needs`.

        None are those of every trial, such as are apart among them: they are for who asks by their ids.

        What nobody holds any more is queued again first, where there is nothing else.
        """
        with self.write() as connection:
            got = turns.take(connection, ids, needs, most, lease_s, engine)
            if not got and attempts.recover(connection, ids):
                got = turns.take(connection, ids, needs, most, lease_s, engine)
        return got

    @repeated
    def offered(self, needs: Sequence[str], most: int, sweep: str | None = None) -> list[Trial]:
        """What `take` would lease now, by rows; what nobody holds any more is queued again first."""
        with self.write() as connection:
            attempts.recover(connection)
            ids = turns.waiting(connection, most, needs, sweep)
        return self.trials(ids=ids)

    @repeated
    def ready(self, ids: Sequence[int], most: int) -> int:
        """How many of these `take` would lease now; what nobody holds any more is queued again first."""
        with self.write() as connection:
            attempts.recover(connection, ids)
            return len(turns.waiting(connection, most, ids=ids))

    @repeated
    def ran(self, ids: Sequence[int]) -> dict[int, LastRun]:
        """Who ran these trials last, and for how long."""
        with self.read() as connection:
            return attempts.ran(connection, ids)

    @repeated
    def extend(self, leased: Sequence[TrialClaim], lease_s: float = LEASE_S) -> None:
        """Hold on to what was leased and has not begun; what has begun holds itself."""
        tokens = [mine.token for mine in leased]
        own = sa.update(trial).where(_C.token.in_(tokens), _C.status == "leased")
        with self.write() as connection:
            connection.execute(own.values(lease_until=clock() + lease_s))

    @repeated
    def beat(self, mine: TrialClaim, spent: Mapping[str, Any] = {}, lease_s: float = LEASE_S) -> bool:
        """Hold on to a trial for another lease, and write what it has spent; False when it is to end.

        Raises `Lost` when another took over. `spent`: step, seconds, cpu_seconds, joules, joules_method.
        """
        with self.write() as connection:
            return attempts.beat(connection, mine, spent, lease_s)

    @repeated
    def wanted(self, mine: TrialClaim) -> bool:
        """The same look without a write: False when the trial is to end. Raises `Lost`."""
        with self.read() as connection:
            query = sa.select(_C.cancel).where(_C.id == mine.trial_id, _C.token == mine.token)
            row = connection.execute(query).first()
        if row is None:
            raise attempts.taken_over(mine)
        return not row.cancel

    @repeated
    def place(self, mine: TrialClaim, folder: str) -> None:
        """Write where an attempt keeps its files."""
        with self.write() as connection:
            own = sa.update(trial).where(_C.id == mine.trial_id, _C.token == mine.token)
            connection.execute(own.values(folder=folder))

    @repeated
    def may_live(self, mine: TrialClaim) -> bool:
        """Whether an earlier attempt at the trial may still go on: its lease ended, and nobody saw it end."""
        a = attempt.c
        with self.read() as connection:
            query = sa.select(a.owner).where(a.trial_id == mine.trial_id, a.outcome == "lost")
            return any(not dead(owner) for owner in connection.execute(query).scalars())

    @repeated
    def finish(
        self,
        claim: TrialClaim,
        metrics: Mapping[str, float],
        facts: Mapping[str, Any] | None = None,
        curve: Sequence[Mapping[str, float | None]] = (),
    ) -> None:
        """Write the trial as done with all that it measured; raises `Lost` when another took over.

        All of it is written or nothing. Finishing twice under one claim is finishing once.
        """
        rows = [figure(claim.trial_id, FINAL, key, value) for key, value in metrics.items()]
        rows += [row for at, point in enumerate(curve) for row in _point(claim.trial_id, at, point)]
        told = {"seconds": metrics.get("trial/seconds"), "cpu_seconds": metrics.get("trial/cpu_seconds")}
        with self.write() as connection:
            if attempts.end(connection, claim, "done", facts=facts, spent=told) and rows:
                connection.execute(_FIGURES, rows)

    @repeated
    def fail(
        self,
        claim: TrialClaim,
        reason: str,
        facts: Mapping[str, Any] | None = None,
        outcome: AttemptOutcome = "configuration",
        spent: Mapping[str, Any] | None = None,
    ) -> None:
        """Write why an attempt failed, and what it had spent by the figures under `facts["spent"]`.

        What becomes of the trial follows from `outcome`. Raises `Lost` when another took over.
        """
        used = (facts or {}).get("spent") or {}
        told = spending.spent(used) | dict(spent or {})
        with self.write() as connection:
            attempts.end(connection, claim, outcome, reason=reason, facts=facts, spent=told)

    @repeated
    def states(self, ids: Sequence[int]) -> dict[int, tuple[str, str | None]]:
        """Id -> status and reason of the trials that there are."""
        with self.read() as connection:
            return {
                row.id: (row.status, row.reason)
                for some in batches(ids)
                for row in connection.execute(sa.select(_C.id, _C.status, _C.reason).where(_C.id.in_(some)))
            }

    @repeated
    def withdraw(self, ids: Sequence[int]) -> None:
        """Take back what is queued still: what was never tried leaves no row."""
        with self.write() as connection:
            for some in batches(ids):
                left = (_C.status == "queued") & _C.id.in_(some)
                tried = sa.exists().where(attempt.c.trial_id == _C.id) | _C.finished.is_not(None)
                again = {"status": "failed", "reason": "interrupted: it was queued and not begun again"}
                connection.execute(sa.update(trial).where(left, tried).values(**again))
                connection.execute(sa.delete(trial).where(left))

    @repeated
    def cancel(self, ids: Sequence[int], reason: str) -> tuple[int, int]:
        """Cancel trials: what waits is cancelled now, what runs is told to end; returns how many of each."""
        with self.write() as connection:
            attempts.recover(connection, ids)
            waits = sa.update(trial).where(_C.id.in_(ids), _C.status == "queued")
            gone = connection.execute(waits.values(status="cancelled", reason=reason))
            runs = sa.update(trial).where(_C.id.in_(ids), _C.status.in_(HELD))
            return gone.rowcount, connection.execute(runs.values(cancel=1)).rowcount

    @repeated
    def prioritise(self, ids: Sequence[int], priority: int) -> int:
        """Have trials that wait taken before all of a lower priority; returns how many those are."""
        with self.write() as connection:
            waits = sa.update(trial).where(_C.id.in_(ids), _C.status == "queued")
            return connection.execute(waits.values(priority=priority)).rowcount

    @repeated
    def paused(self) -> list[str]:
        """What is paused: names of sweeps and campaigns, and `all`."""
        with self.read() as connection:
            return sorted(connection.execute(sa.select(pause.c.name)).scalars())

    @repeated
    def pause(self, name: str, on: bool) -> None:
        """Hand out no more of a sweep or campaign, or of `all`, until it goes on; what runs is let end."""
        with self.write() as connection:
            connection.execute(sa.delete(pause).where(pause.c.name == name))
            if on:
                connection.execute(sa.insert(pause).values(name=name, created=clock()))


def figure(trial_id: int, point: int, key: str, value: Any, axes: Mapping[str, Any] = {}) -> dict[str, Any]:
    """A row of the table of figures; what is no number is NaN."""
    number = math.nan if value is None else float(value)
    row = {"trial_id": trial_id, "point": point, "key": key, "value": number}
    return row | {axis: axes.get(axis) for axis in AXES}


def _point(trial_id: int, at: int, point: Mapping[str, float | None]) -> list[dict[str, Any]]:
    if "step" not in point:
        raise Refusal(
            f"Point {at} of a learning curve has no 'step': give the optimizer step that it was taken at."
        )
    return [figure(trial_id, at, key, value, point) for key, value in point.items() if key not in AXES]
