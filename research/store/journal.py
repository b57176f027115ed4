"""What the team did, as rows: sprints, proposals, reviews, exchanges with a language model, insights."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from typing import Any

import sqlalchemy as sa

from research.store import index, queries, schema
from research.store.outage import repeated, repeated_unless_written
from research.types import Insight, Proposal

Row = dict[str, Any]
Index = Callable[[sa.Connection, int], None]
"""adds the episode of a row that was just written"""
RUNNING = "running"
"""the word of a comparison that was begun and has none yet"""


class Journal(ABC):
    """The tables beside the trials; readers give dicts with the columns of the table, oldest first."""

    @abstractmethod
    def read(self) -> AbstractContextManager[sa.Connection]:
        """A transaction that only reads."""

    @abstractmethod
    def write(self) -> AbstractContextManager[sa.Connection]:
        """A transaction that is written whole or not at all."""

    @repeated_unless_written
    def _add(self, table: sa.Table, values: Row, facts: Row | None, add: Index | None = None) -> int:
        told = values | {"created": schema.clock(), "facts": facts or {}}
        insert = sa.insert(table).values(told).returning(table.c.id)
        with self.write() as connection:
            number = int(connection.execute(insert).scalar_one())
            if add is not None:
                add(connection, number)
        return number

    @repeated
    def _rows(self, table: sa.Table, **where: Any) -> list[Row]:
        with self.read() as connection:
            return queries.rows(connection, table.name, **where)

    @repeated
    def _set(self, table: sa.Table, row_id: int, status: str, facts: Row | None) -> None:
        values: Row = {"status": status} if facts is None else {"status": status, "facts": facts}
        with self.write() as connection:
            done = connection.execute(sa.update(table).where(table.c.id == row_id).values(**values))
        if done.rowcount != 1:
            raise KeyError(f"no {table.name} {row_id}")

    def add_sprint(
        self,
        goal: str,
        *,
        objective: Row | None = None,
        folder: str | None = None,
        status: str = "running",
        facts: Row | None = None,
    ) -> int:
        """Open a sprint and return its id."""
        values = {"goal": goal, "objective": objective or {}, "folder": folder, "status": status}
        return self._add(schema.sprint, values, facts)

    def set_sprint(self, sprint_id: int, status: str, facts: Row | None = None) -> None:
        """Change a sprint's status, and its facts where given; raises `KeyError` for an unknown id."""
        self._set(schema.sprint, sprint_id, status, facts)

    def sprints(self, *, status: str | None = None) -> list[Row]:
        """All sprints, or those of one status."""
        return self._rows(schema.sprint, status=status)

    def add_proposal(
        self,
        proposal: Proposal,
        *,
        sprint_id: int | None = None,
        status: str = "proposed",
        facts: Row | None = None,
    ) -> int:
        """Write a proposal down and return its id."""
        values = {"proposal": proposal.model_dump(), "sprint_id": sprint_id, "status": status}
        return self._add(schema.proposal, values, facts, index.of_proposal)

    def set_proposal(self, proposal_id: int, status: str, facts: Row | None = None) -> None:
        """Change a proposal's status, and its facts where given; raises `KeyError` for an unknown id."""
        self._set(schema.proposal, proposal_id, status, facts)

    def proposals(self, *, sprint_id: int | None = None, status: str | None = None) -> list[Row]:
        """Proposals with `proposal` as a `Proposal`."""
        rows = self._rows(schema.proposal, sprint_id=sprint_id, status=status)
        return [row | {"proposal": Proposal.model_validate(row["proposal"])} for row in rows]

    def add_review(
        self,
        proposal_id: int,
        *,
        role: str,
        score: float | None,
        content: Row | None = None,
        facts: Row | None = None,
    ) -> int:
        """Write one reviewer's opinion of a proposal down and return its id."""
        values = {"proposal_id": proposal_id, "role": role, "score": score, "content": content or {}}
        return self._add(schema.review, values, facts)

    def reviews(self, *, proposal_id: int | None = None) -> list[Row]:
        """All reviews, or those of one proposal."""
        return self._rows(schema.review, proposal_id=proposal_id)

    def add_interaction(
        self, *, role: str, model: str, prompt: str, outcome: str, facts: Row | None = None, **more: Any
    ) -> int:
        """Write one exchange with a language model down and return its id.

        `more` are further columns: reply, digest, sprint_id, and what it used (tokens_in, tokens_out,
        dollars, seconds, joules); what is left out or None is unknown, not zero.
        """
        values = {"role": role, "model": model, "prompt": prompt, "outcome": outcome}
        return self._add(schema.interaction, more | values, facts)

    def interactions(self, *, sprint_id: int | None = None, outcome: str | None = None) -> list[Row]:
        """All exchanges, or those of one sprint or outcome."""
        return self._rows(schema.interaction, sprint_id=sprint_id, outcome=outcome)

    def add_insight(
        self,
        insight: Insight,
        *,
        sprint_id: int | None = None,
        proposal_id: int | None = None,
        facts: Row | None = None,
    ) -> int:
        """Keep what a verdict taught and return its id."""
        values: Row = {"insight": insight.model_dump(), "word": insight.verdict.word}
        values |= {"sprint_id": sprint_id, "proposal_id": proposal_id}
        return self._add(schema.insight, values, facts, index.of_insight)

    def insights(self, *, sprint_id: int | None = None, word: str | None = None) -> list[Row]:
        """Insights with `insight` as an `Insight`, all or of one sprint or verdict."""
        rows = map(_scaled, self._rows(schema.insight, sprint_id=sprint_id, word=word))
        return [row | {"insight": Insight.model_validate(row["insight"])} for row in rows]

    @repeated_unless_written
    def open_comparison(self, question: str, name: str, facts: Callable[[Sequence[Row]], Row]) -> Row:
        """The comparison of a name: the row that was begun before, else a new one.

        `facts` makes those of a new one from the question's rows before it, in one transaction with writing
        it down: two campaigns that run at once never have the same turn.
        """
        with self.write() as connection:
            before = queries.rows(connection, "comparison", question=question)
            known = next((row for row in before if row["name"] == name), None)
            if known is not None:
                return known
            values = {"question": question, "name": name, "word": RUNNING, "facts": facts(before)}
            connection.execute(sa.insert(schema.comparison).values(created=schema.clock(), **values))
            return queries.rows(connection, "comparison", question=question)[-1]

    @repeated
    def end_comparison(self, number: int, word: str, facts: Row) -> None:
        """Write down what came out of a comparison."""
        ended = sa.update(schema.comparison).where(schema.comparison.c.id == number)
        with self.write() as connection:
            connection.execute(ended.values(word=word, facts=facts))

    @repeated
    def drop_comparison(self, number: int) -> None:
        """Take a comparison back whose figures nobody has looked at."""
        with self.write() as connection:
            connection.execute(sa.delete(schema.comparison).where(schema.comparison.c.id == number))

    @repeated
    def comparisons(self, question: str) -> list[Row]:
        """What of a question's error rate is spent: every comparison that was begun for it, oldest first."""
        return self._rows(schema.comparison, question=question)

    @repeated
    def seeds(self, data: str) -> set[int]:
        """Every seed that a trial on data of this digest has, whoever ran it and whatever came of it."""
        c = schema.trial.c
        with self.read() as connection:
            found = connection.execute(sa.select(c.seed).where(c.data == data).distinct())
            return {int(seed) for seed in found.scalars()}


def _scaled(kept: Any) -> Any:
    """A row whose comparisons tell their scale; older ones have it at the end of the metric, as `x [%]`."""
    if isinstance(kept, list):
        return [_scaled(value) for value in kept]
    if not isinstance(kept, dict):
        return kept
    told = {key: _scaled(value) for key, value in kept.items()}
    metric = told.get("metric")
    if isinstance(metric, str) and metric.endswith(" [%]"):
        told |= {"metric": metric.removesuffix(" [%]"), "scale": "relative"}
    return told
