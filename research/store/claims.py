"""Who may run a trial: claims with fencing tokens, so that none is run twice and none is lost.

Also who that is, whether that process still lives, and the thread that keeps its lease.
"""

import os
import socket
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, final

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite

from refusal import Refusal
from research.store import index
from research.store.outage import at_once
from research.store.schema import clock, config_sha, trial
from research.types import Key, Trial

_INSERT: dict[str, Any] = {"sqlite": sqlite.insert, "postgresql": postgresql.insert}


@final
@dataclass(frozen=True)
class TrialClaim:
    """The right to run one trial; the token grows with each owner, and only the newest may write."""

    trial_id: int
    token: int


def same(key: Key) -> sa.ColumnElement[bool]:
    """The condition that a row of the trial table has this key, whatever its replicate."""
    return sa.and_(*(trial.c[part] == value for part, value in key._asdict().items()))


def claim(
    connection: sa.Connection, key: Key, values: dict[str, Any], force: bool, lease_s: float
) -> TrialClaim | int | None:
    """Claim a run of `key` inside a write transaction.

    Returns the claim, or the id of the row that stands in the way (done, or running under a live lease),
    or None when another process was faster and the caller should look again. A run that failed, or whose
    owner died or let the lease end, is taken over before a new replicate is opened.
    """
    rows = _rows(connection, key)
    done = [row for row in rows if row.status == "done"]
    if done and not force:
        return int(preferred(connection, [row.id for row in done]))
    free = next((row for row in rows if row.status != "done" and _free(row)), None)
    if free is not None:
        return _take(connection, free, values, lease_s)
    if rows and not force:
        return int(rows[0].id)
    return _open(connection, key, len(rows), values, lease_s)


def preferred(connection: sa.Connection, ids: Sequence[int]) -> int:
    """Of finished replicates of one key, in their order, the one that answers for it.

    It is the first one that nobody disturbed: what a busy machine spoilt is completed under the same key by a
    replicate, and nothing that stands is written over. Of two alike it is the one with nothing unmeasured.
    """
    if len(ids) == 1:
        return ids[0]
    rows = connection.execute(sa.select(trial.c.id, trial.c.facts).where(trial.c.id.in_(ids)))
    facts = {row.id: row.facts for row in rows}
    held = {number: told.get("disturbed") or {} for number, told in facts.items()}
    # A training is dearer than an inference: rather the one whose training is sound.
    return min(
        ids, key=lambda one: ("train" in held[one], bool(facts[one].get("unmeasured")), len(held[one]))
    )


def _rows(connection: sa.Connection, key: Key) -> list[Any]:
    c = trial.c
    columns = (c.id, c.status, c.token, c.owner, c.replicate, (c.lease_until < clock()).label("ended"))
    rows = sa.select(*columns).where(same(key)).order_by(c.replicate).with_for_update()
    return list(connection.execute(rows))


def _free(row: Any) -> bool:
    return row.status == "failed" or bool(row.ended) or dead(row.owner)


def _now(values: dict[str, Any], lease_s: float) -> dict[str, Any]:
    running: dict[str, Any] = {"status": "running", "reason": None, "owner": owner(), "facts": {}}
    return values | running | {"started": clock(), "finished": None, "lease_until": clock() + lease_s}


def _take(connection: sa.Connection, row: Any, values: dict[str, Any], lease_s: float) -> TrialClaim:
    token = row.token + 1
    update = sa.update(trial).where(trial.c.id == row.id).values(token=token, **_now(values, lease_s))
    connection.execute(update)
    return TrialClaim(row.id, token)


def _open(
    connection: sa.Connection, key: Key, replicate: int, values: dict[str, Any], lease_s: float
) -> TrialClaim | None:
    row = key._asdict() | {"replicate": replicate, "token": 1} | _now(values, lease_s)
    insert = _INSERT[connection.dialect.name](trial).values(**row)
    opened = connection.execute(insert.on_conflict_do_nothing().returning(trial.c.id)).scalar()
    return None if opened is None else TrialClaim(opened, 1)


def buried(connection: sa.Connection, key: Key, reason: str) -> list[int]:
    """Write as failed the running rows of a key whose process is gone, and return their ids.

    A row that lives, here or on another host, is left alone. The token grows, as with any new owner.
    """
    columns = sa.select(trial.c.id, trial.c.owner, trial.c.token)
    rows = columns.where(same(key), trial.c.status == "running").order_by(trial.c.id).with_for_update()
    left = [row for row in connection.execute(rows) if dead(row.owner)]
    for row in left:
        values = {"status": "failed", "reason": reason, "token": row.token + 1, "finished": clock()}
        connection.execute(sa.update(trial).where(trial.c.id == row.id).values(**values))
        index.of_trial(connection, row.id)
    return [row.id for row in left]


