"""How arXiv's package sends a request: with a limit of time and size, and only XML counts as an answer.

The package itself sets no limit, and reads a login page as an answer without entries.
"""

import io
import time
from typing import Any, final

import requests
from requests.adapters import HTTPAdapter

_BODY = 10_000_000
"""bytes of an answer; fifty abstracts have a tenth of a megabyte"""


@final
class Transport(HTTPAdapter):
    """Raises `requests.ConnectionError`, upon which the package asks again, for what is no feed."""

    def __init__(self, timeout_s: float) -> None:
        super().__init__()
        self._timeout_s = timeout_s

    def send(self, request: Any, *args: Any, **settings: Any) -> requests.Response:
        """Send one request and read its whole body, as far as it is bounded."""
        end = time.monotonic() + self._timeout_s
        response = super().send(request, *args, **{**settings, "timeout": self._timeout_s, "stream": True})
        if response.status_code == requests.codes.ok:
            kind = response.headers.get("content-type", "")
            if "xml" not in kind:
                response.close()
                raise requests.ConnectionError(f"the answer is {kind or 'of no type'}, not Atom")
            response.raw = io.BytesIO(_body(response, end))
        return response


def _body(response: requests.Response, end: float) -> bytes:
    body = bytearray()
    for piece in response.raw.stream(65536, decode_content=True):
        body += piece
        if len(body) > _BODY or time.monotonic() > end:
            response.close()
            raise requests.ConnectionError(f"the answer is longer than {_BODY} bytes or too slow")
    return bytes(body)
