"""Numbers as people write them, in figures or words, with their units: `97,5 %`, `half a point`, `50 000`."""

import math
import re
from collections.abc import Sequence
from typing import NamedTuple, final

from refusal import Refusal
from research.goal.lexicon import ACCURACY, CONCEPTS, Lexeme, Noun, Piece

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
_MAGNITUDES = {
    "hundred": 1e2, "thousand": 1e3, "million": 1e6, "billion": 1e9, "dozen": 12.0, "k": 1e3, "m": 1e6,
    "mn": 1e6, "mio": 1e6, "b": 1e9, "bn": 1e9,
}  # fmt: skip
_TIMES = ("x", "times", "fold", "*", "×")
_WRONG = ("error", "errors", "mistake", "mistakes", "misclassifications", "wrong")
_ASKED = ("images", "pictures", "examples", "samples", "answers", "predictions", "cases")


@final
class Quantity(NamedTuple):
    """A number in the SI unit of its dimension, and what it is a quantity of where nothing else says so."""

    value: float
    dimension: str | None = None
    """share, points, joules, seconds, bytes, flops, kg, bits, per second; many after a `k`; None: no unit"""
    noun: Noun | None = None


@final
class Unit(NamedTuple):
    """How many of the SI unit it is, its dimension, and the concept that it implies."""

    factor: float
    dimension: str
    concept: str | None


def _units() -> dict[tuple[str, ...], Unit]:
    table: dict[str, Unit] = {}

    def add(said: str, factor: float, dimension: str, concept: str | None) -> None:
        table.update(dict.fromkeys(said.split("|"), Unit(factor, dimension, concept)))

    add("%|percent|per cent|pct", 0.01, "share", "accuracy")
    points = [f"{of}point{s}" for of in ("", "percentage ", "percent ", "% ", "accuracy ") for s in ("", "s")]
    add("|".join(["pt", "pts", "pp", "%p", *points]), 0.01, "points", "accuracy")
    add("bits per byte|bit per byte|bpb|bits|bit", 1.0, "bits", "bits_per_byte")
    add("nats|nat", 1.0, "nats", "loss")
    prefixes = {"": 1.0, "m milli": 1e-3, "u micro": 1e-6, "n nano": 1e-9}
    for said, factor in (prefixes | {"k kilo": 1e3, "M mega": 1e6, "G giga": 1e9}).items():
        prefix, _, long = said.partition(" ")
        add(f"{prefix}j|{long}joule|{long}joules", factor, "joules", "energy")
        add(f"{prefix}wh|{long}watt hour|{long}watt hours", 3600 * factor, "joules", "energy")
        if factor < 1:
            concept = "latency"
            add(f"{prefix}s|{prefix}sec|{long}second|{long}seconds", factor, "seconds", concept)
        else:
            flops = f"{prefix.lower()}flop|{prefix.lower()}flops|{long}flop|{long}flops"
            add(flops + (f"|{prefix.lower()} flops" if prefix else ""), factor, "flops", "flops")
        if factor > 1:
            add(f"{prefix.lower()}b|{long}byte|{long}bytes", factor, "bytes", "size")
    add("tflop|tflops", 1e12, "flops", "flops")
    add("byte|bytes", 1.0, "bytes", "size")
    for power, said in enumerate(("kib|kibibytes", "mib|mebibytes", "gib|gibibytes"), 1):
        add(said, 1024.0**power, "bytes", "size")
    add("mg|milligram|milligrams", 1e-6, "kg", "co2")
    add("g|gram|grams", 1e-3, "kg", "co2")
    add("kg|kilogram|kilograms", 1.0, "kg", "co2")
    times = {"s|sec|secs|second|seconds": 1.0, "min|mins|minute|minutes": 60.0, "h|hr|hrs|hour|hours": 3600.0}
    for said, factor in times.items():
        add(said, factor, "seconds", "time")
        add("|".join(f"cpu {word}" for word in said.split("|")), factor, "seconds", "cpu time")
    rates = [f"{what} {per} {s}" for what in ("samples", "examples", "images", "inferences", "predictions")
             for per in ("per", "/") for s in ("second", "s", "sec")]  # fmt: skip
    add("|".join(rates), 1.0, "per second", "throughput")
    add("steps per second|steps / s|steps per s", 1.0, "per second", "steps per second")
    return {tuple(said.split()): unit for said, unit in table.items()}


UNITS = _units()
_LONGEST = max(map(len, UNITS))


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
        digits = digits.replace(",", "" if _thousands(groups) else ".")
    value = float(f"{digits}e{exponent}" if exponent else digits)
    if not math.isfinite(value):
        raise Refusal(f"'{text}' is no number that can ever decide: write a smaller one")
    return value


