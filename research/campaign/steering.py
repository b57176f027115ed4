"""Steering: what the person says to a campaign while it runs, a line each in `steer.md` of its folder.

It is read before each round of proposals. A line is a verb and names of the space, to which the gate holds
proposals; the team is told it as the person's words. Whoever can write the file can narrow what is proposed
and end it, and no more.
"""

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, NamedTuple, final

from refusal import Refusal
from research.compose.override import override

FILE = "steer.md"
FORMS = "focus NAMES, exclude NAMES, note TEXT or stop"
ENDED = f"the person stopped it ({FILE})"
_LONGEST, _MOST = 300, 40
"""characters of a line, and lines of the file"""
_LINE = re.compile(r"(?:[-*]\s+)?(focus|exclude|note|stop)\b:?\s*(.*)", re.IGNORECASE)

Verb = Literal["focus", "exclude", "note", "stop"]


@final
class Line(NamedTuple):
    """One line as it was understood."""

    verb: Verb
    names: tuple[str, ...]
    """a key, a group or `group=option` each"""
    text: str
    """as it is written down and told"""


@final
class Steerable:
    """The keys, groups and options that a line may name."""

    def __init__(self, vocabulary: Mapping[str, Any]) -> None:
        self._groups: dict[str, set[str]] = {
            name: set(group["options"]) for name, group in vocabulary["groups"].items()
        }
        self._keys = set(vocabulary["keys"])
        self._whole = {*self._groups, *(key.partition(".")[0] for key in self._keys)}
        """groups, also those whose keys alone are turned"""

    def read(self, text: str) -> Line:
        """One line. Raises `Refusal` for one that is not understood, with the words that are."""
        told = " ".join(text.split())
        match = _LINE.fullmatch(told)
        if match is None or len(told) > _LONGEST:
            shown = told[:60] + ("..." if len(told) > 60 else "")
            raise Refusal(f"{shown!a} steers nothing: say {FORMS}, in {_LONGEST} characters at most.")
        verb, rest = match[1].lower(), match[2].strip()
        if verb in ("note", "stop"):
            if (verb == "note") != bool(rest):
                raise Refusal("stop stands alone, and note is followed by words for the team.")
            return Line("note" if rest else "stop", (), f"{verb} {rest}".strip())
        names = tuple(dict.fromkeys(map(self._named, re.split(r"[\s,]+", rest)))) if rest else ()
        if not names:
            raise Refusal(f"{verb} names nothing: give keys or options, as {verb} optimizer.lr or model=cnn.")
        return Line("focus" if verb == "focus" else "exclude", names, f"{verb} {' '.join(names)}")

    def _named(self, word: str) -> str:
        """A name as the space has it; an option alone where one group has it."""
        group, option, _ = override(word)
        if word in self._keys | self._whole or (option and option in self._groups.get(group, ())):
            return word
        owners = [name for name, options in self._groups.items() if word in options]
        if len(owners) == 1:
            return f"{owners[0]}={word}"
        from difflib import get_close_matches

        choices = [f"{group}={name}" for group, names in self._groups.items() for name in names]
        near = get_close_matches(word, [*self._keys, *self._groups, *choices], 1)
        perhaps = f", perhaps {near[0]}" if near else ""
        raise Refusal(f"{word[:60]!a} is nothing that proposals turn{perhaps}: task=show and --help list it.")


@final
class Steering:
    """The file of one campaign as one of its sprints has read it."""

    def __init__(
        self, path: Path, names: Steerable, known: Mapping[str, int], heard: Callable[[list[str]], None]
    ) -> None:
        """`known` are the lines that an earlier run of the sprint had read, as in `since`.

        `heard` is called with what is new, a sentence each, also of what is wrong.
        """
        self._path, self._names, self._heard = path, names, heard
        self.since = dict(known)
        """line -> proposals that had run when it was first read: from there a continued sprint heeds it"""
        self._lines: list[Line] = []
        self._told: set[str] = set()

    def look(self, ran: int) -> str | None:
        """Read the file before the next proposals; why there are to be none, None where nobody says so."""
        self._lines, news = [], list[str]()
        for number, text in enumerate(_texts(self._path), start=1):
            if number > _MOST and not _stops(text):
                news.append(f"{FILE} has more than {_MOST} lines: of the rest only stop is heard")
                continue
            try:
                line = self._names.read(text)
            except Refusal as wrong:
                news.append(f"line {number} of {FILE} is left out: {wrong}")
                continue
            since = self.since.setdefault(line.text, ran)
            if since <= ran:
                self._lines.append(line)
                news.append(f"the person said, when {since} proposals had run: {line.text}")
        if fresh := [sentence for sentence in dict.fromkeys(news) if sentence not in self._told]:
            self._told.update(fresh)
            self._heard(fresh)
        return ENDED if any(line.verb == "stop" for line in self._lines) else None

    @property
    def said(self) -> tuple[str, ...]:
        """The lines in force, as the team is told them."""
        return tuple(line.text for line in self._lines)

    def outside(self, overrides: Sequence[str]) -> list[str]:
        """A sentence for each override that the person has excluded, or that none of them is in the focus."""
        turned = [(override(text).key, override(text).value or "", text) for text in overrides]
        banned = [name for line in self._lines if line.verb == "exclude" for name in line.names]
        wanted = [name for line in self._lines if line.verb == "focus" for name in line.names]
        wrong = [
            f"{text}: the person has excluded {name}, leave it as it is."
            for key, value, text in turned
            if (name := next((name for name in banned if _touches(name, key, value)), None))
        ]
        if not wanted or any(_touches(name, key, value) for name in wanted for key, value, _ in turned):
            return wrong
        return [*wrong, f"none of it is in the person's focus: turn {' or '.join(wanted)} too."]


def stopped(path: Path) -> bool:
    """Whether the file says stop."""
    return any(map(_stops, _texts(path)))


def _stops(text: str) -> bool:
    return (match := _LINE.fullmatch(text)) is not None and match[1].lower() == "stop"


def add(path: Path, line: Line) -> None:
    """Write a line at the end of the file, once. Raises `Refusal` where it cannot be written."""
    try:
        before = path.read_text(encoding="utf-8") if path.exists() else ""
        if line.text in before.splitlines():
            return
        gap = "" if not before or before.endswith("\n") else "\n"
        with path.open("a", encoding="utf-8") as file:
            file.write(f"{gap}{line.text}\n")
    except (OSError, UnicodeDecodeError) as error:
        raise Refusal(f"{path} cannot be written ({error}): write the line there by hand.") from None


def _texts(path: Path) -> Iterable[str]:
    """The lines that say something; blank ones and headings say nothing."""
    try:
        with path.open(encoding="utf-8", errors="replace") as file:
            text = file.read(2 * _MOST * _LONGEST)
    except FileNotFoundError:
        return []
    except OSError as error:
        return [f"({error})"]
    lines = (line.strip() for line in text.splitlines())
    return [line for line in lines if line and not line.startswith("#")]


def _touches(name: str, key: str, value: str) -> bool:
    """Whether `key=value` turns what is named: a key, a group with its keys, or one option of a group."""
    group, option, _ = override(name)
    if option:
        return key == group and option in re.findall(r"[\w.]+", value)
    return key == name or key.startswith(f"{name}.")
