"""A real HTTP server on loopback that plays a script to a language model's client, in three dialects.

A script is a list of steps; each request plays the next one, the last one again and again. OpenAI's chat
completions, Ollama's /api/chat and Anthropic's /v1/messages are told apart by the path.
"""

import contextlib
import json
from collections.abc import Callable, Sequence
from typing import Any

from loopback import Loopback, LoopbackHandler, LoopbackServer

Step = Callable[["Handler", dict[str, Any]], None]


class Handler(LoopbackHandler):
    kind = "application/json"
    protocol_version = "HTTP/1.1"
    server: "_Server"

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["content-length"])))
        self.server.requests.append(body)
        self.server.headers_seen.append(dict(self.headers))
        with contextlib.suppress(ConnectionError):
            self.server.step()(self, body)

    def drop(self) -> None:
        self.close_connection = True


class _Server(LoopbackServer):
    def __init__(self, script: Sequence[Step]) -> None:
        super().__init__(Handler, script)
        self.requests: list[dict[str, Any]] = []
        self.headers_seen: list[dict[str, str]] = []


class ScriptedServer(Loopback):
    """`with ScriptedServer(answer("{}")) as server:` listens at `server.base`."""

    _server: _Server

    def __init__(self, *script: Step) -> None:
        super().__init__(_Server(script))

    @property
    def requests(self) -> list[dict[str, Any]]:
        return self._server.requests

    @property
    def headers(self) -> list[dict[str, str]]:
        return self._server.headers_seen

    def play(self, *script: Step) -> None:
        """Start another script, and forget what was asked."""
        super().play(*script)
        self._server.requests.clear()
        self._server.headers_seen.clear()


def answer(
    content: str | None,
    finish_reason: str | None = "stop",
    usage: tuple[Any, Any] | None = (50, 20),
    **message: Any,
) -> Step:
    """A reply of the model."""

    def step(handler: Handler, body: dict[str, Any]) -> None:
        if handler.path == "/api/chat":
            reply = _ollama(content, finish_reason, usage)
        elif handler.path == "/v1/messages":
            reply = _anthropic(content, finish_reason, usage, bool(body.get("tools")))
        else:
            reply = _openai({"role": "assistant", "content": content, **message}, finish_reason, usage)
        handler.say(200, json.dumps(reply).encode())

    return step


def _openai(message: dict[str, Any], finish_reason: str | None, usage: Any) -> dict[str, Any]:
    choice = {"index": 0, "message": message, "finish_reason": finish_reason}
    reply = {"id": "x", "object": "chat.completion", "created": 1, "model": "m", "choices": [choice]}
    if usage is None:
        return reply
    return reply | {"usage": {"prompt_tokens": usage[0], "completion_tokens": usage[1], "total_tokens": 70}}


def _ollama(content: str | None, finish_reason: str | None, usage: Any) -> dict[str, Any]:
    counts = {} if usage is None else {"prompt_eval_count": usage[0], "eval_count": usage[1]}
    message = {"role": "assistant", "content": content}
    return {"model": "m", "message": message, "done": True, "done_reason": finish_reason, **counts}


def _anthropic(content: str | None, finish_reason: str | None, usage: Any, tools: bool) -> dict[str, Any]:
    text = {"type": "text", "text": content}
    tool = {"type": "tool_use", "id": "t", "name": "json_tool_call", "input": json.loads(content or "{}")}
    reason = {"stop": "tool_use" if tools else "end_turn", "length": "max_tokens"}.get(finish_reason or "")
    counts = {"input_tokens": usage[0], "output_tokens": usage[1]}
    reply = {"id": "m", "type": "message", "role": "assistant", "model": "m", "usage": counts}
    return reply | {"content": [tool if tools else text], "stop_reason": reason}


def status(code: int, content: str = '{"error": {"message": "scripted"}}', **headers: str) -> Step:
    """An HTTP status with a body."""
    return lambda handler, body: handler.say(code, content.encode(), **headers)


def only(form: str, reply: Step, code: int = 400) -> Step:
    """Refuse requests whose response format is not `form` (json_schema, json_object or text) with `code`."""
    refusal = status(code, '{"error": {"message": "this response_format is not supported"}}')

    def step(handler: Handler, body: dict[str, Any]) -> None:
        asked = body.get("response_format", {"type": "text"})["type"]
        (reply if asked == form else refusal)(handler, body)

    return step


def hang(handler: Handler, body: dict[str, Any]) -> None:
    """Say nothing until the server is closed."""
    handler.server.released.wait(30)
    handler.drop()


def trickle(handler: Handler, body: dict[str, Any]) -> None:
    """A byte now and then: every read succeeds, the answer never ends."""
    handler.wfile.write(b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 9999\r\n\r\n")
    while not handler.server.released.wait(0.1):
        handler.wfile.write(b" ")
    handler.drop()


def close(handler: Handler, body: dict[str, Any]) -> None:
    """Break off in the middle of the answer."""
    handler.wfile.write(b'HTTP/1.1 200 OK\r\ncontent-length: 500\r\n\r\n{"id"')
    handler.drop()


def nonsense(handler: Handler, body: dict[str, Any]) -> None:
    """Something that is not HTTP."""
    handler.wfile.write(b"\x00\x01 nonsense\r\n" * 9)
    handler.drop()


def flood(handler: Handler, body: dict[str, Any]) -> None:
    """An answer without an end."""
    handler.wfile.write(b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n\r\n")
    with contextlib.suppress(OSError):
        while not handler.server.released.is_set():
            handler.wfile.write(b" " * 65536)
    handler.drop()
