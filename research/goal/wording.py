"""The words of a goal: numbers with their units, bounds on metrics, and wishes such as `fewer joules`."""

import math
import re
from typing import Literal, NamedTuple

from refusal import Refusal
from research.metrics import METRICS
from research.types import Constraint

_ONE = r"(?:sample|example|image|inference|prediction|item)"
_METRIC_WORDS: tuple[tuple[str, str], ...] = (
    # Known so that they are refused in their own words and not read as the training's joules.
    (r"(?:standing|idle) (?:draw|energy|joules?|power)", "train/energy_standing_j"),
    (r"harness (?:energy|joules?)", "harness/energy_j"),
    (r"harness (?:time|seconds)", "harness/seconds"),
    (r"(?:energy|joules?) (?:per|of a|for a|for each) (?:training )?step", "step/energy_j"),
    (
        rf"inference (?:energy|joules?)|(?:energy|joules?) (?:per|of an?|for an?|for each) {_ONE}"
        r"|(?:energy|joules?) (?:of|at|for|during|in) inference",
        "infer/energy_j_per_sample",
    ),
    (
        r"inference cpu[- ]?(?:seconds|time)"
        r"|cpu[- ]?(?:seconds|time) (?:of|at|for|during|in) inference"
        rf"|cpu[- ]?(?:seconds|time) (?:per|of an?|for an?|for each) {_ONE}",
        "infer/cpu_seconds_per_sample",
    ),
    (
        r"(?:training )?cpu[- ]?(?:seconds|hours|minutes|time)(?: (?:of|for|to|in) (?:the )?train(?:ing)?)?",
        "train/cpu_seconds",
    ),
    (r"training flops?|flops? (?:of|for|to|in) (?:the )?train(?:ing)?", "compute/flops_train"),
    (r"(?:inference |forward )?flops?|compute", "compute/flops_forward"),
    (
        r"(?:training )?(?:energy(?: use| usage| consumption| cost)?|joules?|watt[- ]?hours?|k?wh)",
        "train/energy_j",
    ),
    (r"(?:training )?(?:co2e?|carbon|ghg)(?: emissions?| footprint)?|emissions?|carbon", "train/co2_kg"),
    (
        r"(?:inference )?throughput|(?:samples|examples|images)(?:/| per )s(?:econd)?",
        "infer/samples_per_second",
    ),
    (r"steps(?:/| per )s(?:econd)?|training throughput", "train/steps_per_second"),
    (r"steps to (?:the )?target", "train/steps_to_target"),
    (r"(?:p95|95th percentile|tail) latency", "infer/latency_s_p95"),
    (r"(?:median |p50 |inference )?latency|inference (?:time|delay)", "infer/latency_s_p50"),
    (r"training (?:time|seconds|duration)|time (?:to train|of training|for training)", "train/seconds"),
    (r"peak memory|training memory|memory(?: use| usage)?|ram", "train/peak_bytes"),
    (r"non-?zeros?(?: weights| parameters)?|non-?zero (?:weights|parameters)", "size/nonzeros"),
    (r"(?:trainable )?param(?:eter)?s?(?: count)?|weights", "size/parameters"),
    (r"(?:model |file )?size|bytes(?: on disk)?|disk(?: space)?", "size/bytes"),
    (r"bits[- ]per[- ]byte|bpb", "test/bits_per_byte"),
    (r"(?:(?:test|validation|val|top-?1|classification) )?acc(?:uracy)?", "test/accuracy"),
    (r"(?:macro )?f1(?:[- ]score)?", "test/f1"),
    (r"precision", "test/precision"),
    (r"recall", "test/recall"),
    (r"(?:roc[- ])?auroc|roc[- ]auc|auc", "test/auroc"),
    (r"(?:test |validation )?(?:cross-entropy|loss)", "test/loss"),
)
_METRIC = (
    "(?:" + "|".join([re.escape(key) for key in METRICS] + [words for words, _ in _METRIC_WORDS]) + r")(?!\w)"
)

