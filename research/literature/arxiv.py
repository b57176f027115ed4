"""Literature from arXiv's API through its package: polite, remembered in a file, and never a reason to stop.

It asks for no more than one request in three seconds (https://info.arxiv.org/help/api/tou.html).
"""

import importlib.util
import io
import json
import logging
import os
import queue
import re
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, final
from urllib.parse import urlsplit

import requests
from pydantic import ValidationError
from requests.adapters import HTTPAdapter

from refusal import Refusal
from research.literature.library import Library, Source, source, terms
from research.llm.endpoint import Breaker
from research.llm.prompt import one_line

_WORDS = 8
"""words of a query that arXiv is asked for, the first that carry meaning"""
_MOST = 50
_ID = re.compile(r"/abs/(\d{4}\.\d{4,5}|[a-z-]+(?:\.[A-Z]{2})?/\d{7})(?:v\d+)?$")
_CATEGORY = re.compile(r"[a-z-]+(\.[A-Za-z-]+)?")
_REST_S = 300.0


@final
class Arxiv(Library):
    """Asks `url` for abstracts in `categories`; ids are `arxiv:2310.01234`, without a version.

    `timeout_s` bounds a question with its retries and pauses; after two outages nobody is asked for five
    minutes. Raises `Refusal` for a missing package and for settings that cannot be.
    """

    def __init__(
        self, url: str, categories: Sequence[str], path: str, delay_s: float, timeout_s: float, retries: int
    ) -> None:
        super().__init__()
        _check(url, categories, timeout_s)
        self._url, self._categories, self._timeout_s = url, list(categories), timeout_s
        self._delay_s, self._retries = delay_s, retries
        self._shelf = Shelf(Path(path))
        if self._shelf.note:
            self.notes.append(self._shelf.note)
        self._breaker = Breaker(2, _REST_S)
        self._client: Any = None
        self._counts = {"asked": 0, "repeated": 0, "outages": 0, "resting": 0}

    def find(self, query: str, count: int) -> tuple[Source, ...]:
        """The abstracts that arXiv finds most relevant to the words of `query`, at most 50."""
        asked, count = self._query(query), min(count, _MOST)
        if not asked or count < 1:
            return ()
        known = self._shelf.found(f"{count} of {asked}")
        if known is not None:
            self._counts["repeated"] += 1
            return known
        if self._breaker.open:
            self._counts["resting"] += 1
            return ()
        return self._answer(asked, count)

    def facts(self) -> dict[str, Any]:
        """Where, how often asked, repeated and failed, and what failed."""
        return {"literature": self._url, **self._counts, "notes": self.notes}

    def _query(self, query: str) -> str:
        # Any word may match, arXiv ranks: a goal's words all together stand in no abstract.
        words = list(dict.fromkeys(word for word in terms(query) if word.isascii() and not word.isdigit()))
        if not words:
            return ""
        asked = " OR ".join(f"all:{word}" for word in words[:_WORDS])
        within = " OR ".join(f"cat:{category}" for category in self._categories)
        return f"({asked}) AND ({within})" if within else asked

    def _answer(self, asked: str, count: int) -> tuple[Source, ...]:
        self._counts["asked"] += 1
        try:
            sources = self._fetched(asked, count)
        except _Outage as outage:
            self._counts["outages"] += 1
            self._breaker.fail(str(outage))
            self.notes.append(f"arXiv gave no answer, so nothing of it is cited here: {outage}.")
            return ()
        self._breaker.succeed()
        self._shelf.keep(f"{count} of {asked}", sources)
        return sources

    def _fetched(self, asked: str, count: int) -> tuple[Source, ...]:
        """Ask in a thread that is given up when the time is over: the package bounds no request."""
        import arxiv

        outcome: queue.SimpleQueue[Any] = queue.SimpleQueue()
        client, search = self._opened(count), arxiv.Search(query=asked, max_results=count)

        def fetch() -> None:
            try:
                outcome.put(list(client.results(search)))
            except Exception as error:
                outcome.put(error)

        threading.Thread(target=fetch, daemon=True, name="arxiv").start()
        try:
            results = outcome.get(timeout=self._timeout_s)
        except queue.Empty:
            self._client = None
            raise _Outage(f"no answer within {self._timeout_s:g} s") from None
        if isinstance(results, Exception):
            raise _Outage(_reason(results)) from results
        return tuple(one for result in results if (one := self._source(result)) is not None)

    def _source(self, result: Any) -> Source | None:
        named = _ID.search(result.entry_id)
        authors, year = [author.name for author in result.authors], str(result.published.year)
        found = named and source("arxiv", named[1], result.title, result.summary, year=year, authors=authors)
        if not named or found is None:
            self.notes.append(f"an entry of arXiv's answer is left out: {one_line(result.entry_id, 80)}.")
            return None
        return found.model_copy(update={"url": f"https://arxiv.org/abs/{named[1]}"})

    def _opened(self, count: int) -> Any:
        """The package's client, the same one for all questions, as it keeps the pauses between them."""
        import arxiv

        if self._client is None:
            # What it warns of, entries that it skips, is no message to a person.
            logging.getLogger("arxiv").setLevel(logging.CRITICAL + 1)
            self._client = arxiv.Client(delay_seconds=self._delay_s, num_retries=self._retries)
            self._client.query_url_format = self._url + "?{}"
            self._client._session.mount(self._url, Transport(self._timeout_s))
        self._client.page_size = count
        return self._client


