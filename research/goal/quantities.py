"""Quantities as people write them, numbers with their units: `97,5 %`, `half a point`, `nine in ten`."""

import re
from collections.abc import Sequence
from typing import NamedTuple, final

from refusal import Refusal
from research.goal.lexicon import ACCURACY, CONCEPTS, Lexeme, Noun, Piece, phrases
from research.goal.numerals import MAGNITUDES, TIMES, counted, in_thousands, plain
from research.goal.outside import WHOLE
from research.goal.units import UNITS, Unit, unit_at, word_at

_RATE = "is a rate in time, which is not measured: give the total"
_HALF = "may be of one joule or of the control's: say 'half a joule', or 'half the joules'"
_SPENT = (
    "co2",
    "co2e",
    "e",
    "carbon",
    "dioxide",
    "emissions",
    "energy",
    "electricity",
    "joules",
    "kwh",
    "wh",
)
_WRONG = ("error", "errors", "mistake", "mistakes", "misclassifications", "wrong")
_ASKED = ("images", "pictures", "examples", "samples", "answers", "predictions", "cases")


@final
class Quantity(NamedTuple):
    """A number in the SI unit of its dimension, and what it is a quantity of where nothing else says so."""

    value: float
    dimension: str | None = None
    """share, points, joules, seconds, bytes, flops, kg, bits, per second; many after a `k`; None: no unit"""
    noun: Noun | None = None


def amount(pieces: Sequence[Piece], at: int) -> tuple[Lexeme, int] | None:
    """The quantity, fraction or multiple that begins at a piece, and where it ends; None for none."""
    odds = _odds(pieces, at)
    found = None if odds else counted(pieces, at)
    if found is None:
        return odds
    value, end, part, one = found
    if end < len(pieces) and pieces[end].text in TIMES and not part:
        return _lexeme("x", value, pieces, at, end + 1)
    unit, after = unit_at(pieces, end, part)
    if one and unit is None and not part:
        return None
    if unit is None:
        many = end > at and pieces[end - 1].text in MAGNITUDES
        if part and word_at(pieces, end) in ("j", "joule"):
            return _lexeme("!", _HALF, pieces, at, end + 1)
        if part:
            return _lexeme("f", value, pieces, at, end)
        _check_marks(pieces[at], None)
        return _lexeme("q", Quantity(value, "many" if many else None), pieces, at, end)
    value = _read_for(pieces[at], unit, value)
    noun = Noun(CONCEPTS[unit.concept]) if unit.concept else None
    more, after = _smaller(pieces, after, unit)
    if apart := _apart(pieces, at, unit, after):
        return apart
    quantity = Quantity(float(f"{value * unit.factor + more:.12g}"), unit.dimension, noun)
    return _lexeme("q", quantity, pieces, at, after)


def _apart(pieces: Sequence[Piece], at: int, unit: Unit, after: int) -> tuple[Lexeme, int] | None:
    """A quantity that bounds no figure: `20 J a minute`, `2 g of CO2 an hour`, `50 J total`."""
    timed, last = unit.dimension == "seconds", UNITS.get((word_at(pieces, after + 1),))
    whole = word_at(pieces, after) in ("total", "overall") and unit.dimension in ("joules", "seconds", "kg")
    if whole and phrases().get((word_at(pieces, after + 1),), ("",))[0] not in ("m", "p"):
        return _lexeme("!", WHOLE, pieces, at, after + 1)
    if not timed:
        is_rate = word_at(pieces, after) in ("a", "an") and last is not None and last.dimension == "seconds"
        counts = unit.dimension in ("joules", "kg", "flops", "bytes")
        return _lexeme("!", _RATE, pieces, at, after + 2) if is_rate and counts else None
    is_rate = word_at(pieces, at) in ("a", "an") and at > 0 and pieces[at - 1].text in _SPENT
    return _lexeme("!", _RATE, pieces, at, after) if is_rate else None


def _odds(pieces: Sequence[Piece], at: int) -> tuple[Lexeme, int] | None:
    """`nine in ten`, `19 out of 20` and `5 errors per 100 images`: a share of the answers."""
    some, end, _ = plain(pieces, at)
    wrong = word_at(pieces, end) in _WRONG
    out = word_at(pieces, end + wrong) == "out"
    joins = ("of",) if out else ("of", "in", "per") if wrong else ("of", "in")
    end += wrong + out
    after = end + 1 if word_at(pieces, end) in joins else len(pieces)
    if some is None or after >= len(pieces):
        return None
    whole, end, _ = plain(pieces, after)
    if whole is None or not 1 <= some < whole or unit_at(pieces, end, False)[0] is not None:
        return None
    noun = Noun(CONCEPTS["error"]) if wrong else ACCURACY
    end += wrong and word_at(pieces, end) in _ASKED
    return _lexeme("q", Quantity(float(f"{some / whole:.12g}"), "share", noun), pieces, at, end)


def _smaller(pieces: Sequence[Piece], end: int, unit: Unit) -> tuple[float, int]:
    """What of the next smaller unit follows, as in `1 h 30 min` and `two minutes and 30 s`, in seconds."""
    start = end + (word_at(pieces, end) == "and")
    found = counted(pieces, start) if unit.factor >= 60 and start < len(pieces) else None
    other, after = unit_at(pieces, found[1], False) if found and not found[2] else (None, end)
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
    if len(groups) == 2 and in_thousands(groups):
        raise Refusal(
            f"'{piece.text}' is {''.join(groups)} to some readers and {piece.text} to others: write "
            f"{''.join(groups)}, or {piece.text}0 for the smaller one"
        )
