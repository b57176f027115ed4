"""What the words of goals stand for: each phrase is one sign of a small grammar, with its meaning.

A sign is one letter, so that a goal becomes a short text over which the patterns of `rules.py` are matched:
q quantity, f fraction, x multiple, m metric, N name, p part of a trial's life, P of one example or step;
g at least, l at most, = is, n not, k keep, c control; d u b z fewer, more, better and worse, e their
superlatives, a A adjectives and theirs, D U B Z verbs for them, Y H nouns, w halve, v best model;
o of, i in, y by, t to, h than, j as, r per, R range, + - signs, s separator, X data, T true, C cost;
! what is known and not to be had, ? what is not known.
"""

from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any, NamedTuple, final

from research.goal import vocabulary as words
from research.goal.vocabulary import split


@final
class Lexeme(NamedTuple):
    """A phrase of a goal: its sign, where it stands in the text, and what it stands for."""

    sign: str
    start: int
    end: int
    value: Any = None


@final
class Piece(NamedTuple):
    """A word, number or symbol of a goal: in small letters, and as it was written."""

    text: str
    raw: str
    start: int
    end: int
    kind: str
    """word, number, symbol, name or key"""


@final
class Concept(NamedTuple):
    """What people measure: its key in each part of a trial's life, None where no part is said."""

    name: str
    keys: Mapping[str | None, str]
    inverse: bool = False
    """whether more of it is less of the metric: an error rate, a speed"""
    typed: bool = False
    """whether it was said by its key, so that no unit is needed"""


@final
class Noun(NamedTuple):
    """A concept as a goal names it, in a part of a trial's life or in none."""

    concept: Concept
    part: str | None = None

    @property
    def key(self) -> str | None:
        """The metric's key; None where the part decides and was not said, or there is no such metric."""
        return self.concept.keys.get(self.part)


@final
class Adjective(NamedTuple):
    """A word that says which way a concept goes: `faster` is more speed."""

    noun: Noun
    way: str
    """down or up"""
    asks: bool = False
    """whether the part of a trial's life must be said: `cheaper` may be training or inference"""
    whole: bool = False
    """whether what it is said of stands in it, so that a figure behind it is another phrase's"""


def _in(train: str, infer: str, usual: str | None = None) -> dict[str | None, str]:
    keys: dict[str | None, str] = {"train": train, "infer": infer}
    return keys if usual is None else {None: usual, **keys}


def _only(key: str, part: str | None = None) -> dict[str | None, str]:
    return {None: key, part: key}


_ENERGY, _LATENCY, _RATE = "infer/energy_j_per_sample", "infer/latency_s_p50", "infer/samples_per_second"
_CPU, _FLOPS = "train/cpu_seconds", "compute/flops_forward"
_KEYS: dict[str, dict[str | None, str]] = {
    "standing draw": _only("train/energy_standing_j"),
    "harness energy": _only("harness/energy_j"),
    "harness time": _only("harness/seconds"),
    "energy": _in("train/energy_j", _ENERGY, "train/energy_j") | {"step": "step/energy_j"},
    "cpu time": _in(_CPU, "infer/cpu_seconds_per_sample", _CPU),
    "flops": _in("compute/flops_train", _FLOPS, _FLOPS),
    "co2": _only("train/co2_kg", "train"),
    "time": _in("train/seconds", _LATENCY),
    "speed": _in("train/seconds", _LATENCY),
    "steps": _only("train/steps_to_target"),
    "memory": _only("train/peak_bytes", "train"),
    "p95 latency": _only("infer/latency_s_p95", "infer"),
    "latency": _only(_LATENCY, "infer"),
    "throughput": _in("train/samples_per_second", _RATE, _RATE),
    "steps per second": _only("train/steps_per_second", "train"),
    "nonzeros": _only("size/nonzeros"),
    "parameters": _only("size/parameters"),
    "size": _only("size/bytes"),
    "error": _only("test/accuracy", "test"),
}
"""the keys of each concept; the others are scores of the test split"""
CONCEPTS = {
    name: Concept(name, _KEYS.get(name) or _only(f"test/{name}", "test"), name in ("speed", "error"))
    for name in words.CONCEPTS
}
ACCURACY = Noun(CONCEPTS["accuracy"])
MULTIPLES = {"twice": 2.0, "thrice": 3.0, "double": 2.0, "triple": 3.0, "quadruple": 4.0}
MULTIPLES |= {"twofold": 2.0, "threefold": 3.0, "fourfold": 4.0, "fivefold": 5.0, "tenfold": 10.0}
_HALVED = dict.fromkeys(("halve", "halves", "halving", "halved", "cut in half", "cutting in half"), 0.5)
_HALVED |= {"doubling": 2.0, "doubled": 2.0, "doubles": 2.0, "tripled": 3.0, "tripling": 3.0}
_NETS = ("model", "network", "net", "classifier")
_PER = ("per", "each", "every", "a", "an", "one", "single", "a single", "for each", "for every", "/")
_Table = dict[str, tuple[str, Any]]


