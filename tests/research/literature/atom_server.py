"""A real HTTP server on loopback that answers as arXiv's API does, or as a scripted fault."""

import contextlib
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit
from xml.sax.saxutils import escape

Step = Callable[["Handler"], None]
ATOM = "application/atom+xml; charset=utf-8"


class Handler(BaseHTTPRequestHandler):
    server: "_Server"

    def do_GET(self) -> None:
        self.server.asked.append(
            {name: found[0] for name, found in parse_qs(urlsplit(self.path).query).items()}
        )
        with contextlib.suppress(ConnectionError):
            script = self.server.script
            (script.pop(0) if len(script) > 1 else script[0])(self)

    def log_message(self, *args: Any) -> None:
        """Silent."""

    def say(self, status: int, content: bytes, kind: str = ATOM, **headers: str) -> None:
        self.send_response(status)
        for name, value in {"content-type": kind, **headers}.items():
            self.send_header(name.replace("_", "-"), value)
        self.send_header("content-length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self, script: tuple[Step, ...]) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.script = list(script)
        self.asked: list[dict[str, str]] = []
        self.released = threading.Event()

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that went away is part of the script."""


class AtomServer:
    """`with AtomServer(feed(entry(...))) as server:` listens at `server.url`."""

    def __init__(self, *script: Step) -> None:
        self._server = _Server(script)
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True)

    def __enter__(self) -> "AtomServer":
        self._thread.start()
        return self

    def __exit__(self, *exc: object) -> None:
        self._server.released.set()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_port}/api/query"

    @property
    def asked(self) -> list[dict[str, str]]:
        return self._server.asked

    def play(self, *script: Step) -> None:
        """Start another script."""
        self._server.script = list(script)


def entry(id: str, title: str, summary: str = "An abstract.", published: str = "2023-10-02T17:59:46Z") -> str:
    return (
        f"<entry><id>http://arxiv.org/abs/{escape(id)}</id><published>{published}</published>"
        f"<updated>{published}</updated><title>{escape(title)}</title><summary>{escape(summary)}</summary>"
        "<author><name>A. Author</name></author><author><name>B. Böhm</name></author>"
        f'<link href="http://arxiv.org/abs/{escape(id)}" rel="alternate" type="text/html"/></entry>'
    )


def feed(*entries: str) -> Step:
    """An answer of arXiv's."""
    head = (
        '<?xml version="1.0" encoding="UTF-8"?><feed xmlns="http://www.w3.org/2005/Atom">'
        '<opensearch:totalResults xmlns:opensearch="http://a9.com/-/spec/opensearch/1.1/">'
        f"{len(entries)}</opensearch:totalResults>"
    )
    content = f"{head}{''.join(entries)}</feed>".encode()
    return lambda handler: handler.say(200, content)


def says(status: int, content: bytes = b"", kind: str = ATOM) -> Step:
    """A status with a body."""
    return lambda handler: handler.say(status, content, kind)


def hang(handler: Handler) -> None:
    """Say nothing until the server is closed."""
    handler.server.released.wait(30)


def trickle(handler: Handler) -> None:
    """A byte now and then: every read succeeds, the answer never ends."""
    handler.wfile.write(b"HTTP/1.0 200 OK\r\ncontent-type: application/atom+xml\r\n\r\n")
    while not handler.server.released.wait(0.05):
        handler.wfile.write(b" ")
