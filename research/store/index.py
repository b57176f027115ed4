"""The index of episodes: one row for each trial, proposal and insight, added once and never rewritten.

The verbs that write a trial, a proposal or an insight add its episode in the same transaction; a trigger
keeps SQLite's FTS5 in step with the table, an index on an expression PostgreSQL's tsvector. The verbs and
no trigger choose the terms, because PostgreSQL's JSON operators raise on the NUL and the half surrogate
pairs that hostile text brings, and because two databases would cut the same text into different words. What
changes later (a status, a figure) is not in the index: it is read from the row itself.

Texts and overrides become plain ASCII tokens. Both databases index these and nothing else, and a query is
made of the same tokens: what SQLite's and PostgreSQL's own tokenizers make of blanks, numbers, accents or
operators never matters, and no text is ever query syntax.
"""

import hashlib
import math
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import cache, lru_cache
from typing import Any

import sqlalchemy as sa

from research.compose.override import values_of
from research.space.signature import INERT
from research.store.schema import clock, episode, insight, proposal, sprint, trial
from research.store.states import OPEN

Row = Mapping[str, Any]
_HARNESS = ("seed", "data.split_seed", *INERT)
"""keys that are nobody's to turn, with what lies below them; of the data its name is the task's"""
_SQLITE = (
    "CREATE VIRTUAL TABLE episode_terms USING fts5"
    "(terms, content='episode', content_rowid='id', tokenize='ascii', detail=none)",
    # For the newest of a common word FTS5 reads its last page whole: small pages take a third of the time.
    # And it looks into each of its segments: two of a size are merged at once, four of what was just written.
    "INSERT INTO episode_terms(episode_terms, rank) VALUES ('pgsz', 256)",
    "INSERT INTO episode_terms(episode_terms, rank) VALUES ('automerge', 2)",
    "INSERT INTO episode_terms(episode_terms, rank) VALUES ('crisismerge', 4)",
    "CREATE TRIGGER episode_added AFTER INSERT ON episode BEGIN "
    "INSERT INTO episode_terms(rowid, terms) VALUES (new.id, new.terms); END",
    "CREATE TRIGGER episode_forgotten AFTER DELETE ON episode BEGIN "
    "INSERT INTO episode_terms(episode_terms, rowid, terms) VALUES ('delete', old.id, old.terms); END",
    "CREATE TRIGGER episode_kept BEFORE UPDATE ON episode BEGIN "
    "SELECT RAISE(ABORT, 'an episode is never rewritten'); END",
)
_POSTGRESQL = (
    "CREATE INDEX ix_episode_terms ON episode USING gin (array_to_tsvector(string_to_array(terms, ' ')))",
    "CREATE FUNCTION episode_kept() RETURNS trigger LANGUAGE plpgsql AS "
    "$$ BEGIN RAISE EXCEPTION 'an episode is never rewritten'; END $$",
    "CREATE TRIGGER episode_kept BEFORE UPDATE ON episode FOR EACH ROW EXECUTE FUNCTION episode_kept()",
)
_MARIADB = (
    "CREATE INDEX ix_episode_terms ON episode (created)",
    "CREATE TRIGGER episode_kept BEFORE UPDATE ON episode FOR EACH ROW "
    "SIGNAL SQLSTATE '45000' SET MESSAGE_TEXT = 'an episode is never rewritten'",
)
"""its own index of words leaves out short ones, so here every episode is looked through"""
_STATEMENTS = {"sqlite": _SQLITE, "postgresql": _POSTGRESQL, "mariadb": _MARIADB}
_MERGE = sa.text("INSERT INTO episode_terms(episode_terms) VALUES ('optimize')")
_OFTEN = 256
"""episodes after which a small index is merged into one segment; a large one, where it has grown by 3 %"""
# The newest first, so that a common word costs no more than a rare one. `id + 0` keeps PostgreSQL from
# walking the whole table backwards for a rare word.
_MATCH = {
    "sqlite": "SELECT * FROM (SELECT rowid FROM episode_terms WHERE episode_terms MATCH :asked{} "
    "ORDER BY rowid DESC LIMIT :most)",
    "postgresql": "SELECT * FROM (SELECT id FROM episode "
    "WHERE array_to_tsvector(string_to_array(terms, ' ')) @@ CAST(:asked{} AS tsquery) "
    "ORDER BY id + 0 DESC LIMIT :most) AS found{}",
    "mariadb": "SELECT * FROM (SELECT id FROM episode WHERE terms RLIKE :asked{} "
    "ORDER BY id DESC LIMIT :most) AS found{}",
}
_COLUMNS = "id, trial_id, proposal_id, insight_id, task, metric, overrides, terms"
_AND = {"sqlite": " AND ", "postgresql": " & "}
_OR = {"sqlite": " OR ", "postgresql": " | "}
_NUMBER: sa.BindParameter[int] = sa.bindparam("number", type_=sa.Integer)
OF_TRIAL = (trial.c.overrides, trial.c.config, trial.c.name)
"""what `of_ended` reads of a trial's row"""
_TRIAL = sa.select(*OF_TRIAL, trial.c.status, trial.c.reason).where(trial.c.id == _NUMBER)
_PROPOSAL = sa.select(proposal.c.proposal, proposal.c.sprint_id).where(proposal.c.id == _NUMBER)
_INSIGHT = (
    sa.select(insight.c.insight, insight.c.word, insight.c.sprint_id, proposal.c.proposal)
    .select_from(insight.outerjoin(proposal, insight.c.proposal_id == proposal.c.id))
    .where(insight.c.id == _NUMBER)
)
_SPRINT = sa.select(sprint.c.objective, sprint.c.facts).where(sprint.c.id == _NUMBER)
_INSERT = sa.insert(episode).values(created=clock())

