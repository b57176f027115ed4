"""One question to a model, its known replies, and how an exchange is written down without secrets.

With `llm.cache=true` a sprint that is repeated asks nobody: the n-th time that a campaign asks the same
question it gets the n-th reply that the database holds to it, so that asking again still is asking again. A
reply that was refused is repeated as well, since its repair quotes it. A reply is only repeated as it was
sent: one that held a secret or was cut is asked for anew.
"""

import hashlib
import json
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Generic, TypeVar, final

from redact import MASK, redact
from research.llm.endpoint import Endpoint, Messages, ServerReply, response_format
from research.llm.ledger import CACHED, CallCost
from research.llm.price import Usage
from research.llm.prompt import cut, one_line
from research.llm.replies import ReadReply
from research.types import Record

if TYPE_CHECKING:
    from research.store.store import Store

T = TypeVar("T", bound=Record)
Read = Callable[[ServerReply], ReadReply[T]]
_KEPT = 20_000
"""characters of a prompt or reply that are kept"""


@final
@dataclass(frozen=True)
class KnownReply:
    """A reply of the `interaction` table."""

    row: int
    answer: ServerReply
    outcome: str
    """what it was read as then"""


@final
class KnownReplies:
    """The known replies of a store, and which of them this campaign has had; for one thread."""

    def __init__(self, store: "Store") -> None:
        self._store = store
        self._had: Counter[str] = Counter()

    def next(self, digest: str) -> KnownReply | None:
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

    def _known(self, digest: str) -> list[KnownReply]:
        from research.store import queries

        with self._store.read() as connection:
            rows = queries.replies(connection, digest)
        return [
            KnownReply(row.id, ServerReply(row.reply, row.facts.get("finish_reason")), row.outcome)
            for row in rows
            if row.facts.get("verbatim")
        ]


@final
@dataclass(frozen=True)
class LlmQuestion(Generic[T]):
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
        """sha256 of all that a reply depends on: model, server, messages, schema, temperature, limits."""
        chosen = endpoint.settings
        asked: dict[str, Any] = {
            "model": chosen.model,
            "api_base": chosen.api_base,
            "messages": [dict(message) for message in self.messages],
            "schema": response_format("schema", self.kind),
            "temperature": chosen.temperature if self.temperature is None else self.temperature,
            "max_tokens": chosen.max_tokens,
            "extra": chosen.extra,
        }
        return hashlib.sha256(json.dumps(asked, sort_keys=True, default=str).encode()).hexdigest()


@final
class Heard:
    """Replies, how many of them could be used, and why the others could not; tells it as it comes.

    `say` gets a line after three replies that could not be used, and each time their number has doubled, and
    one for each new reason why a question had no answer at all.
    """

    def __init__(self) -> None:
        self.count = self.usable = 0
        self.reasons: Counter[str] = Counter()
        self.unanswered: Counter[str] = Counter()
        self.say: Callable[[str], None] = lambda line: None
        self._told = 0

    def add(self, reading: ReadReply[Any]) -> None:
        """Count one reply."""
        self.count += 1
        self.usable += reading.record is not None
        if reading.record is None:
            self.reasons[next(iter(reading.complaints), reading.outcome).rstrip(".")] += 1
        bad = self.count - self.usable
        if bad >= max(3, 2 * self._told):
            self._told = bad
            self.say(self.words or "")

    def miss(self, reason: str) -> None:
        """Count one question without an answer."""
        self.unanswered[reason] += 1
        if self.unanswered[reason] == 1:
            self.say(f"no answer: {one_line(reason, 240)}")

    @property
    def words(self) -> str | None:
        """`9 replies, none usable: the reply is empty`; None where each could be used."""
        if not self.reasons:
            return None
        said = f"{self.count} {'reply' if self.count == 1 else 'replies'}, "
        said += f"{self.count - self.usable} of them not usable" if self.usable else "none usable"
        (reason, times), *_ = self.reasons.most_common(1)
        return f"{said}: {one_line(reason, 160)}" + (f" ({times} times)" if 1 < times < self.count else "")


@final
class Scribe:
    """Hands every exchange to `record`, without the keys of `endpoints` and other secrets."""

    def __init__(
        self,
        record: Callable[..., Any],
        endpoints: Callable[[], list[Endpoint]],
        replies: KnownReplies | None,
    ) -> None:
        self._record, self._endpoints, self._replies = record, endpoints, replies

    def write(
        self,
        endpoint: Endpoint,
        question: LlmQuestion[Any],
        usage: Usage,
        cost: CallCost,
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
        self, endpoint: Endpoint, question: LlmQuestion[Any], known: KnownReply, reading: ReadReply[Any]
    ) -> None:
        """A known reply: an exchange that cost nothing; facts `of` and `read` say whose, and as what."""
        told = {"of": known.row, "read": reading.outcome, "complaints": reading.complaints}
        free, text = CallCost.none(), known.answer.text
        self.write(endpoint, question, Usage(0, 0), free, 0.0, outcome=CACHED, reply=text, **told)

    def clean(self, text: str) -> str:
        """`text` without our keys and other secrets, storable, at most `_KEPT` characters."""
        for endpoint in self._endpoints():
            text = text.replace(endpoint.key, MASK) if endpoint.key else text
        storable = text.encode("utf-8", "backslashreplace").decode().replace("\0", "\\x00")
        return str(redact(cut(storable, _KEPT)))

    def _clean_all(self, value: Any) -> Any:
        return [self.clean(item) for item in value] if isinstance(value, tuple) else value
