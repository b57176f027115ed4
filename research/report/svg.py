"""A small chart as SVG: dots with error bars, lines, axes with units; reads well on light and on dark.

Why our own: matplotlib is no dependency of the lab and its import costs 2 CPU seconds. Colours are those of
Okabe and Ito (2008), which people who see few colours tell apart; shapes and dashes repeat what they say.
"""

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Literal, final
from xml.sax.saxutils import escape

from research.report.markdown import readable

WIDTH, PLOT = 720, 398
_LEFT, _RIGHT, _TOP, _BOTTOM, _LINE = 86, 20, 58, 56, 20
_COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#8c8c00", "#7a7a7a")
_DARK = ("#4ba3e3", "#ff8a4c", "#2fc79a", "#e7a3c8", "#f2b632", "#8fd0f5", "#d4d44a", "#b0b0b0")
_SHAPES = ("circle", "square", "triangle", "diamond")
_STYLE = """
text { font: 13px system-ui, sans-serif; fill: #1f2328; }
.small { font-size: 12px; fill: #57606a; }
.head { font-weight: 600; font-size: 14px; }
.paper { fill: #ffffff; }
.axis { stroke: #57606a; fill: none; }
.grid { stroke: #d8dee4; }
@media (prefers-color-scheme: dark) {
  text { fill: #e6edf3; } .small { fill: #9198a1; } .paper { fill: #0d1117; }
  .axis { stroke: #9198a1; } .grid { stroke: #2a313c; }
  %s
}
"""


@final
@dataclass(frozen=True)
class Point:
    """A point with half-widths of its error bars, zero for none."""

    x: float
    y: float
    across: float = 0.0
    up: float = 0.0
    label: str = ""


@final
@dataclass(frozen=True)
class Series:
    """Points of one colour; a `line` joins them, a `front` joins them in steps without dots of its own."""

    name: str
    points: tuple[Point, ...]
    kind: Literal["dots", "line", "front"] = "dots"
    large: bool = False


@final
@dataclass(frozen=True)
class Axis:
    """What is told along an axis and how its values are worded; `log` for values above zero only."""

    title: str
    worded: Callable[[float], str]
    log: bool = False


def chart(title: str, note: str, told: str, x: Axis, y: Axis, series: Sequence[Series]) -> str:
    """The SVG document: a title, a note below it, and in `told` what it shows, for those who cannot see it.

    Points that are not finite, or not above zero on a logarithmic axis, are left out; so are series that
    have none left.
    """
    kept = [one for one in (_finite(one, x, y) for one in series) if one.points]
    across = _Scale(
        x, [at for one in kept for p in one.points for at in _ends(p.x, p.across)], _LEFT, WIDTH - _RIGHT
    )
    up = _Scale(y, [at for one in kept for p in one.points for at in _ends(p.y, p.up)], PLOT - _BOTTOM, _TOP)
    height = PLOT + _LINE * len(kept) + 8
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" width="{WIDTH}" '
        f'height="{height}" role="img" aria-labelledby="title desc">',
        f'<title id="title">{_text(title)}</title>',
        f'<desc id="desc">{_text(told)}</desc>',
        f"<style>{_style(len(kept))}</style>",
        f'<rect class="paper" width="{WIDTH}" height="{height}"/>',
        f'<text class="head" x="{_LEFT}" y="22">{_text(title, 76)}</text>',
        f'<text class="small" x="{_LEFT}" y="42">{_text(note, 96)}</text>',
        *_across(x, across),
        *_up(y, up),
        *(part for at, one in enumerate(kept) for part in _drawn(one, at, across, up)),
        *(part for at, one in enumerate(kept) for part in _legend(one, at)),
        "</svg>",
    ]
    return "\n".join(parts) + "\n"


@final
class _Scale:
    """From values to pixels, with a margin, and where the ticks are."""

    def __init__(self, axis: Axis, values: Sequence[float], first: float, last: float) -> None:
        self._log = axis.log
        self._turn = math.log10 if axis.log else float
        turned = [self._turn(value) for value in values if not axis.log or value > 0] or [0.0, 1.0]
        low, high = min(turned), max(turned)
        apart = high - low > 1e-9 * max(abs(low), abs(high))
        room = 0.06 * (high - low) if apart else 0.05 * abs(high) or 0.5
        self.low, self.high, self._first, self._last = low - room, high + room, first, last

    def __call__(self, value: float) -> float:
        """The pixel of a value; what a logarithm cannot show is drawn at the edge."""
        turned = self._turn(value) if value > 0 or not self._log else self.low
        share = (turned - self.low) / (self.high - self.low)
        return round(self._first + share * (self._last - self._first), 2)

    def ticks(self) -> list[float]:
        """Four to eight round values."""
        if not self._log:
            return _round_values(self.low, self.high)
        decades = range(math.floor(self.low), math.ceil(self.high) + 1)
        for digits in ((1,), (1, 3), (1, 2, 5)):
            found = [digit * 10.0**power for power in decades for digit in digits]
            found = [value for value in found if self.low <= math.log10(value) <= self.high]
            if len(found) >= 4:
                return found[:: math.ceil(len(found) / 8)]
        return [value for value in _round_values(10**self.low, 10**self.high) if value > 0]


def _round_values(low: float, high: float) -> list[float]:
    step = 10.0 ** math.floor(math.log10((high - low) / 4))
    step = next((times * step for times in (1, 2, 5, 10) if (high - low) / (times * step) <= 7), step)
    first = math.ceil(low / step)
    return [round(place * step, 12) for place in range(first, math.floor(high / step) + 1)]


