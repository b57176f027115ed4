"""The comparisons that were ever begun for a question, in their order: what of its error rate is spent."""

from collections.abc import Callable, Sequence
from typing import Any

import sqlalchemy as sa

from research.store.schema import clock, comparison, trial

Row = dict[str, Any]
RUNNING = "running"
"""the word of a comparison that was begun and has none yet"""


def of_question(connection: sa.Connection, question: str) -> list[Row]:
    """Its comparisons, oldest first."""
    query = sa.select(comparison).where(comparison.c.question == question).order_by(comparison.c.id)
    return [dict(row) for row in connection.execute(query).mappings()]


def opened(
    connection: sa.Connection,
    question: str,
    name: str,
    facts: Callable[[Sequence[Row]], Row],
) -> Row:
    """The comparison of a name, as it was begun before or now; `facts` are made from those before it."""
    before = of_question(connection, question)
    known = next((row for row in before if row["name"] == name), None)
    if known is not None:
        return known
    values = {"question": question, "name": name, "word": RUNNING}
    insert = sa.insert(comparison).values(created=clock(), **values, facts=facts(before))
    number = connection.execute(insert.returning(comparison.c.id)).scalar_one()
    return next(row for row in of_question(connection, question) if row["id"] == number)


def ended(connection: sa.Connection, number: int, word: str, facts: Row) -> None:
    """Write down what came out of a comparison."""
    where = comparison.c.id == number
    connection.execute(sa.update(comparison).where(where).values(word=word, facts=facts))


def dropped(connection: sa.Connection, number: int) -> None:
    """Take back a comparison."""
    connection.execute(sa.delete(comparison).where(comparison.c.id == number))


def seeds(connection: sa.Connection, data: str) -> set[int]:
    """Every seed that a trial on this data has, whoever ran it and whatever came of it."""
    query = sa.select(trial.c.seed).where(trial.c.data == data).distinct()
    return {int(seed) for (seed,) in connection.execute(query)}
