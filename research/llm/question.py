"""One question to a model, and how an exchange about it is written down without secrets."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Generic, TypeVar, final

from redact import MASK, redact
from research.llm.cache import Known, Replies, digest
from research.llm.endpoint import Endpoint
from research.llm.exchange import Answer, Messages
from research.llm.ledger import CACHED, Cost
from research.llm.price import Usage
from research.llm.prompt import cut
from research.llm.replies import Reading
from research.types import Record

T = TypeVar("T", bound=Record)
Read = Callable[[Answer], Reading[T]]

_KEPT = 20_000
"""characters of a prompt or reply that are kept"""


@final
@dataclass(frozen=True)
class Question(Generic[T]):
    """What is asked, how the answer is read, and until when."""

    messages: Messages
    kind: type[T]
    read: Read[T]
    role: str
    temperature: float | None
    """wins over the temperature of the model's settings; None leaves it to them"""
    end: float
    """of `time.monotonic`, for all attempts and models together"""

    def digest(self, endpoint: Endpoint) -> str:
        """What makes two questions the same, see `cache.digest`."""
        return digest(endpoint.settings, self.messages, self.kind, self.temperature)


@final
class Scribe:
    """Hands every exchange to `record`, without the keys of `endpoints` and other secrets."""

    def __init__(
        self, record: Callable[..., Any], endpoints: Callable[[], list[Endpoint]], replies: Replies | None
    ) -> None:
        self._record, self._endpoints, self._replies = record, endpoints, replies

    def write(
        self,
        endpoint: Endpoint,
        question: Question[Any],
        usage: Usage,
        cost: Cost,
        seconds: float,
        *,
        outcome: str,
        reply: str | None,
        **facts: Any,
    ) -> None:
        """One exchange; its `verbatim` says that the reply is kept as it was sent and may be repeated."""
        prompt = "\n\n".join(f"[{message['role']}]\n{message['content']}" for message in question.messages)
        told, asked = None if reply is None else self.clean(reply), question.digest(endpoint)
        facts |= {"tokens_estimated": usage.estimated}
        if cost.energy is not None:
            facts["energy"] = cost.energy.model_dump(mode="json")
        if outcome not in ("interrupted", CACHED) and told is not None and told == reply:
            facts["verbatim"] = True
            if self._replies is not None:
                self._replies.had(asked)
        self._record(
            role=question.role,
            model=endpoint.model,
            prompt=self.clean(prompt),
            reply=told,
            outcome=outcome,
            digest=asked,
            tokens_in=usage.tokens_in,
            tokens_out=usage.tokens_out,
            dollars=cost.dollars,
            joules=cost.joules,
            seconds=seconds,
            facts={name: self._clean_all(value) for name, value in facts.items()},
        )

    def repeat(
        self, endpoint: Endpoint, question: Question[Any], known: Known, reading: Reading[Any]
    ) -> None:
        """A known reply: an exchange that cost nothing; facts `of` and `read` say whose, and as what."""
        told = {"of": known.row, "read": reading.outcome, "complaints": reading.complaints}
        self.write(
            endpoint, question, Usage(0, 0), Cost.none(), 0.0, outcome=CACHED, reply=known.answer.text, **told
        )

    def clean(self, text: str) -> str:
        """`text` without our keys and other secrets, storable, at most `_KEPT` characters."""
        for endpoint in self._endpoints():
            text = text.replace(endpoint.key, MASK) if endpoint.key else text
        storable = text.encode("utf-8", "backslashreplace").decode().replace("\0", "\\x00")
        return str(redact(cut(storable, _KEPT)))

    def _clean_all(self, value: Any) -> Any:
        return [self.clean(item) for item in value] if isinstance(value, tuple) else value