class _Outage(Exception):
    """No answer, for a reason told in one line."""


def _reason(error: BaseException) -> str:
    """What is at the bottom of an error: the layers above repeat the address."""
    while under := error.__cause__ or error.__context__:
        error = under
    return one_line(f"{type(error).__name__}: {error}")


def _check(url: str, categories: Sequence[str], timeout_s: float) -> None:
    if importlib.util.find_spec("arxiv") is None:
        raise Refusal(
            "literature=arxiv needs the package arxiv: pip install 'joulelab[literature]', or choose "
            "literature=folder or none."
        )
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname or parts.query:
        raise Refusal("literature.url must be an address such as https://export.arxiv.org/api/query.")
    unknown = [category for category in categories if not _CATEGORY.fullmatch(str(category))]
    if unknown:
        raise Refusal(f"literature.categories are arXiv's, such as cs.LG: {unknown[0]} is none.")
    if timeout_s <= 0:
        raise Refusal("literature.timeout_s must be above 0.")


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


@final
class Shelf:
    """Sources by id and the ids that each query gave, in one JSON file; a broken file is put aside."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self.note: str | None = None
        self._queries: dict[str, list[str]] = {}
        self._sources: dict[str, Source] = {}
        if path.exists():
            self._load()

    def found(self, query: str) -> tuple[Source, ...] | None:
        """What this query gave; None when it was not asked yet."""
        ids = self._queries.get(query)
        return None if ids is None else tuple(self._sources[id] for id in ids)

    def keep(self, query: str, found: tuple[Source, ...]) -> None:
        """Write down what a query gave; a source that is known stays as it was first seen."""
        self._sources = {source.id: source for source in found} | self._sources
        self._queries[query] = [source.id for source in found]
        sources = [source.model_dump(mode="json") for source in self._sources.values()]
        content = {"queries": self._queries, "sources": sources}
        beside = self._path.with_name(f"{self._path.name}.{os.getpid()}")
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            beside.write_text(json.dumps(content, indent=1, ensure_ascii=False), encoding="utf-8")
            beside.replace(self._path)
        except OSError as error:
            raise Refusal(f"{self._path} cannot be written: {error.strerror}: set literature.path.") from None

    def _load(self) -> None:
        try:
            content: Any = json.loads(self._path.read_text(encoding="utf-8"))
            sources = {one.id: one for one in map(Source.model_validate, content["sources"])}
            queries = {str(query): [str(id) for id in ids] for query, ids in content["queries"].items()}
            if any(id not in sources for ids in queries.values() for id in ids):
                raise ValueError("a query names a source that is not there")
        except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError, ValidationError):
            aside = self._path.with_name(f"{self._path.name}.bad")
            self._path.replace(aside)
            self.note = f"{self._path} could not be read, so it is put aside as {aside.name} and made anew."
        else:
            self._sources, self._queries = sources, queries