_PER_ONE = rf"(?:/| per | an? | each ){_ONE}"
# Case decides between mJ and MJ, so units are matched as they are written.
_UNITS: tuple[tuple[str, float, str, str | None], ...] = (
    (r"%|percent(?:age points?)?|per cent", 0.01, "share", "test/accuracy"),
    (r"bits[- ]per[- ]byte|bpb", 1.0, "bits", "test/bits_per_byte"),
    (rf"(?:mJ|millijoules?){_PER_ONE}", 1e-3, "joules", "infer/energy_j_per_sample"),
    (rf"(?:J|joules?|Joules?){_PER_ONE}", 1.0, "joules", "infer/energy_j_per_sample"),
    (r"mJ|[Mm]illijoules?", 1e-3, "joules", "train/energy_j"),
    (r"MJ|[Mm]egajoules?", 1e6, "joules", "train/energy_j"),
    (r"[kK]J|[Kk]ilojoules?", 1e3, "joules", "train/energy_j"),
    (r"(?i:kwh)", 3.6e6, "joules", "train/energy_j"),
    (r"(?i:wh)", 3600.0, "joules", "train/energy_j"),
    (r"[jJ](?:oules?)?", 1.0, "joules", "train/energy_j"),
    (r"(?i:tflops?)", 1e12, "flops", "compute/flops_forward"),
    (r"(?i:gflops?)", 1e9, "flops", "compute/flops_forward"),
    (r"(?i:mflops?)", 1e6, "flops", "compute/flops_forward"),
    (r"(?i:kflops?)", 1e3, "flops", "compute/flops_forward"),
    (r"(?i:mib)", 2.0**20, "bytes", "size/bytes"),
    (r"(?i:kib)", 2.0**10, "bytes", "size/bytes"),
    (r"(?i:gb|gigabytes?)", 1e9, "bytes", "size/bytes"),
    (r"(?i:mb|megabytes?)", 1e6, "bytes", "size/bytes"),
    (r"(?i:kb|kilobytes?)", 1e3, "bytes", "size/bytes"),
    (r"(?i:bytes?)", 1.0, "bytes", "size/bytes"),
    (r"(?i:mg|milligrams?)", 1e-6, "kg", "train/co2_kg"),
    (r"(?i:kg|kilograms?)", 1.0, "kg", "train/co2_kg"),
    (r"(?i:g|grams?)", 1e-3, "kg", "train/co2_kg"),
    (r"(?i:cpu[- ]?(?:s|secs?|seconds?))", 1.0, "seconds", "train/cpu_seconds"),
    (r"(?i:cpu[- ]?(?:mins?|minutes?))", 60.0, "seconds", "train/cpu_seconds"),
    (r"(?i:cpu[- ]?(?:h|hours?))", 3600.0, "seconds", "train/cpu_seconds"),
    (r"(?i:ns|nanoseconds?)", 1e-9, "seconds", "infer/latency_s_p50"),
    (r"(?i:[uµμ]s|microseconds?)", 1e-6, "seconds", "infer/latency_s_p50"),
    (r"(?i:ms|milliseconds?)", 1e-3, "seconds", "infer/latency_s_p50"),
    (r"(?i:s|secs?|seconds?)", 1.0, "seconds", "train/seconds"),
    (r"(?i:mins?|minutes?)", 60.0, "seconds", "train/seconds"),
    (r"(?i:h|hours?)", 3600.0, "seconds", "train/seconds"),
    (r"(?i:k|thousand)", 1e3, "many", None),
    (r"(?i:m|mn|million)", 1e6, "many", None),
    (r"(?i:b|bn|billion)", 1e9, "many", None),
)
_UNIT = "(?:" + "|".join(unit for unit, *_ in _UNITS) + r")(?![A-Za-z])"
_NUMBER = r"-?(?:\d[\d_]*(?:,\d{3})*(?:[.,]\d+)?|\.\d+)(?:[eE][+-]?\d+)?"
_AT_LEAST = (
    r">=|=>|≥|>|at least|no less than|not less than|above|over|more than|greater than|higher than"
    r"|exceed(?:s|ing)?|beat(?:s|ing)?|min(?:imum)?(?: of)?"
)
_AT_MOST = (
    r"<=|=<|≤|<|at most|no more than|not more than|under|below|less than|fewer than|lower than"
    r"|smaller than|within|up to|max(?:imum)?(?: of)?"
)
_NEITHER = r"==?|:|of|is|better than|about|around|roughly|~"
_REACH = r"reach(?:es|ing)?|hit(?:s|ting)?|get(?:s|ting)?|achiev(?:e|es|ing)|target(?: of)?|to|with|at"
_VALUE = rf"(?P<number>{_NUMBER})\s*(?P<unit>{_UNIT})?(?![\w.]\w)"
_METRIC_FIRST = re.compile(
    rf"(?P<metric>{_METRIC})\s*(?:is |of )?(?:(?P<op>{_AT_LEAST}|{_AT_MOST}|{_NEITHER})\s*)?{_VALUE}"
    rf"(?(op)|(?!\s*{_METRIC}))",
    re.IGNORECASE,
)
_NUMBER_FIRST = re.compile(
    rf"(?:(?P<op>{_AT_LEAST}|{_AT_MOST}|{_NEITHER}|{_REACH})\s*)?{_VALUE}"
    rf"(?:\s*(?:of |in |for )?(?P<metric>{_METRIC}))?",
    re.IGNORECASE,
)


