"""Which mixer each layer has: a name, or a pattern of names that repeats over the depth."""

from collections.abc import Callable, Sequence
from typing import Any

from models.nets.attention import Attention
from models.nets.mixers.mixer import Mixer
from refusal import Refusal

_BY_NAME: dict[str, Callable[..., Mixer]] = {"softmax": Attention}


def mixer(name: str, width: int, heads: int, length: int, **options: Any) -> Mixer:
    """The mixer called `name`; raises `Refusal` as the mixer does, and for an unknown name."""
    if name not in _BY_NAME:
        raise Refusal(f"model.pattern names '{name}': choose from {', '.join(_BY_NAME)}.")
    return _BY_NAME[name](width, heads, length, **options)


def names(pattern: str | Sequence[str], depth: int) -> list[str]:
    """The mixer's name of each layer; raises `Refusal` for a pattern that is empty or longer than `depth`."""
    cycle = [pattern] if isinstance(pattern, str) else list(pattern)
    if not 1 <= len(cycle) <= depth:
        raise Refusal(
            f"model.pattern {cycle} has {len(cycle)} layers and model.depth is {depth}: give one name, or "
            f"a list of 1 to {depth}, which repeats over the depth."
        )
    return [cycle[layer % len(cycle)] for layer in range(depth)]