Term = tuple[str, ...]
"""terms of which one is enough"""


def install(connection: sa.Connection) -> None:
    """Make table and index, and index what is there already; does nothing where the index exists."""
    inspected = sa.inspect(connection)
    if inspected.has_table("episode_terms") or any(
        index["name"] == "ix_episode_terms" for index in _indexes(inspected)
    ):
        return
    episode.create(connection, checkfirst=True)
    for statement in _STATEMENTS[connection.dialect.name]:
        connection.execute(sa.text(statement))
    for table, add in ((proposal, of_proposal), (insight, of_insight), (trial, of_trial)):
        ended = sa.true() if table is not trial else trial.c.status.not_in(OPEN)
        for number in connection.execute(sa.select(table.c.id).where(ended).order_by(table.c.id)).scalars():
            add(connection, number)


def _indexes(inspected: Any) -> Sequence[Any]:
    return inspected.get_indexes("episode") if inspected.has_table("episode") else ()


def matching(connection: sa.Connection, wanted: Sequence[Sequence[Term]], most: int) -> list[Any]:
    """Rows of the index, newest first: for each of `wanted` the newest `most` with one term of each part.

    A row is id, trial_id, proposal_id, insight_id, task, metric, overrides (as JSON) and terms (as text).
    """
    if not wanted:
        return []
    name = connection.dialect.name
    parts = " UNION ALL ".join(_MATCH[name].replace("{}", str(at)) for at in range(len(wanted)))
    asked = {f"asked{at}": _expression(name, one) for at, one in enumerate(wanted)}
    return list(connection.execute(_found(parts), {**asked, "most": most}).all())


@cache
def _found(parts: str) -> sa.TextClause:
    return sa.text(f"SELECT {_COLUMNS} FROM episode WHERE id IN ({parts}) ORDER BY id DESC")  # noqa: S608


def _expression(name: str, parts: Iterable[Term]) -> str:
    """A query of the index; terms are letters and digits, so that quoting is all it takes."""
    if name == "mariadb":  # a word at any place for each part
        return "".join(f"(?=.*(?<![0-9a-z])(?:{'|'.join(part)})(?![0-9a-z]))" for part in parts)
    quoted = (_OR[name].join(f'"{term}"' if name == "sqlite" else term for term in part) for part in parts)
    return _AND[name].join(f"({part})" for part in quoted)


def of_trial(connection: sa.Connection, number: int) -> None:
    """Add the episode of a trial that ended; ending twice, as after a failure, is two episodes."""
    row = connection.execute(_TRIAL, {"number": number}).one()
    of_ended(connection, number, row, row.status, row.reason)


def of_ended(connection: sa.Connection, number: int, row: Any, status: str, reason: str | None) -> None:
    """The same, of a trial whose row the caller has read before it wrote how it ended."""
    said = f"{status} {row.name or ''} {reason or ''}"
    _add(connection, {"trial_id": number}, data_set(row.overrides, row.config), None, row.overrides, said)


def of_proposal(connection: sa.Connection, number: int) -> None:
    """Add the episode of a proposal, which is never changed: an improved one is another."""
    row = connection.execute(_PROPOSAL, {"number": number}).one()
    overrides = row.proposal["overrides"]
    task, metric = _asked(connection, row.sprint_id, overrides)
    said = " ".join(str(row.proposal.get(name, "")) for name in ("hypothesis", "refuted_by", "domain"))
    _add(connection, {"proposal_id": number}, task, metric or row.proposal["metric"], overrides, said)


def of_insight(connection: sa.Connection, number: int) -> None:
    """Add the episode of an insight, with the overrides of the proposal that it is about."""
    row = connection.execute(_INSIGHT, {"number": number}).one()
    about = row.proposal or {}
    overrides = about.get("overrides", ())
    task, metric = _asked(connection, row.sprint_id, overrides)
    said = f"{row.word} {row.insight['claim']} {about.get('hypothesis', '')}"
    _add(connection, {"insight_id": number}, task, metric, overrides, said)


