"""The units of quantities in a goal: how many SI units each is, and what it is said of."""

from collections.abc import Sequence
from typing import NamedTuple, final

from research.goal.lexicon import Piece


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
    add("bits per byte|bit per byte|bpb", 1.0, "bits", "bits_per_byte")
    add("bits|bit", 1.0, "bits", None)
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
    for said, factor in {"mg": 1e-6, "g": 1e-3, "kg": 1.0}.items():
        add(f"{said}co2|{said}co2 e|{said}co2 eq", factor, "kg", "co2")
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


def unit_at(pieces: Sequence[Piece], end: int, part: bool) -> tuple[Unit | None, int]:
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


def word_at(pieces: Sequence[Piece], at: int) -> str:
    """The word at a place; nothing behind the last."""
    return pieces[at].text if at < len(pieces) else ""
