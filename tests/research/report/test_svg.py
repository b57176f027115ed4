"""Charts: XML that a browser takes, with words for those who cannot see it, whatever the values are."""

import re
from xml.etree import ElementTree

from hypothesis import given, settings
from hypothesis import strategies as st

from research.report.svg import Axis, Point, Series, chart

SVG = "{http://www.w3.org/2000/svg}"
NUMBERS = st.floats(allow_nan=True, allow_infinity=True) | st.floats(-1e6, 1e6)
POINTS = st.builds(Point, NUMBERS, NUMBERS, st.floats(0, 10), st.floats(0, 10), st.text(max_size=20))
KINDS = st.sampled_from(["dots", "line", "front"])
SERIES = st.builds(Series, st.text(max_size=200), st.lists(POINTS, max_size=5).map(tuple), KINDS)


def drawn(series: list[Series], log: bool = False, title: str = "t") -> ElementTree.Element:
    worded = "{:.3g}".format
    return ElementTree.fromstring(
        chart(title, "n", "told", Axis("x", worded, log), Axis("y", worded), series)
    )


@settings(max_examples=25, deadline=None)
@given(st.lists(SERIES, max_size=4), st.booleans(), st.text(max_size=200))
def test_any_values_and_texts_make_whole_xml(series: list[Series], log: bool, title: str) -> None:
    root = drawn(series, log, title)
    assert not {"script", "a", "image", "foreignObject"} & {one.tag.removeprefix(SVG) for one in root.iter()}
    for one in root.iter():
        for name in ("d", "x", "y", "cx", "cy", "height"):
            assert not re.search("nan|inf", one.get(name, ""))


def test_it_is_told_in_words_and_each_series_is_named() -> None:
    root = drawn([Series("<control>", (Point(1, 2, label="first"),)), Series("empty", ())])
    assert root.get("role") == "img" and root.get("aria-labelledby") == "title desc"
    assert root.findtext(f"{SVG}title") == "t" and root.findtext(f"{SVG}desc") == "told"
    words = [one.text for one in root.iter(f"{SVG}text")]
    assert "<control>" in words and "empty" not in words
    assert [one.text for one in root.iter(f"{SVG}title")] == ["t", "first"]


def test_points_stand_where_their_values_are() -> None:
    root = drawn([Series("s", (Point(1, 0), Point(10, 0), Point(100, 5, up=1)))], log=True)
    x = [float(one.get("cx", "nan")) for one in root.iter(f"{SVG}circle")][:3]
    y = [float(one.get("cy", "nan")) for one in root.iter(f"{SVG}circle")][:3]
    assert abs((x[1] - x[0]) - (x[2] - x[1])) < 0.02 and y[0] == y[1] > y[2]
    bar = next(one.get("d", "") for one in root.iter(f"{SVG}path") if one.get("class") == "bar")
    low, high = (float(number) for number in re.findall(r"[\d.]+", bar)[1:])
    assert abs((low + high) / 2 - y[2]) < 0.02


def test_what_a_logarithm_cannot_show_is_left_out() -> None:
    root = drawn([Series("s", (Point(-1, 1), Point(0, 1), Point(2, 1)))], log=True)
    assert sum(one.get("class") == "s0" for one in root.iter(f"{SVG}g")) == 2  # its dot, and the legend's


def test_both_colour_schemes_have_their_colours() -> None:
    style = drawn([Series("s", (Point(1, 1),))]).findtext(f"{SVG}style") or ""
    light, dark = style.split("@media (prefers-color-scheme: dark)")
    assert "#0072b2" in light and "#4ba3e3" in dark and style.count("{") == style.count("}")
