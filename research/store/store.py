"""The database as one class with few verbs: claim a trial, finish or fail it, and read what is known."""

import math
from collections.abc import Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from functools import cached_property
from typing import Any, final

import sqlalchemy as sa

from refusal import Refusal
from research.store import claims, index, queries
from research.store.claims import Lost, TrialClaim, kept
from research.store.connection import Database, exists
from research.store.journal import Journal
from research.store.outage import insist
from research.store.schema import FINAL, batches, clock, config_sha, metric, spoken, trial
from research.types import Key, Result, Trial

__all__ = ["Busy", "Known", "Lost", "Store", "TrialClaim"]

_AXES = ("step", "second", "joule")


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


@final
class Store(Journal):
    """One database, SQLite or PostgreSQL; safe to use from many threads, processes and hosts.

    Every verb is one transaction and raises `Refusal` when the database cannot be used.
    """

    def __init__(self, url: str, *, foreign: bool = False, late: bool = False, patient: bool = False) -> None:
        """`foreign`: another project's database, of which nothing is changed, its schema included.

        `late`: it is opened, and made where there is none, by the first verb: what is refused before that
        leaves no empty file behind. `patient`: it is waited for also when it never answered yet.
        """
        self._url, self._opened = url, {"foreign": foreign, "patient": patient}
        self.is_new = not exists(url)
        """whether there was no file"""
        if not late:
            self._database  # noqa: B018  opens it

    @cached_property
    def _database(self) -> Database:
        return Database(self._url, **self._opened)

    def read(self) -> AbstractContextManager[sa.Connection]:
        """A transaction that only reads."""
        return self._database.read()

    def write(self) -> AbstractContextManager[sa.Connection]:
        """A transaction that is written whole or not at all."""
        return self._database.write()

    def snapshot(self) -> AbstractContextManager[sa.Connection]:
        """A transaction that only reads, all of it of one moment."""
        return self._database.snapshot()

    def close(self) -> None:
        """Close every connection."""
        if "_database" in self.__dict__:
            self._database.close()

    def claim(
        self,
        key: Key,
        *,
        config: Mapping[str, Any],
        overrides: Sequence[str] = (),
        seed: int = 0,
        name: str | None = None,
        sweep: str | None = None,
        source: str = "person",
        folder: str | None = None,
        force: bool = False,
        lease_s: float = 60.0,
    ) -> TrialClaim | Known | Busy:
        """Ask to run `key`: done already is `Known`, running elsewhere is `Busy`, else the row is ours.

        A row that failed, whose lease ended by the database's clock, or whose owner died on this host is
        taken over under a new token. `force` runs a replicate beside what is done or running.
        """
        values = {"config": config, "overrides": list(overrides), "seed": seed, "source": source}
        values |= {"name": name, "sweep": sweep, "folder": None if folder is None else str(folder)}
        values["config_sha"] = config_sha(key.signature, config)
        while True:
            with self.write() as connection:
                got = claims.claim(connection, key, values, force, lease_s)
                if isinstance(got, TrialClaim):
                    return got
                if got is not None:
                    return _standing(connection, got)

    def renew(self, claim: TrialClaim, lease_s: float = 60.0) -> None:
        """Extend the lease to `lease_s` seconds from now; raises `Lost` when another took over."""
        with self.write() as connection:
            claims.owned(connection, claim, {"lease_until": clock() + lease_s})

    def keep(self, claim: TrialClaim, lease_s: float = 60.0) -> AbstractContextManager[Any]:
        """Renew the lease from a thread while the body runs; yields an event that is set when it is lost."""
        return kept(lambda seconds: self.renew(claim, seconds), lease_s)

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
        rows = [_figure(claim, FINAL, key, value) for key, value in metrics.items()]
        rows += [row for at, point in enumerate(curve) for row in _point(claim, at, point)]
        done = {"status": "done", "finished": clock(), "facts": dict(facts or {})}

        def write() -> None:
            with self.write() as connection:
                if claims.finished(connection, claim):
                    return
                claims.owned(connection, claim, done)
                if rows:
                    connection.execute(sa.insert(metric), rows)
                index.of_trial(connection, claim.trial_id)

        insist(write, twice=True)

    def complete(self, trial_id: int, metrics: Mapping[str, float], facts: Mapping[str, Any]) -> Result:
        """Add what a finished trial left unmeasured, all or nothing; returns what stands then.

        Of several who measured it the first is heard.
        """
        rows = [_figure(TrialClaim(trial_id, 0), FINAL, key, value) for key, value in metrics.items()]
        with self.write() as connection:
            if claims.completed(connection, trial_id, facts) and rows:
                connection.execute(sa.insert(metric), rows)
            return _results(connection, [trial_id])[trial_id]

    def fail(self, claim: TrialClaim, reason: str, facts: Mapping[str, Any] | None = None) -> None:
        """Write the trial as failed with its reason, and what it had spent under `facts["spent"]`.

        Raises `Lost` when another took over.
        """
        failed = {"status": "failed", "finished": clock(), "reason": reason, "facts": dict(facts or {})}

        def write() -> None:
            with self.write() as connection:
                claims.owned(connection, claim, failed)
                index.of_trial(connection, claim.trial_id)

        insist(write, twice=True)

    def known(self, keys: Iterable[Key]) -> dict[Key, Result]:
        """What is done among `keys`; of several replicates the first that nobody disturbed."""
        wanted = set(keys)
        parts = [trial.c[part] for part in Key._fields]
        done_of: dict[Key, list[int]] = {}
        with self.read() as connection:
            for some in batches(sorted({key.signature for key in wanted})):
                done = (trial.c.status == "done") & trial.c.signature.in_(some)
                rows = connection.execute(
                    sa.select(trial.c.id, *parts).where(done).order_by(trial.c.replicate)
                )
                for number, *key in rows:
                    done_of.setdefault(Key(*key), []).append(number)
            answering = {
                key: claims.preferred(connection, ids) for key, ids in done_of.items() if key in wanted
            }
            results = _results(connection, list(answering.values()))
        return {key: results[number] for key, number in answering.items()}

    def trials(
        self,
        *,
        sweep: str | None = None,
        status: str | None = None,
        ids: Sequence[int] | None = None,
        source: str | None = None,
        word: str | None = None,
        limit: int | None = None,
    ) -> list[Trial]:
        """Trials that match everything asked for, oldest first; `limit` keeps the newest.

        `word` is the status as people read it, see `Trial.word`.
        """
        asked = {"sweep": sweep, "status": status, "source": source}
        query = sa.select(trial).where(*(trial.c[k] == v for k, v in asked.items() if v is not None))
        query = query if word is None else query.where(spoken() == word)
        parts = [sa.true()] if ids is None else [trial.c.id.in_(some) for some in batches(sorted(set(ids)))]
        with self.read() as connection:
            newest = query.order_by(trial.c.id.desc()).limit(limit)
            rows = [row for some in parts for row in connection.execute(newest.where(some)).mappings()]
        chosen = sorted((_trial(row) for row in rows), key=lambda row: row.id)
        return chosen if limit is None else chosen[max(0, len(chosen) - limit) :]

    def results(self, ids: Iterable[int]) -> dict[int, Result]:
        """What the finished trials among `ids` measured; NaN comes back as NaN."""
        with self.read() as connection:
            return _results(connection, list(ids))

    def lost(self, sweep: str) -> dict[Key, dict[str, float]]:
        """What each failed trial of a sweep had spent, as `queries.lost` tells it."""
        with self.read() as connection:
            return queries.lost(connection, sweep)

    def server(self) -> dict[str, str]:
        """Which database answers, and its version."""
        with self.read() as connection:
            version = connection.dialect.server_version_info or ()
            return {"kind": connection.dialect.name, "version": ".".join(map(str, version))}

    def curve(self, trial_id: int) -> list[dict[str, float]]:
        """The learning curve: points with step, second, joule (NaN where not taken) and what was measured."""
        c = metric.c
        query = sa.select(metric).where(c.trial_id == trial_id, c.point != FINAL)
        points: dict[int, dict[str, float]] = {}
        with self.read() as connection:
            # Sorted here: each database sorts text in an order of its own.
            for row in sorted(connection.execute(query), key=lambda row: (row.point, row.key)):
                axes = {axis: _number(getattr(row, axis)) for axis in _AXES}
                points.setdefault(row.point, axes)[row.key] = _number(row.value)
        return list(points.values())


