"""Trees as a config may be, with targets anywhere in them."""

import sys
import types
from dataclasses import dataclass
from typing import Any

import pytest
from hypothesis import strategies as st

import construct

words = st.sampled_from(["a", "b", "c"])
leaves = st.none() | st.booleans() | st.integers(-9, 9) | st.floats(-1, 1) | st.text("xyz", max_size=3)


def nodes(inner: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    how = st.fixed_dictionaries(
        {"_target_": st.just("own_targets.Call")},
        optional={
            "_partial_": st.booleans(),
            "_recursive_": st.booleans(),
            "_args_": st.lists(inner, max_size=2),
        },
    )
    called = st.tuples(how, st.dictionaries(words, inner, max_size=3)).map(lambda pair: pair[1] | pair[0])
    return st.lists(inner, max_size=3) | st.dictionaries(words, inner, max_size=3) | called


@dataclass
class Call:
    """Remembers what it was called with."""

    args: tuple[Any, ...]
    named: dict[str, Any]

    def __init__(self, *args: Any, **named: Any) -> None:
        self.args, self.named = args, named


@pytest.fixture(scope="module", autouse=True)
def ours() -> Any:
    """A module whose targets count as the lab's own."""
    module: Any = types.ModuleType("own_targets")
    module.Call, Call.__module__ = Call, "own_targets"
    before, construct._OURS = construct._OURS, (*construct._OURS, "own_targets")
    trusted = set(construct._trusted)
    sys.modules["own_targets"] = module
    construct.trust({"_target_": "own_targets.Call"})
    yield
    construct._OURS = before
    construct._trusted.intersection_update(trusted)
    del sys.modules["own_targets"]
