"""A goal's text as phrases that are known: names, quantities, metrics, words of change, and the unknown."""

import re
from collections.abc import Sequence
from functools import cache

from refusal import Refusal
from research.goal.lexicon import CONCEPTS, MULTIPLES, Lexeme, Noun, Piece, own_words, phrases
from research.goal.merging import merged
from research.goal.names import Names
from research.goal.numerals import NUMBER, plain
from research.goal.outside import reasons
from research.goal.quantities import Quantity, amount
from research.goal.units import unit_at, word_at
from research.metrics import METRICS, VALIDATION, words

_ALIKE = str.maketrans(
    {
        "’": "'", "‘": "'", "ʼ": "'", "−": "-", "‐": "-", "‑": "-", "–": "-", "—": ";", "×": "x", "µ": "u",
        "μ": "u", "“": " ", "”": " ", '"': " ", "\N{NO-BREAK SPACE}": " ", "\N{NARROW NO-BREAK SPACE}": " ",
        "\N{THIN SPACE}": " ", "\N{IDEOGRAPHIC SPACE}": " ", "\t": " ", "\n": " ", "\r": " ",
        "＞": ">", "＜": "<", "％": "%", "₂": "2", "²": "2", "⩾": "≥", "⩽": "≤",
    }
)  # fmt: skip
"""signs that are written in several ways; each stands for one, so that places in the text stay"""
_GLYPHS = {"½": "1/2", "⅓": "1/3", "¼": "1/4", "⅔": "2/3", "¾": "3/4"}
_DECIMALS = {"½": ".5", "¼": ".25", "¾": ".75", "⅓": ".3333333333", "⅔": ".6666666667"}
"""the same behind a figure, as in `1½`"""
_BETWEEN = " \t\r\n,;()|"
_LONGEST = 6
_OF_WHAT = ("model", "network", "net", "classifier", "classification", "data", "dataset", "set", "task")
_ALLOW = ("accept", "accepting", "allow", "allowing", "can", "could", "may", "tolerate", "tolerating")
_SIDES = (">=", "<=", "=>", "=<", ">", "<", "≥", "≤", "=")
_MORE = ("more", "additional", "extra", "fewer", "less")
_NEGATES = re.compile(r"(?:^|\W)![^\W\d]")
_TYPED = re.compile(
    r"\b(?:[a-z_]+(?:\.[a-z_]+)+|data|model|optimizer|scheduler|compress|trainer)=\w\S*", re.IGNORECASE
)
_TWO = "may end one figure or begin the next: put a comma between the two"


@cache
def _scanner(names: str) -> re.Pattern[str]:
    keys = "|".join(sorted(map(re.escape, [*METRICS, *VALIDATION]), key=len, reverse=True))
    return re.compile(
        rf"(?P<name>(?<![\w/-])(?:{names})(?![\w-]|\.[0-9]))|(?P<key>(?<![\w/])(?:{keys})(?!\w))"
        rf"|(?P<number>{NUMBER})|(?P<word>[^\W\d_]+(?:'[^\W\d_]+)*(?:[0-9]+(?![0-9]*[.,]?[0-9]))?)"
        r"|(?P<symbol>>=|=>|<=|=<|===|==|!=|<>|->|\S)",
        re.IGNORECASE,
    )


def lexemes(text: str, names: Names) -> list[Lexeme]:
    """The phrases of a text, longest first at each place; filler is left out.

    Raises `Refusal` for characters that move a terminal's cursor and for a number that has two readings.
    """
    hidden = next(
        (letter for letter in text if not letter.isprintable() and letter not in "\t\n\r\xa0"), None
    )
    if hidden is not None and not hidden.isspace():
        raise Refusal(f"the goal holds the control character {hidden!a}: leave it out")
    if typed := _TYPED.search(text):
        raise Refusal(f"'{typed[0][:60]}' is an override and no word of a goal: type it beside the goal")
    said = text.translate(_ALIKE)
    said = re.sub(r"(?<=[0-9])[½¼¾⅓⅔]", lambda match: _DECIMALS[match[0]], said)
    for glyph, part in _GLYPHS.items():
        said = said.replace(glyph, f" {part} ")
    return merged(_phrased(_pieces(said, names), names))


