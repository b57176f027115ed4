"""What is asked of the database beside the verbs of the store, by name.

A function takes the connection of a transaction (`Store.read`) that its caller opened, so that several
answers are of one moment. What memory asks often stands ready: putting a statement together costs more than
running it.
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa

from research.compose.override import override
from research.store.claims import same
from research.store.owners import dead
from research.store.schema import (
    FINAL,
    attempt,
    batches,
    clock,
    episode,
    insight,
    interaction,
    metadata,
    metric,
    proposal,
    sprint,
    trial,
)
from research.store.spending import all_joules
from research.store.states import BROKEN, FAILED, HELD, OPEN
from research.types import Key, Result, Trial

if TYPE_CHECKING:
    from research.store.store import Store

Row = dict[str, Any]
_OWN = ("seed", "force", "name", "tags", "logger", "root", "store")
"""keys that do not make another configuration: looked at as text first, for that costs no JSON"""


def row(connection: sa.Connection, table: str, number: int) -> Row | None:
    """The row of a table with an id."""
    return next(iter(rows(connection, table, id=number)), None)


def rows(connection: sa.Connection, table: str, limit: int | None = None, **where: Any) -> list[Row]:
    """Rows of a table with these values in these columns (None is any), oldest first; the newest `limit`."""
    chosen = metadata.tables[table]
    asked = [chosen.c[name] == value for name, value in where.items() if value is not None]
    query = sa.select(chosen).where(*asked).order_by(chosen.c.id.desc()).limit(limit)
    return [dict(found) for found in connection.execute(query).mappings()][::-1]


def statuses(connection: sa.Connection, table: str) -> dict[str, int]:
    """How many rows of a table have each status, a trial's as people read it."""
    c = metadata.tables[table].c
    rows = connection.execute(sa.select(c.status, sa.func.count(c.id)).group_by(c.status))
    counts = Counter({str(status): int(count) for status, count in rows})
    for status in gone(connection).values() if table == "trial" else ():
        counts[status] -= 1
        counts["lost"] += 1
    return {status: counts[status] for status in sorted(counts) if counts[status]}


def gone(connection: sa.Connection) -> dict[int, str]:
    """Trial -> its status, of those that somebody held who is gone, or who let the lease end."""
    c = trial.c
    query = sa.select(c.id, c.status, c.owner, (c.lease_until < clock()).label("over"))
    held = connection.execute(query.where(c.status.in_(HELD)))
    return {row.id: row.status for row in held if row.over or dead(row.owner)}


def statuses_by_sprint(connection: sa.Connection, sprint_ids: Sequence[int]) -> dict[int, dict[str, int]]:
    """How many proposals of each of these sprints have each status."""
    c = proposal.c
    query = sa.select(c.sprint_id, c.status, sa.func.count()).group_by(c.sprint_id, c.status)
    counts: dict[int, dict[str, int]] = {number: {} for number in sprint_ids}
    for number, status, count in sorted(
        map(tuple, connection.execute(query.where(c.sprint_id.in_(sprint_ids))))
    ):
        counts[number][status] = count
    return counts


def disturbed(connection: sa.Connection, newest: int) -> int:
    """How many of the newest finished trials have a window that a busy machine disturbed."""
    # No index has the status like this: the newest are met first, and not sorted out of all that are done.
    done = sa.select(trial.c.facts).where(sa.func.coalesce(trial.c.status, "") == "done")
    done = done.order_by(trial.c.id.desc()).limit(newest)
    # As text, which is how both databases hold it: to read so many facts would cost seconds.
    held = sa.type_coerce(done.subquery().c.facts, sa.Text).like('%"disturbed": {"%')
    return int(connection.execute(sa.select(sa.func.count()).where(held)).scalar_one())


def running(connection: sa.Connection, limit: int) -> Sequence[Any]:
    """Trials that run now, the newest first: id, overrides, and for how many seconds."""
    c, left = trial.c, gone(connection)
    query = sa.select(c.id, c.overrides, (clock() - c.started).label("seconds"))
    held = connection.execute(query.where(c.status.in_(HELD)).order_by(c.id.desc()))
    return [row for row in held if row.id not in left][:limit]


def waiting(connection: sa.Connection, limit: int) -> Sequence[Any]:
    """Trials that have not ended, those that somebody holds first, then in the order of their turns."""
    c, a = trial.c, attempt.c
    tries = sa.select(sa.func.count()).where(a.trial_id == c.id).scalar_subquery()
    columns = (c.id, c.status, c.priority, c.sweep, c.overrides, c.cancel, c.reason)
    query = sa.select(*columns, tries.label("attempts"), (clock() - c.started).label("seconds"))
    query = query.where(c.status.in_(OPEN)).order_by(c.status == "queued", c.priority.desc(), c.id)
    return connection.execute(query.limit(limit)).all()