def data_set(overrides: Iterable[str], config: Row | None = None) -> str | None:
    """The data set's name: what `data=` says, else what the config's data names; None where nothing does."""
    said = values_of(overrides).get("data")
    if said is not None or config is None:
        return said
    data = config.get("data")
    if not isinstance(data, Mapping):
        return None
    if data.get("hub"):
        return str(data["hub"]).rpartition("/")[2]
    target = str(data.get("_target_") or "").split(".")
    return target[-2] if len(target) > 1 else None


def turned(overrides: Iterable[str]) -> tuple[str, ...]:
    """Overrides without seed, data set, and what changes no result, sorted: equal ones are equal arms."""
    return tuple(f"{key}={text}" for key, text in sorted(values_of(overrides).items()) if _is_turned(key))


@lru_cache(maxsize=4096)
def _is_turned(key: str) -> bool:
    return key != "data" and not any(key == name or key.startswith(f"{name}.") for name in _HARNESS)


def _asked(
    connection: sa.Connection, sprint_id: int | None, own: Sequence[str]
) -> tuple[str | None, str | None]:
    """Data set and metric of the sprint behind a row, its own overrides first."""
    row = connection.execute(_SPRINT, {"number": sprint_id}).first()
    if row is None:
        return data_set(own), None
    fixed = (row.facts.get("charter") or {}).get("fixed") or ()
    return data_set([*fixed, *own]), row.objective.get("metric")


def _add(
    connection: sa.Connection,
    link: Mapping[str, int],
    task: str | None,
    metric: str | None,
    overrides: Sequence[str],
    said: str,
) -> None:
    own = turned(overrides)
    marks = [
        kind_mark(next(iter(link)).removesuffix("_id")),
        *region(values_of(own)),
        *([f"metric {metric}"] if metric else []),
    ]
    terms = [mark(name) for name in marks] + words(f"{said} {' '.join(own)}")
    if task:
        terms += [mark("task", task), *(mark(task, name) for name in marks)]
    values = {"task": task, "metric": metric, "overrides": own}
    terms = list(dict.fromkeys(terms))
    links = dict.fromkeys(("trial_id", "proposal_id", "insight_id")) | dict(link)
    added = connection.execute(_INSERT, {**links, **values, "terms": " ".join(terms)})
    (number,) = added.inserted_primary_key or (0,)
    if connection.dialect.name == "sqlite" and _due(number):
        connection.execute(_MERGE)


def _due(number: int) -> bool:
    """Whether the index is merged now: rarer the larger it is, an episode's part stays equal."""
    return number % max(_OFTEN, 1 << number.bit_length() >> 6) == 0


_WORD = re.compile(r"[^\W_]+")
_LONGEST = 32
_MOST = 200
"""distinct words kept of one text, the first ones: a log that somebody pasted needs no more"""


def words(text: str) -> list[str]:
    """The distinct words of any text in order, as terms: `w` and ASCII letters, or `u` and hexadecimal."""
    kept: dict[str, None] = {}
    for match in _WORD.finditer(text.lower()):
        kept[_word(match.group()[:_LONGEST])] = None
        if len(kept) == _MOST:
            break
    return list(kept)


def _word(word: str) -> str:
    if word.isascii():
        return f"w{word}"
    return f"u{word.encode('utf-8', 'surrogatepass').hex()}"


def mark(*parts: str) -> str:
    """One term for anything that has a name, for example a task or a knob under a task."""
    return "k" + hashlib.sha256("\0".join(parts).encode("utf-8", "surrogatepass")).hexdigest()[:16]


def kind_mark(kind: str) -> str:
    """What an episode of this kind is marked by: a proposal still as `experiment`, its name in older rows."""
    return f"kind {'experiment' if kind == 'proposal' else kind}"


@lru_cache(maxsize=4096)
def number(text: str) -> float | None:
    """The finite number that a text is, if it is one."""
    try:
        value = float(text)
    except ValueError:
        return None
    return value if math.isfinite(value) else None


def near(value: float) -> tuple[str, str, str]:
    """The factor of two that a number lies in, first, and its two neighbours; zero is its own."""
    sign = "-" if value < 0 else ""
    if value == 0:
        return ("0", "0", "0")
    place = math.floor(math.log2(abs(value)))
    return f"{sign}{place}", f"{sign}{place - 1}", f"{sign}{place + 1}"


def region(overrides: Mapping[str, str]) -> Iterator[str]:
    """Where in the space a configuration lies: each knob, and its choice or the octave of its number."""
    for key, text in overrides.items():
        value = number(text)
        yield key
        yield f"{key}={text}" if value is None else f"{key}~{near(value)[0]}"
