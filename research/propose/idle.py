"""Keys that change nothing beside what was picked: no search turns them."""

from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any, final

from research.compose.compose import Resolved
from research.compose.override import Odd, override, read, values_of
from research.space.conditions import condition


@final
class Idle:
    """Answers from a vocabulary and what is fixed; texts by key or group are what is picked beside these."""

    def __init__(self, vocabulary: Mapping[str, Any], fixed: Mapping[str, str]) -> None:
        self._groups: Mapping[str, Any] = vocabulary["groups"]
        self._entries: dict[str, Mapping[str, Any]] = {**vocabulary.get("given", {}), **vocabulary["keys"]}
        self._fixed = fixed

    def acts(self, key: str, picked: Mapping[str, str]) -> bool:
        """Whether the key changes anything; true for one that no condition is known of."""
        when = self._entries.get(key, {}).get("when")
        if not when:
            return True
        known: dict[str, Any] = {}
        for name in condition(when).keys:
            self._put(known, name, picked)
        return condition(when).acts(Resolved(known, {}))

    def without(self, overrides: Sequence[str]) -> tuple[str, ...]:
        """The overrides, less those of keys that do not act under the others."""
        picked = values_of(overrides)
        return tuple(text for text in overrides if self.acts(override(text).key, picked))

    def _put(self, known: dict[str, Any], key: str, picked: Mapping[str, str]) -> None:
        """The key's value into the tree of what is known; nothing where there is none."""
        text = picked.get(key, self._fixed.get(key))
        try:
            value = self._default(key, picked) if text is None else _value(text)
        except (KeyError, Odd):
            return
        *path, last = key.split(".")
        for part in path:
            known = known.setdefault(part, {})
        known[last] = value

    def _default(self, key: str, picked: Mapping[str, str]) -> Any:
        """What the control has; `KeyError` where the chosen option lacks the key."""
        entry = self._entries[key]
        group = entry.get("group")
        if not group:
            return entry["default"]
        option = picked.get(group) or self._fixed.get(group) or str(self._groups[group]["default"])
        return entry["per"][option.strip("[]")]["default"]


@lru_cache(maxsize=1024)
def _value(text: str) -> Any:
    """What a text means as a value; raises `Odd` for what is none."""
    return next(iter(read(f"key={text}").each())).value
