"""The database as one class with few verbs: hand trials out, and read what is known."""

import math
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from functools import cached_property
from itertools import groupby
from operator import itemgetter
from typing import Any, final

import sqlalchemy as sa
from pydantic import ValidationError

from refusal import Refusal
from research.store import claims, queries, spending
from research.store.address import exists
from research.store.attempts import Lost, TrialClaim
from research.store.connection import Database
from research.store.outage import repeated
from research.store.owners import dead
from research.store.schema import FINAL, batches, clock, metric, trial
from research.store.states import HELD
from research.store.work import AXES, Busy, Known, Work, figure
from research.types import Key, Result, Trial

__all__ = ["Busy", "Known", "Lost", "Store", "TrialClaim"]


@final
class Store(Work):
    """One database, SQLite or PostgreSQL; safe to use from many threads, processes and hosts.

    Every verb is one transaction and raises `Refusal` when the database cannot be used.
    """

    def __init__(self, url: str, *, foreign: bool = False, late: bool = False, patient: bool = False) -> None:
        """`foreign`: another project's database, of which nothing is changed, its schema included.

        `late`: it is opened, and made where there is none, by the first verb: what is refused before that
        leaves no empty file behind. `patient`: it is waited for also when it never answered yet.
        """
        self._url, self._opened = url, {"foreign": foreign, "patient": patient}
        self.guard: Callable[[sa.Connection], None] | None = None
        """asked in each transaction that writes: raises `Lost` where this process may not any more"""
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

    @contextmanager
    def write(self) -> Iterator[sa.Connection]:
        """A transaction that is written whole or not at all."""
        with self._database.write() as connection:
            if self.guard is not None:
                self.guard(connection)
            yield connection

    def snapshot(self) -> AbstractContextManager[sa.Connection]:
        """A transaction that only reads, all of it of one moment."""
        return self._database.snapshot()

    def close(self) -> None:
        """Close every connection."""
        if "_database" in self.__dict__:
            self._database.close()

    @repeated
    def complete(self, trial_id: int, metrics: Mapping[str, float], facts: Mapping[str, Any]) -> Result:
        """Add what a finished trial left unmeasured, all or nothing; returns what stands then.

        Of several who measured it the first is heard.
        """
        rows = [figure(trial_id, FINAL, key, value) for key, value in metrics.items()]
        with self.write() as connection:
            if claims.completed(connection, trial_id, facts) and rows:
                connection.execute(sa.insert(metric), rows)
            return _results(connection, [trial_id])[trial_id]

    @repeated
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

    @repeated
    def dead(self, keys: Iterable[Key]) -> set[Key]:
        """Those of `keys` that nobody tries again unless it is forced: all their replicates are dead."""
        parts, statuses = [trial.c[part] for part in Key._fields], dict[Key, set[str]]()
        with self.read() as connection:
            for some in batches(sorted({key.signature for key in keys})):
                rows = sa.select(trial.c.status, *parts).where(trial.c.signature.in_(some))
                for status, *key in connection.execute(rows):
                    statuses.setdefault(Key(*key), set()).add(status)
        return {key for key in keys if statuses.get(key) == {"dead"}}

    @repeated
    def trials(
        self,
        *,
        ids: Sequence[int] | None = None,
        sweep: str | None = None,
        status: str | Collection[str] | None = None,
        source: str | None = None,
        word: str | None = None,
        limit: int | None = None,
    ) -> list[Trial]:
        """Trials that match everything asked for, oldest first; `limit` keeps the newest.

        `status` may be several. `word` is the status as people read it, see `Trial.word`.
        """
        asked = {"sweep": sweep, "source": source}
        query = sa.select(*_READ, (trial.c.lease_until < clock()).label("over"))
        query = query.where(*(trial.c[k] == v for k, v in asked.items() if v is not None))
        status = status or (HELD if word in (*HELD, "lost") else word)
        if status is not None:
            query = query.where(trial.c.status.in_([status] if isinstance(status, str) else list(status)))
        parts = [sa.true()] if ids is None else [trial.c.id.in_(some) for some in batches(sorted(set(ids)))]
        with self.read() as connection:
            newest = query.order_by(trial.c.id.desc()).limit(limit)
            rows = [row for some in parts for row in connection.execute(newest.where(some)).all()]
        chosen = sorted((_trial(row) for row in rows), key=lambda row: row.id)
        chosen = [row for row in chosen if word in (None, row.word)]
        return chosen if limit is None else chosen[max(0, len(chosen) - limit) :]

    @repeated
    def results(self, ids: Iterable[int], keys: Collection[str] | None = None) -> dict[int, Result]:
        """What the finished trials among `ids` measured, or these `keys` of it; NaN comes back as NaN."""
        with self.read() as connection:
            return _results(connection, list(ids), keys)

    @repeated
    def lost(self, sweep: str) -> dict[Key, dict[str, float]]:
        """What each failed trial of a sweep had spent, as `queries.lost` tells it."""
        with self.read() as connection:
            return queries.lost(connection, sweep)

    @repeated
    def joules(self, sweep: str, key: Key | None = None) -> dict[Key, float]:
        """What the trials of a sweep, or one of them, were trained for, as `spending.joules` tells it."""
        with self.read() as connection:
            return spending.joules(connection, sweep, key)

    @repeated
    def server(self) -> dict[str, str]:
        """Which database answers, and its version."""
        with self.read() as connection:
            version = connection.dialect.server_version_info or ()
            return {"kind": connection.dialect.name, "version": ".".join(map(str, version))}

    @repeated
    def curve(self, trial_id: int) -> list[dict[str, float]]:
        """The learning curve: points with step, second, joule (NaN where not taken) and what was measured."""
        c = metric.c
        query = sa.select(metric).where(c.trial_id == trial_id, c.point != FINAL)
        points: dict[int, dict[str, float]] = {}
        with self.read() as connection:
            # Sorted here: each database sorts text in an order of its own.
            for row in sorted(connection.execute(query), key=lambda row: (row.point, row.key)):
                axes = {axis: _number(getattr(row, axis)) for axis in AXES}
                points.setdefault(row.point, axes)[row.key] = _number(row.value)
        return list(points.values())


