"""The group llm: every option connects, keys come from the environment, bad settings end in one sentence."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from refusal import Refusal
from research.llm import client as llm
from research.llm import price
from research.llm.settings import line, other, rate, settings
from research.tasks.line import settings as line_settings

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


GATEWAYS = [
    "http://localhost:4000/v1",
    "http://127.0.0.1:4000",
    "http://10.0.0.7/v1",
    "http://llm.internal/v1",
]


@pytest.mark.parametrize("base", GATEWAYS)
@pytest.mark.parametrize(
    "model",
    ["openai/claude-haiku-4-5", "openai/anthropic/claude-haiku-4-5", "anthropic/claude-haiku-4-5"],
)
def test_behind_a_gateway_a_providers_model_has_its_list_price(base: str, model: str) -> None:
    known = rate(settings(config("vllm") | {"model": model, "api_base": base})).price
    assert known == price.list_price("anthropic/claude-haiku-4-5") and known is not None and known.input > 0


@pytest.mark.parametrize(
    ("model", "base", "dollars"),
    [
        ("ollama_chat/qwen3:4b", "http://localhost:11434", 0.0),
        ("ollama/qwen3:4b", "http://192.168.1.7:11434", 0.0),
        ("hosted_vllm/Qwen/Qwen3-8B", "http://gpu.local:8000/v1", 0.0),
        ("hosted_vllm/Qwen/Qwen3-8B", "https://gpu.example.com/v1", None),
        ("openai/unheard-of", "http://localhost:4000/v1", None),
        ("lm_studio/unheard-of", "http://localhost:1234/v1", None),
        ("openai/gpt-5.4-mini", "https://gateway.example.com/v1", None),
    ],
)
def test_free_is_what_serves_for_nothing_by_its_nature(model: str, base: str, dollars: float | None) -> None:
    known = rate(settings(config("vllm") | {"model": model, "api_base": base})).price
    assert (None if known is None else known.dollars(10**6, 10**6)) == dollars


def test_a_server_that_is_declared_free_keeps_a_dollar_cap() -> None:
    local = {"model": "openai/unheard-of", "api_base": "http://localhost:1234/v1", "caps": {"dollars": 1.0}}
    with pytest.raises(Refusal, match="0 and 0 for a server of your own"):
        llm.connect(config("vllm") | local, record=print)
    free = {"price": {"input": 0, "output": 0}}
    assert llm.connect(config("vllm") | local | free, record=print) is not None


@pytest.mark.parametrize(
    ("typed", "extra"),
    [
        ("llm.extra.top_k=20", {"top_k": 20}),
        ("+llm.extra.top_k=20", {"top_k": 20}),
        ("llm.extra={reasoning_effort: low}", {"reasoning_effort": "low"}),
        ("llm.extra={a: {b: false}}", {"a": {"b": False}}),
        ("llm.extra.a.b=false", {"a": {"b": False}}),
        ("llm.extra.num_ctx=8192", {"num_ctx": 8192}),
    ],
)
@pytest.mark.parametrize("option", ["openai", "ollama"])
def test_further_arguments_are_typed_as_the_card_shows(
    option: str, typed: str, extra: dict[str, Any]
) -> None:
    usual = config(option)["extra"]
    given = line_settings([f"llm={option}", typed], ROOT / "conf")["llm"]
    assert settings(given).extra == usual | extra


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


@pytest.mark.parametrize(
    ("model", "base", "here"),
    [
        ("ollama_chat/llama3", "http://localhost:11434", True),
        ("hosted_vllm/m", "http://127.0.0.1:8000/v1", True),
        # Behind a gateway on this machine the model is somebody else's.
        ("openai/m", "http://127.0.0.1:4000/v1", False),
        ("hosted_vllm/m", "https://models.example.org/v1", False),
    ],
)
def test_a_model_of_ones_own_computes_on_this_machine(
    model: str, base: str, here: bool, monkeypatch: Any
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "k")
    client = llm.connect({"model": model, "api_base": base, "caps": {"dollars": None}}, record=print)
    assert client is not None and client.computes_here is here
