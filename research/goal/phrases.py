"""What each kind of phrase in a goal means: a change, a bound, a part of what the control has."""

from collections.abc import Callable

from research.goal.lexicon import ACCURACY, CONCEPTS, Adjective, Lexeme, Noun
from research.goal.meanings import FLIPPED, Matched, changed, fits, key_of, limited, multiplied, of_control
from research.goal.quantities import Quantity
from research.goal.saying import SPOKEN, UNSAID, Meaning, Problem, said_of
from research.metrics import METRICS, is_score

EITHER = "does not say of what, training or inference"

_COSTS = ("speed", "time", "energy", "co2")
MOST = 0.85
"""a share from here up may be a bound on accuracy that stands behind a cost"""
_BY_OR_TO = Problem(
    "may be by so much or to so much: say 'below' before the figure, or give a share, as by 20 %"
)
Rule = Callable[[Matched], Meaning | list[Meaning] | None]


def typed_bound(heard: Matched) -> Meaning | None:
    """`test/accuracy >= control - 0.01`."""
    noun, minus, said = heard.noun, heard.first("-"), heard.first("q")
    assert noun is not None
    if said is None:
        if not heard.typed:
            return UNSAID
        if (noun.key or "").startswith("test/"):
            return of_control(noun, heard.op, 0.0, "difference", typed=True)
        return of_control(noun, heard.op, 1.0, typed=True)
    sign, metric, quantity = -1 if minus else 1, key_of(noun), heard.quantity
    if isinstance(metric, Problem):
        return metric
    scored = METRICS[metric].unit == "share" and quantity.dimension in (None, "share", "points")
    if quantity.dimension == "share" and not is_score(metric) and quantity.value < 1:
        return of_control(noun, heard.op, 1 + sign * quantity.value, typed=heard.typed)
    if not (scored and quantity.value < 1) and (scored or not fits(quantity, noun, metric)):
        return Problem("is no difference of that metric: give it in its own unit, as 0.01, 1 point or 5 J")
    return of_control(noun, heard.op, sign * quantity.value, "difference", typed=heard.typed)


def apart_by(heard: Matched) -> Meaning | None:
    """`accuracy above the baseline by 1 point`, `energy below it by 20 %`."""
    return heard.noun and changed(heard.noun, "up" if heard.op == "g" else "down", heard.amount, None)


def times_control(heard: Matched) -> Meaning | None:
    """`at most 1.02 times the control's energy`."""
    amount, noun = heard.amount, heard.noun
    if amount is None or noun is None:
        return None
    times = float(str(amount[1]))
    if heard.op is None and not heard.first("="):
        return multiplied(noun, times, None)
    return of_control(noun, heard.op, times, typed=heard.typed)


def beside_control(heard: Matched) -> Meaning | None:
    """`within 2 % of the baseline accuracy`; `at least 98 % of the baseline accuracy` is a part of it."""
    noun, quantity, op = heard.noun, heard.quantity, heard.first("gl")
    if noun is None and quantity.dimension not in ("share", "points"):
        return None
    if op is not None and op.value == "within":
        return changed(noun or ACCURACY, "bad", ("q", quantity), "l")
    if noun is None:
        return Problem("does not say of what of the control: name the metric")
    if quantity.dimension != "share":
        return None
    if op is None and heard.first("k") is None and not (noun.key or "").startswith("test/"):
        return multiplied(noun, quantity.value, None)
    return of_control(noun, heard.op, quantity.value)


def off_control(heard: Matched) -> Meaning | None:
    """`at most 1 point below the control`, `energy 30 % under the baseline`."""
    ops = [lexeme for lexeme in heard.found if lexeme.sign in "gl"]
    noun = heard.noun or (ACCURACY if heard.quantity.dimension in ("points", "share") else None)
    if noun is None:
        return None
    way = "down" if ops[-1].sign == "l" else "up"
    said = heard.first("=")
    no_worse = said is not None and said.value is None
    op = ops[0].sign if len(ops) > 1 else "l" if no_worse else None
    return changed(noun, way, heard.amount, op)


def beaten(heard: Matched) -> Meaning:
    """`beat the baseline by 2 points`."""
    return changed(heard.noun or ACCURACY, "good", heard.amount, None)


