"""One model on one server: its key, rate and breaker, its connection, and how it is asked and answers."""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, final
from urllib.parse import urlsplit

from research.llm.prompt import one_line
from research.llm.settings import LlmSettings, key, rate
from research.types import Record

if TYPE_CHECKING:
    from research.llm.wire import Wire

Messages = Sequence[Mapping[str, str]]
Form = Literal["schema", "json", "text"]
Failure = Literal["form", "long", "filtered", "key", "model", "busy", "server", "lost", "timeout"]
FORMS: tuple[Form, ...] = ("schema", "json", "text")
"""the ways to ask for an object, the strictest first"""


@final
@dataclass(frozen=True)
class ServerReply:
    """A server's answer, not yet read; token counts are None where the server told none."""

    text: str | None
    finish_reason: str | None
    tokens_in: int | None = None
    tokens_out: int | None = None


class WireFailure(Exception):
    """No answer came; `billed` when it may have been charged for, `wait_s` when a pause was asked for."""

    def __init__(
        self, kind: Failure, sentence: str, *, billed: bool = False, wait_s: float | None = None
    ) -> None:
        super().__init__(one_line(sentence))
        self.kind: Failure = kind
        self.billed = billed
        self.wait_s = wait_s


def response_format(form: Form, kind: type[Record]) -> dict[str, Any] | None:
    """OpenAI's `response_format` for a record; None for plain text."""
    if form == "text":
        return None
    if form == "json":
        return {"type": "json_object"}
    schema = {"name": kind.__name__.lower(), "strict": True, "schema": _strict(kind.model_json_schema())}
    return {"type": "json_schema", "json_schema": schema}


_SHAPE = ("type", "enum", "const", "anyOf", "$ref", "description", "items", "properties", "$defs")


def _strict(node: dict[str, Any]) -> dict[str, Any]:
    """The shape alone, all properties required: what the servers' strict modes have in common.

    Lengths, patterns and defaults are refused by some of them; pydantic checks those on the reply.
    """
    kept = {name: node[name] for name in _SHAPE if name in node}
    for name in ("properties", "$defs"):
        if name in kept:
            kept[name] = {key: _strict(value) for key, value in kept[name].items()}
    if "items" in kept:
        kept["items"] = _strict(kept["items"])
    if "anyOf" in kept:
        kept["anyOf"] = [_strict(choice) for choice in kept["anyOf"]]
    if "properties" in kept:
        kept |= {"required": list(kept["properties"]), "additionalProperties": False}
    return kept


def prompt_bound(messages: Messages, kind: type[Record]) -> int:
    """An upper bound of a prompt's tokens: at most one of a byte, and some for the chat template."""
    texts = [message["content"] for message in messages] + [str(response_format("schema", kind))]
    return sum(len(text.encode("utf-8", "replace")) + 16 for text in texts)


_OWN_PATHS = ("ollama", "ollama_chat", "anthropic")
"""protocols whose clients put the whole path behind the address"""


def address_hint(provider: str, api_base: str | None) -> str | None:
    """What may be wrong with an address that answered, but not as a model's server; None where nothing is."""
    path = urlsplit(api_base or "").path.strip("/")
    if api_base is None or (provider in _OWN_PATHS) != (path == "v1") or (path and path != "v1"):
        return None
    base = api_base.rstrip("/")
    if path:
        return f"set llm.api_base={base.removesuffix('/v1')}: {provider} takes the address without /v1"
    return f"set llm.api_base={base}/v1: servers of this protocol answer under /v1"


