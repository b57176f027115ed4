"""An override as it is typed, taken apart here and nowhere else: whatever it means is for others to say."""

from collections.abc import Iterable, Mapping
from functools import lru_cache
from typing import Any, NamedTuple, final

_REMEMBERED = 4096
"""texts that were taken apart"""


@final
class Override(NamedTuple):
    """`key=value` or `group=option`, in anybody's words: nothing of it is checked."""

    key: str
    """the key or group, without the spaces and the `+` that people type around it"""
    value: str | None
    """the text after the first `=`, without spaces around it; None where there is no `=`"""
    spelling: str
    """the whole text"""

    @property
    def group(self) -> str:
        """The first name of its key: `optimizer` of `optimizer=lion` and of `optimizer.lr=0.1`."""
        return self.key.partition(".")[0]


@lru_cache(maxsize=_REMEMBERED)
def override(text: str) -> Override:
    """One text as an override."""
    key, equals, value = text.partition("=")
    return Override(key.strip(" +"), value.strip(" ") if equals else None, text)


def is_open(key: str) -> bool:
    """Whether a key lies where any may: a server's own settings, arguments of what a person brings."""
    return key == "llm.extra" or key.startswith("llm.extra.") or key.partition(".")[2].split(".")[0] == "args"


def values_of(overrides: Iterable[str]) -> dict[str, str]:
    """What overrides set, key -> text: of two with the same key the last, and nothing for one without `=`."""
    return {given.key: given.value for given in map(override, overrides) if given.value is not None}


def keys_of(overrides: Iterable[str]) -> set[str]:
    """The keys and groups that overrides name, with a value or without."""
    return {override(text).key for text in overrides}


def flat(values: Mapping[str, Any], before: str = "") -> dict[str, str]:
    """Nested plain values as dotted keys with texts: `{"budget": {"seconds": 60}}` sets `budget.seconds`."""
    texts: dict[str, str] = {}
    for name, value in values.items():
        key = f"{before}{name}"
        texts |= flat(value, f"{key}.") if isinstance(value, Mapping) else {key: spelt(value)}
    return texts


def spelt(value: Any) -> str:
    """A plain value as it is typed: `null`, `true`, `[1,2]`."""
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    return f"[{','.join(map(spelt, value))}]" if isinstance(value, list | tuple) else str(value)
