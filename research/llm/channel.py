"""Our HTTP client under LiteLLM: it follows no redirect, takes no compressed body, reads a bounded one."""

import functools
import ssl
from collections.abc import Iterator
from typing import Any, final

import httpx

_BODY = 4_000_000
"""bytes of a response's body that are read"""


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
