"""The group llm: every option connects, keys come from the environment, bad settings end in one sentence."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from refusal import Refusal
from research.llm import client as llm
from research.llm import price
from research.llm.settings import line, other, rate, settings

ROOT = Path(__file__).parents[3]


def config(name: str) -> dict[str, Any]:
    return dict(yaml.safe_load((ROOT / "conf" / "llm" / f"{name}.yaml").read_text()))


def test_no_model_is_the_default_and_says_how_to_switch_one_on() -> None:
    assert llm.connect(config("none"), record=print) is None
    assert "llm=openai" in llm.NONE and "\n" not in llm.NONE


@pytest.mark.parametrize("name", ["openai", "anthropic", "openrouter"])
@pytest.mark.parametrize("value", [None, "", "  "])
def test_a_missing_key_is_refused_before_the_first_call(
    name: str, value: str | None, monkeypatch: Any
) -> None:
    variable = config(name)["key_env"]
    monkeypatch.delenv(variable, raising=False)
    if value is not None:
        monkeypatch.setenv(variable, value)
    with pytest.raises(Refusal, match=f"set {variable} in the environment"):
        llm.connect(config(name), record=print)
    monkeypatch.setenv(variable, "k")
    assert llm.connect(config(name), record=print) is not None


@pytest.mark.parametrize("name", ["ollama", "vllm"])
def test_a_local_server_needs_no_key_and_no_price(name: str) -> None:
    client = llm.connect(config(name) | {"caps": {"dollars": 0.5}}, record=print)
    assert client is not None and client.ledger.spent.dollars == 0.0


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"api_key": "sk-abc"}, "environment only"),
        ({"key_env": "sk-abcdefghijklmnop"}, "never a key"),
        ({"model": "gpt-5"}, "provider/name"),
        ({"model": "openai/x y"}, "provider/name"),
        ({"api_base": "localhost:8000"}, "http://localhost:8000/v1"),
        ({"api_base": "http://me:pw@host/v1"}, "no user, password"),
        ({"timeout_s": 0}, "llm.timeout_s"),
        ({"retries": -1}, "llm.retries"),
        ({"retries": "many"}, "llm.retries"),
        ({"price": {"input": 1.0}}, "both input and output"),
        ({"price": {"input": -1.0, "output": 1.0}}, "llm.price.input"),
        ({"caps": {"pounds": 1}}, "llm.caps.pounds"),
        ({"extra": {"api_key": "x"}}, "llm.extra cannot set api_key"),
        ({"model": "openai/unheard-of", "caps": {"dollars": 1.0}}, "price of this model is unknown"),
        (
            {"api_base": "https://gateway.example.com/v1", "caps": {"dollars": 1.0}},
            "price of this model is unknown",
        ),
        ({"model": "openai/unheard-of", "caps": {"joules": 5}}, "llm.token_joules"),
        ({"ecologits": "openai/unheard-of"}, "EcoLogits knows no model"),
        ({"fallback": ["olama"]}, "llm has no option olama: choose anthropic, ollama"),
        ({"fallback": ["none"]}, "llm has no option none"),
        ({"fallback": ["cohere/command-r7b"]}, "no option of conf/llm speaks to cohere"),
        ({"fallback": ["anthropic"]}, "set ANTHROPIC_API_KEY"),
        ({"fallback": [{"model": "openai/x", "caps": {}}]}, "sets caps: that stands once"),
        ({"fallback": [{"model": "openai/x", "cache": True, "fallback": []}]}, "sets cache, fallback"),
        ({"fallback": [{"model": "nameless"}]}, "llm.model is not usable"),
        ({"fallback": ["openai/unheard-of"]}, "price of this model is unknown (openai/unheard-of)"),
        ({"caps": {"joules": 9}, "fallback": ["ollama"]}, "in joules is unknown (ollama_chat/qwen3:4b)"),
    ],
)
def test_a_bad_setting_is_refused_with_a_sentence(
    change: dict[str, Any], sentence: str, monkeypatch: Any
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "k")
    monkeypatch.delenv("ANTHROPIC_API_KEY", raising=False)
    with pytest.raises(Refusal) as refused:
        llm.connect(config("openai") | change, record=print)
    assert sentence in str(refused.value) and "sk-abc" not in str(refused.value)


def test_a_price_in_the_config_keeps_a_dollar_cap(monkeypatch: Any) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "k")
    change = {"model": "openai/unheard-of", "price": {"input": 0.1, "output": 0.4}, "caps": {"dollars": 1.0}}
    assert llm.connect(config("openai") | change, record=print) is not None


@pytest.mark.parametrize("name", ["openai", "anthropic"])
def test_the_models_of_the_config_have_a_list_price(name: str) -> None:
    known = price.list_price(config(name)["model"])
    assert known is not None and 0 < known.input < known.output


def test_a_fallback_is_an_option_a_model_or_settings_of_its_own() -> None:
    first = config("openai") | {"timeout_s": 5, "token_joules": 3.0, "price": {"input": 1.0, "output": 2.0}}
    given = {"model": "mistral/mistral-small-latest", "key_env": "MISTRAL_API_KEY", "timeout_s": 9}
    names = ["ollama", "openai/gpt-5.4-nano", "anthropic/claude-opus-4-5", given]
    chosen, local, nano, opus, own = line(settings(first | {"fallback": names}))
    assert chosen.model == config("openai")["model"]
    assert (local.model, local.api_base) == ("ollama_chat/qwen3:4b", "http://localhost:11434")
    assert local.key_env is None and local.timeout_s == 5 and local.extra == {"num_ctx": 16384}
    assert (nano.key_env, nano.timeout_s) == ("OPENAI_API_KEY", 5)
    assert nano.price.input is None and nano.token_joules is None
    assert (opus.model, opus.key_env) == ("anthropic/claude-opus-4-5", "ANTHROPIC_API_KEY")
    assert (own.key_env, own.timeout_s, own.temperature) == ("MISTRAL_API_KEY", 9, None)


def test_a_model_of_the_same_server_is_asked_there() -> None:
    server = settings(config("vllm") | {"api_base": "http://gpu.local:8000/v1"})
    assert other("hosted_vllm/other", server).api_base == "http://gpu.local:8000/v1"
    assert other("openai", server).api_base is None


def test_joules_are_estimated_where_the_provider_itself_serves_a_known_model() -> None:
    assert rate(settings(config("openai"))).known_as == "openai/gpt-5.4-mini"
    assert rate(settings(config("anthropic"))).tells_joules
    for own in ("ollama", "vllm"):
        assert not rate(settings(config(own))).tells_joules
    gateway = config("openai") | {"api_base": "https://gateway.example.com/v1"}
    assert rate(settings(gateway)).known_as is None
    assert rate(settings(gateway | {"ecologits": "openai/gpt-5.4-mini"})).known_as == "openai/gpt-5.4-mini"
    measured = rate(settings(config("openai") | {"token_joules": 0.5}))
    assert (measured.token_joules, measured.known_as) == (0.5, None)


def test_a_cache_needs_the_store_that_it_repeats(monkeypatch: Any) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "k")
    with pytest.raises(ValueError, match="store"):
        llm.connect(config("openai") | {"cache": True}, record=print)
