"""The group `llm` of the config as a record, with the key from the environment and the price of a token.

Other models stand beside the first: those of `llm.fallback`, and the one that a role asks for by name. A
name is an option of conf/llm (`ollama`) or a model (`openai/gpt-5.4-nano`). A model of the first one's
provider takes the first one's server and key, any other those of the option of conf/llm that speaks to its
provider. Neither takes over the first one's price, joules or EcoLogits name: those are a model's own.
"""

import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, final
from urllib.parse import urlsplit

from pydantic import Field, ValidationError

from refusal import Refusal
from research.compose.trees import parsed, text_of
from research.llm.ledger import LlmCaps
from research.llm.price import (
    Rate,
    TokenPrice,
    forwarded_price,
    is_free,
    is_local,
    known_as,
    knows,
    list_price,
)
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
class LlmSettings(Record):
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
    caps: LlmCaps = LlmCaps()
    extra: dict[str, Any] = {}


def settings(config: Mapping[str, Any]) -> LlmSettings:
    """The checked settings; raises `Refusal` with the first thing that is wrong."""
    try:
        checked = LlmSettings.model_validate(dict(config))
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        where = ".".join(str(part) for part in first["loc"])
        raise Refusal(f"llm.{where} is not usable: {first['msg']}.{_HINTS.get(where, '')}") from None
    _check_address(checked.api_base)
    if taken := sorted(checked.extra.keys() & (_OURS | LlmSettings.model_fields.keys())):
        raise Refusal(f"llm.extra cannot set {', '.join(taken)}: leave it to llm and the environment.")
    return checked


def _check_address(api_base: str | None) -> None:
    if api_base is None:
        return
    parts = urlsplit(api_base)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise Refusal("llm.api_base must be an address such as http://localhost:8000/v1.")
    if "@" in parts.netloc or parts.query:
        raise Refusal("llm.api_base must hold no user, password or query: llm.key_env names the key.")


def rate(chosen: LlmSettings) -> Rate:
    """What a call costs, as far as the config, LiteLLM's prices and EcoLogits know it.

    EcoLogits is not asked about a server of one's own, which serves one request at a time where EcoLogits
    assumes 64, unless `llm.ecologits` names the model. Raises `Refusal` when it knows no such name.
    """
    known = chosen.ecologits
    if chosen.token_joules is not None:
        return Rate(price(chosen), chosen.token_joules)
    if known is not None and not knows(known):
        raise Refusal(
            f"EcoLogits knows no model {known}: write its provider and name as in https://ecologits.ai, "
            "for example openai/gpt-5.4-mini or huggingface_hub/meta-llama/Meta-Llama-3.1-8B-Instruct, or "
            "set llm.ecologits=null."
        )
    if known is None and chosen.api_base is None:
        known = known_as(chosen.model)
    return Rate(price(chosen), None, known)


def price(chosen: LlmSettings) -> TokenPrice | None:
    """The price of the config, else 0 for Ollama and vLLM on a server of one's own, else the list price.

    A server that is neither here nor the provider's own has prices that nobody has told.
    """
    given = chosen.price
    if (given.input is None) != (given.output is None):
        raise Refusal("llm.price needs both input and output, in dollars per million tokens.")
    if given.input is not None and given.output is not None:
        return TokenPrice(input=given.input, output=given.output)
    if is_free(chosen.model, chosen.api_base):
        return TokenPrice(input=0.0, output=0.0)
    if chosen.api_base is None:
        return list_price(chosen.model)
    return forwarded_price(chosen.model) if is_local(chosen.api_base) else None


def key(chosen: LlmSettings) -> str | None:
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


OPTIONS = Path(__file__).resolve().parents[2] / "conf" / "llm"
_ONCE = {"caps", "fallback", "cache"}


def line(first: LlmSettings) -> tuple[LlmSettings, ...]:
    """The first model and its fallbacks, in the order in which they are tried."""
    return (first, *(other(choice, first) for choice in first.fallback))


def other(choice: str | Mapping[str, Any], first: LlmSettings) -> LlmSettings:
    """The settings that a name or a whole group of settings stands for.

    Raises `Refusal` for an unknown option, for a provider that needs more than a name, and for what is set
    once for all models.
    """
    if isinstance(choice, str):
        return _named(choice, first)
    if twice := sorted(_ONCE & choice.keys()):
        raise Refusal(f"an entry of llm.fallback sets {', '.join(twice)}: that stands once, in llm itself.")
    return settings(choice)


def _named(name: str, first: LlmSettings) -> LlmSettings:
    if "/" not in name:
        return _within(_option(name), first)
    provider = name.partition("/")[0]
    if provider == _provider(first.model):
        return _of(name, first)
    for path in sorted(OPTIONS.glob("*.yaml")):
        found = parsed(text_of(path), path)
        if _provider(str(found.get("model") or "")) == provider:
            return _within(_of(name, _option(path.stem)), first)
    raise Refusal(
        f"no option of conf/llm speaks to {provider}: write llm.fallback=[{{model: {name}, "
        "key_env: ITS_VARIABLE}] with all that differs."
    )


def _option(name: str) -> LlmSettings:
    names = sorted(path.stem for path in OPTIONS.glob("*.yaml") if path.stem != "none")
    if name not in names:
        raise Refusal(f"llm has no option {name}: choose {', '.join(names)}, or a model as provider/name.")
    path = OPTIONS / f"{name}.yaml"
    return settings(parsed(text_of(path), path))


def _of(model: str, origin: LlmSettings) -> LlmSettings:
    """`origin` with another model of its provider; settings again, so that the name is checked."""
    own = {"model": model, "price": Rates(), "token_joules": None, "ecologits": None, "fallback": ()}
    return settings(origin.model_dump() | own)


def _within(other: LlmSettings, first: LlmSettings) -> LlmSettings:
    """No more patient than the first: a campaign has cut that one's times to its budget."""
    times = {name: min(getattr(other, name), getattr(first, name)) for name in ("timeout_s", "patience_s")}
    return other.model_copy(update=times)


def _provider(model: str) -> str:
    return model.partition("/")[0]
