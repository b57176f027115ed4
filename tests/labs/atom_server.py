"""A real HTTP server on loopback that answers as arXiv's API does, or as a scripted fault."""

import contextlib
from collections.abc import Callable
from urllib.parse import parse_qs, urlsplit
from xml.sax.saxutils import escape

from loopback import Loopback, LoopbackHandler, LoopbackServer

Step = Callable[["Handler"], None]
ATOM = "application/atom+xml; charset=utf-8"


class Handler(LoopbackHandler):
    kind = ATOM
    server: "_Server"

    def do_GET(self) -> None:
        self.server.asked.append(
            {name: found[0] for name, found in parse_qs(urlsplit(self.path).query).items()}
        )
        with contextlib.suppress(ConnectionError):
            self.server.step()(self)


class _Server(LoopbackServer):
    def __init__(self, script: tuple[Step, ...]) -> None:
        super().__init__(Handler, script)
        self.asked: list[dict[str, str]] = []


class AtomServer(Loopback):
    """`with AtomServer(feed(entry(...))) as server:` listens at `server.url`."""

    _server: _Server

    def __init__(self, *script: Step) -> None:
        super().__init__(_Server(script))

    @property
    def url(self) -> str:
        return f"{self.base}/api/query"

    @property
    def asked(self) -> list[dict[str, str]]:
        return self._server.asked


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