def apart_from_control(heard: Matched) -> Meaning | None:
    """`not worse than the control by more than 1 point`."""
    word, quantity = heard.first("zdu"), heard.quantity
    assert word is not None
    scored = quantity.dimension == "points" or (word.sign == "z" and quantity.dimension == "share")
    noun = heard.noun or (ACCURACY if scored else None)
    return None if noun is None else changed(noun, str(word.value), heard.amount, "l")


def as_much(heard: Matched) -> Meaning | None:
    """`half as many parameters`, `twice as fast`: old times a multiple, or over it where few is the word."""
    word, amount = heard.first("eduaA"), heard.amount
    if word is None or amount is None:
        return None
    noun, way = heard.noun, str(word.value)
    if isinstance(word.value, Adjective):
        noun, way = heard.placed(word.value.noun), word.value.way
    if noun is None:
        return None
    times = float(str(amount[1]))
    times, op = (times, heard.op) if way == "up" else (1 / times, FLIPPED.get(heard.op))
    return _asking(word, noun, lambda noun: multiplied(noun, times, op))


def _asking(word: Lexeme, noun: Noun, made: Callable[[Noun], Meaning]) -> Meaning:
    """The meaning, or that `faster` does not say of what, with what it would be of training."""
    adjective = word.value
    if isinstance(adjective, Adjective) and adjective.asks and noun == adjective.noun and noun.part is None:
        return Problem(EITHER, said_of(made(noun._replace(part="train"))))
    return made(noun)


def change(heard: Matched) -> Meaning | None:
    """All that names a change: an amount, a word for its way, and a metric."""
    word, amount = heard.first("dDuUbBzZaAYHe"), heard.amount
    if word is None:
        return None
    noun = heard.placed(heard.noun) or _implied(word, amount)
    if noun is None:
        nearest = "30 % less training energy" if amount else ""
        return None if heard.first("p") else Problem("does not say of what: name the metric", nearest)
    if amount is None and word.sign in "zZ":
        return UNSAID
    if word.sign == "a" and str(noun.key).startswith("test/") and word.value.noun.concept.name in _COSTS:
        return Problem("is said of no score: put a comma between the score and the cost")
    way = _way(word)
    lost = word.sign == "Z"
    return _asking(word, noun, lambda noun: changed(noun, way, amount, heard.op, lost=lost))


def _way(word: Lexeme) -> str:
    """Which way a word of change goes; a `faster latency` is a better one."""
    if not isinstance(word.value, Adjective):
        return str(word.value)
    quick = word.value.noun.concept.name == "speed"
    return {"up": "good", "down": "bad"}[word.value.way] if quick else word.value.way


def _implied(word: Lexeme, amount: tuple[str, object] | None) -> Noun | None:
    """What `2 points better` and `1 % lost` are about; joules are about energy."""
    quantity = amount[1] if amount else None
    if not isinstance(quantity, Quantity) or word.sign not in "zZbBduD":
        return None
    if quantity.dimension == "share":
        return ACCURACY if word.sign in "zZ" else None
    return ACCURACY if quantity.dimension == "points" else quantity.noun


def halved(heard: Matched) -> Meaning | None:
    """`halve the energy`, `throughput doubled`."""
    word, noun = heard.first("w"), heard.noun
    assert word is not None
    return None if noun is None else multiplied(noun, float(word.value), None)


def part_of(heard: Matched) -> Meaning | None:
    """`half the energy`, `a third of the parameters`, `30 % of the joules`."""
    amount, noun = heard.amount, heard.placed(heard.noun)
    if amount is None or noun is None:
        return None
    if isinstance(amount[1], Quantity):
        key, op = noun.key, heard.first("gl")
        if amount[1].dimension == "points" and op is not None and op.value == "within":
            return changed(noun, "bad", amount, "l")
        if amount[1].dimension != "share" or (key or "test/").startswith("test/"):
            return None
        return multiplied(noun, amount[1].value, heard.op)
    return multiplied(noun, float(str(amount[1])), heard.op)