def signs(found: Sequence[Lexeme]) -> str:
    """The signs of phrases as one text."""
    return "".join(lexeme.sign for lexeme in found)


@cache
def phrases() -> dict[tuple[str, ...], tuple[str, Any]]:
    """Each phrase, word by word: its sign and what it stands for; a sign of '' is filler."""
    table: _Table = dict.fromkeys(split(words.FILLER), ("", None))
    for sign, said in words.SIGNS.items():
        table |= {phrase: (sign, _way(sign, phrase)) for phrase in split(said)}
    table |= _parts() | _nouns() | _adjectives()
    table |= {phrase: ("w", size) for phrase, size in _HALVED.items()}
    table |= {"order of magnitude": ("x", 10.0)}
    table |= {f"best {net}": ("v", None) for net in _NETS}
    return {tuple(phrase.split()): meant for phrase, meant in table.items()}


def own_words(said: Sequence[str], length: int) -> int | None:
    """How many of the first `length` words, which name a figure, are of it where another's name begins in it.

    `p95 latency p50` is p95 and median latency. None where it may be read in two ways, as
    `latency p95 latency`.
    """
    for cut in range(1, length):
        for end in range(len(said), length, -1):
            apart = _names(said[:cut], said[cut:end])
            if apart is not None:
                whole = _names(said[:length], said[length:end])
                return cut if whole is None else length if whole == apart else None
    return length


def _names(*said: Sequence[str]) -> list[str] | None:
    """The figures that phrases name; None where one of them names none."""
    meant = [phrases().get(tuple(phrase), ("", None)) for phrase in said]
    return [noun.concept.name for _, noun in meant] if all(sign == "m" for sign, _ in meant) else None


def _parts() -> _Table:
    table: _Table = {phrase: ("p", part) for part, said in words.PARTS.items() for phrase in split(said)}
    for part, said in words.EACH.items():
        for each in split(said):
            table |= {f"{per} {each}": ("P", part) for per in _PER}
    return table


def _nouns() -> _Table:
    units = split(words.UNITS)
    return {
        phrase: ("m", Noun(concept._replace(typed=True) if phrase in units else concept))
        for name, concept in CONCEPTS.items()
        for phrase in split(words.CONCEPTS[name])
    }


def _adjectives() -> _Table:
    table: _Table = {}
    for name, way, asks, comparatives, others in words.COMPARED:
        word = Adjective(Noun(CONCEPTS[name]), way, asks)
        for sign, said in (("a", comparatives), ("A", others)):
            table |= dict.fromkeys(split(said), (sign, word))
            # Of a `smallest model energy` it is not the energy that is to be small.
            nets = [f"{phrase} {net}" for phrase in split(said) for net in _NETS]
            table |= dict.fromkeys(nets, (sign, word._replace(whole=True)))
    return table


def _way(sign: str, phrase: str) -> str | None:
    """Which way a word of change goes: down or up, good or bad; a bound is told as it was said."""
    if sign in "glst":
        return phrase
    if sign == "e":
        return "up" if phrase in words.UPWARDS else "down"
    if phrase in words.BETTERED:
        return "good"
    return "down" if phrase in words.FALLING else words.WAYS.get(sign)
