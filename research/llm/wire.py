"""One exchange with a server through LiteLLM: a `ServerReply` or a `WireFailure`, never after its deadline.

LiteLLM speaks the providers' dialects; the HTTP client under it is ours: it follows no redirect, so that
neither prompt nor key goes to a server that nobody asked, reads a bounded body, and can be closed when the
time is up. Importing LiteLLM costs 5 CPU seconds, so it is done by the first `Wire`.
"""

import functools
import importlib
import logging
import os
import queue
import re
import ssl
import threading
import time
import warnings
from collections.abc import Iterator, Mapping
from email.utils import parsedate_to_datetime
from typing import Any, final

import httpx

from research.llm.endpoint import Failure, Messages, ServerReply, WireFailure

# These take OpenAI's body as it is, so the response format is put to the server and not to LiteLLM's table,
# which is wrong for local servers. The others need LiteLLM's translation.
_VERBATIM = {"openai", "hosted_vllm", "openrouter", "mistral", "deepseek", "together_ai", "xai", "groq"}
_OWN_HTTP = {*_VERBATIM, "anthropic", "ollama_chat", "gemini"} - {"openai"}
_BY_STATUS: dict[int, Failure] = {
    **dict.fromkeys((400, 422), "form"),
    **dict.fromkeys((401, 402, 403), "key"),
    404: "model",
    429: "busy",
}
_WORDS: dict[Failure, str] = {
    "form": "the server refused the request",
    "long": "the prompt is too long for this model",
    "filtered": "the content filter refused the prompt",
    "key": "the server refused the key",
    "model": "the server does not know this model or address",
    "busy": "the server is busy",
    "server": "the server failed",
    "lost": "the server cannot be reached or hung up",
    "timeout": "no answer in time",
}
_PREFIX = re.compile(r"(?:litellm\.\w+: )?(?:\w+Error: )?(?:\w+Exception - )?")
_POLICY = re.compile(r"content[ _](?:policy|filter)|content management policy")
_LONG = re.compile(r"context[ _](?:length|window)|maximum context")
_FORM = re.compile(r"response_format|json_schema|json_object|grammar")


@functools.cache
def load() -> Any:
    """LiteLLM, with its telemetry, its network price map, its .env reading and its messages off."""
    os.environ["LITELLM_LOCAL_MODEL_COST_MAP"] = "True"
    os.environ["LITELLM_MODE"] = "PRODUCTION"
    with warnings.catch_warnings():
        # pydantic warns about LiteLLM's own types, at the import or when the first response is made.
        warnings.simplefilter("ignore")
        import litellm

        litellm.ModelResponse()
        importlib.import_module("litellm.litellm_core_utils.default_encoding")
    litellm.telemetry = False
    litellm.suppress_debug_info = True
    # It repeats what servers say; what matters of it is in our failures.
    for name in ("LiteLLM", "LiteLLM Router", "LiteLLM Proxy"):
        logging.getLogger(name).setLevel(logging.CRITICAL + 1)
    return litellm