def chunk(text: str, lexeme: Lexeme) -> str:
    """What was written around a phrase, without spaces: `ResNet-50` for its part `resnet`."""
    start = end = min(lexeme.start, len(text))
    while start > max(0, lexeme.start - 40) and text[start - 1] not in _BETWEEN:
        start -= 1
    while end < min(len(text), start + 40) and text[end] not in _BETWEEN:
        end += 1
    said = text[start:end].strip(".:!?'\"") or text[lexeme.start : lexeme.end]
    return said if said.isprintable() else said.encode("unicode_escape").decode("ascii")


def _pieces(text: str, names: Names) -> list[Piece]:
    found: list[Piece] = []
    for match in _scanner(names.pattern).finditer(text):
        kind, raw = str(match.lastgroup), match[0]
        said = raw.lower().removesuffix("'s") if kind == "word" else raw.lower()
        piece = Piece(said, raw, match.start(), match.end(), kind)
        if raw == "+" and found and found[-1].end == piece.start and not text[piece.end :][:1].isdecimal():
            at = -2 if found[-1].text == "%" and len(found) > 1 else -1
            found[at:at] = [piece._replace(text=word) for word in ("at", "least")]
        elif raw == "!" and _NEGATES.match(text, max(0, piece.start - 1)):
            found.append(piece._replace(text="not"))  # `!cnn`
        elif kind == "symbol" and raw in "-_'?":
            found += _joint(text, piece, found)
        else:
            found.append(piece)
    return found


def _joint(text: str, piece: Piece, before: Sequence[Piece]) -> list[Piece]:
    """What a hyphen is: part of a word, between two numbers a range, before one its sign."""
    if piece.raw != "-":
        return []
    left, right = text[piece.start - 1 : piece.start], text[piece.end : piece.end + 1]
    last = before[-1] if before else None
    if right.isspace() and last is not None and last.text in _SIDES:
        return [piece._replace(text="minus")]
    if left.isspace() and right.isspace() and last is not None and last.kind == "word":
        return [piece._replace(text="minus" if last.text in ("control", "baseline") else ";")]
    numbers = last is not None and (last.kind == "number" or last.text in ("%", "percent"))
    if numbers and (right.isdecimal() or right.isspace()):
        return [piece._replace(text="range")]
    of_control = last is not None and last.end == piece.start and last.text in ("control", "baseline")
    if right.isdecimal() and (of_control or not left.isalnum()):
        return [piece._replace(text="minus")]
    return []


def _phrased(pieces: Sequence[Piece], names: Names) -> list[Lexeme]:
    found: list[Lexeme] = []
    pieces = _points_more(pieces)
    at, pieces = 0, [said for place in range(len(pieces)) for said in _allowed(pieces, place)]
    while at < len(pieces):
        lexeme, at = _next(pieces, at, names)
        if lexeme is not None:
            found.append(lexeme)
    return found


def _points_more(pieces: Sequence[Piece]) -> list[Piece]:
    """`2 more points` with its unit beside its figure."""
    told = list(pieces)
    for at, piece in enumerate(pieces):
        unit, end = unit_at(pieces, at + 1, False) if piece.text in _MORE else (None, at)
        if at and unit is not None and unit.dimension == "points" and plain(pieces, at - 1)[0] is not None:
            told[at:end] = [*pieces[at + 1 : end], piece]
    return told


def _allowed(pieces: Sequence[Piece], at: int) -> list[Piece]:
    """`may be 1 point lower` and `accept 1 point less`: at most so much."""
    start = at + 1 + (word_at(pieces, at + 1) == "be")
    counted = amount(pieces, start) if pieces[at].text in _ALLOW and start < len(pieces) else None
    if counted is None or word_at(pieces, counted[1]) not in ("lower", "less", "worse", "higher", "more"):
        return [pieces[at]]
    points = isinstance(counted[0].value, Quantity) and counted[0].value.dimension in ("points", "share")
    return [pieces[at]._replace(text=word) for word in ("at", "most")] if points else [pieces[at]]