def _thousands(groups: Sequence[str]) -> bool:
    return re.fullmatch(r"[1-9][0-9]{0,2}", groups[0]) is not None and len(groups[1]) == 3


def amount(pieces: Sequence[Piece], at: int) -> tuple[Lexeme, int] | None:
    """The quantity, fraction or multiple that begins at a piece, and where it ends; None for none."""
    odds = _odds(pieces, at)
    found = None if odds else _counted(pieces, at)
    if found is None:
        return odds
    value, end, part, one = found
    if end < len(pieces) and pieces[end].text in _TIMES and not part:
        return _lexeme("x", value, pieces, at, end + 1)
    unit, after = _unit(pieces, end, part)
    if one and unit is None and not part:
        return None
    if unit is None:
        many = end > at and pieces[end - 1].text in _MAGNITUDES
        if part:
            return _lexeme("f", value, pieces, at, end)
        _check_marks(pieces[at], None)
        return _lexeme("q", Quantity(value, "many" if many else None), pieces, at, end)
    value = _read_for(pieces[at], unit, value)
    noun = Noun(CONCEPTS[unit.concept]) if unit.concept else None
    more, after = _smaller(pieces, after, unit)
    quantity = Quantity(float(f"{value * unit.factor + more:.12g}"), unit.dimension, noun)
    return _lexeme("q", quantity, pieces, at, after)


def _odds(pieces: Sequence[Piece], at: int) -> tuple[Lexeme, int] | None:
    """`nine in ten`, `19 out of 20` and `5 errors per 100 images`: a share of the answers."""
    some, end, _ = _plain(pieces, at)
    wrong = _text(pieces, end) in _WRONG
    out = _text(pieces, end + wrong) == "out"
    joins = ("of",) if out else ("of", "in", "per") if wrong else ("of", "in")
    end += wrong + out
    after = end + 1 if _text(pieces, end) in joins else len(pieces)
    if some is None or after >= len(pieces):
        return None
    whole, end, _ = _plain(pieces, after)
    if whole is None or not 1 <= some < whole or _unit(pieces, end, False)[0] is not None:
        return None
    noun = Noun(CONCEPTS["error"]) if wrong else ACCURACY
    end += wrong and _text(pieces, end) in _ASKED
    return _lexeme("q", Quantity(float(f"{some / whole:.12g}"), "share", noun), pieces, at, end)


def _smaller(pieces: Sequence[Piece], end: int, unit: Unit) -> tuple[float, int]:
    """What of the next smaller unit follows, as in `1 h 30 min` and `two minutes and 30 s`, in seconds."""
    start = end + (_text(pieces, end) == "and")
    found = _counted(pieces, start) if unit.factor >= 60 and start < len(pieces) else None
    other, after = _unit(pieces, found[1], False) if found and not found[2] else (None, end)
    if found is None or other is None or other != unit._replace(factor=unit.factor / 60):
        return 0.0, end
    more, after = _smaller(pieces, after, other)
    return found[0] * other.factor + more, after


def _lexeme(sign: str, value: object, pieces: Sequence[Piece], at: int, end: int) -> tuple[Lexeme, int]:
    return Lexeme(sign, pieces[at].start, pieces[end - 1].end, value), end


def _read_for(piece: Piece, unit: Unit, value: float) -> float:
    """A number once its unit is known: no share is in the thousands, so `97,125 %` has a decimal comma."""
    if unit.dimension == "share" and value > 1000 and re.fullmatch(r"[0-9]+,[0-9]+", piece.text):
        return float(piece.text.replace(",", "."))
    _check_marks(piece, unit.dimension)
    return value


def _check_marks(piece: Piece, dimension: str | None) -> None:
    if piece.kind != "number" or dimension in ("share", "points", "bits", "nats"):
        return
    groups = piece.text.partition("e")[0].split(".")
    if len(groups) == 2 and _thousands(groups):
        raise Refusal(
            f"'{piece.text}' is {''.join(groups)} to some readers and {piece.text} to others: write "
            f"{''.join(groups)}, or {piece.text}0 for the smaller one"
        )


def _counted(pieces: Sequence[Piece], at: int) -> tuple[float, int, bool, bool] | None:
    """A number at a piece: its value, its end, whether it is a part, and whether it may be an article."""
    divided = _divided(pieces, at)
    if divided is not None:
        return divided, at + 3, True, False
    value, end, one = _plain(pieces, at)
    part = _PARTS.get(_text(pieces, end))
    if value is not None and [_text(pieces, end + place) for place in range(3)] == ["and", "a", "half"]:
        return value + 0.5, end + 3, False, False
    if part is None:
        return None if value is None else (value, end, False, one)
    value, end = (1.0 if value is None else value) / part, end + 1
    most = end + (_text(pieces, end) in ("a", "an", "of"))
    most += _text(pieces, most) in ("a", "an")
    if len(_text(pieces, most)) > 2 and _text(pieces, most) in _MAGNITUDES:
        return *_magnified(pieces, value, most), False, False
    return value, end, True, False


