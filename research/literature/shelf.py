"""A file of what was found before, so that a campaign typed again looks at the same literature offline."""

import json
import os
from pathlib import Path
from typing import Any, final

from pydantic import ValidationError

from refusal import Refusal
from research.literature.source import Source


@final
class Shelf:
    """Sources by id and the ids that each query gave, in one JSON file that is written whole or not at all.

    A file that cannot be read as one is put aside under `.bad` and told in `note`. Raises `Refusal` when
    the place cannot be written.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self.note: str | None = None
        self._queries: dict[str, list[str]] = {}
        self._sources: dict[str, Source] = {}
        if path.exists():
            self._load()

    def get(self, id: str) -> Source | None:
        """The source with this id."""
        return self._sources.get(id)

    def found(self, query: str) -> tuple[Source, ...] | None:
        """What this query gave; None when it was not asked yet."""
        ids = self._queries.get(query)
        return None if ids is None else tuple(self._sources[id] for id in ids)

    def keep(self, query: str, found: tuple[Source, ...]) -> None:
        """Write down what a query gave; a source that is known stays as it was first seen."""
        self._sources = {source.id: source for source in found} | self._sources
        self._queries[query] = [source.id for source in found]
        content = {
            "queries": self._queries,
            "sources": [source.model_dump(mode="json") for source in self._sources.values()],
        }
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
