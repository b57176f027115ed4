"""The language model: any provider or local server through LiteLLM, with caps, retries, breakers, fallbacks.

`connect` turns the group `llm` of the config into a `Client`, or into None for `llm=none`. `Client.ask`
makes one exchange: JSON schema first, then JSON mode, then plain text, each only when the server refuses the
form before it, and remembers the form that worked. A model that gives no answer leaves the question to the
next of `llm.fallback`. Nothing here invents a reply: when all are out it is `LlmUnavailable`, an exhausted
cap is `ledger.CapReached`, and on both the statistical proposers carry on.
"""

import random
import threading
import time
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext
from math import inf
from typing import TYPE_CHECKING, Any, TypeVar, final

from research.llm.endpoint import Endpoint, Messages, Way, WireFailure, prompt_bound
from research.llm.ledger import LlmLedger, LlmSpent
from research.llm.price import Usage, is_free
from research.llm.question import Heard, KnownReplies, LlmQuestion, Read, Scribe
from research.llm.replies import ReadReply
from research.llm.settings import LlmSettings, line, other, settings
from research.types import Record

if TYPE_CHECKING:
    from research.store.store import Store

T = TypeVar("T", bound=Record)

NONE = (
    "llm=none: proposals come from samplers and recipes. To let a language model propose too: "
    "OPENAI_API_KEY=... python agent.py llm=openai, or llm=ollama for a model on this machine."
)
_LONGEST_PAUSE_S = 20.0
_SHORTEST_CALL_S = 0.05
_FOR_GOOD = {"key", "model"}
_RETRIED = {"busy", "server", "lost", "timeout"}


class LlmUnavailable(Exception):
    """No answer can be had now: an outage, a refused key or model, no time left, or a rest after failures."""


def connect(
    config: Mapping[str, Any],
    *,
    record: Callable[..., Any],
    store: "Store | None" = None,
    already: LlmSpent | None = None,
) -> "Client | None":
    """The client that the group `llm` describes, None for `llm=none`; calls nobody, imports no LiteLLM.

    `record` gets every exchange as keywords (role, model, prompt, reply, outcome, digest, tokens_in,
    tokens_out, dollars, seconds, joules, facts), secrets masked; `Store.add_interaction` takes them. `store`
    is where `llm.cache=true` finds known replies. `already` is what an interrupted campaign had spent
    (`ledger.tally`). Raises `Refusal` for a bad setting, a missing key, or a cap that cannot be kept, and
    `ValueError` for a cache without a store.
    """
    if config.get("model") is None:
        return None
    chosen = settings(config)
    if chosen.cache and store is None:
        raise ValueError("llm.cache=true needs the store whose replies are repeated")
    ledger = LlmLedger(chosen.caps, already=already)
    endpoints = [_admitted(model, ledger) for model in line(chosen)]
    return Client(endpoints, ledger, record, KnownReplies(store) if chosen.cache and store else None)


def _admitted(chosen: LlmSettings, ledger: LlmLedger) -> Endpoint:
    endpoint = Endpoint(chosen)
    ledger.admit(endpoint.model, endpoint.rate)
    return endpoint


