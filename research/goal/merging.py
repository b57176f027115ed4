"""Phrases put together: negations as the bound that they say, parts of a trial beside what they belong to."""

import re
from collections.abc import Callable, Sequence
from typing import Any

from research.goal.lexicon import ACCURACY, CONCEPTS, Adjective, Lexeme, Noun
from research.goal.outside import COST
from research.goal.quantities import Quantity
from research.metrics import METRICS

_CHANGES = "ZUDYHzud"
_CHANGED = "(?:[DUBduYHZzb][oi]*m|m[DUBduYHZzb])"
_PLACES = ("above", "over", "below", "under", "beyond")
_COUNTS = "is a number of digits, and the data set is said as 'on digits'"
WITH = ("with", "using", "use", "uses", "used")
_Build = Callable[[list[Lexeme]], list[Lexeme]]


def merged(found: list[Lexeme]) -> list[Lexeme]:
    """Negations turned into the bound that they say, and parts of a trial put to what they belong to."""
    found = [_lost(found, at) for at in range(len(found))]
    found = [lexeme for lexeme in _rewritten(found, r"q(?:op|[oNX])+T", _answered) if lexeme.sign != "T"]
    for pattern, build in _MERGES:
        found = _rewritten(found, pattern, build)
    return found


def _answered(found: list[Lexeme]) -> list[Lexeme]:
    """`95 % of the digits right` is a share of answers; `right` anywhere else says nothing."""
    shares = found[0].value.dimension == "share"
    return [*found[:-1], found[-1]._replace(sign="m", value=ACCURACY)] if shares else found


def _lost(found: Sequence[Lexeme], at: int) -> Lexeme:
    """The loss of something where it is no cross-entropy: `1 % accuracy loss`, `no loss`."""
    lexeme = found[at]
    if lexeme.sign != "m" or lexeme.value.concept.name != "loss" or lexeme.value.key != "test/loss":
        return lexeme
    before = next((other for other in found[max(0, at - 3) : at][::-1] if other.sign not in "oi"), None)
    after = [other for other in found[at + 1 : at + 4] if other.sign not in "oigly="][:1]
    shares = ("share", "points")
    plain = any(other.sign == "q" and other.value.dimension is None for other in found[at + 1 : at + 4])
    lost = before is not None and (
        (before.sign == "n" and not plain)
        or (before.sign == "m" and _may_be_lost(before.value))
        or (before.sign == "q" and before.value.dimension in shares and not plain)
    )
    of = found[at + 1].sign in "oi" if at + 1 < len(found) else False
    lost = lost or any(
        (of and other.sign == "m" and _may_be_lost(other.value))
        or (other.sign == "q" and other.value.dimension in shares[0 if of else 1 :])
        for other in after
    )
    return lexeme._replace(sign="Z", value="bad") if lost else lexeme


def _may_be_lost(noun: Noun) -> bool:
    """Whether less of it is worse: a `loss of energy` is no word for more of it."""
    return noun.key in METRICS and METRICS[noun.key].better == "max"


def _rewritten(found: list[Lexeme], pattern: str, build: _Build) -> list[Lexeme]:
    made: list[Lexeme] = []
    end = 0
    for match in re.finditer(pattern, "".join(lexeme.sign for lexeme in found)):
        made += [*found[end : match.start()], *build(found[match.start() : match.end()])]
        end = match.end()
    return made + found[end:]


def _turned(found: list[Lexeme]) -> list[Lexeme]:
    """A bound without its `not`, the other way round."""
    *kept, bound = found[1:]
    if any(lexeme.sign == "s" and not lexeme.value.startswith("us") for lexeme in kept):
        return found
    turned = {"g": "l", "l": "g", "h": "="}[bound.sign]
    if any(lexeme.sign in _CHANGES for lexeme in kept):
        losses = bound.sign == "g" and any(lexeme.sign == "Z" for lexeme in kept)  # `no drop above 1 point`
        losses = losses and all(_may_be_lost(lexeme.value) for lexeme in kept if lexeme.sign == "m")
        if bound.value in _PLACES and not losses:  # `don't reduce accuracy below 95 %`
            kept = [lexeme for lexeme in kept if lexeme.sign == "m"]
        elif bound.sign == "l":
            return found
    kept = [] if turned == "=" else kept
    return [*kept, bound._replace(sign=turned, start=found[0].start if not kept else bound.start, value=None)]


def _parted(found: list[Lexeme]) -> list[Lexeme]:
    """A metric, an adjective or a quantity in the part of a trial's life that stands beside it."""
    part = next(lexeme.value for lexeme in found if lexeme.sign in "pP")
    said = next(lexeme for lexeme in found if lexeme.sign in "maAq")
    value = _placed(said.value, part)
    if value is None:
        return found
    return [Lexeme(said.sign, found[0].start, found[-1].end, value)]