@final
class Wire:
    """The way to one model on one server, one exchange at a time; making one imports LiteLLM."""

    def __init__(
        self, model: str, api_base: str | None, key: str | None, settings: Mapping[str, Any]
    ) -> None:
        self._provider = model.partition("/")[0]
        # Without a key of ours LiteLLM would take another provider's from the environment and send it.
        self._fixed = {**settings, "model": model, "api_base": api_base, "api_key": key or "none"}
        self._litellm = load()
        if self._provider.startswith("ollama"):
            # LiteLLM asks localhost:11434 about models outside its table, wherever api_base points.
            free = {"mode": "chat", "input_cost_per_token": 0.0, "output_cost_per_token": 0.0}
            self._litellm.model_cost.setdefault(model, {"litellm_provider": "ollama", **free})
        self._channel: Channel | None = None
        self._outcome: queue.SimpleQueue[Any] = queue.SimpleQueue()

    def prepare(self) -> None:
        """Import what else the first exchange needs, up to a CPU second; nobody is asked."""
        self._channel = self._channel or Channel()
        client = self._client(self._channel.http)
        # OpenAI's package imports its hundreds of types when they are first looked at.
        getattr(getattr(client, "chat", None), "completions", None)

    def interrupt(self) -> None:
        """End the exchange that another thread waits for, by KeyboardInterrupt there."""
        self._outcome.put(KeyboardInterrupt())

    def close(self) -> None:
        """Close the connections; the next exchange opens new ones."""
        if self._channel is not None:
            self._channel.http.close()
            self._channel = None

    def send(
        self,
        messages: Messages,
        response_format: dict[str, Any] | None,
        timeout_s: float,
        temperature: float | None = None,
    ) -> ServerReply:
        """Ask once; raises `WireFailure` at the latest after `timeout_s`."""
        channel = self._channel = self._channel or Channel()
        channel.status = None
        call = self._call(channel.http, messages, response_format, timeout_s)
        call |= {} if temperature is None else {"temperature": temperature}
        outcome = self._outcome = queue.SimpleQueue()

        def exchange() -> None:
            try:
                outcome.put(self._litellm.completion(**call))
            except Exception as error:
                outcome.put(error)

        # httpx bounds each read, not the whole: a server that sends a byte a second would hold us for ever.
        threading.Thread(target=exchange, daemon=True, name="llm-exchange").start()
        try:
            response = outcome.get(timeout=timeout_s)
            if isinstance(response, KeyboardInterrupt):
                raise response
        except BaseException as stopped:
            self.close()
            if isinstance(stopped, queue.Empty):
                raise WireFailure("timeout", f"no answer within {timeout_s:.3g} s", billed=True) from None
            raise
        if isinstance(response, Exception):
            raise _failure(self._litellm, response, channel.status) from response
        return _answer(response)

    def _call(
        self, http: httpx.Client, messages: Messages, response_format: dict[str, Any] | None, timeout_s: float
    ) -> dict[str, Any]:
        http.timeout = httpx.Timeout(timeout_s)
        call = {**self._fixed, "messages": [dict(message) for message in messages], "timeout": timeout_s}
        call |= {"max_retries": 0, "num_retries": 0, "client": self._client(http)}
        if response_format is not None:
            call["response_format"] = response_format
            if self._provider in _VERBATIM:
                call["allowed_openai_params"] = ["response_format"]
        return {name: value for name, value in call.items() if value is not None}

    def _client(self, http: httpx.Client) -> Any:
        """LiteLLM's client for this provider around our HTTP client; None where it takes none."""
        if self._provider == "openai":
            import openai

            base, key = self._fixed["api_base"], self._fixed["api_key"]
            return openai.OpenAI(api_key=key, base_url=base, http_client=http, max_retries=0)
        if self._provider in _OWN_HTTP:
            from litellm.llms.custom_httpx.http_handler import HTTPHandler

            return HTTPHandler(client=http)
        return None


def _answer(response: Any) -> ServerReply:
    """Take what matters out of LiteLLM's response; raises `WireFailure` when there is no choice in it."""
    if not response.choices:
        raise WireFailure("server", "the server's answer holds no choice", billed=True)
    choice = response.choices[0]
    extra = getattr(choice, "provider_specific_fields", None) or {}
    # LiteLLM turns a reason that it does not know into `stop`.
    reason = extra.get("native_finish_reason") or choice.finish_reason
    message = choice.message
    if (getattr(message, "provider_specific_fields", None) or {}).get("refusal"):
        reason = "refusal"
    if message.tool_calls or message.function_call:
        reason = "tool_calls"
    usage = getattr(response, "usage", None)
    tokens = [_count(getattr(usage, f"{side}_tokens", None)) for side in ("prompt", "completion")]
    return ServerReply(message.content, reason, *tokens)


def _count(value: Any) -> int | None:
    """A plausible number of tokens; a missing, zero or negative one is unknown."""
    return min(value, 2**31 - 1) if isinstance(value, int) and value > 0 else None