def _text(pieces: Sequence[Piece], at: int) -> str:
    return pieces[at].text if at < len(pieces) else ""


def _divided(pieces: Sequence[Piece], at: int) -> float | None:
    """`1/3`, a part of something."""
    said = [_text(pieces, at + place) for place in range(3)]
    if said[1] != "/" or not (said[0].isdecimal() and said[2].isdecimal()):
        return None
    below, above = int(said[0]), int(said[2])
    return below / above if 0 < below < above < 1000 else None


def _plain(pieces: Sequence[Piece], at: int) -> tuple[float | None, int, bool]:
    """A number without parts; an article is one where a unit, a part or a magnitude follows."""
    text, after = pieces[at].text, _text(pieces, at + 1)
    if pieces[at].kind == "number":
        return *_magnified(pieces, *_pointed(pieces, number(text), at + 1)), False
    if text in ("a", "an"):
        if after in _PARTS or (after in _MAGNITUDES and len(after) > 2):
            return *_magnified(pieces, 1.0, at + 1), False
        return (1.0, at + 1, True) if len(after) > 2 and (after,) in UNITS else (None, at, False)
    if text in _SMALL:
        return *_magnified(pieces, *_spelt(pieces, at)), text == "one"
    if text in _MAGNITUDES and len(text) > 3:
        return *_magnified(pieces, 1.0, at), False
    return None, at, False


def _spelt(pieces: Sequence[Piece], at: int) -> tuple[float, int]:
    """`ninety five` and `ten`, and where they end."""
    value, end = _SMALL[pieces[at].text], at + 1
    if value >= 20 and end < len(pieces) and 0 < _SMALL.get(pieces[end].text, 0) < 10:
        value, end = value + _SMALL[pieces[end].text], end + 1
    return _pointed(pieces, value, end)


def _pointed(pieces: Sequence[Piece], value: float, end: int) -> tuple[float, int]:
    """With its decimals, which are words: `ninety five point five`; in figures they may begin a number."""
    if _text(pieces, end) != "point" or not value.is_integer():
        return value, end
    digits = ""
    while _SMALL.get(_text(pieces, end + 1 + len(digits)), 10) < 10:
        digits += f"{_SMALL[_text(pieces, end + 1 + len(digits))]:.0f}"
    return (float(f"{value:.0f}.{digits}"), end + 1 + len(digits)) if digits else (value, end)


def _magnified(pieces: Sequence[Piece], value: float, end: int) -> tuple[float, int]:
    """With what magnifies it: `two hundred thousand`, `1.5 M`; a letter only where no unit is meant."""
    while _text(pieces, end) in _MAGNITUDES and (pieces[end].text, _text(pieces, end + 1)) not in UNITS:
        value, end = value * _MAGNITUDES[pieces[end].text], end + 1
        more = end + (_text(pieces, end) == "and")
        if pieces[end - 1].text in ("hundred", "thousand") and _text(pieces, more) in _SMALL:
            rest, end = _magnified(pieces, *_spelt(pieces, more))
            return (value + rest if rest < value else math.inf), end
    return value, end


def _unit(pieces: Sequence[Piece], end: int, part: bool) -> tuple[Unit | None, int]:
    """The longest unit that begins at a piece; after a part an article may precede it: `half a point`."""
    start = end
    if part and start < len(pieces) and pieces[start].text == "of" and len(pieces) > start + 1:
        start += pieces[start + 1].text in ("a", "an", "one")
    article = part and start < len(pieces) and pieces[start].text in ("a", "an", "one")
    start += article
    for length in range(min(_LONGEST, len(pieces) - start), 0, -1):
        words = pieces[start : start + length]
        unit = UNITS.get(tuple(piece.text for piece in words))
        if unit is not None and (not part or article or unit.dimension in ("share", "points")):
            return _cased(unit, words), start + length
    return None, end


def _cased(unit: Unit, words: Sequence[Piece]) -> Unit:
    """MJ and MWh are told from mJ and mWh by their case; in small letters m is milli."""
    raw = words[0].raw
    if raw in ("MJ", "MWh", "MWH"):
        return unit._replace(factor=unit.factor * 1e9 if unit.factor < 10 else unit.factor)
    return unit
