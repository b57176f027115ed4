"""Where a team looks literature up: the group `literature` of the config, opened."""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any, cast

from research.literature.source import Source


class Library(ABC):
    """Finds sources and knows again what it has found; what it shows is untrusted text."""

    def __init__(self) -> None:
        self.notes: list[str] = []
        """what could not be read or asked, one sentence each, for the report"""

    @abstractmethod
    def find(self, query: str, count: int) -> tuple[Source, ...]:
        """At most `count` sources about `query`, the best first; none when nothing fits or nobody answers."""

    @abstractmethod
    def get(self, id: str) -> Source | None:
        """The source of an id that `find` may have given, without asking anybody."""

    @abstractmethod
    def facts(self) -> dict[str, Any]:
        """Counts and notes of what was looked up, as plain data for the row of a sprint."""

    def known(self, id: str) -> bool:
        """Whether a citation names a source of this library."""
        return self.get(id) is not None


def opened(config: Mapping[str, Any] | None) -> Library | None:
    """The library that the group `literature` describes; None for `literature=none`.

    Raises `Refusal` for a folder or a package that is not there, and for a setting that cannot be.
    """
    if not config or config.get("_target_") is None:
        return None
    from hydra.utils import get_class

    settings = {name: value for name, value in config.items() if name != "_target_"}
    return cast(Library, get_class(config["_target_"])(**settings))