def to_level(heard: Matched) -> list[Meaning] | None:
    """`reduce energy to 20 J`, `to half`, `raise accuracy to 95 %`."""
    word, noun, amount = heard.first("DUBduYHZwe"), heard.noun, heard.amount
    if word is None or noun is None or amount is None:
        return None
    of_share = not isinstance(amount[1], Quantity) or amount[1].dimension == "share"
    if heard.first("c") and (str(noun.key).startswith("test/") or not of_share):
        return None
    wish = changed(noun, str(word.value), None, None)
    if isinstance(wish, Problem):
        return [wish]
    if not isinstance(amount[1], Quantity):
        return [multiplied(noun, float(str(amount[1])), None)]
    if amount[1].dimension == "share" and not str(noun.key).startswith("test/"):
        return [multiplied(noun, amount[1].value, None)]
    limit = limited(noun, heard.op, amount[1], typed=heard.typed)
    return None if limit is None else [wish, limit]


def down_to(heard: Matched) -> Meaning | None:
    """`energy down to 40 %`: so much of what the control has."""
    amount, said, noun = heard.amount, heard.first("t"), heard.noun
    costs = noun is not None and noun.key is not None and not is_score(noun.key)
    share = amount is None or not isinstance(amount[1], Quantity) or amount[1].dimension == "share"
    if amount is None or noun is None or said is None or said.value != "down to" or not (costs and share):
        return None
    times = amount[1].value if isinstance(amount[1], Quantity) else float(str(amount[1]))
    return multiplied(noun, times, None)


def by_or_above(heard: Matched) -> Meaning | None:
    """`lower energy 20 %`: by so much, or with so much accuracy; `fewer joules 95 %` is with so much."""
    word, noun, quantity = heard.first("dDuUBba"), heard.placed(heard.noun), heard.quantity
    if word is None or noun is None:
        return None
    if quantity.dimension != "share":
        own = isinstance(word.value, str) and noun.key is not None and fits(quantity, noun, noun.key)
        return _BY_OR_TO if own and not is_score(str(noun.key)) else None
    if word.sign in "duba" and quantity.value >= MOST:
        return None
    nearest = said_of(changed(noun, _way(word), ("q", quantity), None))
    return Problem("may be by so much, or a bound on accuracy: say by, or at so much accuracy", nearest)


def by_figure(heard: Matched) -> Meaning | None:
    """`raise f1 2 points`, `increase latency at most 5 %`; `raise f1 95 %` may be by or to so much."""
    share, noun = heard.quantity.dimension == "share" and heard.quantity.value < MOST, heard.noun
    cost = noun is not None and noun.key is not None and not is_score(noun.key)
    points = heard.quantity.dimension == "points"
    return change(heard) if points or (share and cost and heard.op is not None) else None


def both(heard: Matched) -> list[Meaning] | None:
    """`lowest p95 latency below 3 ms`, `cheapest inference under 2 mJ`: a wish and its own bound."""
    word, noun, quantity = heard.first("eduDUBbaA"), heard.placed(heard.noun), heard.quantity
    if word is None or noun is None or (heard.op is None and quantity.dimension is None):
        return None
    timed = noun._replace(concept=CONCEPTS["time"]) if noun.concept.name == "speed" else noun
    if timed.key is None or (limit := limited(timed, heard.op, quantity, typed=heard.typed)) is None:
        return None
    way = _way(word)
    return [_asking(word, noun, lambda noun: changed(noun, way, None, None)), limit]


def fallen(heard: Matched) -> Meaning | None:
    """`accuracy may drop to 90 %`: how far it may."""
    word, noun = heard.first("Z"), heard.noun
    if noun is None or word is None or word.value != "down":
        return None
    return limited(noun, heard.op, heard.quantity, typed=heard.typed)


def unsaid(heard: Matched) -> Problem:
    """`no slower than the baseline`, `same accuracy`: no figure, which no number of seeds decides."""
    noun = heard.placed(heard.noun)
    key = noun and (noun.key or noun.concept.keys.get("infer"))
    if key is None or is_score(key):
        return UNSAID
    worse = "more" if METRICS[key].better == "min" else "less"
    told = f"at most 5 % {worse} {SPOKEN.get(key, key)}"
    return Problem(f"names no figure: say how much may be lost, as '{told}', or give a bound", told)


def signed(heard: Matched) -> Meaning | None:
    """`-30 % energy`, `+2 points accuracy`."""
    way = "down" if heard.first("-") else "up"
    return None if heard.noun is None else changed(heard.noun, way, heard.amount, heard.op)


def because(meaning: Meaning) -> Rule:
    """A rule that always says the same, most often why a goal is refused."""
    return lambda heard: meaning
