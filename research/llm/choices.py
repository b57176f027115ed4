"""Other models beside the first: those of `llm.fallback`, and the one that a role asks for by name.

A name is an option of conf/llm (`ollama`) or a model (`openai/gpt-5.4-nano`). A model of the first one's
provider takes the first one's server and key, any other those of the option of conf/llm that speaks to its
provider. Neither takes over the first one's price, joules or EcoLogits name: those are a model's own.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from refusal import Refusal
from research.compose.yaml import parsed, text_of
from research.llm.settings import Rates, Settings, settings

OPTIONS = Path(__file__).resolve().parents[2] / "conf" / "llm"
_ONCE = {"caps", "fallback", "cache"}


def line(first: Settings) -> tuple[Settings, ...]:
    """The first model and its fallbacks, in the order in which they are tried."""
    return (first, *(other(choice, first) for choice in first.fallback))


def other(choice: str | Mapping[str, Any], first: Settings) -> Settings:
    """The settings that a name or a whole group of settings stands for.

    Raises `Refusal` for an unknown option, for a provider that needs more than a name, and for what is set
    once for all models.
    """
    if isinstance(choice, str):
        return _named(choice, first)
    if twice := sorted(_ONCE & choice.keys()):
        raise Refusal(f"an entry of llm.fallback sets {', '.join(twice)}: that stands once, in llm itself.")
    return settings(choice)


def _named(name: str, first: Settings) -> Settings:
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


def _option(name: str) -> Settings:
    names = sorted(path.stem for path in OPTIONS.glob("*.yaml") if path.stem != "none")
    if name not in names:
        raise Refusal(f"llm has no option {name}: choose {', '.join(names)}, or a model as provider/name.")
    path = OPTIONS / f"{name}.yaml"
    return settings(parsed(text_of(path), path))


def _of(model: str, origin: Settings) -> Settings:
    """`origin` with another model of its provider; settings again, so that the name is checked."""
    content = origin.model_dump() | {
        "model": model,
        "price": Rates(),
        "token_joules": None,
        "ecologits": None,
    }
    return settings({**content, "fallback": ()})


def _within(found: Settings, first: Settings) -> Settings:
    """No more patient than the first: a campaign has cut that one's times to its budget."""
    times = {name: min(getattr(found, name), getattr(first, name)) for name in ("timeout_s", "patience_s")}
    return found.model_copy(update=times)


def _provider(model: str) -> str:
    return model.partition("/")[0]
