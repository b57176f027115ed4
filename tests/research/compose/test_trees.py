"""Plain trees are what OmegaConf reads and resolves, and nothing but the config is ever read."""

import copy
from pathlib import Path
from typing import Any

import pytest
from omegaconf import OmegaConf

from cases import each
from refusal import Refusal
from research.compose.trees import parsed, resolved, text_of

ROOT = Path(__file__).parents[3]
FILES = sorted([*(ROOT / "conf").rglob("*.yaml"), *(ROOT / "tests" / "gate").rglob("*.yaml")])
TEXT = """
a: 1e-3
b: 2024-01-01
c: 1_000
d: .5
e: 1.
f: 0x10
g: 010
h: 1:30
i: yes
j: ~
k: [1e5, .inf, -.inf, 1e+3, 12e03, '1', 1_0.5e3]
l: {1: on, x: '${a}'}
m: 0o10
n: &x {a: 1}
o: {<<: *x, b: 2}
p: -1e-8
"""


@pytest.mark.slow
@each("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_a_file_holds_what_omegaconf_finds(path: Path) -> None:
    assert parsed(text_of(path), path) == OmegaConf.to_container(OmegaConf.load(path))


def test_numbers_and_dates_are_omegaconfs() -> None:
    theirs = OmegaConf.to_container(OmegaConf.create(TEXT))
    assert repr(parsed(TEXT, Path("x"))) == repr(theirs)


@pytest.mark.parametrize(
    "text", ["a: 1\na: 2", "a: {b: 1, b: 2}", "[1", "- a", "a", "a: b: c", "a: !!python/name:os.x"]
)
def test_what_is_no_mapping_is_refused_with_the_path(text: str) -> None:
    with pytest.raises(Refusal, match=r"some/file.yaml"):
        parsed(text, Path("some/file.yaml"))


def test_a_file_that_is_missing_or_no_text_is_refused(tmp_path: Path) -> None:
    (tmp_path / "x.yaml").write_bytes(b"\xff\xfe")
    for name in ("x.yaml", "y.yaml"):
        with pytest.raises(Refusal, match="cannot be read"):
            text_of(tmp_path / name)


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
