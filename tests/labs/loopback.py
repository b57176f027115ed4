"""What scripted HTTP servers on loopback have in common: a script of steps, quiet threads, one answer."""

import threading
from collections.abc import Sequence
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, ClassVar


class LoopbackHandler(BaseHTTPRequestHandler):
    kind: ClassVar[str]
    """the content type of what it says"""

    def log_message(self, *args: Any) -> None:
        """Silent."""

    def say(self, status: int, content: bytes, kind: str | None = None, **headers: str) -> None:
        self.send_response(status)
        for name, value in {"content-type": kind or self.kind, **headers}.items():
            self.send_header(name.replace("_", "-"), value)
        self.send_header("content-length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)


class LoopbackServer(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 32

    def __init__(self, handler: type[LoopbackHandler], script: Sequence[Any]) -> None:
        super().__init__(("127.0.0.1", 0), handler)
        self.script = list(script)
        self.released = threading.Event()

    def step(self) -> Any:
        """The next step of the script, the last one again and again."""
        return self.script.pop(0) if len(self.script) > 1 else self.script[0]

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that went away is part of the script."""


class Loopback:
    """Serves in a thread of its own while its block lasts."""

    def __init__(self, server: LoopbackServer) -> None:
        self._server = server
        self._thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)

    def __enter__(self) -> Any:
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

    def play(self, *script: Any) -> None:
        """Start another script."""
        self._server.script = list(script)