def trained(connection: sa.Connection, campaign: str) -> tuple[int, float]:
    """How many trials a campaign has, and the joules that they trained for, killed attempts among them."""
    count = sa.select(sa.func.count(trial.c.id)).where(trial.c.sweep == campaign)
    return int(connection.execute(count).scalar_one()), all_joules(connection, campaign)


def lost(connection: sa.Connection, sweep: str) -> dict[Key, dict[str, float]]:
    """What each failed trial of a sweep had spent: joules, seconds, share of its budget, where known."""
    columns = [*(trial.c[part] for part in Key._fields), trial.c.facts]
    failed = trial.c.status.in_(FAILED) & (trial.c.sweep == sweep)
    rows = connection.execute(sa.select(*columns).where(failed).order_by(trial.c.id))
    return {Key(*key): told["spent"] for *key, told in rows if told.get("spent")}


def paid(connection: sa.Connection, campaign: str) -> float | None:
    """The dollars of a campaign's exchanges with language models; None where one of them is unknown."""
    rows = connection.execute(sa.select(sprint.c.id, sprint.c.facts))
    ids = [row.id for row in rows if row.facts.get("campaign") == campaign]
    query = sa.select(interaction.c.dollars).where(interaction.c.sprint_id.in_(ids))
    dollars = list(connection.execute(query).scalars())
    return None if None in dollars else sum(dollars)


def replies(connection: sa.Connection, digest: str) -> Sequence[Any]:
    """Every reply that was ever had to an equal question, oldest first: id, reply, outcome, facts."""
    c = interaction.c
    query = sa.select(c.id, c.reply, c.outcome, c.facts).where(c.digest == digest).order_by(c.id)
    return connection.execute(query).all()


def siblings(store: "Store", wanted_trial: Trial) -> list[Trial]:
    """The finished trials of a trial's configuration, whatever their seed, itself among them.

    They trained the same network on the same data and machine.
    """
    c = trial.c
    done = [c.status == "done", c.code == wanted_trial.key.code, c.data == wanted_trial.key.data]
    query = sa.select(c.id, c.overrides).where(*done, c.hardware == wanted_trial.key.hardware)
    wanted = _choices(wanted_trial.overrides)
    with store.read() as connection:
        near = [row.id for row in connection.execute(query) if _choices(row.overrides) == wanted]
    own = _same(wanted_trial)
    return [sibling for sibling in store.trials(ids=near) if _same(sibling) == own]


def _same(of: Trial) -> str:
    from research.stats.draws import configuration, has_own_split  # task=status asks nothing of it

    return configuration(of.config, has_own_split(of))


def _choices(overrides: Iterable[str]) -> frozenset[str]:
    plain = (text.lstrip("+") for text in overrides)
    return frozenset(text for text in plain if override(text).group not in _OWN)


def first_of_each_seed(trials: Iterable[Trial], results: Mapping[int, Result]) -> dict[int, Trial]:
    """Seed -> its first trial that nobody disturbed, else its first: a replicate is no pair of its own."""
    held = {number: bool(result.facts.get("disturbed")) for number, result in results.items()}
    first: dict[int, Trial] = {}
    for replicate in sorted(trials, key=lambda own: (held.get(own.id, False), own.replicate, own.id)):
        first.setdefault(replicate.seed, replicate)
    return first


def ended(connection: sa.Connection, *, task: str | None, but: str | None, most: int) -> Sequence[Any]:
    """The newest trials that ended, by their episodes, of one task or of all tasks `but` one, newest first.

    A row is id, task, overrides as they were typed, seed, status, reason, hardware.
    """
    c, e = trial.c, episode.c
    wanted = [e.task == task] if task is not None else [e.task.is_not(None)]
    wanted += [e.task != but] if but is not None else []
    query = (
        sa.select(c.id, e.task, c.overrides, c.seed, c.status, c.reason, c.hardware)
        .select_from(episode.join(trial, e.trial_id == c.id))
        .where(c.status.not_in(OPEN), *wanted)
    )
    return connection.execute(query.order_by(e.id.desc()).limit(most)).all()


def newest_configs(connection: sa.Connection, most: int) -> Sequence[Any]:
    """Config, status and reason of the newest trials that ended, newest first."""
    c = trial.c
    query = sa.select(c.config, c.status, c.reason).where(c.status.not_in(OPEN)).order_by(c.id.desc())
    return connection.execute(query.limit(most)).all()


