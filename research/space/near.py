"""Which name somebody may have meant by one that does not exist."""

from collections.abc import Iterable
from difflib import get_close_matches

_LOOKED_AT = 60
"""characters of a typed name that are compared; the cost grows with their square"""


def near(typed: str, names: Iterable[str]) -> list[str]:
    """At most three names: those that end alike, else initials (`wd`, `learning_rate`), spellings, or words.

    Where some of them lie in the group that was typed, the others are left out.
    """
    known = {_plain(name): name for name in names}
    wanted = _plain(typed)[-_LOOKED_AT:]
    last = _last(wanted)
    found = (
        [name for name in known if _last(name) == last]
        or [name for name in known if _abbreviates(last, _last(name)) or _abbreviates(_last(name), last)]
        or get_close_matches(wanted, known, n=2, cutoff=0.7)
        or [name for name in known if _words(last) & _words(_last(name)) and _group(name) == _group(wanted)]
        or [name for name in known if _words(last) & _words(_last(name)) and not _group(wanted)]
    )
    inside = [name for name in found if _group(name) == _group(wanted)]
    return [known[name] for name in (inside or found)[:3]]


def _abbreviates(short: str, long: str) -> bool:
    words = long.split("_")
    return len(words) > 1 and short == "".join(word[:1] for word in words)


def _words(part: str) -> set[str]:
    return {word for word in part.split("_") if len(word) > 2}


def _group(name: str) -> str:
    return name.rpartition(".")[0].partition(".")[0]


def _plain(name: str) -> str:
    return name.replace("/", ".").lower()


def _last(name: str) -> str:
    return name.rpartition(".")[2]