def _placed(value: Any, part: str) -> Any:
    if isinstance(value, Adjective):
        # `the most accurate model that trains in 30 s` is not the most accurate in training.
        noun = _placed(value.noun, part) if part in value.noun.concept.keys else None
        return noun and value._replace(noun=noun)
    if isinstance(value, Quantity):
        if value.noun is not None and value.noun.concept == ACCURACY.concept and part != "test":
            return None  # `95 % on validation` is of another split, `by 30 % at inference` of the metric
        noun = value.noun and _placed(_of_time(value.noun), part)
        return noun and value._replace(noun=noun)
    if value.part is not None:
        return value if value.part == part else None
    known = part in value.concept.keys or (part in ("train", "val") and "test" in value.concept.keys)
    known = known or (part == "infer" and value.concept.name == "memory")
    return value._replace(part=part) if known else None


def _of_one_part(found: list[Lexeme]) -> list[Lexeme]:
    """`low latency inference at 95 %`: of what is measured in no other part, the part says nothing."""
    noun, part = found[0].value, found[1].value
    only = noun.part is None and noun.key == noun.concept.keys.get(part, "")
    return found[:1] if only else found


def _of_time(noun: Noun) -> Noun:
    """Milliseconds are a latency until they are said to be the training's."""
    return Noun(CONCEPTS["time"]) if noun.concept.name == "latency" else noun


def _told_of(found: list[Lexeme]) -> list[Lexeme]:
    """`reduce energy by 30 % at inference`: the metric's, unless what follows may be of that part."""
    metric, part = (next(one for one in found if one.sign == sign) for sign in "mp")
    before, behind = found[: found.index(part)], found[found.index(part) + 1 :]
    noun = metric.value
    told = noun.part is None and part.value in noun.concept.keys
    if not told or (behind and behind[-1].value.dimension not in ("share", "points")):
        return found
    while before[-1].sign in "io":
        before.pop()
    placed = metric._replace(value=noun._replace(part=part.value))
    return [*(placed if one is metric else one for one in before), *behind]


def _fallen(found: list[Lexeme]) -> list[Lexeme]:
    """`a drop below 1 point` is a loss that is bounded, once no `not` stands before it."""
    said, quantity = found
    if quantity.value.dimension != "points" or not str(said.value).startswith(("drop", "fall", "dip")):
        return found
    return [said._replace(sign="Z", value="down"), said._replace(value="below"), quantity]


def _all_but(found: list[Lexeme]) -> list[Lexeme]:
    """`any network but a cnn` excludes it; `fewer joules, but on digits` does not."""
    return [found[0]._replace(sign="n"), found[1]] if found[0].value == "but" else found


def _less_than(found: list[Lexeme]) -> list[Lexeme]:
    """`fewer parameters than 10k` and `no more energy than 20 J` are bounds."""
    word = next(lexeme for lexeme in found if lexeme.sign in "dua")
    if word.sign == "a" and word.value.noun.concept.name not in ("size", "time"):
        return found
    less = word.sign == "d" or (word.sign == "a" and word.value.way == "down")
    sign = "l" if less == (found[0] is word) else "g"
    return [found[-2], found[-1]._replace(sign=sign, value=None)]


def _or_less(found: list[Lexeme]) -> list[Lexeme]:
    """`10k or fewer parameters`: a bound is said before its figure."""
    quantity, bound = found
    return [bound, quantity] if str(bound.value).startswith(("or ", "and ")) else found


def _over_control(found: list[Lexeme]) -> list[Lexeme]:
    """`by 2 points over the baseline`: a change is one of the control without these words."""
    return found[:-2] if found[-2].value in _PLACES else found


def _compared(found: list[Lexeme]) -> list[Lexeme]:
    """`faster than the baseline at inference` and `a speedup of 2x for inference`."""
    placed, between = _parted([found[0], found[-1]]), found[1:-1]
    while between[-1].sign in "oit":
        between.pop()
    return [*placed, *between] if len(placed) == 1 else found


def _costing(found: list[Lexeme]) -> list[Lexeme]:
    """`must not cost more than 20 J`: the unit says of what; a cost by itself may be money."""
    told = found[-1].sign == "q" and found[-1].value.dimension in ("joules", "seconds", "kg")
    return found[1:] if told else [found[0]._replace(sign="!", value=COST), *found[1:]]


def _counted(found: list[Lexeme]) -> list[Lexeme]:
    """`a six digit count` is of no data set; `nine in ten digits` is."""
    quantity, name = found[0].value, found[1]
    few = quantity.dimension is None and quantity.value in range(1, 21)
    return [found[0], name._replace(sign="!", value=_COUNTS)] if few and name.value[1] == "digits" else found


def _by_at_least(found: list[Lexeme]) -> list[Lexeme]:
    """`at least by 30 %`."""
    return found[::-1]