def _across(axis: Axis, scale: _Scale) -> list[str]:
    floor, parts = PLOT - _BOTTOM, []
    for value in scale.ticks():
        at = scale(value)
        parts.append(f'<path class="grid" d="M{at} {_TOP}V{floor}"/>')
        parts.append(_said(axis.worded(value), at, floor + 18, "middle", "small"))
    line = f'<path class="axis" d="M{_LEFT} {floor}H{WIDTH - _RIGHT}"/>'
    return [*parts, line, _said(axis.title, (_LEFT + WIDTH - _RIGHT) / 2, floor + 40, "middle")]


def _up(axis: Axis, scale: _Scale) -> list[str]:
    parts = []
    for value in scale.ticks():
        at = scale(value)
        parts.append(f'<path class="grid" d="M{_LEFT} {at}H{WIDTH - _RIGHT}"/>')
        parts.append(_said(axis.worded(value), _LEFT - 8, at + 4, "end", "small"))
    line = f'<path class="axis" d="M{_LEFT} {_TOP}V{PLOT - _BOTTOM}"/>'
    middle = (_TOP + PLOT - _BOTTOM) / 2
    return [
        *parts,
        line,
        f'<g transform="rotate(-90 16 {middle})">{_said(axis.title, 16, middle, "middle")}</g>',
    ]


def _said(words: str, x: float, y: float, anchor: str, kind: str = "") -> str:
    style = f' class="{kind}"' if kind else ""
    return f'<text{style} x="{x}" y="{y}" text-anchor="{anchor}">{_text(words, 90)}</text>'


def _drawn(one: Series, at: int, across: _Scale, up: _Scale) -> list[str]:
    spots = [(across(point.x), up(point.y)) for point in one.points]
    parts = []
    if one.kind == "line":
        parts.append(f'<path class="s{at} line" d="M{" L".join(f"{x} {y}" for x, y in spots)}"/>')
    if one.kind == "front":
        steps = "".join(f"H{x}V{y}" for x, y in spots[1:])
        return [f'<path class="s{at} line" stroke-dasharray="6 4" d="M{spots[0][0]} {spots[0][1]}{steps}"/>']
    for point, (x, y) in zip(one.points, spots, strict=True):
        said = f"<title>{_text(point.label)}</title>" if point.label else ""
        size = 6.5 if one.large else 2.5 if one.kind == "line" else 4.5
        parts.append(f'<g class="s{at}">{said}{_bars(point, across, up, x, y)}{_mark(at, x, y, size)}</g>')
    return parts


def _bars(point: Point, across: _Scale, up: _Scale, x: float, y: float) -> str:
    bars = ""
    if point.across:
        left, right = (across(end) for end in _ends(point.x, point.across))
        bars += f'<path class="bar" d="M{left} {y}H{right}"/>'
    if point.up:
        bottom, top = (up(end) for end in _ends(point.y, point.up))
        bars += f'<path class="bar" d="M{x} {bottom}V{top}"/>'
    return bars


def _mark(at: int, x: float, y: float, size: float) -> str:
    shape = _SHAPES[at % len(_SHAPES)]
    if shape == "circle":
        return f'<circle cx="{x}" cy="{y}" r="{size}"/>'
    if shape == "square":
        return f'<rect x="{x - size:.2f}" y="{y - size:.2f}" width="{2 * size}" height="{2 * size}"/>'
    wide, tall = 1.2 * size, 1.3 * size
    if shape == "triangle":
        return f'<path d="M{x - wide:.2f} {y + size:.2f}h{2 * wide:.2f}L{x} {y - size:.2f}z"/>'
    return f'<path d="M{x} {y - tall:.2f}L{x + tall:.2f} {y}L{x} {y + tall:.2f}L{x - tall:.2f} {y}z"/>'


def _legend(one: Series, at: int) -> list[str]:
    y = PLOT + _LINE * at
    line = f'<path class="s{at} line" d="M{_LEFT - 12} {y}h24"/>' if one.kind == "line" else ""
    dashes = f'<path class="s{at} line" stroke-dasharray="6 4" d="M{_LEFT - 12} {y}h24"/>'
    mark = dashes if one.kind == "front" else f'{line}<g class="s{at}">{_mark(at, _LEFT, y, 5)}</g>'
    return [mark, f'<text x="{_LEFT + 20}" y="{y + 4}">{_text(one.name, 84)}</text>']


def _style(count: int) -> str:
    light, dark = (
        "\n".join(_class(at, colours[at % len(colours)]) for at in range(count))
        for colours in (_COLOURS, _DARK)
    )
    return f"{_STYLE % dark}".replace("@media", f"{light}\n@media", 1)


def _class(at: int, colour: str) -> str:
    lines = f".s{at} .bar, .s{at}.line {{ stroke: {colour}; stroke-width: 2; fill: none; }}"
    return f".s{at} {{ fill: {colour}; }} {lines}"


def _finite(one: Series, x: Axis, y: Axis) -> Series:
    def shown(point: Point) -> bool:
        whole = all(map(_drawable, (point.x, point.y, point.across, point.up)))
        return whole and (not x.log or point.x > 0) and (not y.log or point.y > 0)

    return Series(one.name, tuple(filter(shown, one.points)), one.kind, one.large)


def _drawable(value: float) -> bool:
    """Whether its differences and logarithms stay within what a float holds."""
    return value == 0 or 1e-150 < abs(value) < 1e150


def _ends(middle: float, half: float) -> Iterable[float]:
    return middle - half, middle + half


def _text(words: str, longest: int = 400) -> str:
    return escape(readable(words, longest), {'"': "&quot;"})
