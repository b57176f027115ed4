"""What a model costs and whether it is local, without a network and without importing LiteLLM."""

import functools
import importlib.util
import ipaddress
import json
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from research.llm.price import Price

_TABLE = "model_prices_and_context_window_backup.json"


def lookup(model: str) -> Price | None:
    """The list price of `provider/name` in LiteLLM's own table; None where it knows none.

    The base rate: surcharges for long contexts and rebates for cached tokens are left out.
    """
    provider, _, name = model.partition("/")
    for key in (model, name):
        entry = _table().get(key, {})
        into, out = entry.get("input_cost_per_token"), entry.get("output_cost_per_token")
        if entry.get("litellm_provider") == provider and into is not None and out is not None:
            return Price(input=float(into) * 1e6, output=float(out) * 1e6)
    return None


def is_local(api_base: str | None) -> bool:
    """Whether the server is this machine or on its private network, where no call is billed."""
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
    spec = importlib.util.find_spec("litellm")
    if spec is None or spec.origin is None:
        return {}
    content: dict[str, dict[str, Any]] = json.loads((Path(spec.origin).parent / _TABLE).read_text("utf-8"))
    return content
