"""Numbers as people write them, in figures or words: `50 000`, `97,5`, `one and a half`, `two million`."""

import math
import re
from collections.abc import Sequence

from refusal import Refusal
from research.goal.lexicon import Piece
from research.goal.units import UNITS, unit_at, word_at

NUMBER = (
    r"(?:(?<![0-9.,])[0-9]{1,3}(?: [0-9]{3})+(?![0-9_]|[.,][0-9])"
    r"|[0-9][0-9_]*(?:[.,'][0-9][0-9_]*)*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?"
)
_ONES = """
    zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen
    seventeen eighteen nineteen
"""
_TENS = "twenty thirty forty fifty sixty seventy eighty ninety"
_SMALL = {word: float(number) for number, word in enumerate(re.findall(r"\w+", _ONES))}
_SMALL |= {word: 10.0 * tens for tens, word in enumerate(re.findall(r"\w+", _TENS), 2)}
_PARTS = {
    "half": 2, "halves": 2, "third": 3, "thirds": 3, "quarter": 4, "quarters": 4, "fourth": 4, "fourths": 4,
    "fifth": 5, "fifths": 5, "sixth": 6, "sixths": 6, "eighth": 8, "eighths": 8, "tenth": 10, "tenths": 10,
    "hundredth": 100, "hundredths": 100,
}  # fmt: skip
MAGNITUDES = {
    "hundred": 1e2, "thousand": 1e3, "million": 1e6, "billion": 1e9, "dozen": 12.0, "k": 1e3, "m": 1e6,
    "mn": 1e6, "mio": 1e6, "b": 1e9, "bn": 1e9,
}  # fmt: skip
_BEHIND = (
    "of",
    "per",
    "to",
    "or",
    "for",
    "at",
    "in",
    "on",
    "with",
    "and",
    "training",
    "latency",
    "inference",
)
"""what may follow `a second` that is a time"""
TIMES = ("x", "times", "fold", "*", "×")


def number(text: str) -> float:
    """`50_000`, `50,000`, `50 000`, `0,97` and `1e6` as people write them.

    Raises `Refusal` for `50.000`, which is fifty to some and fifty thousand to others, and for 1,2,3.
    """
    digits, _, exponent = text.lower().replace("_", "").replace("'", "").replace(" ", "").partition("e")
    marks = re.findall(r"[.,]", digits)
    groups = re.split(r"[.,]", digits)
    whole = groups if len(set(marks)) == 1 else groups[:-1]
    if len(marks) > 1:
        if any(len(group) != 3 for group in whole[1:]) or len(set(marks[:-1])) > 1 or not whole[0]:
            raise Refusal(f"'{text}' is no number that is understood: write 50000 or 0.5")
        digits = "".join(whole) + ("" if whole is groups else f".{groups[-1]}")
    elif marks == [","]:
        digits = digits.replace(",", "" if in_thousands(groups) else ".")
    value = float(f"{digits}e{exponent}" if exponent else digits)
    if not math.isfinite(value):
        raise Refusal(f"'{text}' is no number that can ever decide: write a smaller one")
    return value


def in_thousands(groups: Sequence[str]) -> bool:
    """Whether figures apart by a mark may be the thousands of one number, as of `50.000`."""
    return re.fullmatch(r"[1-9][0-9]{0,2}", groups[0]) is not None and len(groups[1]) == 3


def counted(pieces: Sequence[Piece], at: int) -> tuple[float, int, bool, bool] | None:
    """A number at a piece: its value, its end, whether it is a part, and whether it may be an article."""
    divided = _divided(pieces, at)
    if divided is not None and len(word_at(pieces, at + 3)) > 2 and word_at(pieces, at + 3) in MAGNITUDES:
        return *_magnified(pieces, divided, at + 3), False, False
    if divided is not None:
        return divided, at + 3, unit_at(pieces, at + 3, False)[0] is None, False
    value, end, one = plain(pieces, at)
    part = _PARTS.get(word_at(pieces, end))
    if value is not None and [word_at(pieces, end + place) for place in range(3)] == ["and", "a", "half"]:
        return *_magnified(pieces, value + 0.5, end + 3), False, False
    mixed = _mixed(pieces, value, end)
    if mixed is not None:
        return *mixed, False, False
    if part is not None and pieces[at].kind == "number" and not pieces[end].text.endswith("s"):
        part = None  # `1 ½ points` is neither half a point nor read as one and a half
    if part is None:
        return None if value is None else (value, end, False, one)
    value, end = (1.0 if value is None else value) / part, end + 1
    most = end + (word_at(pieces, end) in ("a", "an", "of"))
    most += word_at(pieces, most) in ("a", "an")
    if len(word_at(pieces, most)) > 2 and word_at(pieces, most) in MAGNITUDES:
        return *_magnified(pieces, value, most), False, False
    return value, end, True, False


