"""The language model: any provider or local server through LiteLLM, with caps, retries and a breaker.

`connect` turns the group `llm` of the config into a `Client`, or into None for `llm=none`. `Client.ask`
makes one exchange: JSON schema first, then JSON mode, then plain text, each only when the server refuses the
form before it, and remembers the form that worked. Nothing here invents a reply: an outage is
`LlmUnavailable`, an exhausted cap is `ledger.CapReached`, and on both the statistical proposers carry on.
"""

import hashlib
import math
import random
import time
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, TypeVar, final

from research.database.redact import MASK, redact
from research.language.breaker import Breaker
from research.language.exchange import (
    FORMS,
    Answer,
    Form,
    Messages,
    WireFailure,
    prompt_bound,
    response_format,
)
from research.language.ledger import Ledger, Spent, Usage
from research.language.llm_settings import Settings, key, price, settings
from research.language.prompt import cut
from research.language.replies import Reading
from research.types import Record

if TYPE_CHECKING:
    from research.language.wire import Wire

T = TypeVar("T", bound=Record)
Read = Callable[[Answer], Reading[T]]

NONE = (
    "llm=none: proposals come from samplers and recipes. To let a language model propose too: "
    "OPENAI_API_KEY=... python agent.py llm=openai, or llm=ollama for a model on this machine."
)
_KEPT = 20_000
"""characters of a prompt or reply that are kept"""
_LONGEST_PAUSE_S = 20.0
_FOR_GOOD = {"key", "model"}
_RETRIED = {"busy", "server", "lost", "timeout"}


class LlmUnavailable(Exception):
    """No answer can be had now: an outage, a refused key or model, or the rest after several failures."""


def connect(
    config: Mapping[str, Any], *, record: Callable[..., Any], already: Spent | None = None
) -> "Client | None":
    """The client that the group `llm` describes, None for `llm=none`; calls nobody, imports no LiteLLM.

    `record` gets every exchange as keywords (role, model, prompt, reply, outcome, tokens_in, tokens_out,
    dollars, seconds, joules, facts), secrets masked; `Store.add_interaction` takes them. `already` is what
    an interrupted campaign had spent. Raises `Refusal` for a bad setting, a missing key, or a cap that
    cannot be kept.
    """
    if config.get("model") is None:
        return None
    chosen = settings(config)
    ledger = Ledger(chosen.caps, price=price(chosen), token_joules=chosen.token_joules, already=already)
    return Client(chosen, key(chosen), ledger, record)