def _mirrored(found: list[Lexeme]) -> list[Lexeme]:
    """`0.9 < accuracy` and `95 % min accuracy`, where the figure is of the metric."""
    quantity, op, metric = found
    key, dimension = metric.value.key, quantity.value.dimension
    unit = METRICS[key].unit if key in METRICS else ""
    least = str(op.value)[:3] in ("min", "max") and quantity.value.dimension is not None
    if not (least or set(str(op.value)) <= set("<>=≤≥")):
        return found
    if not (dimension == unit or (dimension, unit) in _UNITLESS):
        return found
    if least:
        return [metric, op, quantity]
    sign = "l" if op.sign == "g" else "g"
    return [metric, op._replace(sign=sign, value=None), quantity]


_UNITLESS = ((None, "share"), (None, "count"), ("many", "count"))


def _beside(found: list[Lexeme]) -> list[Lexeme]:
    """`memory while training below 100 MB`, `training with 100 MB of memory`: the part is the metric's."""
    metric, part, quantity = (next(one for one in found if one.sign == sign) for sign in "mpq")
    first, noun = found[0] is part, metric.value
    key = noun.concept.keys.get(part.value) if noun.part in (None, part.value) else None
    joined = first and found[1].sign == "s"
    if key is None or METRICS[key].unit != quantity.value.dimension:
        return found
    if joined and found[1].value not in WITH:
        return found
    placed = metric._replace(value=noun._replace(part=part.value))
    kept = [placed if one is metric else one for one in found if one is not part]
    while kept[-1].sign in "io":
        kept.pop()
    return kept[1:] if joined else kept


def _bracketed(found: list[Lexeme]) -> list[Lexeme]:
    """`min(energy)`."""
    return found[::2] if [found[1].value, found[3].value] == ["(", ")"] else found


def _percentile(found: list[Lexeme]) -> list[Lexeme]:
    """`latency (p95) below 2 ms` and `p95 of the latency`: one figure."""
    names = {lexeme.value.concept.name: lexeme for lexeme in found if lexeme.sign == "m"}
    joins = [lexeme.value for lexeme in found if lexeme.sign == "s"]
    return [names["p95 latency"]] if names.keys() == _LATENCIES and joins in ([], ["(", ")"]) else found


_LATENCIES = {"latency", "p95 latency"}
_MERGES: tuple[tuple[str, _Build], ...] = (
    (r"[glDUB]sms", _bracketed),
    (r"msms|m[oi]+m", _percentile),
    (r"(?<=m)t(?=Z)", lambda found: []),
    (r"qN", _counted),
    (r"C(?:n?[gl]?q)?", _costing),
    (r"[gl]y(?=[qfx])", _by_at_least),
    (r"(?<=Z)hc(?=[=o]*[gl]q)|(?<=[aubpm])hc(?=y[qfx])|(?<=a)hc(?=yg[qfx])", lambda found: []),
    (r"(?<![qfx])n?[dua][oi]*mh(?=q)", _less_than),
    (rf"nt?(?:[{_CHANGES}][oi]*m?[yo]?|m[{_CHANGES}][yo]?)[gl]", _turned),
    (r"nt?[kis]?(?:p[io]?)?(?:mt?)?[gl]", _turned),
    (r"q[gl](?=o?p?[mP])", _or_less),
    (r"(?<![gl])q[gl]c[gl](?![qfxmcRN])", lambda found: [found[3], *found[:3]]),
    (r"(?<![gl=])q[gl](?=m[ZYH](?![o=t]*[gl]?[qfx]))", lambda found: found[::-1]),
    (r"y[gl]?[qfx][gl]c", _over_control),
    (r"nzh(?=[lg]?q)", _turned),
    (r"sN", _all_but),
    (r"(?<![mgl=ko])q[gl]m(?![=koit]*[gl]?[=o]*q|[ZYH])", _mirrored),
    (r"lq", _fallen),
    (r"[mqaA](?:P|[oi]+P(?![maA]))", _parted),
    (r"P(?=[maA]|s?[gl]?q)", lambda found: [found[0]._replace(sign="p")]),
    (r"p[o]?m", _parted),
    (r"m[oirt]p", _parted),
    (rf"(?:{_CHANGED}[oi=]*y?[gl]?[qfx]|m[YH]|mj?[eud])[io]+p(?:[tio=]*[gl]?q)?", _told_of),
    (r"ql[oi]+p", lambda found: [found[1], *_parted([found[0], *found[2:]])]),
    (r"mp(?![ti=]*[gl]?q)", _parted),
    (r"mp", _of_one_part),
    (r"[aA][oit]*p", _parted),
    (r"[aA][jh]c[oit]*p(?![ti=]*[gl]?q)", _compared),
    (r"a(?:[yo=][gl]?[qfx]|[gl]?x)[io]+p(?![ti=]*[gl]?q(?!o?m))", _compared),
    (r"pj?[aA]", _parted),
    (r"q[oir]*p", _parted),
    (r"mp[gl=]?q", _beside),
    (r"m[=koit]*[gl]?q[io]*p(?![tio=]*[gl]?q)", _beside),
    (r"ps?[gl]?qo?m", _beside),
)
