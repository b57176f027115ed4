"""Prices come without a network, from the entry of the provider itself, and local means local."""

import pytest

from research.llm import price


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
