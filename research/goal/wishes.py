"""What a goal wants more or less of: `fewer joules`, `fastest inference`, `20 % less energy`."""

import re
from typing import NamedTuple

from refusal import Refusal
from research.goal.wording import metric_of, metric_pattern, number
from research.metrics import METRICS, words
from research.types import Direction

_METRIC = metric_pattern()
_FILLER = (
    r"(?:(?:the|its|their|our|amount of|number of|total|overall|possible|as possible|use of|of|in|a)\s+)*"
)
_LESS = (
    r"fewer|fewest|less|least|lower(?:ing)?|lowest|minimi[sz](?:e|es|ing)|minimal|minimum|min|reduc(?:e|es|ing)"
    r"|cut(?:ting)?|sav(?:e|es|ing)|decreas(?:e|es|ing)|smaller|smallest|shrink(?:ing)?|shorter|shortest"
    r"|as few|as little|as low|cheaper|cheapest|faster|fastest|low|little|small|short"
)
_MORE = (
    r"more|most|higher|highest|maximi[sz](?:e|es|ing)|maximal|max|increas(?:e|es|ing)|rais(?:e|es|ing)|greater"
    r"|greatest|as much|as high|high"
)
_BETTER = r"improv(?:e|es|ing)|best|better|optimi[sz](?:e|es|ing)|optimal|boost(?:s|ing)?|good"
_FACTORS = {
    "half": 0.5,
    "a third": 1 / 3,
    "one third": 1 / 3,
    "a quarter": 0.25,
    "a tenth": 0.1,
    "one tenth": 0.1,
}
_COMPARED = {"smaller": "size/bytes", "faster": "infer/latency_s_p50", "cheaper": "train/energy_j"}
_RELATIVE = re.compile(
    r"(?P<number>\d+(?:[.,]\d+)?)\s*(?P<kind>%|percent|per cent|x|×|times)\s*(?P<than>fewer|less|lower"
    rf"|smaller|faster|cheaper|shorter|more|higher|better|greater)(?:\s+{_FILLER}(?P<metric>{_METRIC}))?",
    re.IGNORECASE,
)
_BY = re.compile(
    rf"(?:{_LESS})\s+{_FILLER}(?P<metric>{_METRIC})\s+by\s+(?P<number>\d+(?:[.,]\d+)?)"
    r"\s*(?:%|percent|per cent)",
    re.IGNORECASE,
)
_PART = re.compile(rf"(?P<part>{'|'.join(_FACTORS)})\s+{_FILLER}(?P<metric>{_METRIC})", re.IGNORECASE)
_KEPT = re.compile(
    r"(?:(?:same|equal|unchanged|comparable|no (?:loss|drop) (?:of|in)"
    r"|(?:without|not)\s+(?:losing|hurting|sacrificing|(?:a )?loss (?:of|in))"
    rf"|keep(?:s|ing)?|preserv\w+|maintain\w*)\s+(?:the\s+)?(?:same\s+)?)(?P<metric>{_METRIC})",
    re.IGNORECASE,
)
_DIRECTED = rf"(?P<how>{_LESS}|{_MORE}|{_BETTER})\s+{_FILLER}(?P<metric>{_METRIC})"
_NET = r"(?:\s+(?:possible\s+)?(?:model|network|net))?"
# (wording, metric, strength): a comparative or superlative says what is wanted, an adjective hints at it.
_ADJECTIVES: tuple[tuple[str, str, int], ...] = (
    (
        r"(?:most|more) (?:energy[- ])?efficient|(?:most|more) frugal|cheaper|cheapest|thriftiest",
        "train/energy_j",
        2,
    ),
    (r"greener|greenest", "train/co2_kg", 2),
    (r"(?:most|more) accurate|accuracy-first", "test/accuracy", 2),
    (
        r"(?:faster|fastest|quicker|quickest|shorter|shortest)\s+(?:to\s+)?train(?:ing)?"
        r"|trains? (?:faster|fastest)",
        "train/seconds",
        2,
    ),
    (
        r"(?:faster|fastest|quicker|quickest)(?:\s+(?:at\s+)?(?:inference|prediction|response))?" + _NET,
        "infer/latency_s_p50",
        2,
    ),
    (r"(?:smaller|smallest|tiniest|lightest|lighter|most compact|more compact)" + _NET, "size/bytes", 2),
    (r"energy[- ]efficient|efficient|frugal|low[- ](?:energy|power)|cheap|efficiently", "train/energy_j", 1),
    (r"green|low[- ]carbon", "train/co2_kg", 1),
    (r"fast[- ]training", "train/seconds", 1),
    (r"fast|low[- ]latency|quick", "infer/latency_s_p50", 1),
    (r"small|tiny|compact|light-?weight", "size/bytes", 1),
    (r"accurate", "test/accuracy", 1),
)


