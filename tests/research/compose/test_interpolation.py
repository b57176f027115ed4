"""Interpolations give what OmegaConf gives, and nothing but the config is ever read."""

import copy
from typing import Any

import pytest
from omegaconf import OmegaConf

from refusal import Refusal
from research.compose.trees import resolved

TREES: list[dict[str, Any]] = [
    {"a": {"b": 1, "c": "${a.b}", "d": "${.b}"}, "e": "${a.c}", "f": "x-${a.b}-${e}", "g": "${a}"},
    {"a": 1e-05, "b": "${a}", "c": "v${a}", "d": None, "e": "${d}", "f": "${d}!", "g": True, "h": "${g}${g}"},
    {"l": [1, "${l.0}", {"x": "${..0}", "y": "${.x}"}], "m": "${l}", "n": "${l[0]}"},
    {"a": "${b}", "b": "${c}", "c": {"d": "${e}"}, "e": [1, 2]},
    {"a": {"b": {"c": "${..x}", "d": "${...y}"}, "x": 3}, "y": 4},
    {"a": r"\${b}", "b": 1, "c": r"x\\${b}"},
    {"a": "${${b}}", "b": "c", "c": 7, "d": "${oc.select:c}", "e": "${oc.select:nope,5}"},
    {"a": {"b": 1}, "k": "${oc.dict.keys:a}"},
    {"plain": "text", "dollar": "$5", "brace": "{x}", "n": {}, "e": []},
]


@pytest.mark.parametrize("tree", TREES)
def test_a_tree_resolves_as_omegaconf_resolves_it(tree: dict[str, Any]) -> None:
    before = copy.deepcopy(tree)
    assert resolved(tree) == OmegaConf.to_container(OmegaConf.create(tree), resolve=True)
    assert tree == before, "the tree that many points share is left alone"


def test_nothing_is_shared_with_the_tree() -> None:
    tree = {"a": {"b": [1]}, "c": "${a}"}
    found = resolved(tree)
    found["a"]["b"].append(2)
    assert tree["a"]["b"] == [1] and found["c"]["b"] == [1]


@pytest.mark.parametrize(
    "text",
    [
        "${oc.env:HOME}", "x${oc.env:HOME,none}", "${ oc.env : HOME }", "${${n}:HOME}", "${${${m}}:HOME}",
        "${oc.decode:x}",
        "${oc.create:x}", "${hydra:runtime.cwd}", "${now:%Y}", "${python:os.getcwd}",
        "${oc.select:a,${oc.env:HOME}}",
    ],
)  # fmt: skip
def test_the_environment_and_the_process_are_never_read(text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "leaked")
    with pytest.raises(Refusal, match=r"from the config itself|is not closed"):
        resolved({"a": text, "n": "oc.env", "m": "n"})


@pytest.mark.parametrize("text", ["${nope}", "${a}", "${.a}", "${....a}", "${b.c}", "${missing}", "${l.9}"])
def test_what_has_no_value_is_refused(text: str) -> None:
    with pytest.raises(Refusal):
        resolved({"a": text, "b": 1, "missing": "???", "l": [1]})