@final
class Client:
    """One model on one server; use it from one thread at a time and close it at the end."""

    def __init__(
        self, settings: Settings, key: str | None, ledger: Ledger, record: Callable[..., Any]
    ) -> None:
        self.settings, self.ledger = settings, ledger
        self._key, self._record = key, record
        self._breaker = Breaker(settings.break_after, settings.rest_s)
        self._forms = FORMS
        self._wire: Wire | None = None
        self.left_s: Callable[[], float] = lambda: math.inf
        """seconds that are left of the time that its questions are asked in; whoever asks sets it"""

    def __enter__(self) -> "Client":
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the connections."""
        if self._wire is not None:
            self._wire.close()

    def ask(self, messages: Messages, kind: type[T], read: Read[T], *, role: str) -> Reading[T]:
        """One answer to `messages`, read by `read`; the server is shown the schema of `kind`.

        Raises `LlmUnavailable` when no answer comes within `retries` and `patience_s`, and
        `ledger.CapReached` before a call that could pass a cap.
        """
        if self._breaker.open:
            raise LlmUnavailable(
                f"no call is made for a while after failures, the last one: {self._breaker.open}"
            )
        if self.left_s() <= 0:
            raise LlmUnavailable("the time for questions is over")
        patience_s = min(self.settings.patience_s, self.left_s())
        forms, attempt, end = list(self._forms), 0, time.monotonic() + patience_s
        while True:
            try:
                reading = self._exchange(messages, kind, read, role, forms[0], end)
            except WireFailure as failure:
                if failure.kind == "filtered":
                    return Reading(
                        "filtered", complaints=("the provider's content filter refused the prompt.",)
                    )
                if failure.kind == "form" and len(forms) > 1:
                    forms.pop(0)
                    continue
                self._pause(failure, attempt, end)
                attempt += 1
            else:
                self._forms = tuple(forms)
                self._breaker.succeed()
                return reading

    def _pause(self, failure: WireFailure, attempt: int, end: float) -> None:
        """Wait before the next attempt; raises `LlmUnavailable` when there is none."""
        pause = min(_LONGEST_PAUSE_S, self.settings.backoff_s * 2**attempt) * random.uniform(0.5, 1.0)
        pause = max(pause, failure.wait_s or 0.0)
        over = attempt >= self.settings.retries or time.monotonic() + pause >= end
        if failure.kind not in _RETRIED or over:
            sentence = self._clean(f"{self.settings.model}: {failure}")
            self._breaker.fail(sentence, for_good=failure.kind in _FOR_GOOD)
            raise LlmUnavailable(sentence)
        time.sleep(pause)

    def _exchange(
        self, messages: Messages, kind: type[T], read: Read[T], role: str, form: Form, end: float
    ) -> Reading[T]:
        """One attempt: reserved before, settled and recorded after, whatever came of it."""
        bound = Usage(prompt_bound(messages, kind), self.settings.max_tokens, estimated=True)
        wire = self._opened()
        ticket = self.ledger.reserve(bound.tokens_in, bound.tokens_out)
        started, usage = time.monotonic(), bound
        told: dict[str, Any] = {"outcome": "interrupted", "reply": None}
        try:
            answer = wire.send(messages, response_format(form, kind), self._timeout(end))
            told["reply"], usage = answer.text, _usage(answer, bound)
            reading = read(answer)
            told |= {"outcome": reading.outcome, "complaints": reading.complaints, "fenced": reading.fenced}
            return reading
        except WireFailure as failure:
            told |= {"outcome": f"failed: {failure.kind}", "complaints": (str(failure),)}
            usage = bound if failure.billed else Usage(0, 0)
            raise
        finally:
            seconds = time.monotonic() - started
            self.ledger.settle(ticket, usage, seconds)
            self._keep(messages, usage, seconds, role=role, form=form, **told)

    def _timeout(self, end: float) -> float:
        return max(0.05, min(self.settings.timeout_s, end - time.monotonic()))

    def _opened(self) -> "Wire":
        if self._wire is None:
            from research.language.wire import Wire

            sent = {"temperature": self.settings.temperature, "max_tokens": self.settings.max_tokens}
            self._wire = Wire(
                self.settings.model, self.settings.api_base, self._key, {**self.settings.extra, **sent}
            )
        return self._wire

    def _keep(
        self,
        messages: Messages,
        usage: Usage,
        seconds: float,
        *,
        role: str,
        outcome: str,
        reply: str | None,
        **facts: Any,
    ) -> None:
        prompt = "\n\n".join(f"[{message['role']}]\n{message['content']}" for message in messages)
        digest = hashlib.sha256(prompt.encode("utf-8", "replace")).hexdigest()
        self._record(
            role=role,
            model=self.settings.model,
            prompt=self._clean(prompt),
            reply=None if reply is None else self._clean(reply),
            outcome=outcome,
            tokens_in=usage.tokens_in,
            tokens_out=usage.tokens_out,
            **self.ledger.cost(usage),
            seconds=seconds,
            facts={"prompt_sha256": digest, "tokens_estimated": usage.estimated}
            | {name: self._clean_all(value) for name, value in facts.items()},
        )

    def _clean_all(self, value: Any) -> Any:
        return [self._clean(item) for item in value] if isinstance(value, tuple) else value

    def _clean(self, text: str) -> str:
        """`text` without our key and other secrets, storable, at most `_KEPT` characters."""
        masked = text.replace(self._key, MASK) if self._key else text
        storable = masked.encode("utf-8", "backslashreplace").decode().replace("\0", "\\x00")
        return str(redact(cut(storable, _KEPT)))


def _usage(answer: Answer, bound: Usage) -> Usage:
    """The tokens that the server told; the bound where it told none."""
    if answer.tokens_in is None or answer.tokens_out is None:
        return bound
    return Usage(answer.tokens_in, answer.tokens_out)
