"""Texts and overrides as terms to search for: plain ASCII tokens, so that no text is ever query syntax.

Both databases index these tokens and nothing else, and a query is made of the same tokens: what SQLite's and
PostgreSQL's own tokenizers make of blanks, numbers, accents or operators never matters.
"""

import hashlib
import math
import re
from collections.abc import Iterator, Mapping
from functools import lru_cache

_WORD = re.compile(r"[^\W_]+")
_LONGEST = 32
_MOST = 200
"""distinct words kept of one text, the first ones: a log that somebody pasted needs no more"""


def words(text: str) -> list[str]:
    """The distinct words of any text in order, as terms: `w` and ASCII letters, or `u` and hexadecimal."""
    found: dict[str, None] = {}
    for match in _WORD.finditer(text.lower()):
        found[_word(match.group()[:_LONGEST])] = None
        if len(found) == _MOST:
            break
    return list(found)


def _word(word: str) -> str:
    if word.isascii():
        return f"w{word}"
    return f"u{word.encode('utf-8', 'surrogatepass').hex()}"


def mark(*parts: str) -> str:
    """One term for anything that has a name, for example a task or a knob under a task."""
    return "k" + hashlib.sha256("\0".join(parts).encode("utf-8", "surrogatepass")).hexdigest()[:16]


@lru_cache(maxsize=4096)
def number(text: str) -> float | None:
    """The finite number that a text is, if it is one."""
    try:
        found = float(text)
    except ValueError:
        return None
    return found if math.isfinite(found) else None


def near(value: float) -> tuple[str, str, str]:
    """The factor of two that a number lies in, first, and its two neighbours; zero is its own."""
    sign = "-" if value < 0 else ""
    if value == 0:
        return ("0", "0", "0")
    place = math.floor(math.log2(abs(value)))
    return f"{sign}{place}", f"{sign}{place - 1}", f"{sign}{place + 1}"


def region(overrides: Mapping[str, str]) -> Iterator[str]:
    """Where in the space a configuration lies: each knob, and its choice or the octave of its number."""
    for key, text in overrides.items():
        value = number(text)
        yield key
        yield f"{key}={text}" if value is None else f"{key}~{near(value)[0]}"