def _mixed(pieces: Sequence[Piece], value: float | None, end: int) -> tuple[float, int] | None:
    """`one and three quarters` where a unit or magnitude follows: `0.9 and a third less` are two things."""
    if value is None or not value.is_integer() or word_at(pieces, end) != "and" or end + 2 >= len(pieces):
        return None
    parts = 1.0 if word_at(pieces, end + 1) in ("a", "an") else _SMALL.get(word_at(pieces, end + 1))
    part, after = _PARTS.get(word_at(pieces, end + 2)), end + 3
    if parts is None or part is None or not 0 < parts < part:
        return None
    counts = unit_at(pieces, after, False)[0] is not None or word_at(pieces, after) in (*MAGNITUDES, *TIMES)
    return _magnified(pieces, value + parts / part, after) if counts else None


def _divided(pieces: Sequence[Piece], at: int) -> float | None:
    """`1/3`, a part of something."""
    said = [word_at(pieces, at + place) for place in range(3)]
    if said[1] != "/" or not (said[0].isdecimal() and said[2].isdecimal()):
        return None
    below, above = int(said[0]), int(said[2])
    return below / above if 0 < below < above < 1000 else None


def plain(pieces: Sequence[Piece], at: int) -> tuple[float | None, int, bool]:
    """A number without parts; an article is one where a unit, a part or a magnitude follows."""
    text, after = pieces[at].text, word_at(pieces, at + 1)
    if pieces[at].kind == "number":
        return *_magnified(pieces, *_pointed(pieces, number(text), at + 1)), False
    if text in ("a", "an"):
        if after in _PARTS or (after in MAGNITUDES and len(after) > 2):
            return *_magnified(pieces, 1.0, at + 1), False
        single = len(after) > 2 and not after.endswith("s")  # `a FLOPs reduction` has no figure
        one = single and (after,) in UNITS and not _counts_on(after, word_at(pieces, at + 2))
        return (1.0, at + 1, True) if one else (None, at, False)
    if text in _SMALL:
        return *_magnified(pieces, *_spelt(pieces, at)), text == "one"
    if text in MAGNITUDES and len(text) > 3:
        return *_magnified(pieces, 1.0, at), False
    return None, at, False


def _counts_on(said: str, after: str) -> bool:
    """Whether `a second network` stands there, or `the second best`."""
    return said == "second" and after.isalpha() and after not in _BEHIND


def _spelt(pieces: Sequence[Piece], at: int) -> tuple[float, int]:
    """`ninety five` and `ten`, and where they end."""
    value, end = _SMALL[pieces[at].text], at + 1
    if value >= 20 and end < len(pieces) and 0 < _SMALL.get(pieces[end].text, 0) < 10:
        value, end = value + _SMALL[pieces[end].text], end + 1
    return _pointed(pieces, value, end)


def _pointed(pieces: Sequence[Piece], value: float, end: int) -> tuple[float, int]:
    """With its decimals, which are words: `ninety five point five`; in figures they may begin a number."""
    if word_at(pieces, end) != "point" or not value.is_integer():
        return value, end
    digits = ""
    while _SMALL.get(word_at(pieces, end + 1 + len(digits)), 10) < 10:
        digits += f"{_SMALL[word_at(pieces, end + 1 + len(digits))]:.0f}"
    return (float(f"{value:.0f}.{digits}"), end + 1 + len(digits)) if digits else (value, end)


def _magnified(pieces: Sequence[Piece], value: float, end: int) -> tuple[float, int]:
    """With what magnifies it: `two hundred thousand`, `1.5 M`; a letter only where no unit is meant."""
    whole, last, start = 0.0, math.inf, end
    while word_at(pieces, end) in MAGNITUDES and (pieces[end].text, word_at(pieces, end + 1)) not in UNITS:
        said, size = pieces[end].text, MAGNITUDES[pieces[end].text]
        end += 1
        if size < 1000:
            value *= size
        elif not value:
            whole *= size
        else:
            _check_falls(pieces, start, end, size < last)
            whole, value, last = whole + value * size, 0.0, size
        more = end + (word_at(pieces, end) == "and")
        if said in ("hundred", "thousand", "million") and word_at(pieces, more) in _SMALL:
            rest, end = _spelt(pieces, more)
            _check_falls(pieces, start, end, rest < size)
            value += rest
    return whole + value, end


def _check_falls(pieces: Sequence[Piece], start: int, end: int, falls: bool) -> None:
    """`five thousand five thousand` is no number."""
    if not falls:
        said = " ".join(piece.raw for piece in pieces[max(0, start - 1) : end])
        raise Refusal(f"'{said}' is no number that is understood: write it in figures, as 50000")