@final
class Breaker:
    """Opens after `threshold` failures in a row; after `rest_s` seconds one try is let through.

    `open` says why it stays shut to callers, or None; `fail(for_good=True)` opens it for good.
    """

    def __init__(self, threshold: int, rest_s: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._threshold, self._rest_s, self._clock = threshold, rest_s, clock
        self._failures = 0
        self._until = 0.0
        self._reason = ""

    @property
    def open(self) -> str | None:
        """The reason of the last failure while nobody may ask, else None."""
        return self._reason if self._clock() < self._until else None

    def succeed(self) -> None:
        """An answer came: the row of failures is over."""
        self._failures = 0

    def fail(self, reason: str, *, for_good: bool = False) -> None:
        """Count one failure; a final one, such as a refused key, needs no second."""
        self._failures += 1
        self._reason = reason
        if for_good or self._failures >= self._threshold:
            self._until = float("inf") if for_good else self._clock() + self._rest_s


@final
@dataclass
class Way:
    """How the next attempt is put: the response forms that are left, and the temperature if any."""

    forms: list[Form]
    temperature: float | None

    @property
    def form(self) -> Form:
        """The strictest form that the server has not refused."""
        return self.forms[0]

    def mend(self, failure: WireFailure) -> bool:
        """Drop what the server refused and tell whether there is another way to ask."""
        if failure.kind != "form":
            return False
        # Newer models take no temperature but their own.
        if self.temperature is not None and "temperature" in str(failure).lower():
            self.temperature = None
            return True
        if len(self.forms) > 1:
            self.forms.pop(0)
            return True
        return False


@final
class Endpoint:
    """Makes no call before `send`; raises `Refusal` for a missing key or a price that cannot be."""

    def __init__(self, settings: LlmSettings) -> None:
        self.settings, self.key, self.rate = settings, key(settings), rate(settings)
        self.breaker = Breaker(settings.break_after, settings.rest_s)
        self._forms: tuple[Form, ...] = FORMS
        self._tempered = True
        self._wire: Wire | None = None

    @property
    def model(self) -> str:
        """`provider/name`."""
        return self.settings.model

    def way(self, temperature: float | None) -> Way:
        """The way that worked last, with this temperature where the server takes one."""
        wanted = self.settings.temperature if temperature is None else temperature
        return Way(list(self._forms), wanted if self._tempered else None)

    def succeed(self, way: Way, temperature: float | None) -> None:
        """Remember the way that worked."""
        self._tempered = self._tempered and way.temperature == self.way(temperature).temperature
        self._forms = tuple(way.forms)
        self.breaker.succeed()

    def send(self, messages: Messages, kind: type[Record], way: Way, timeout_s: float) -> ServerReply:
        """Ask once; raises `WireFailure`."""
        wire = self._opened()
        try:
            return wire.send(messages, response_format(way.form, kind), timeout_s, way.temperature)
        except WireFailure as failure:
            raise self._hinted(failure) from failure

    def _hinted(self, failure: WireFailure) -> WireFailure:
        """The failure with what of the settings may be the reason; itself where none is."""
        foreign = [name for name in self.settings.extra if f"'{name}'" in str(failure)]
        provider = self.model.partition("/")[0]
        if failure.kind == "form" and foreign and "does not support parameters" in str(failure):
            # LiteLLM refuses them itself: no other way to ask helps.
            body = f", or write llm.extra.extra_body.{foreign[0]} to send it so"
            body = "" if provider in _OWN_PATHS else body
            taken = f"to LiteLLM {provider} takes no {' and no '.join(foreign)}"
            return WireFailure("model", f"{taken}: leave it out of llm.extra{body}")
        nobody = failure.kind == "model" or (failure.kind == "server" and "(status 5" not in str(failure))
        hint = address_hint(provider, self.settings.api_base) if nobody else None
        if hint is None:
            return failure
        return WireFailure(failure.kind, f"{hint} ({failure})", billed=failure.billed, wait_s=failure.wait_s)

    def prepare(self) -> None:
        """Import LiteLLM now, if it was not: that takes seconds and belongs to no call."""
        if self._wire is None:
            self._opened().prepare()

    def interrupt(self) -> None:
        """End the exchange that another thread waits for."""
        if self._wire is not None:
            self._wire.interrupt()

    def close(self) -> None:
        """Close the connections."""
        if self._wire is not None:
            self._wire.close()

    def _opened(self) -> "Wire":
        if self._wire is None:
            from research.llm.wire import Wire

            sent = {**self.settings.extra, "max_tokens": self.settings.max_tokens}
            self._wire = Wire(self.model, self.settings.api_base, self.key, sent)
        return self._wire
