"""Prices come without a network from the entry of the provider itself; joules are EcoLogits' estimate."""

import logging
import subprocess
import sys
from pathlib import Path

import pytest

from research.llm import price
from research.llm.price import Rate, Usage

ROOT = Path(__file__).parents[3]


@pytest.mark.parametrize(
    ("model", "name"),
    [
        ("openai/gpt-5.4-mini", "openai/gpt-5.4-mini"),
        ("anthropic/claude-haiku-4-5", "anthropic/claude-haiku-4-5"),
        ("mistral/mistral-small-latest", "mistralai/mistral-small-latest"),
        ("gemini/gemini-2.5-flash", "google_genai/gemini-2.5-flash"),
        ("openrouter/openai/gpt-5.4-mini:free", "openai/gpt-5.4-mini"),
        (
            "together_ai/meta-llama/Meta-Llama-3.1-8B-Instruct",
            "huggingface_hub/meta-llama/Meta-Llama-3.1-8B-Instruct",
        ),
        ("ollama_chat/qwen3:4b", None),
        ("openai/unheard-of", None),
        ("hosted_vllm/gpt-5.4-mini", None),
    ],
)
def test_a_model_is_found_by_its_provider_its_vendor_or_its_weights(model: str, name: str | None) -> None:
    assert price.known_as(model) == name


def test_an_estimate_is_a_range_that_grows_with_the_reply(capfd: pytest.CaptureFixture[str]) -> None:
    loggers = logging.getLoggerClass()  # NNCF, where another test has loaded it, has set its own
    one, ten = (price.estimate("openai/gpt-5.4-mini", tokens) for tokens in (100, 1000))
    assert 0 < one.low_j < one.high_j < ten.high_j < 1e5
    assert one.method.startswith("estimated (EcoLogits 0.") and "not been released" in one.warnings[0]
    # Within seconds the server's share is smaller; the bound that has none holds.
    quick = price.estimate("openai/gpt-5.4-mini", 1000, 0.5)
    assert quick.low_j < ten.low_j and quick.high_j < ten.high_j
    open_weights = price.estimate("mistralai/mistral-small-latest", 100)
    assert open_weights.low_j == open_weights.high_j and open_weights.warnings == ()
    with pytest.raises(KeyError):
        price.estimate("openai/unheard-of", 1)
    assert capfd.readouterr() == ("", "") and logging.getLoggerClass() is loggers


def test_the_names_are_those_that_ecologits_itself_finds() -> None:
    price.estimate("openai/gpt-5.4-mini", 1)
    from ecologits.model_repository import models

    assert price._names() == {f"{model.provider.value}/{model.name}" for model in models.list_models()}


def test_unknown_joules_are_none_and_no_tokens_are_none_at_all() -> None:
    assert Rate().energy(Usage(5, 5)) is None and not Rate().tells_joules
    nothing = Rate().energy(Usage(0, 0))
    assert nothing is not None and nothing.high_j == 0.0


@pytest.mark.slow
def test_nobody_imports_it_before_the_first_reply() -> None:
    code = (
        "import sys; from research.llm import client as llm; "
        "llm.connect({'model': 'openai/gpt-5.4-mini', 'caps': {'joules': 5}}, record=print); "
        "print(sorted({'ecologits', 'litellm', 'sqlalchemy'} & set(sys.modules)))"
    )
    out = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert out.stdout == "[]\n"


def test_prices_come_from_the_providers_own_entry() -> None:
    known = price.list_price("openai/gpt-5-mini")
    assert known is not None and 0 < known.input < known.output
    assert price.list_price("anthropic/claude-haiku-4-5") is not None
    assert price.list_price("hosted_vllm/gpt-4o") is None and price.list_price("openai/unheard-of") is None


@pytest.mark.parametrize(
    ("address", "local"),
    [
        ("http://localhost:11434", True),
        ("http://127.0.0.1:8000/v1", True),
        ("http://[::1]:8000", True),
        ("http://192.168.1.7:8000", True),
        ("http://gpu.local:8000", True),
        ("https://api.openai.com/v1", False),
        ("https://8.8.8.8/v1", False),
        ("https://localhost.example.com", False),
        (None, False),
    ],
)
def test_local_is_this_machine_or_its_network(address: str | None, local: bool) -> None:
    assert price.is_local(address) is local
