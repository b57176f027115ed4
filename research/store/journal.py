"""What the team did, as rows: sprints, experiments, reviews, exchanges with a language model, insights."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from typing import Any

import sqlalchemy as sa

from research.store import comparisons, episodes, schema
from research.types import Insight, Proposal

Row = dict[str, Any]
Index = Callable[[sa.Connection, int], None]
"""adds the episode of a row that was just written"""


class Journal(ABC):
    """The tables beside the trials; readers give dicts with the columns of the table, oldest first."""

    @abstractmethod
    def read(self) -> AbstractContextManager[sa.Connection]:
        """A transaction that only reads."""

    @abstractmethod
    def write(self) -> AbstractContextManager[sa.Connection]:
        """A transaction that is written whole or not at all."""

    def _add(self, table: sa.Table, values: Row, index: Index | None = None) -> int:
        insert = sa.insert(table).values(created=schema.clock(), **values).returning(table.c.id)
        with self.write() as connection:
            number = int(connection.execute(insert).scalar_one())
            if index is not None:
                index(connection, number)
        return number

    def _rows(self, table: sa.Table, **where: Any) -> list[Row]:
        asked = [table.c[name] == value for name, value in where.items() if value is not None]
        with self.read() as connection:
            found = connection.execute(sa.select(table).where(*asked).order_by(table.c.id))
            return [dict(row) for row in found.mappings()]

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
        return self._add(schema.sprint, values | {"facts": facts or {}})

    def set_sprint(self, sprint_id: int, status: str, facts: Row | None = None) -> None:
        """Change a sprint's status, and its facts where given; raises `KeyError` for an unknown id."""
        self._set(schema.sprint, sprint_id, status, facts)

    def sprints(self, *, status: str | None = None) -> list[Row]:
        """All sprints, or those of one status."""
        return self._rows(schema.sprint, status=status)

    def add_experiment(
        self,
        proposal: Proposal,
        *,
        sprint_id: int | None = None,
        status: str = "proposed",
        facts: Row | None = None,
    ) -> int:
        """Write a proposal down and return its id."""
        values = {"proposal": proposal.model_dump(), "sprint_id": sprint_id, "status": status}
        return self._add(schema.experiment, values | {"facts": facts or {}}, episodes.of_experiment)

    def set_experiment(self, experiment_id: int, status: str, facts: Row | None = None) -> None:
        """Change an experiment's status, and its facts where given; raises `KeyError` for an unknown id."""
        self._set(schema.experiment, experiment_id, status, facts)

    def experiments(self, *, sprint_id: int | None = None, status: str | None = None) -> list[Row]:
        """Experiments with `proposal` as a `Proposal`."""
        rows = self._rows(schema.experiment, sprint_id=sprint_id, status=status)
        return [row | {"proposal": Proposal.model_validate(row["proposal"])} for row in rows]

    def add_review(
        self,
        experiment_id: int,
        *,
        role: str,
        score: float | None,
        content: Row | None = None,
        facts: Row | None = None,
    ) -> int:
        """Write one reviewer's opinion of an experiment down and return its id."""
        values = {"experiment_id": experiment_id, "role": role, "score": score, "content": content or {}}
        return self._add(schema.review, values | {"facts": facts or {}})

    def reviews(self, *, experiment_id: int | None = None) -> list[Row]:
        """All reviews, or those of one experiment."""
        return self._rows(schema.review, experiment_id=experiment_id)

    def add_interaction(
        self,
        *,
        role: str,
        model: str,
        prompt: str,
        reply: str | None,
        outcome: str,
        digest: str | None = None,
        sprint_id: int | None = None,
        tokens_in: int | None = None,
        tokens_out: int | None = None,
        dollars: float | None = None,
        seconds: float | None = None,
        joules: float | None = None,
        facts: Row | None = None,
    ) -> int:
        """Write one exchange with a language model down and return its id; None is unknown, not zero."""
        told = {
            "role": role,
            "model": model,
            "prompt": prompt,
            "reply": reply,
            "outcome": outcome,
            "digest": digest,
        }
        spent = {"tokens_in": tokens_in, "tokens_out": tokens_out, "dollars": dollars}
        values = told | spent | {"seconds": seconds, "joules": joules, "sprint_id": sprint_id}
        return self._add(schema.interaction, values | {"facts": facts or {}})

    def interactions(self, *, sprint_id: int | None = None, outcome: str | None = None) -> list[Row]:
        """All exchanges, or those of one sprint or outcome."""
        return self._rows(schema.interaction, sprint_id=sprint_id, outcome=outcome)

    def add_insight(
        self,
        insight: Insight,
        *,
        sprint_id: int | None = None,
        experiment_id: int | None = None,
        facts: Row | None = None,
    ) -> int:
        """Keep what a verdict taught and return its id."""
        values = {"insight": insight.model_dump(), "word": insight.verdict.word}
        links = {"sprint_id": sprint_id, "experiment_id": experiment_id, "facts": facts or {}}
        return self._add(schema.insight, values | links, episodes.of_insight)

    def insights(self, *, sprint_id: int | None = None, word: str | None = None) -> list[Row]:
        """Insights with `insight` as an `Insight`, all or of one sprint or verdict."""
        rows = map(_scaled, self._rows(schema.insight, sprint_id=sprint_id, word=word))
        return [row | {"insight": Insight.model_validate(row["insight"])} for row in rows]

    def open_comparison(self, question: str, name: str, facts: Callable[[Sequence[Row]], Row]) -> Row:
        """The comparison of a name: the row that was begun before, else a new one.

        `facts` makes those of a new one from the question's rows before it, in one transaction with writing
        it down: two campaigns that run at once never have the same turn.
        """
        with self.write() as connection:
            return comparisons.opened(connection, question, name, facts)

    def end_comparison(self, number: int, word: str, facts: Row) -> None:
        """Write down what came out of a comparison."""
        with self.write() as connection:
            comparisons.ended(connection, number, word, facts)

    def drop_comparison(self, number: int) -> None:
        """Take a comparison back whose figures nobody has looked at."""
        with self.write() as connection:
            comparisons.dropped(connection, number)

    def comparisons(self, question: str) -> list[Row]:
        """The comparisons of a question, oldest first."""
        with self.read() as connection:
            return comparisons.of_question(connection, question)

    def seeds(self, data: str) -> set[int]:
        """Every seed that a trial on data of this digest has, whoever ran it and whatever came of it."""
        with self.read() as connection:
            return comparisons.seeds(connection, data)


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
