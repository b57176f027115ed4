"""A space file says completely what each key takes, or is refused with the entry that is wrong."""

from pathlib import Path
from typing import Any

import pytest

from cases import each
from refusal import Refusal
from research.space.knobs import Knob, load

WHOLE = Knob(type="int", low=1, high=8)
REAL = Knob(type="float", low=0, high=1, nullable=True)
LEVEL = Knob(type="enum", of=("a", 1))
NAME = Knob(type="text", pattern="[a-z.]{1,3}", forbid="..")
PAIR = Knob(type="list", of=REAL, length=(2, 2))
SWITCH = Knob(type="bool")


@pytest.mark.parametrize(
    ("knob", "value"),
    [
        (WHOLE, 1), (WHOLE, 8), (REAL, 0), (REAL, 1.0), (REAL, None), (LEVEL, "a"), (LEVEL, 1), (NAME, "a.b"),
        (PAIR, [0.5, 1]), (SWITCH, True),
    ],
)  # fmt: skip
def test_what_is_taken(knob: Knob, value: Any) -> None:
    assert knob.takes(value)


@each(
    ("knob", "value"),
    [
        (WHOLE, 0), (WHOLE, 9), (WHOLE, 1.0), (WHOLE, True), (WHOLE, "1"), (WHOLE, None), (WHOLE, [1]),
        (WHOLE, 10**400),
        (REAL, -0.1), (REAL, float("nan")), (REAL, float("inf")), (REAL, False), (REAL, "0.5"),
        (LEVEL, "b"), (LEVEL, True),
        (LEVEL, 1.0), (LEVEL, ["a"]), (NAME, "a..b"), (NAME, ""), (NAME, "abcd"), (NAME, "a\n"), (NAME, 1),
        (NAME, None),
        (PAIR, [0.5]), (PAIR, [0.5, 2]), (PAIR, [[0.5, 0.5]]), (PAIR, 0.5), (PAIR, "[0.5,0.5]"),
        (SWITCH, 1), (SWITCH, "true"),
    ],
)  # fmt: skip
def test_what_is_not_taken(knob: Knob, value: Any) -> None:
    assert not knob.takes(value)


def test_a_range_may_differ_for_an_option() -> None:
    knob = Knob(type="float", low=1e-5, high=1, scale="log", per={"lion": {"high": 0.01}})
    assert knob.takes(0.5) and not knob.within("lion").takes(0.5) and knob.within("adam").takes(0.5)
    assert knob.within("lion").scale == "log"
    assert knob.within("lion_digits") == knob.within("lion") and knob.within("lionlike") is knob


@pytest.mark.parametrize(
    ("text", "where"),
    [
        ("{}", "root"),
        ("{root: config, groups: {}, keys: {a: {type: int}}}", "keys.a"),
        ("{root: config, groups: {}, keys: {a: {type: float, low: 0, high: 1, scale: log}}}", "log scale"),
        ("{root: config, groups: {}, keys: {a: {type: enum}}}", "keys.a"),
        ("{root: config, groups: {}, keys: {a: {type: text}}}", "keys.a"),
        ("{root: config, groups: {}, keys: {a: {type: list, length: [1, 2]}}}", "keys.a"),
        ("{root: config, groups: {}, keys: {a: {type: number}}}", "keys.a.type"),
        ("{root: config, groups: {}, keys: {a: {type: bool, hihg: 1}}}", "hihg"),
        ("{root: config, groups: {}, keys: {}, constraints: [{require: open(1), say: x}]}", "calls open"),
        ("{root: config, groups: {}, keys: {a: {type: int, low: 1, high: 2, per: {x: {high: y}}}}}", "high"),
        ("{root: [", "cannot be read"),
    ],
)
def test_a_wrong_space_file_is_refused_where_it_is_wrong(tmp_path: Path, text: str, where: str) -> None:
    path = tmp_path / "space.yaml"
    path.write_text(text)
    with pytest.raises(Refusal, match=where):
        load(path)


def test_a_missing_space_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(Refusal, match="cannot be read"):
        load(tmp_path / "none.yaml")
