"""Replies that are known from an equal question: with `llm.cache=true` a sprint that is repeated asks nobody.

The n-th time that a campaign asks the same question it gets the n-th reply that the database holds to it, so
that asking again still is asking again. A reply that was refused is repeated as well, since its repair
quotes it. A reply is only repeated as it was sent: one that held a secret or was cut is asked for anew.
"""

import hashlib
import json
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, final

from research.llm.exchange import Answer, Messages, response_format
from research.llm.settings import Settings
from research.types import Record

if TYPE_CHECKING:
    from research.store.store import Store


def digest(settings: Settings, messages: Messages, kind: type[Record], temperature: float | None) -> str:
    """sha256 of all that a reply depends on: model, server, messages, schema, temperature, limits."""
    asked: dict[str, Any] = {
        "model": settings.model,
        "api_base": settings.api_base,
        "messages": [dict(message) for message in messages],
        "schema": response_format("schema", kind),
        "temperature": settings.temperature if temperature is None else temperature,
        "max_tokens": settings.max_tokens,
        "extra": settings.extra,
    }
    return hashlib.sha256(json.dumps(asked, sort_keys=True, default=str).encode()).hexdigest()


@final
@dataclass(frozen=True)
class Known:
    """A reply of the `interaction` table."""

    row: int
    answer: Answer
    outcome: str
    """what it was read as then"""


@final
class Replies:
    """The known replies of a store, and which of them this campaign has had; for one thread."""

    def __init__(self, store: "Store") -> None:
        self._store = store
        self._had: Counter[str] = Counter()

    def next(self, digest: str) -> Known | None:
        """The next known reply to an equal question, None when there is no other."""
        known = self._known(digest)
        at = self._had[digest]
        if at >= len(known):
            return None
        self.had(digest)
        return known[at]

    def had(self, digest: str) -> None:
        """Count a reply that this campaign has had; one that it has just been sent is none to repeat."""
        self._had[digest] += 1

    def _known(self, digest: str) -> list[Known]:
        import sqlalchemy as sa

        from research.store.schema import interaction

        columns = (interaction.c.id, interaction.c.reply, interaction.c.outcome, interaction.c.facts)
        asked = sa.select(*columns).where(interaction.c.digest == digest).order_by(interaction.c.id)
        with self._store.read() as connection:
            rows = connection.execute(asked).all()
        return [
            Known(row.id, Answer(row.reply, row.facts.get("finish_reason")), row.outcome)
            for row in rows
            if row.facts.get("verbatim")
        ]