def _next(pieces: Sequence[Piece], at: int, names: Names) -> tuple[Lexeme | None, int]:
    piece = pieces[at]
    if piece.kind == "name":
        return Lexeme("N", piece.start, piece.end, names.option(piece.raw)), at + 1
    if piece.kind == "key":
        return Lexeme("m", piece.start, piece.end, _keyed(piece.text)), at + 1
    times = _multiple(pieces, at)
    if times is not None:
        return times
    phrase = _phrase(pieces, at)
    counted = amount(pieces, at) if phrase is None or phrase[1] == at + 1 else None
    if counted is not None:
        return counted
    if phrase is not None:
        return phrase
    sign = {"range": "R", "minus": "-", "+": "+"}.get(piece.text, "?")
    return Lexeme(sign, piece.start, piece.end, piece.raw), at + 1


def _multiple(pieces: Sequence[Piece], at: int) -> tuple[Lexeme, int] | None:
    """`twice`, `tenfold` and `factor of 2`."""
    piece = pieces[at]
    if piece.text in MULTIPLES:
        return Lexeme("x", piece.start, piece.end, MULTIPLES[piece.text]), at + 1
    if piece.text != "factor" or [other.text for other in pieces[at + 1 : at + 2]] != ["of"]:
        return None
    factor = amount(pieces, at + 2) if at + 2 < len(pieces) else None
    if factor is None or not isinstance(factor[0].value, Quantity):
        return None
    return Lexeme("x", piece.start, factor[0].end, factor[0].value.value), factor[1]


def _keyed(key: str) -> Noun:
    """A metric by its own key; one of the validation split has no key that a goal may ask for."""
    keys: dict[str | None, str] = {} if key in VALIDATION else {None: key}
    return Noun(CONCEPTS["accuracy"]._replace(name=words(key), keys=keys, typed=True))


def _phrase(pieces: Sequence[Piece], at: int) -> tuple[Lexeme | None, int] | None:
    """The longest known phrase at a piece; None for none."""
    known, outside = phrases(), reasons()
    for length in range(min(_LONGEST, len(pieces) - at), 0, -1):
        said = tuple(piece.text for piece in pieces[at : at + length])
        start, end = pieces[at].start, pieces[at + length - 1].end
        if " ".join(said) in outside:
            return Lexeme("!", start, end, outside[" ".join(said)]), at + length
        meant = known.get(said)
        if meant is None or (length > 1 and said[-1] == "than" and _compares(pieces, at + length)):
            continue
        if meant[0] == "P" and _names_more(pieces, at + length):
            continue
        if meant[0] == "m" and length > 1:
            return _named(pieces, at, length)
        return (Lexeme(meant[0], start, end, meant[1]) if meant[0] else None), at + length
    return None


def _named(pieces: Sequence[Piece], at: int, length: int) -> tuple[Lexeme, int]:
    """A figure by several words, of which the last may begin the name of another."""
    said = tuple(piece.text for piece in pieces[at : at + length + _LONGEST])
    own = own_words(said, length)
    start, after = pieces[at].start, at + (own or length)
    sign, meant = ("!", _TWO) if own is None else phrases()[said[:own]]
    return Lexeme(sign, start, pieces[after - 1].end, meant), after


def _names_more(pieces: Sequence[Piece], at: int) -> bool:
    """Whether `an example` belongs to what follows, as in `an example CNN` and `an image classifier`."""
    after = pieces[at : at + 1]
    return bool(after) and (after[0].kind == "name" or after[0].text in _OF_WHAT)


def _compares(pieces: Sequence[Piece], at: int) -> bool:
    """Whether the control follows: `less than the baseline` compares, `less than 20 J` bounds."""
    after = [piece.text for piece in pieces[at : at + 2] if piece.text not in ("the", "a", "its", "our")]
    return bool(after) and phrases().get((after[0],), ("",))[0] == "c"