def _standing(connection: sa.Connection, trial_id: int) -> Known | Busy:
    row = connection.execute(sa.select(trial).where(trial.c.id == trial_id)).mappings().one()
    standing = _trial(row)
    if standing.status != "done":
        return Busy(standing)
    return Known(standing, _results(connection, [trial_id])[trial_id])


def _trial(row: sa.RowMapping) -> Trial:
    fields = {name: row[name] for name in Trial.model_fields if name != "key"}
    return Trial(key=Key(*(row[part] for part in Key._fields)), **fields)


def _results(connection: sa.Connection, ids: Sequence[int]) -> dict[int, Result]:
    facts: dict[int, Any] = {}
    metrics: dict[int, dict[str, float]] = {}
    for some in batches(ids):
        done = sa.select(trial.c.id, trial.c.facts).where(trial.c.id.in_(some), trial.c.status == "done")
        facts |= {row.id: row.facts for row in connection.execute(done)}
        figures = sa.select(metric).where(metric.c.trial_id.in_(some), metric.c.point == FINAL)
        for row in sorted(connection.execute(figures), key=lambda row: row.key):
            metrics.setdefault(row.trial_id, {})[row.key] = _number(row.value)
    return {n: Result(trial_id=n, metrics=metrics.get(n, {}), facts=facts[n]) for n in sorted(facts)}


def _figure(
    claim: TrialClaim, point: int, key: str, value: Any, axes: Mapping[str, Any] = {}
) -> dict[str, Any]:
    number = math.nan if value is None else float(value)
    row = {"trial_id": claim.trial_id, "point": point, "key": key, "value": number}
    return row | {axis: axes.get(axis) for axis in _AXES}


def _point(claim: TrialClaim, at: int, point: Mapping[str, float | None]) -> list[dict[str, Any]]:
    if "step" not in point:
        raise Refusal(
            f"Point {at} of a learning curve has no 'step': give the optimizer step that it was taken at."
        )
    return [_figure(claim, at, key, value, point) for key, value in point.items() if key not in _AXES]


def _number(value: Any) -> float:
    return math.nan if value is None else value
