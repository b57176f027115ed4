"""The group `llm` of the config as a record, with the key from the environment and the price of a token."""

import os
import re
from collections.abc import Mapping
from typing import Any, final
from urllib.parse import urlsplit

from pydantic import Field, ValidationError

from refusal import Refusal
from research.llm import ecologits, prices
from research.llm.ledger import Caps
from research.llm.price import Price, Rate
from research.types import Record

_OURS = {"model", "api_base", "api_key", "messages", "response_format", "client", "timeout", "stream"}
_HINTS = {
    "model": " A model is written provider/name, for example openai/gpt-5.4-mini.",
    "api_key": " Keys come from the environment only; llm.key_env names the variable.",
}


@final
class Rates(Record):
    """Dollars per million tokens as given in the config; both null takes LiteLLM's list price."""

    input: float | None = Field(default=None, ge=0)
    output: float | None = Field(default=None, ge=0)


@final
class Settings(Record):
    """The group `llm` of the config; the YAML files explain each key."""

    model: str = Field(pattern=r"^[\w.-]+/[\w.:/@+-]+$", max_length=200)
    api_base: str | None = None
    key_env: str | None = None
    temperature: float | None = Field(default=None, ge=0, le=2)
    max_tokens: int = Field(default=4096, ge=1)
    timeout_s: float = Field(default=60, gt=0)
    retries: int = Field(default=3, ge=0, le=10)
    backoff_s: float = Field(default=0.5, ge=0)
    patience_s: float = Field(default=180, gt=0)
    break_after: int = Field(default=3, ge=1)
    rest_s: float = Field(default=60, ge=0)
    price: Rates = Rates()
    token_joules: float | None = Field(default=None, ge=0)
    ecologits: str | None = Field(default=None, pattern=r"^[\w-]+/[\w.:/-]+$", max_length=200)
    fallback: tuple[str | dict[str, Any], ...] = Field(default=(), max_length=8)
    cache: bool = False
    caps: Caps = Caps()
    extra: dict[str, Any] = {}


def settings(config: Mapping[str, Any]) -> Settings:
    """The checked settings; raises `Refusal` with the first thing that is wrong."""
    try:
        found = Settings.model_validate(dict(config))
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        where = ".".join(str(part) for part in first["loc"])
        raise Refusal(f"llm.{where} is not usable: {first['msg']}.{_HINTS.get(where, '')}") from None
    _check_address(found.api_base)
    if taken := sorted(found.extra.keys() & (_OURS | Settings.model_fields.keys())):
        raise Refusal(f"llm.extra cannot set {', '.join(taken)}: leave it to llm and the environment.")
    return found


def _check_address(api_base: str | None) -> None:
    if api_base is None:
        return
    parts = urlsplit(api_base)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise Refusal("llm.api_base must be an address such as http://localhost:8000/v1.")
    if "@" in parts.netloc or parts.query:
        raise Refusal("llm.api_base must hold no user, password or query: llm.key_env names the key.")


def rate(chosen: Settings) -> Rate:
    """What a call costs, as far as the config, LiteLLM's prices and EcoLogits know it.

    EcoLogits is not asked about a server of one's own, which serves one request at a time where EcoLogits
    assumes 64, unless `llm.ecologits` names the model. Raises `Refusal` when it knows no such name.
    """
    known = chosen.ecologits
    if chosen.token_joules is not None:
        return Rate(price(chosen), chosen.token_joules)
    if known is not None and not ecologits.knows(known):
        raise Refusal(
            f"EcoLogits knows no model {known}: write its provider and name as in https://ecologits.ai, "
            "for example openai/gpt-5.4-mini or huggingface_hub/meta-llama/Meta-Llama-3.1-8B-Instruct, or "
            "set llm.ecologits=null."
        )
    if known is None and chosen.api_base is None:
        known = ecologits.known_as(chosen.model)
    return Rate(price(chosen), None, known)


def price(chosen: Settings) -> Price | None:
    """The price of the config, else nothing for a local server, else the list price of the provider's own."""
    given = chosen.price
    if (given.input is None) != (given.output is None):
        raise Refusal("llm.price needs both input and output, in dollars per million tokens.")
    if given.input is not None and given.output is not None:
        return Price(input=given.input, output=given.output)
    if prices.is_local(chosen.api_base):
        return Price(input=0.0, output=0.0)
    return prices.lookup(chosen.model) if chosen.api_base is None else None


def key(chosen: Settings) -> str | None:
    """The key from the environment; None where the config names no variable; raises `Refusal`."""
    name = chosen.key_env
    if name is None:
        return None
    if not re.fullmatch(r"[A-Z][A-Z0-9_]{0,60}", name):
        raise Refusal(
            "llm.key_env is the name of an environment variable such as OPENAI_API_KEY, never a key."
        )
    value = os.environ.get(name, "").strip()
    if not value:
        raise Refusal(
            f"{chosen.model} needs a key: set {name} in the environment, or llm.key_env=null for a server "
            "that asks for none, or choose llm=none."
        )
    if not re.fullmatch(r"[!-~]+", value):
        raise Refusal(f"the value of {name} holds characters that no key has: set it again.")
    return value
