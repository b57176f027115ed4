"""What a goal was understood as, in words: a plain sentence for people, and phrases that are read again."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple, final

from research.metrics import METRICS, described, is_carbon, is_score, quantity, words
from research.types import Constraint, Objective

if TYPE_CHECKING:
    from research.goal.goal import Goal

SPOKEN = {
    "test/accuracy": "accuracy",
    "test/f1": "F1",
    "test/loss": "loss",
    "test/bits_per_byte": "bits per byte",
    "train/energy_j": "training energy",
    "train/seconds": "training time",
    "train/co2_kg": "CO2",
    "infer/latency_s_p50": "latency",
    "infer/energy_j_per_sample": "inference energy",
    "size/parameters": "parameters",
    "size/bytes": "model size",
    "train/peak_bytes": "peak memory",
    "compute/flops_forward": "FLOPs",
}
"""what a goal may call a metric; the others by their keys"""


@final
class Wish(NamedTuple):
    """A metric that is to improve, and by how much at least: a share of a cost, a difference of a score."""

    metric: str | None
    """None is the usual score of the data's task"""
    effect: float = 0.0
    bound: Constraint | None = None
    """what it is where another is to improve: `at most half the energy` is a wish by itself"""


@final
class Problem(NamedTuple):
    """Why a phrase is no wish and no bound, the rest of a sentence, and what could be said instead."""

    said: str
    instead: str = ""


Meaning = Wish | Constraint | Problem

_STANDING = "; carbon counts the machine's standing draw too, which falls with training time alone"
UNSAID = Problem(
    "names no figure: say how much may be lost, as 'at most 1 point of accuracy lost', or give a bound",
    "at most 1 point of accuracy lost",
)
NOT = Problem("says what must not be, which no objective can hold but as a bound: at least, at most")
EXCLUDED = Problem(
    "excludes an option, which no objective can say: name what is to be used, or leave it open"
)
RANGE = Problem("is a range: give the one bound that counts, at least or at most")


def said_of(meaning: Meaning) -> str:
    """A wish or a bound as a goal says it, in words that are read."""
    if isinstance(meaning, Problem):
        return meaning.instead
    if isinstance(meaning, Wish):
        return _wished(meaning)
    if meaning.of_control is None and meaning.op == ">=" and _is_share(meaning.metric):
        return f"at least {100 * meaning.bound:.6g} % {SPOKEN.get(meaning.metric, meaning.metric)}"
    return meaning.words


def _wished(wish: Wish) -> str:
    metric = wish.metric or "test/accuracy"
    less = "fewer" if METRICS[metric].unit in ("count", "flops") else "less"
    way = less if METRICS[metric].better == "min" else "more"
    name = SPOKEN.get(metric, metric)
    if not wish.effect:
        least = "smallest model" if metric == "size/bytes" else f"{way} {name}"
        return f"best {name}" if way == "more" else least
    if _is_share(metric):
        return f"{points(wish.effect)} more {name}"
    if is_score(metric):
        return f"reduce {name} by {wish.effect:.6g}"
    return f"{100 * wish.effect:.6g} % {way} {name}"


def _is_share(metric: str) -> bool:
    known = described(metric)
    return known is not None and known.unit == "share"


def sentence(goal: "Goal") -> str:
    """A goal as it was understood: what improves, by how much, what is kept, and what it fixes."""
    return _stated(goal.objective, goal.smallest_effect, goal.overrides)


def recalled(charter: Mapping[str, Any], objective: Objective) -> str:
    """The sentence of a goal from the charter that a row of the database keeps."""
    goal = charter.get("goal") or {}
    return _stated(objective, float(goal.get("smallest_effect") or 0), tuple(goal.get("overrides") or ()))


def _stated(asked: Objective, least: float, overrides: tuple[str, ...]) -> str:
    verb = "Minimise" if asked.direction == "min" else "Maximise"
    effect = f" by at least {_size(asked.metric, least)}" if least else ""
    kept = f", with {_listed([_kept(bound) for bound in asked.constraints])}" if asked.constraints else ""
    fixed = f"; fixed: {' '.join(overrides)}" if overrides else ""
    named = words(asked.metric)
    name = f"{named} ({asked.metric})" if named != asked.metric else named
    beside = (
        _STANDING if any(map(is_carbon, (asked.metric, *(one.metric for one in asked.constraints)))) else ""
    )
    return f"{verb} {name}{effect}{kept}{fixed}{beside}."


def _size(metric: str, size: float) -> str:
    if not is_score(metric):
        return f"{100 * size:.6g} % of the control's"
    return points(size) if _is_share(metric) else f"{size:.6g}"


def points(size: float) -> str:
    """A difference of a share: `1 point`, `0.5 points`."""
    return f"{100 * size:.6g} point{'' if abs(size - 0.01) < 1e-12 else 's'}"


def _kept(bound: Constraint) -> str:
    """A bound in words: `accuracy at least 95 %`, `training energy at most 1.02 times the control's`."""
    side = "at least" if bound.op == ">=" else "at most"
    name = words(bound.metric)
    if bound.of_control == "ratio":
        return f"{name} {side} {bound.bound:.6g} times the control's"
    if bound.of_control == "difference":
        return f"{name} {_shifted(bound, side)}"
    value = f"{100 * bound.bound:.6g} %" if _is_share(bound.metric) else _plain(bound)
    return f"{name} {side} {value}"


def _plain(bound: Constraint) -> str:
    """A figure with its unit, in full where three digits would round it."""
    rounded = float(f"{bound.bound:.3g}") != bound.bound
    whole = rounded or is_score(bound.metric)
    return f"{bound.bound:.10g}" if whole else quantity(bound.metric, bound.bound)


def _shifted(bound: Constraint, side: str) -> str:
    if not bound.bound:
        return f"{side} the control's"
    size = points(abs(bound.bound)) if _is_share(bound.metric) else f"{abs(bound.bound):.6g}"
    below = bound.bound < 0
    worse = below == (bound.op == ">=")
    return f"{'at most' if worse else 'at least'} {size} {'below' if below else 'above'} the control's"


def _listed(parts: Sequence[str]) -> str:
    return " and ".join(filter(None, [", ".join(parts[:-1]), *parts[-1:]]))
