"""The group llm: every option connects, keys come from the environment, bad settings end in one sentence."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from refusal import Refusal
from research import llm
from research.language import prices

ROOT = Path(__file__).parent.parent.parent


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
        ({"caps": {"joules": 5}}, "llm.token_joules"),
    ],
)
def test_a_bad_setting_is_refused_with_a_sentence(
    change: dict[str, Any], sentence: str, monkeypatch: Any
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "k")
    with pytest.raises(Refusal) as refused:
        llm.connect(config("openai") | change, record=print)
    assert sentence in str(refused.value) and "sk-abc" not in str(refused.value)


def test_a_price_in_the_config_keeps_a_dollar_cap(monkeypatch: Any) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "k")
    change = {"model": "openai/unheard-of", "price": {"input": 0.1, "output": 0.4}, "caps": {"dollars": 1.0}}
    assert llm.connect(config("openai") | change, record=print) is not None


@pytest.mark.parametrize("name", ["openai", "anthropic"])
def test_the_models_of_the_config_have_a_list_price(name: str) -> None:
    known = prices.lookup(config(name)["model"])
    assert known is not None and 0 < known.input < known.output
