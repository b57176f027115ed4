"""A real HTTP server on loopback that plays a script to a language model's client, in three dialects.

A script is a list of steps; each request plays the next one, the last one again and again. OpenAI's chat
completions, Ollama's /api/chat and Anthropic's /v1/messages are told apart by the path.
"""

import contextlib
import json
import threading
from collections.abc import Callable, Sequence
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

Step = Callable[["Handler", dict[str, Any]], None]


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: "_Server"

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["content-length"])))
        step = self.server.next_step(body, dict(self.headers))
        with contextlib.suppress(ConnectionError):
            step(self, body)

    def log_message(self, *args: Any) -> None:
        """Silent."""

    def say(self, status: int, content: bytes, **headers: str) -> None:
        self.send_response(status)
        for name, value in {"content-type": "application/json", **headers}.items():
            self.send_header(name.replace("_", "-"), value)
        self.send_header("content-length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def drop(self) -> None:
        self.close_connection = True


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 32

    def __init__(self, script: Sequence[Step]) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.script = list(script)
        self.requests: list[dict[str, Any]] = []
        self.headers_seen: list[dict[str, str]] = []
        self.released = threading.Event()

    def next_step(self, body: dict[str, Any], headers: dict[str, str]) -> Step:
        self.requests.append(body)
        self.headers_seen.append(headers)
        return self.script.pop(0) if len(self.script) > 1 else self.script[0]

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that went away is part of the script."""


class ScriptedServer:
    """`with ScriptedServer(answer("{}")) as server:` listens at `server.base`."""

    def __init__(self, *script: Step) -> None:
        self._server = _Server(script)
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True)

    def __enter__(self) -> "ScriptedServer":
        self._thread.start()
        return self

    def __exit__(self, *exc: object) -> None:
        self._server.released.set()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    @property
    def base(self) -> str:
        return f"http://127.0.0.1:{self._server.server_port}"

    @property
    def requests(self) -> list[dict[str, Any]]:
        return self._server.requests

    @property
    def headers(self) -> list[dict[str, str]]:
        return self._server.headers_seen

    def play(self, *script: Step) -> None:
        """Start another script."""
        self._server.script = list(script)
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