class Wish(NamedTuple):
    """One thing a goal wants: the metric, which way, how strongly it is said, and by which share at least."""

    metric: str
    direction: Direction
    strength: int
    """2 said by a comparative or superlative, 1 by an adjective, 0 by naming the metric"""
    effect: float


def find_relative(text: str) -> tuple[list[Wish], str]:
    """Wishes with a size, to be read before bounds: in `20 % fewer joules` 20 % is no accuracy."""
    wishes = [_sized(match) for match in _RELATIVE.finditer(text)]
    text = _RELATIVE.sub(" | ", text)
    wishes += [_wish_less(match["metric"], number(match["number"]) / 100) for match in _BY.finditer(text)]
    text = _BY.sub(" | ", text)
    wishes += [
        _wish_less(match["metric"], 1 - _FACTORS[match["part"].lower()]) for match in _PART.finditer(text)
    ]
    return wishes, _PART.sub(" | ", text)


def find_wishes(text: str) -> tuple[list[Wish], str]:
    """Wishes without a size, from a text whose bounds are already taken out."""
    kept = _KEPT.search(text)
    if kept:
        metric = metric_of(kept["metric"])
        raise Refusal(
            f"'{kept[0].strip()}' names no figure: give {words(metric)} a bound of its own, "
            "for example '90 % accuracy for fewer joules'."
        )
    directed, text = _taken_out(_DIRECTED, text)
    wishes = [_directed(match["how"], match["metric"]) for match in directed]
    for pattern, metric, strength in _ADJECTIVES:
        said, text = _taken_out(pattern, text)
        wishes += [Wish(metric, METRICS[metric].better, strength, 0.0)] * len(said)
    bare, text = _taken_out(_METRIC, text)
    named = [metric_of(match[0]) for match in bare]
    return [*wishes, *(Wish(key, METRICS[key].better, 0, 0.0) for key in named)], text


def _taken_out(pattern: str, text: str) -> tuple[list[re.Match[str]], str]:
    """Where the pattern stands as words of its own, and the text without."""
    words_of_it = re.compile(rf"(?<![\w-])(?:{pattern})(?![\w-])", re.IGNORECASE)
    return list(words_of_it.finditer(text)), words_of_it.sub(" | ", text)


def _sized(match: re.Match[str]) -> Wish:
    than, times = match["than"].lower(), match["kind"].lower() in ("x", "×", "times")
    phrase = match["metric"] or _COMPARED.get(than)
    if phrase is None or than in ("more", "higher", "better", "greater"):
        raise Refusal(
            f"'{match[0].strip()}' is understood for costs only, as in '20 % fewer joules'; "
            "give a score a bound of its own, as in '90 % accuracy'."
        )
    value = number(match["number"])
    share = 1 - 1 / value if times and value > 1 else value / 100
    return _wish_less(phrase, 1 - 1 / (1 + share) if than == "faster" and not times else share)


def _wish_less(phrase: str, share: float) -> Wish:
    metric = metric_of(phrase)
    if METRICS[metric].better != "min" or not 0 < share < 1:
        raise Refusal(
            f"{share:.0%} less of {words(metric)} cannot be asked: "
            "name a cost and a share between 0 and 100 %."
        )
    return Wish(metric, "min", 2, share)


def _directed(how: str, phrase: str) -> Wish:
    metric = metric_of(phrase)
    better = METRICS[metric].better
    if re.fullmatch(_BETTER, how, re.IGNORECASE) or re.fullmatch(
        r"faster|fastest|cheaper|cheapest", how, re.IGNORECASE
    ):
        return Wish(metric, better, 2, 0.0)
    asked: Direction = "min" if re.fullmatch(_LESS, how, re.IGNORECASE) else "max"
    if asked != better:
        other = "less" if better == "min" else "more"
        raise Refusal(
            f"'{how} {phrase}' asks for the worse: say {other} of it, or set objective.metric={metric} "
            f"objective.direction={asked} to mean it."
        )
    strength = 1 if re.fullmatch(r"low|little|small|short|high", how, re.IGNORECASE) else 2
    return Wish(metric, better, strength, 0.0)