@final
class Client:
    """Models to ask, the first one first; use it from one thread at a time and close it at the end."""

    def __init__(
        self,
        endpoints: list[Endpoint],
        ledger: LlmLedger,
        record: Callable[..., Any],
        replies: KnownReplies | None = None,
    ) -> None:
        self.ledger = ledger
        self._endpoints, self._replies = endpoints, replies
        self.heard = Heard()
        """how many replies could be used, and why others could not"""
        self._named: dict[str, Endpoint] = {}
        self.left_s: Callable[[], float] = lambda: inf
        """seconds that are left of the time in which it may be asked; whoever boxes the time sets it"""
        self.elsewhere: Callable[[], AbstractContextManager[None]] = nullcontext
        """what is entered while a server is waited for: who works beside the questions sets it"""
        self._stopped = threading.Event()
        self._scribe = Scribe(record, self._all, replies)

    def __enter__(self) -> "Client":
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    @property
    def settings(self) -> LlmSettings:
        """The settings of the first model."""
        return self._endpoints[0].settings

    @property
    def computes_here(self) -> bool:
        """Whether a model may compute on this machine's own cores, where it would disturb what trains."""
        return any(is_free(one.model, one.settings.api_base) for one in self._all())

    def close(self) -> None:
        """Close the connections."""
        for endpoint in self._all():
            endpoint.close()

    def interrupt(self) -> None:
        """End the question that another thread waits for, by KeyboardInterrupt there; none follows it."""
        self._stopped.set()
        for endpoint in self._all():
            endpoint.interrupt()

    def admit(self, model: str) -> None:
        """Check a model that a role will ask for (an option of conf/llm, or provider/name), before it does.

        Raises `Refusal` where `ask` would: for an unknown name, a missing key, a cap that cannot be kept.
        """
        if model not in self._named:
            self._named[model] = _admitted(other(model, self.settings), self.ledger)

    def prepare(self) -> None:
        """Import LiteLLM now: its 5 CPU seconds need not come out of the time of the first question."""
        self._endpoints[0].prepare()

    def ask(
        self,
        messages: Messages,
        kind: type[T],
        read: Read[T],
        *,
        role: str,
        model: str | None = None,
        temperature: float | None = None,
        deadline_s: float | None = None,
    ) -> ReadReply[T]:
        """One answer to `messages`, read by `read`; the server is shown the schema of `kind`.

        `model` is asked before the models of the config, `temperature` wins over theirs (a server that
        refuses it is asked without), `deadline_s` bounds all attempts and models together. Raises
        `LlmUnavailable` when no model answers within its `retries` and `patience_s`, `ledger.CapReached`
        before a call that could pass a cap, and what `admit` raises.
        """
        if self._stopped.is_set():
            raise KeyboardInterrupt
        left_s = min(self.left_s(), inf if deadline_s is None else deadline_s)
        if left_s <= 0:
            raise LlmUnavailable("the time for questions is over")
        end = time.monotonic() + left_s
        question = LlmQuestion(messages, kind, read, role, temperature, end)
        reasons = []
        for endpoint in self._line(model):
            try:
                return self._known(endpoint, question) or self._answer(endpoint, question)
            except LlmUnavailable as unavailable:
                reasons.append(str(unavailable))
        self.heard.miss("; ".join(reasons))
        raise LlmUnavailable("; ".join(reasons))

    def _line(self, model: str | None) -> list[Endpoint]:
        if model is None or model == self.settings.model:
            return self._endpoints
        self.admit(model)
        return [self._named[model], *self._endpoints]

    def _all(self) -> list[Endpoint]:
        return [*self._endpoints, *self._named.values()]

    def _answer(self, endpoint: Endpoint, question: LlmQuestion[T]) -> ReadReply[T]:
        """An answer of one model, after as many attempts as it takes."""
        if endpoint.breaker.open:
            raise LlmUnavailable(
                f"no call is made for a while after failures, the last one: {endpoint.breaker.open}"
            )
        endpoint.prepare()
        if time.monotonic() >= question.end:
            raise LlmUnavailable(f"no time is left to ask {endpoint.model}")
        end = min(question.end, time.monotonic() + endpoint.settings.patience_s)
        way, attempt = endpoint.way(question.temperature), 0
        while not self._stopped.is_set():
            try:
                reading = self._exchange(endpoint, question, way, end)
            except WireFailure as failure:
                if failure.kind == "filtered":
                    return ReadReply(
                        "filtered", complaints=("the provider's content filter refused the prompt.",)
                    )
                if way.mend(failure):
                    continue
                self._pause(endpoint, failure, attempt, end, question.end)
                attempt += 1
            else:
                endpoint.succeed(way, question.temperature)
                return reading
        raise KeyboardInterrupt

    def _pause(
        self, endpoint: Endpoint, failure: WireFailure, attempt: int, end: float, deadline: float
    ) -> None:
        """Wait before the next attempt; raises `LlmUnavailable` when there is none."""
        chosen = endpoint.settings
        pause = min(_LONGEST_PAUSE_S, chosen.backoff_s * 2**attempt) * random.uniform(0.5, 1.0)
        pause = max(pause, failure.wait_s or 0.0)
        if failure.kind in _RETRIED and attempt < chosen.retries and time.monotonic() + pause < end:
            with self.elsewhere():
                self._stopped.wait(pause)
            return
        sentence = self._scribe.clean(f"{chosen.model}: {failure}")
        # A call that our own deadline cut short says nothing about the server.
        if failure.kind != "timeout" or time.monotonic() + _SHORTEST_CALL_S < deadline:
            endpoint.breaker.fail(sentence, for_good=failure.kind in _FOR_GOOD)
        raise LlmUnavailable(sentence)

    def _exchange(self, endpoint: Endpoint, question: LlmQuestion[T], way: Way, end: float) -> ReadReply[T]:
        """One attempt: reserved before, settled and recorded after, whatever came of it."""
        bound = Usage(
            prompt_bound(question.messages, question.kind), endpoint.settings.max_tokens, estimated=True
        )
        ticket = self.ledger.reserve(bound.tokens_in, bound.tokens_out, endpoint.rate)
        started, usage = time.monotonic(), bound
        told: dict[str, Any] = {"outcome": "interrupted", "reply": None, "form": way.form}
        told["temperature"] = way.temperature
        try:
            limit = max(_SHORTEST_CALL_S, min(endpoint.settings.timeout_s, end - time.monotonic()))
            with self.elsewhere():
                answer = endpoint.send(question.messages, question.kind, way, limit)
            told |= {"reply": answer.text, "finish_reason": answer.finish_reason}
            if answer.tokens_in is not None and answer.tokens_out is not None:
                usage = Usage(answer.tokens_in, answer.tokens_out)
            reading = question.read(answer)
            told |= {"outcome": reading.outcome, "complaints": reading.complaints, "fenced": reading.fenced}
            told["notes"] = reading.notes
            self.heard.add(reading)
            return reading
        except WireFailure as failure:
            told |= {"outcome": f"failed: {failure.kind}", "complaints": (str(failure),)}
            usage = bound if failure.billed else Usage(0, 0)
            raise
        finally:
            seconds = time.monotonic() - started
            cost = self.ledger.settle(ticket, usage, seconds)
            self._scribe.write(endpoint, question, usage, cost, seconds, **told)

    def _known(self, endpoint: Endpoint, question: LlmQuestion[T]) -> ReadReply[T] | None:
        """The reply to an equal question, where there is one that is read today as it was read then."""
        asked = question.digest(endpoint)
        while self._replies is not None and (known := self._replies.next(asked)) is not None:
            reading = question.read(known.answer)
            if reading.outcome == known.outcome:
                self.ledger.repeated()
                self.heard.add(reading)
                self._scribe.repeat(endpoint, question, known, reading)
                return reading
        return None
