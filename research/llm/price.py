"""What a call to one model costs in dollars and joules, where that can be known: nothing here is measured.

Dollars come from the config or LiteLLM's table, joules from the config or EcoLogits (https://ecologits.ai).
It models a data centre that serves 64 requests at once, from the tokens of the reply alone: reading the
prompt, training the model and the network are not in it. For a closed model the size is a guess, so its
figure is a range, up to seven times as wide as its lower end. Importing it costs 0.35 CPU seconds, an
estimate one to two milliseconds; it needs no network.
"""

import functools
import importlib.util
import ipaddress
import json
import logging
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.metadata import version
from math import inf
from pathlib import Path
from typing import Any, final
from urllib.parse import urlsplit

from pydantic import Field

from research.types import Record

MEASURED = "llm.token_joules of the config"


@final
class ReplyEnergy(Record):
    """Joules of one or more replies between two ends, how they came about, and what limits them."""

    low_j: float = Field(ge=0)
    high_j: float = Field(ge=0)
    method: str
    warnings: tuple[str, ...] = ()


@final
class TokenPrice(Record):
    """Dollars per million tokens."""

    input: float = Field(ge=0)
    output: float = Field(ge=0)

    def dollars(self, tokens_in: int, tokens_out: int) -> float:
        """What so many tokens cost; cached tokens are counted at the full price."""
        return (tokens_in * self.input + tokens_out * self.output) / 1e6


@final
@dataclass(frozen=True)
class Usage:
    """Tokens of one call; `estimated` at their bound, where a server tells none or may bill for no answer."""

    tokens_in: int
    tokens_out: int
    estimated: bool = False


@final
@dataclass(frozen=True)
class Rate:
    """The price of a token and the way to its joules; None is unknown, which is not zero.

    `token_joules` (of a reply, as somebody measured it) wins over `known_as`, EcoLogits' name of the model.
    """

    price: TokenPrice | None = None
    token_joules: float | None = None
    known_as: str | None = None

    @property
    def tells_joules(self) -> bool:
        """Whether the joules of a reply are known or estimated at all."""
        return self.token_joules is not None or self.known_as is not None

    def dollars(self, usage: Usage) -> float | None:
        """Dollars of a call; a call that was refused before it used a token cost nothing."""
        if not usage.tokens_in and not usage.tokens_out:
            return 0.0
        return None if self.price is None else self.price.dollars(usage.tokens_in, usage.tokens_out)

    def energy(self, usage: Usage, seconds: float = inf) -> ReplyEnergy | None:
        """Joules of a call that took `seconds`; without them an upper bound."""
        if self.token_joules is not None:
            joules = self.token_joules * usage.tokens_out
            return ReplyEnergy(low_j=joules, high_j=joules, method=MEASURED)
        if not usage.tokens_in and not usage.tokens_out:
            return ReplyEnergy(low_j=0.0, high_j=0.0, method="no token was used")
        return None if self.known_as is None else estimate(self.known_as, usage.tokens_out, seconds)


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


def known_as(model: str) -> str | None:
    """EcoLogits' `provider/name` of LiteLLM's `provider/name`; None where it knows no such model."""
    return next((name for name in _candidates(model) if knows(name)), None)


def knows(name: str) -> bool:
    """Whether EcoLogits has a model of this `provider/name`, in its own words."""
    return name in _names()


def estimate(name: str, tokens_out: int, seconds: float = inf) -> ReplyEnergy:
    """The energy of a reply of `tokens_out` tokens by EcoLogits' model `name` within `seconds`.

    Without `seconds` it is an upper bound for any duration. Raises `KeyError` for an unknown model.
    """
    provider, _, model = name.partition("/")
    impacts = _load().llm_impacts(provider, model, tokens_out, seconds)
    if impacts.energy is None:
        raise KeyError(name)
    value = impacts.energy.value
    low, high = getattr(value, "min", value), getattr(value, "max", value)
    return ReplyEnergy(
        low_j=low * _JOULES_PER_KWH,
        high_j=high * _JOULES_PER_KWH,
        method=method(),
        warnings=tuple(warning.message for warning in impacts.warnings or ()),
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
    table = _brought("ecologits", "data/models.json")
    entries = [entry for part in ("models", "aliases") for entry in table.get(part, ())]
    return frozenset(f"{entry['provider']}/{entry['name']}" for entry in entries)


def _brought(package: str, file: str) -> dict[str, Any]:
    """A JSON file of a package that is not imported for it; empty where that is not installed."""
    spec = importlib.util.find_spec(package)
    if spec is None or spec.origin is None:
        return {}
    content: dict[str, Any] = json.loads((Path(spec.origin).parent / file).read_text("utf-8"))
    return content


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


def list_price(model: str) -> TokenPrice | None:
    """The list price of `provider/name` in LiteLLM's own table; None where it knows none.

    The base rate: surcharges for long contexts and rebates for cached tokens are left out.
    """
    provider, _, name = model.partition("/")
    for key in (model, name):
        entry = _table().get(key, {})
        into, out = entry.get("input_cost_per_token"), entry.get("output_cost_per_token")
        if entry.get("litellm_provider") == provider and into is not None and out is not None:
            return TokenPrice(input=float(into) * 1e6, output=float(out) * 1e6)
    return None


def forwarded_price(model: str) -> TokenPrice | None:
    """The list price of the model that a gateway forwards to, whose name may hold the provider or not.

    `openai/gpt-5.4-mini`, `openai/anthropic/claude-haiku-4-5` and `openai/claude-haiku-4-5` are all sold by a
    provider, whatever the protocol of the gateway.
    """
    name = model.partition("/")[2]
    owner = _table().get(name, {}).get("litellm_provider")
    return list_price(model) or list_price(name) or (list_price(f"{owner}/{name}") if owner else None)


def is_free(model: str, api_base: str | None) -> bool:
    """Whether a server of one's own serves it by its nature: Ollama or vLLM, here or on a private network.

    Behind any other protocol there may be a gateway to a provider that bills.
    """
    return model.partition("/")[0] in _OWN and is_local(api_base)


_OWN = ("ollama", "ollama_chat", "vllm", "hosted_vllm")


def is_local(api_base: str | None) -> bool:
    """Whether the server is this machine or on its private network."""
    host = urlsplit(api_base or "").hostname or ""
    if host == "localhost" or host.endswith((".localhost", ".local", ".internal")):
        return True
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return False
    return address.is_loopback or address.is_private


@functools.cache
def _table() -> dict[str, dict[str, Any]]:
    # Parsing the file takes 40 ms; importing litellm for the same table takes 5 s.
    return _brought("litellm", "model_prices_and_context_window_backup.json")
