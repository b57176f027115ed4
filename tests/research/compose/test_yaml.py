"""YAML files are read as OmegaConf reads them."""

from pathlib import Path

import pytest
from omegaconf import OmegaConf

from refusal import Refusal
from research.compose.trees import parsed, text_of

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


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
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
