"""An override is read at one place, and what an agent may write exactly as by Hydra's own parser."""

import contextlib
import math
import time
from typing import Any

import pytest
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import ChoiceSweep, QuotedString, RangeSweep
from hydra.errors import HydraException
from hypothesis import example, given, settings
from hypothesis import strategies as st

from cases import each
from research.compose.override import Odd, keys_of, override, read, values_of

PARSER = OverridesParser.create()
NUMBERS = [
    "0",
    "-1",
    "+3",
    "007",
    "1_000",
    "1__0",
    "1.",
    ".5",
    "1e-3",
    "1E5",
    "1e",
    "nan",
    "-inf",
    "NaN",
    "1e5_0",
]
WORDS = [
    "null",
    "NULL",
    "true",
    "False",
    "none",
    "a",
    "a-b_c",
    "16-mixed",
    "1:5",
    "a b",
    "a  b",
    "x:y",
    "???",
    "%s",
]
QUOTED = ["'a'", '"b c"', "''", "'a,b'", '"[x]"', "'it is \"so\"'", "'${x}'"]
ESCAPED = [r"a\,b", r"a\=b", r"\[a\]", r"a\\b", r"a\ b"]
SCALARS = st.sampled_from(NUMBERS + WORDS + QUOTED + ESCAPED)
SPACE = st.sampled_from(["", " ", "  "])


@st.composite
def values(draw: st.DrawFn, depth: int = 0) -> str:
    if depth < 2 and draw(st.booleans()):
        items = draw(st.lists(values(depth=depth + 1), max_size=3))
        return "[" + ",".join(draw(SPACE) + item + draw(SPACE) for item in items) + "]"
    return draw(SCALARS)


@st.composite
def overrides(draw: st.DrawFn) -> str:
    key = draw(st.sampled_from(["seed", "a.b", "a.0.c-d", "_x_", "group/sub", "a-b"]))
    some = [draw(SPACE) + item for item in draw(st.lists(values(), min_size=1, max_size=3))]
    bounds = [str(bound) for bound in draw(st.lists(st.integers(-20, 20), min_size=1, max_size=3))]
    form = draw(st.sampled_from(["plain", "choice", "range"]))
    if form == "plain":
        return f"{key}={','.join(some)}"
    return f"{key}={form}({','.join(bounds if form == 'range' else some)})"


def by_hydra(text: str) -> tuple[str, Any]:
    (override,) = PARSER.parse_overrides([text])
    value = override._value
    if isinstance(value, ChoiceSweep):
        return override.key_or_group, [plain(item) for item in value.list]
    if isinstance(value, RangeSweep):
        return override.key_or_group, list(value.range())
    return override.key_or_group, plain(value)


def plain(value: Any) -> Any:
    if isinstance(value, QuotedString):
        return value.text
    if isinstance(value, list):
        return [plain(item) for item in value]
    return "not a number" if isinstance(value, float) and math.isnan(value) else value


@pytest.mark.slow
@settings(max_examples=100, deadline=None)
@given(overrides())
@example("seed=choice(null)")
@example("m=null,1")
@example("name='','a'")
@example("name=a : b")
@example("m=range(1,stop=5)")
def test_what_is_read_means_what_hydra_reads(text: str) -> None:
    try:
        ours = read(text)
    except Odd:
        return
    found = [plain(value.value) for value in ours.each()]
    key, theirs = by_hydra(text.strip(" "))
    assert (ours.key, found if ours.swept else found[0]) == (key, theirs)
    kinds = [type(one) for one in found]
    assert kinds == [type(one) for one in (theirs if ours.swept else [theirs])], "1 is not 1.0 is not True"


@pytest.mark.slow
@settings(max_examples=60, deadline=None)
@given(overrides())
def test_the_text_of_each_value_is_read_again_as_the_same_value(text: str) -> None:
    try:
        ours = read(text)
    except Odd:
        return
    for value in ours.each():
        again = read(f"{ours.key}={value.text}")
        assert [plain(one.value) for one in again.each()] == [plain(value.value)]


@settings(max_examples=150, deadline=None)
@given(st.text(st.characters(min_codepoint=32, max_codepoint=126), max_size=40))
def test_any_line_is_read_like_hydra_or_is_odd(text: str) -> None:
    text = "k=" + text
    try:
        ours = read(text)
    except Odd:
        return
    try:
        key, theirs = by_hydra(text.strip(" "))
    except HydraException:
        # Hydra wants no space after a list or a quoted text; to be kind there is safe.
        assert " " in text
        return
    found = [plain(value.value) for value in ours.each()]
    assert (ours.key, found if ours.swept else found[0]) == (key, theirs)


@each(
    "text",
    [
        "", "=", "a", "a.=1", "a..b=1", "1a=2", "a b=1", "a[0]=1", "+a=1", "~a", "a@b=1", "a={b:1}",
        "a=${b}", "a=$b",
        "a=(", "a=f(1)", "a=choice()", "a=choice(a,)", "a=range()", "a=range(0,1,0)", "a=range(1.5)",
        "a=range(a)",
        "a=range(1,2,3,4)", "a=range(start=1,start=2)", "a=range(1,start=2)", "a=range(stop=3)", "a=[1",
        "a=1]", "a=[,]",
        "a=1,,2", "a=1,", "a='b", "a='b'c", "a=b'c'", "a=choice(choice(1))", "a=1,choice(2)", "a=b\nc=d",
        "a=é", "a=b#c",
        "a=[[[[[[[[[1]]]]]]]]]",
    ],
)  # fmt: skip
def test_odd_lines_are_odd(text: str) -> None:
    with pytest.raises(Odd):
        read(text)


def test_a_range_is_counted_and_not_made() -> None:
    assert read("seed=range(0,1000000000000)").count() == 10**12
    assert read("seed=range(10,0,-3)").count() == len(range(10, 0, -3))
    assert read("seed=range(10,0)").count() == 0


@each("unit", ["a,", "[", "1_", "'a',", "\\\\", "a.", "a/", "- ", "=", ".", "1e", "(", "a:"])
def test_reading_is_linear(unit: str) -> None:
    def cost(size: int) -> float:
        start = time.thread_time()
        for _ in range(3):
            for text in ("k=" + unit * size, unit * size + "=1"):
                with contextlib.suppress(Odd):
                    read(text)
        return time.thread_time() - start

    small = min(cost(100) for _ in range(3))
    assert min(cost(800) for _ in range(3)) < 24 * max(small, 1e-4), (
        "eight times the text, at most thrice that"
    )


@pytest.mark.parametrize(
    ("text", "key", "value", "group"),
    [
        ("optimizer=lion", "optimizer", "lion", "optimizer"),
        ("+experiment=x", "experiment", "x", "experiment"),
        (" budget.steps = 300 ", "budget.steps", "300", "budget"),
        ("base=[data=digits,model=cnn]", "base", "[data=digits,model=cnn]", "base"),
        ("budget.seconds=", "budget.seconds", "", "budget"),
        ("~trainer.precision", "~trainer.precision", None, "~trainer"),
    ],
)
def test_an_override_is_its_key_and_the_text_of_its_value(
    text: str, key: str, value: str | None, group: str
) -> None:
    read = override(text)
    assert (read.key, read.value, read.group, read.spelling) == (key, value, group, text)


def test_of_two_overrides_of_one_key_the_last_one_counts() -> None:
    typed = ["seed=1", "+seed=2", "no value", "name=a=b"]
    assert values_of(typed) == {"seed": "2", "name": "a=b"}
    assert keys_of(typed) == {"seed", "name", "no value"}