def refuse_edited(of: Trial) -> None:
    """Raise `Refusal` for a trial whose config is not the one that was written, before it is run again.

    A row of a version that took no digest passes: what it may call is held by `construct` in any case.
    """
    if of.config_sha is not None and of.config_sha != config_sha(of.key.signature, of.config):
        raise Refusal(
            f"The configuration of trial {of.id} was changed in the database after it was written (its "
            "SHA-256 differs): it is not run. Restore the row from a copy, or type its overrides anew."
        )


def finished(connection: sa.Connection, mine: TrialClaim) -> bool:
    """True when this very claim is written as done: its answer was lost on the way, not its figures."""
    query = sa.select(trial.c.token, trial.c.status).where(trial.c.id == mine.trial_id).with_for_update()
    return connection.execute(query).one() == (mine.token, "done")


def owned(connection: sa.Connection, mine: TrialClaim, values: dict[str, Any]) -> None:
    """Update the row of a running trial; raises `Lost` when the token is no longer the newest."""
    c = trial.c
    current = (c.id == mine.trial_id) & (c.token == mine.token) & (c.status == "running")
    if connection.execute(sa.update(trial).where(current).values(**values)).rowcount != 1:
        raise Lost(f"Trial {mine.trial_id} was taken over: nothing of this run is written.")


def completed(connection: sa.Connection, number: int, facts: Mapping[str, Any]) -> bool:
    """Add to the facts of a finished trial that left something unmeasured; False when somebody else has.

    The row is locked from the look to the write, so of several who measured only the first is heard. A row
    that is done is never run again, so its token stays.
    """
    c = trial.c
    query = sa.select(c.status, c.facts).where(c.id == number).with_for_update()
    row = connection.execute(query).first()
    if row is None or row.status != "done" or not row.facts.get("unmeasured"):
        return False
    told = {key: value for key, value in {**row.facts, **facts}.items() if key != "unmeasured"}
    connection.execute(sa.update(trial).where(c.id == number).values(facts=told))
    return True


class Lost(Exception):
    """Another process took the trial over: what this one measured is not written."""


@cache
def place() -> str:
    """Where process ids mean something: host, boot and process namespace; empty where it cannot be told.

    Containers of one host share the boot id and may share the name; their process ids do not compare.
    """
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
        return f"{socket.gethostname()} {boot} {Path('/proc/self/ns/pid').readlink()}"
    except OSError:
        return ""


def owner() -> str:
    """Name this process: host, boot id, process namespace, process id, start time in clock ticks."""
    return f"{place()} {os.getpid()} {_started(os.getpid())}"


def dead(who: str) -> bool:
    """True when `who` ran on this host and is surely gone; False means alive or unknown."""
    where, process, started = who.rsplit(" ", 2)
    return bool(where) and where == place() and _started(int(process)) != started


def _started(process: int) -> str:
    """Start time in clock ticks since boot, "-" when there is no such process or it is a zombie."""
    try:
        stat = Path(f"/proc/{process}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return "-"
    fields = stat.rpartition(")")[2].split()  # the name before it may hold blanks and brackets
    return "-" if fields[0] in "ZX" else fields[19]


@contextmanager
def kept(renew: Callable[[float], None], lease_s: float) -> Iterator[threading.Event]:
    """Call `renew(lease_s)` every third of the lease while the body runs.

    Yields an event that is set when another process took over. A database that cannot be reached for a
    moment is tried again: writing checks the token in any case.
    """
    stop, lost = threading.Event(), threading.Event()
    thread = threading.Thread(target=_keep, args=(renew, lease_s, stop, lost), name="lease", daemon=True)
    thread.start()
    try:
        yield lost
    finally:
        stop.set()
        thread.join()


def _keep(
    renew: Callable[[float], None], lease_s: float, stop: threading.Event, lost: threading.Event
) -> None:
    while not stop.wait(lease_s / 3):
        try:
            with at_once():  # whoever joins this thread waits himself
                renew(lease_s)
        except Lost:
            lost.set()
            return
        except Refusal:
            continue