class Bounds(NamedTuple):
    """The constraints found in a text, and the text without them."""

    constraints: list[Constraint]
    rest: str


def metric_of(phrase: str) -> str:
    """The metric that a phrase names; the phrase itself is known to match one of the wordings."""
    if phrase.lower() in METRICS:
        return phrase.lower()
    return next(key for words, key in _METRIC_WORDS if re.fullmatch(words, phrase, re.IGNORECASE))


def metric_pattern() -> str:
    """The pattern of every wording of every metric, for use inside larger patterns."""
    return _METRIC


def number(text: str) -> float:
    """`50_000`, `50,000`, `0,97` and `1e6` as people write them."""
    plain = text.replace("_", "")
    thousands = re.fullmatch(r"-?[1-9]\d{0,2}(?:,\d{3})+(?:\.\d+)?", plain)
    return float(plain.replace(",", "") if thousands else plain.replace(",", "."))


def find_bounds(text: str) -> Bounds:
    """All bounds of a text, left to right: `90 % accuracy`, `accuracy >= 0.9`, `under 50k parameters`."""
    bounds: list[Constraint] = []
    rest, position = "", 0
    while position < len(text):
        bound = _bound_at(text, position) if _starts_word(text, position) else None
        if bound:
            bounds.append(bound[0])
            rest, position = rest + " | ", bound[1]
        else:
            rest, position = rest + text[position], position + 1
    return Bounds(bounds, rest)


def _starts_word(text: str, position: int) -> bool:
    before, here = text[position - 1 : position], text[position]
    return not re.match(r"[\w-]", before) or not re.match(r"[\w.-]", here)


def _bound_at(text: str, position: int) -> tuple[Constraint, int] | None:
    """The bound that starts at a position, and where it ends."""
    for pattern in (_METRIC_FIRST, _NUMBER_FIRST):
        match = pattern.match(text, position)
        constraint = _constraint(match) if match else None
        if match and constraint:
            return constraint, match.end() if _owns(match) else match.end("unit")
    return None


def _owns(match: re.Match[str]) -> bool:
    """Whether the metric beside a number is the number's own: in `95 % parameters` it is not."""
    return match["metric"] is None or _fits(_unit(match["unit"])[1], metric_of(match["metric"]))


def _constraint(match: re.Match[str]) -> Constraint | None:
    factor, dimension, implied = _unit(match["unit"])
    metric = metric_of(match["metric"]) if match["metric"] and _owns(match) else implied
    if metric is None or (match.re is _METRIC_FIRST and not _owns(match)):
        return None
    bound = _checked(metric, number(match["number"]) * factor, dimension, match[0].strip())
    return Constraint(metric=metric, op=_operator(match["op"], metric), bound=bound)


def _unit(text: str | None) -> tuple[float, str | None, str | None]:
    if text is None:
        return 1.0, None, None
    for pattern, factor, dimension, metric in _UNITS:
        if re.fullmatch(pattern, text):
            return factor, dimension, metric
    # Written in another case, as in `5 MS`: the first unit that it could be.
    return next(tuple_[1:] for tuple_ in _UNITS if re.fullmatch(tuple_[0], text, re.IGNORECASE))


def _fits(dimension: str | None, metric: str) -> bool:
    unit = METRICS[metric].unit
    return dimension in (None, unit) or (
        dimension == "many" and unit in ("count", "bytes", "flops", "per second")
    )


def _operator(words: str | None, metric: str) -> Literal[">=", "<="]:
    if words and re.fullmatch(_AT_LEAST, words, re.IGNORECASE):
        return ">="
    if words and re.fullmatch(_AT_MOST, words, re.IGNORECASE):
        return "<="
    return ">=" if METRICS[metric].better == "max" else "<="


def _checked(metric: str, value: float, dimension: str | None, phrase: str) -> float:
    """The bound in SI units; a share without a percent sign may be written as 0.97 or as 97."""
    if METRICS[metric].unit != "share":
        if not 0 < value < math.inf:
            raise Refusal(f"'{phrase}' can never decide: {metric} is positive; name a positive bound.")
        return float(f"{value:.12g}")
    share = value / 100 if dimension is None and 10 <= value <= 100 else value
    if not 0 <= share <= 1:
        raise Refusal(
            f"'{phrase}' is not a share: {metric} lies between 0 and 1; "
            "write it as '0.97 accuracy' or '97 % accuracy'."
        )
    return float(f"{share:.12g}")
