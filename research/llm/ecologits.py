"""The joules of a provider's reply, as EcoLogits estimates them from the model's size; nothing is measured.

EcoLogits (https://ecologits.ai) models a data centre that serves 64 requests at once, from the tokens of the
reply alone: reading the prompt, training the model and the network are not in it. For a closed model the size
is a guess, so its figure is a range, up to seven times as wide as its lower end. Importing it costs
0.35 CPU seconds, an estimate one to two milliseconds; it needs no network.
"""

import functools
import importlib.util
import json
import logging
import math
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path
from typing import Any, final

from pydantic import Field

from research.types import Record

_JOULES_PER_KWH = 3.6e6
# LiteLLM's name of a provider, then EcoLogits'.
_PROVIDERS = {
    "openai": "openai",
    "anthropic": "anthropic",
    "mistral": "mistralai",
    "mistralai": "mistralai",
    "cohere": "cohere",
    "cohere_chat": "cohere",
    "gemini": "google_genai",
    "google": "google_genai",
    "vertex_ai": "google_genai",
    "huggingface": "huggingface_hub",
}


@final
class Energy(Record):
    """Joules of one or more replies between two ends, how they came about, and what limits them."""

    low_j: float = Field(ge=0)
    high_j: float = Field(ge=0)
    method: str
    warnings: tuple[str, ...] = ()


def known_as(model: str) -> str | None:
    """EcoLogits' `provider/name` of LiteLLM's `provider/name`; None where it knows no such model."""
    return next((name for name in _candidates(model) if knows(name)), None)


def knows(name: str) -> bool:
    """Whether EcoLogits has a model of this `provider/name`, in its own words."""
    return name in _names()


def estimate(name: str, tokens_out: int, seconds: float = math.inf) -> Energy:
    """The energy of a reply of `tokens_out` tokens by EcoLogits' model `name` within `seconds`.

    Without `seconds` it is an upper bound for any duration. Raises `KeyError` for an unknown model.
    """
    provider, _, model = name.partition("/")
    found = _load().llm_impacts(provider, model, tokens_out, seconds)
    if found.energy is None:
        raise KeyError(name)
    value = found.energy.value
    low, high = getattr(value, "min", value), getattr(value, "max", value)
    return Energy(
        low_j=low * _JOULES_PER_KWH,
        high_j=high * _JOULES_PER_KWH,
        method=method(),
        warnings=tuple(warning.message for warning in found.warnings or ()),
    )


@functools.cache
def method() -> str:
    """How such a figure is told, with the version whose table it comes from."""
    return f"estimated (EcoLogits {version('ecologits')})"


def _candidates(model: str) -> Iterator[str]:
    """What EcoLogits may call it: by its provider, by the vendor behind a router, then by its weights."""
    provider, _, rest = model.partition("/")
    if provider in _PROVIDERS:
        yield f"{_PROVIDERS[provider]}/{rest}"
    rest = rest.partition(":")[0]  # OpenRouter's variants, such as :free
    vendor, _, name = rest.partition("/")
    if provider == "openrouter" and vendor in _PROVIDERS:
        yield f"{_PROVIDERS[vendor]}/{name}"
    if name:
        yield f"huggingface_hub/{rest}"


@functools.cache
def _names() -> frozenset[str]:
    # Reading its table takes 5 ms; importing EcoLogits, which nobody needs before the first reply, 350 ms.
    spec = importlib.util.find_spec("ecologits")
    if spec is None or spec.origin is None:
        return frozenset()
    table = json.loads((Path(spec.origin).parent / "data" / "models.json").read_text("utf-8"))
    entries = [*table["models"], *table["aliases"]]
    return frozenset(f"{entry['provider']}/{entry['name']}" for entry in entries)


@functools.cache
def _load() -> Any:
    """EcoLogits' function, with its messages off: each estimate carries its warnings itself."""
    before = logging.getLoggerClass()
    try:
        from ecologits.tracers import utils
    finally:
        # Its import makes every logger of the process one of its own class.
        logging.setLoggerClass(before)
    logging.getLogger("ecologits").setLevel(logging.CRITICAL + 1)
    return utils
