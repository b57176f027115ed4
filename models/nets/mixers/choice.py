"""Which mixer each layer has: a name, or a pattern of names that repeats over the depth."""

from collections.abc import Sequence
from typing import Any

from models.nets.mixers.delta import DeltaRule
from models.nets.mixers.gated import GatedRetention
from models.nets.mixers.linear import LinearAttention
from models.nets.mixers.mixer import Mixer
from models.nets.mixers.softmax import Attention
from models.nets.mixers.window import WindowAttention
from refusal import Refusal

NAMES = ("softmax", "window", "linear", "gated", "delta")
"""what `model.pattern` may name"""
BOTH_WAYS = ("softmax", "window", "linear")
"""those that can also see what comes later"""


def mixer(
    name: str,
    width: int,
    heads: int,
    length: int,
    *,
    causal: bool,
    rotary: bool,
    window: int = 64,
    **options: Any,
) -> Mixer:
    """The mixer called `name`; `rotary` and `window` act on those that know them.

    Raises `Refusal` as the mixer does, for an unknown name, and for one that only reads forwards unless
    `causal`.
    """
    if name not in NAMES:
        raise Refusal(f"model.pattern names '{name}': choose from {', '.join(NAMES)}.")
    sized = width, heads, length
    match name:
        case "softmax":
            return Attention(*sized, causal=causal, rotary=rotary, **options)
        case "window":
            return WindowAttention(*sized, causal=causal, rotary=rotary, window=window, **options)
        case "linear":
            return LinearAttention(*sized, causal=causal, **options)
    if not causal:
        raise Refusal(
            f"model.pattern names '{name}', which reads forwards only, and this network looks both ways: "
            f"choose from {', '.join(BOTH_WAYS)}."
        )
    return (GatedRetention if name == "gated" else DeltaRule)(*sized, **options)


def cycle(pattern: str | Sequence[str]) -> list[str]:
    """The names that repeat: `gated-softmax` is the list of both."""
    return pattern.split("-") if isinstance(pattern, str) else list(pattern)


def names(pattern: str | Sequence[str], depth: int) -> list[str]:
    """The mixer's name of each layer; raises `Refusal` for a pattern that is empty or longer than `depth`."""
    repeated = cycle(pattern)
    if not 1 <= len(repeated) <= depth:
        raise Refusal(
            f"model.pattern {repeated} has {len(repeated)} layers and model.depth is {depth}: give one name, "
            f"or a list of 1 to {depth}, which repeats over the depth."
        )
    return [repeated[layer % len(repeated)] for layer in range(depth)]
