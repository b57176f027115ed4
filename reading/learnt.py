"""What a config leaves to its data: `data.shape`, `data.classes` and the like are null until read."""

import json
from collections.abc import Mapping
from functools import lru_cache
from typing import Any

_ASKED = ("shape", "classes", "task", "drawn", "vocabulary", "padding")


def found(data: Any) -> dict[str, Any]:
    """The keys of a resolved `data` group that are null, with what its files say; empty for other groups.

    Networks, ranges and costs depend on them, so whoever resolves a config asks here before it is judged.
    Raises `Refusal` as `reading.kept.decoded` does.
    """
    if not isinstance(data, Mapping) or data.get("source") is None:
        return {}
    asked = [key for key in _ASKED if key in data and data[key] is None]
    return {key: value for key, value in _facts(_spelt(data)).items() if key in asked} if asked else {}


def _spelt(data: Mapping[str, Any]) -> str:
    left_out = set(_ASKED) - {"task"}  # which a source may be told
    return json.dumps({key: value for key, value in data.items() if key not in left_out}, default=str)


@lru_cache(maxsize=256)
def _facts(spelt: str) -> dict[str, Any]:
    # Once a process: a search resolves thousands of configs, and to look at a folder again costs more.
    from reading.kept import decoded

    return decoded(json.loads(spelt)).facts()