def ended_since(connection: sa.Connection, last: int) -> tuple[int, int]:
    """How many episodes of trials there are behind the episode `last`, and the last of them, else `last`."""
    c = episode.c
    new = sa.select(sa.func.count(), sa.func.max(c.id)).where(c.id > last, c.trial_id.is_not(None))
    count, newest = connection.execute(new).one()
    return count, newest or last


def diverged(connection: sa.Connection, key: Key) -> Any | None:
    """The first trial of a key that diverged: its id and reason."""
    lost = trial.c.status.in_(BROKEN) & trial.c.reason.like("diverged%")
    query = sa.select(trial.c.id, trial.c.reason).where(same(key), lost).order_by(trial.c.id)
    return connection.execute(query).first()


def ends(connection: sa.Connection, signatures: Iterable[str]) -> Sequence[Any]:
    """How the trials of these configurations stand: signature, status, reason."""
    c = trial.c
    query = sa.select(c.signature, c.status, c.reason).where(c.signature.in_(sorted(signatures)))
    return connection.execute(query).all()


def _within(name: str) -> sa.BindParameter[Any]:
    return sa.bindparam(name, expanding=True)


def _by_id(*columns: sa.Column[Any]) -> sa.Select[Any]:
    return sa.select(*columns).where(columns[0].in_(_within("ids")))


_EPISODES = sa.text(
    "SELECT id, trial_id, proposal_id, insight_id, task, metric, overrides, terms FROM episode "
    "WHERE id IN :ids ORDER BY id DESC"
).bindparams(_within("ids"))
_TOLD = {
    "trial": _by_id(trial.c.id, trial.c.status, trial.c.reason),
    "proposal": _by_id(proposal.c.id, proposal.c.proposal, proposal.c.status, proposal.c.facts),
    "insight": _by_id(insight.c.id, insight.c.word, insight.c.proposal_id),
}
_FACTS, _CONFIGS = _by_id(trial.c.id, trial.c.facts), _by_id(trial.c.id, trial.c.config)
_FIGURES = sa.select(metric.c.trial_id, metric.c.key, metric.c.value).where(
    metric.c.trial_id.in_(_within("ids")),
    metric.c.point == FINAL,
    metric.c.key.in_(_within("keys")),
    metric.c.value.is_not(None),
)


def episodes(connection: sa.Connection, ids: Iterable[int]) -> Sequence[Any]:
    """The index rows with these ids, newest first, as `index.matching` gives them."""
    wanted = sorted(set(ids))
    return connection.execute(_EPISODES, {"ids": wanted}).all() if wanted else []


def told(connection: sa.Connection, kind: str, ids: Iterable[int]) -> dict[int, Any]:
    """What is told of the trials, proposals or insights with these ids: status, verdict, reason, proposal."""
    wanted = sorted(set(ids))
    return {row.id: row for row in connection.execute(_TOLD[kind], {"ids": wanted})} if wanted else {}


def facts(connection: sa.Connection, ids: Iterable[int]) -> dict[int, Row]:
    """Trial -> its facts; about 20 us each."""
    return dict(_pairs(connection, _FACTS, ids))


def configs(connection: sa.Connection, ids: Iterable[int]) -> Iterator[tuple[int, Row]]:
    """Trials and their resolved configs, one by one: about 100 us each, and too large to hold them all."""
    return _pairs(connection, _CONFIGS, ids)


def _pairs(connection: sa.Connection, query: sa.Select[Any], ids: Iterable[int]) -> Iterator[tuple[int, Row]]:
    for some in batches(sorted(set(ids))):
        yield from map(tuple, connection.execute(query, {"ids": some}))


def figures(
    connection: sa.Connection, ids: Iterable[int], keys: Sequence[str]
) -> dict[int, dict[str, float]]:
    """Trial -> its final figures among `keys`, without those that are not a number."""
    measured: dict[int, dict[str, float]] = {}
    for some in batches(sorted(set(ids))):
        for number, key, value in connection.execute(_FIGURES, {"ids": some, "keys": list(keys)}):
            measured.setdefault(number, {})[key] = value
    return measured


def episode_ids(connection: sa.Connection) -> tuple[int, int] | None:
    """The first and the last id of an episode; None where there is none."""
    least, most = connection.execute(sa.select(sa.func.min(episode.c.id), sa.func.max(episode.c.id))).one()
    return None if least is None else (least, most)


def episodes_from(connection: sa.Connection, start: int, count: int) -> list[int]:
    """The ids of the first episodes from an id on."""
    query = sa.select(episode.c.id).where(episode.c.id >= start).order_by(episode.c.id).limit(count)
    return list(connection.execute(query).scalars())