def _failure(litellm: Any, error: Exception, status: int | None) -> WireFailure:
    said, status = _said(error), status or _unseen(error)
    kind = _kind(litellm, error, status, f"{said} {_code(error)}".lower())
    told = _WORDS[kind] + (f" (status {status})" if status else "") + (f": {said}" if said else "")
    # A status of 3xx, 4xx or 5xx is a clear no; after anything else the reply may have been made and billed.
    unsent = (httpx.ConnectError, httpx.ConnectTimeout)
    unconnected = any(isinstance(cause, unsent) for cause in _causes(error))
    billed = (status or 0) < 300 and not unconnected and kind != "form"
    return WireFailure(kind, told, billed=billed, wait_s=_wait(error))


def _kind(litellm: Any, error: Exception, status: int | None, said: str) -> Failure:
    refused = status in (400, 403, 413, 422)
    if isinstance(error, litellm.ContentPolicyViolationError) or (refused and _POLICY.search(said)):
        return "filtered"
    if isinstance(error, litellm.ContextWindowExceededError) or (refused and _LONG.search(said)):
        return "long"
    if status is None:
        return "timeout" if isinstance(error, litellm.Timeout) else "lost"
    # A complaint about the format may also come with a status of 500 or 501.
    if status >= 500 and _FORM.search(said):
        return "form"
    return _BY_STATUS.get(status, "server")


def _unseen(error: Exception) -> int | None:
    """The status of an error that LiteLLM raised without asking the server, or past our HTTP client."""
    status = getattr(error, "status_code", None)
    # It also gives 408 and 500 to what never reached a server.
    return status if isinstance(status, int) and status not in (408, 500) else None


def _said(error: Exception) -> str:
    """The server's words, or those of the connection under it, without LiteLLM's prefixes and traceback."""
    under = next((cause for cause in _causes(error) if isinstance(cause, httpx.TransportError)), error)
    return _PREFIX.sub("", str(under).split("\nTraceback", 1)[0]).strip()


def _code(error: Exception) -> str:
    """The server's own code and type of its refusal, which LiteLLM leaves out of its sentence."""
    bodies = [body for cause in _causes(error) if isinstance(body := getattr(cause, "body", None), dict)]
    return " ".join(str(body.get(name, "")) for body in bodies for name in ("code", "type"))


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__


def _wait(error: Exception) -> float | None:
    """The seconds of a `Retry-After`, which may also be a date (RFC 9110, 10.2.3)."""
    headers = getattr(error, "litellm_response_headers", None) or {}
    told = headers.get("retry-after", "")
    try:
        dated = not told.replace(".", "", 1).isdigit()
        return max(0.0, parsedate_to_datetime(told).timestamp() - time.time() if dated else float(told))
    except (ValueError, OverflowError):
        return None


_BODY = 4_000_000  # bytes of a response's body that are read


@final
class Channel:
    """Our HTTP client and the status that it saw last; an exchange that was given up keeps its own."""

    def __init__(self) -> None:
        self.status: int | None = None
        hooks: dict[str, list[Any]] = {"request": [_plain], "response": [self._bound]}
        self.http = httpx.Client(follow_redirects=False, event_hooks=hooks, verify=_certificates())

    def _bound(self, response: httpx.Response) -> None:
        self.status = response.status_code
        if response.headers.get("content-encoding", "identity") != "identity":
            raise httpx.RemoteProtocolError("the server compresses its answer although it was asked not to")
        assert isinstance(response.stream, httpx.SyncByteStream)
        response.stream = _Bounded(response.stream)


@functools.cache
def _certificates() -> ssl.SSLContext:
    # Reading the list of authorities takes 30 ms, more than a local server's answer.
    return httpx.create_ssl_context()


@final
class _Bounded(httpx.SyncByteStream):
    def __init__(self, inner: httpx.SyncByteStream) -> None:
        self._inner = inner

    def __iter__(self) -> Iterator[bytes]:
        left = _BODY
        for piece in self._inner:
            left -= len(piece)
            if left < 0:
                raise httpx.RemoteProtocolError(f"the server's answer is longer than {_BODY} bytes")
            yield piece

    def close(self) -> None:
        self._inner.close()


def _plain(request: httpx.Request) -> None:
    # A compressed body of a megabyte may unfold to gigabytes behind the bound.
    request.headers["accept-encoding"] = "identity"