_FINAL = sa.select(metric.c.trial_id, metric.c.key, metric.c.value).where(metric.c.point == FINAL)


_FIELDS = tuple(name for name in Trial.model_fields if name not in ("key", "lost"))
_READ = [trial.c[name] for name in (*_FIELDS, *Key._fields, "owner")]
"""without the facts, which are as long as all the rest"""


def _trial(row: Sequence[Any]) -> Trial:
    *key, owner, over = row[len(_FIELDS) :]
    fields = dict(zip(_FIELDS, row, strict=False))
    lost = fields["status"] in HELD and (over or dead(owner))
    with _as_written(fields["id"]):
        return Trial(key=Key(*key), lost=lost, **fields)


@contextmanager
def _as_written(number: int) -> Iterator[None]:
    """Raise `Refusal` where a trial's row holds what its record does not: somebody else has written it."""
    try:
        yield
    except ValidationError as error:
        fault = error.errors()[0]
        said = f"{'.'.join(map(str, fault['loc']))} = {str(fault['input'])[:40]!r}"
        raise Refusal(
            f"Trial {number} holds {said}, which the lab has not written: mend its row, or bring a backup of "
            "the database back."
        ) from error


def _results(
    connection: sa.Connection, ids: Sequence[int], keys: Collection[str] | None = None
) -> dict[int, Result]:
    facts: dict[int, Any] = {}
    measured: dict[int, dict[str, float]] = {}
    for some in batches(ids):
        done = sa.select(trial.c.id, trial.c.facts).where(trial.c.id.in_(some), trial.c.status == "done")
        facts |= {row.id: row.facts for row in connection.execute(done)}
        figures = _FINAL.where(metric.c.trial_id.in_(some))
        figures = figures if keys is None else figures.where(metric.c.key.in_(sorted(keys)))
        rows = _bare(connection.execute(figures.order_by(metric.c.trial_id)))
        for number, of_trial in groupby(rows, itemgetter(0)):
            own = sorted(of_trial)  # here: each database sorts text in an order of its own
            measured[number] = {key: math.nan if value is None else value for _, key, value in own}
    results: dict[int, Result] = {}
    for number in sorted(facts):
        with _as_written(number):
            results[number] = Result(trial_id=number, metrics=measured.get(number, {}), facts=facts[number])
    return results


def _bare(found: sa.CursorResult[Any]) -> Iterable[Any]:
    """Rows as the driver has them, but for MariaDB as they were written: SQLAlchemy's cost half more."""
    if found.cursor is None or found.dialect.name in ("mysql", "mariadb"):
        return found
    return found.cursor.fetchall()


def _number(value: Any) -> float:
    return math.nan if value is None else value
