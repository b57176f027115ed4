"""A goal in words becomes an objective: metric, direction, constraints, and the data and network it names.

Rules read the text, no language model does: the same words always give the same objective. Every word is
accounted for: what no rule took and is not known to carry no condition refuses the goal, because a condition
that is lost is a wrong answer.
"""

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import NamedTuple, final

from refusal import Refusal
from research.goal.names import Names, names_of, task_of
from research.goal.parts import HeardGoal, heard_in
from research.goal.phrases import EITHER
from research.goal.saying import Problem, Wish, said_of
from research.metrics import METRICS, described, elsewhere, is_test, refuse_unclaimed, words
from research.types import Constraint, Direction, Objective, Record

LONGEST = 1000
NOT_TRAINED = "budget=given"
"""the override of a network that is there already"""
EXAMPLES = (
    "'90 % accuracy for fewer joules', 'smallest model above 95 % on mnist1d', "
    "'a CNN for digits with >= 0.97 accuracy under 50k parameters'"
)


class Goal(Record):
    """What a goal asks for: all that its words say."""

    text: str
    objective: Objective
    smallest_effect: float = 0.0
    """least share by which the objective must improve to count, for example 0.2 for `20 % fewer joules`; of a
    score the least difference"""
    overrides: tuple[str, ...] = ()
    """what the words fix for every trial, for example `data=cifar10`, `model=cnn`"""


def read(
    text: str,
    conf: Path,
    *,
    metric: str | None = None,
    direction: str | None = None,
    constraints: Iterable[str] | None = None,
    fixed: Iterable[str] = (),
    own: str | Path | None = None,
) -> Goal:
    """Read a goal; explicit metric, direction and constraints win over its words.

    Args:
        text: the goal as a person wrote it.
        conf: the configuration folder, whose `data` and `model` options are the names that may be used.
        metric: key of the metric to improve.
        direction: `min` or `max`.
        constraints: bounds in the words of a goal, and bounds that no words say: `test/accuracy >= 0.9`,
            `under 50k parameters`, `test/accuracy >= control - 0.01`, `test/accuracy <= 0.5`.
        fixed: overrides that the person fixed, which win over what the words name.
        own: the person's folder of options, which `fixed` may choose.

    Raises:
        Refusal: the text is empty, not understood in each of its words, or contradicts itself; the sentence
            shows the nearest goal that is understood.
    """
    _check_length(text, empty_is_fine=metric is not None)
    fixed, typed = tuple(fixed), None if constraints is None else [str(line) for line in constraints]
    names = names_of(conf)
    asked = _Asked(metric, direction, None if typed is None else _explicit(typed, names), fixed, own)
    try:
        parts = heard_in(text, names)
        if parts.problems and NOT_TRAINED in fixed:
            parts = heard_in(_of_answers(text, parts), names)
    except Refusal as refusal:
        raise _refused(str(refusal), "") from None
    try:
        if parts.problems:
            raise Refusal(_why(parts))
        return _goal(text, names, parts, asked)
    except Refusal as refusal:
        raise _refused(str(refusal), _nearest(parts, names, asked.fixed)) from None


def _why(parts: HeardGoal) -> str:
    """The first of what stands in the way, beside the words that it is about."""
    _, said, problem = min(parts.problems, key=lambda entry: entry[0], default=(0, "", Problem("")))
    return f"'{said}' {problem.said}" if said else problem.said


def _of_answers(text: str, parts: HeardGoal) -> str:
    """The text with `inference` where it does not say of what: a network that is given has no training."""
    for _, said, problem in parts.problems:
        text = text.replace(said, f"{said} inference") if said and problem.said == EITHER else text
    return text


@final
class _Asked(NamedTuple):
    """What is typed beside the goal."""

    metric: str | None = None
    direction: str | None = None
    bounds: list[Constraint] | None = None
    fixed: tuple[str, ...] = ()
    own: str | Path | None = None


def _refused(said: str, nearest: str) -> Refusal:
    """One sentence: why, and what would be understood."""
    example = (
        f"a goal that is understood is '{nearest}'" if nearest else f"goals that are understood: {EXAMPLES}"
    )
    return Refusal(f"{said[:1].upper()}{said[1:].rstrip('.')}; {example}.")


def _goal(text: str, names: Names, parts: HeardGoal, asked: _Asked) -> Goal:
    overrides = names.chosen(parts.named, asked.fixed)
    wishes, bounds = _told_apart(parts)
    bounds = bounds if asked.bounds is None else asked.bounds
    task = task_of(names.conf, (*overrides, *asked.fixed), asked.own)
    wish = _chosen(wishes, task) if asked.metric is None else None
    if not (wish or bounds or overrides or asked.metric):
        raise Refusal(f"the goal '{text.strip()[:60]}' was not understood: it names nothing that is measured")
    key = asked.metric or (str(wish.metric) if wish else _usual_metric(bounds, task))
    for metric in (key, *(bound.metric for bound in bounds)):
        refuse_unclaimed(metric)
        _check_measured(metric, task)
    objective = Objective(metric=key, direction=_direction(key, asked.direction), constraints=_agreed(bounds))
    effect = wish.effect if wish else 0.0
    return Goal(text=text.strip(), objective=objective, smallest_effect=effect, overrides=overrides)


def _told_apart(parts: HeardGoal) -> tuple[list[Wish], list[Constraint]]:
    """Wishes and bounds: of `at most half the energy, best accuracy` the first is a bound."""
    firm = [wish for wish in parts.wishes if wish.bound is None]
    bounds = [wish.bound for wish in parts.wishes if wish.bound is not None]
    if not firm or {wish.metric for wish in firm} & {bound.metric for bound in bounds}:
        return parts.wishes, parts.bounds
    return firm, [*parts.bounds, *bounds]


def _check_length(text: str, empty_is_fine: bool) -> None:
    if not text.strip() and not empty_is_fine:
        raise Refusal(f"The goal is empty: say for example {EXAMPLES}.")
    if len(text) > LONGEST:
        raise Refusal(
            f"The goal has {len(text)} characters: say it in at most {LONGEST}, for example {EXAMPLES}."
        )


def _check_measured(metric: str, task: str) -> None:
    only = elsewhere(metric, task)
    if only:
        raise Refusal(
            f"the goal asks for {words(metric)} ({metric}), which is measured for {only}, and the task "
            f"of the data is {task}: name other data, your own by base=[data=table,data.path=FILE,...], or "
            "ask for accuracy or loss"
        )


def _usual_metric(bounds: Sequence[Constraint], task: str) -> str:
    """What is improved when no wish is said: the score that is bounded, else the usual score of the task."""
    scored = [bound for bound in bounds if is_test(bound.metric)]
    if any(bound.of_control for bound in scored):
        raise Refusal("the goal says what may be lost and not what for: name what is to improve")
    return scored[0].metric if scored else _best(task)


def _best(task: str) -> str:
    usual = {"language": "test/bits_per_byte", "regression": "test/rmse", "multilabel": "test/f1"}
    return usual.get(task, "test/accuracy")


def _direction(metric: str, asked: str | None) -> Direction:
    if asked not in (None, "min", "max"):
        raise Refusal(f"objective.direction={asked} is neither min nor max")
    known = described(metric)
    if asked is None and known is None:
        raise Refusal(
            f"objective.metric={metric} is not a metric whose better direction is known: "
            f"add objective.direction=min|max, or choose one of {', '.join(METRICS)}"
        )
    if known is None or asked is not None:
        return "min" if asked == "min" else "max"
    return known.better


def _chosen(wishes: Sequence[Wish], task: str) -> Wish | None:
    """The one wish of a goal: two metrics, or two sizes of one, contradict."""
    told = [wish if wish.metric else wish._replace(metric=_best(task)) for wish in wishes]
    metrics = list(dict.fromkeys(str(wish.metric) for wish in told))
    if len(metrics) > 1:
        raise Refusal(
            f"the goal asks for two things at once, {metrics[0]} and {metrics[1]}: "
            "improve one and give the other a bound"
        )
    sizes = {wish.effect for wish in told if wish.effect}
    if len(sizes) > 1:
        raise Refusal(f"the goal says twice by how much {metrics[0]} is to improve: say it once")
    return max(told, key=lambda wish: wish.effect, default=None)


def _explicit(constraints: Iterable[str], names: Names) -> list[Constraint]:
    stated: list[Constraint] = []
    for line in constraints:
        parts = heard_in(line, names, typed=True)
        if len(parts.bounds) != 1 or parts.wishes or parts.named or parts.problems:
            why = _why(parts) or "it is not one bound"
            raise Refusal(
                f"The constraint '{line[:80]}' was not understood ({why}): "
                "write it as 'test/accuracy >= 0.9', 'under 50k parameters' or "
                "'test/accuracy >= control - 0.01'."
            )
        stated += parts.bounds
    return stated


def _agreed(bounds: Iterable[Constraint]) -> tuple[Constraint, ...]:
    """One bound per metric, side and kind, the tighter one; refused where no value can lie between them."""
    tight: dict[tuple[str, str, str | None], Constraint] = {}
    for bound in bounds:
        kept = tight.get((bound.metric, bound.op, bound.of_control))
        if kept is None or (bound.bound > kept.bound) == (bound.op == ">="):
            tight[bound.metric, bound.op, bound.of_control] = bound
    for (metric, op, kind), low in tight.items():
        high = tight.get((metric, "<=", kind))
        if op == ">=" and high and low.bound > high.bound:
            raise Refusal(
                f"no {metric} is at least {low.bound:g} and at most {high.bound:g}: drop one of the bounds"
            )
    return tuple(tight.values())


def _nearest(parts: HeardGoal, names: Names, fixed: tuple[str, ...]) -> str:
    """What was understood as a goal that is read, with what may stand for the rest; '' for nothing."""
    instead = list(dict.fromkeys(problem.instead for _, _, problem in parts.problems if problem.instead))[:2]
    wishes = list(dict.fromkeys(map(said_of, parts.wishes[:9])))
    kept = list(dict.fromkeys(map(said_of, parts.bounds[:9])))
    named = [f"on {option}" for group, option in dict.fromkeys(parts.named) if group == "data"][:1]
    named += [f"with {option}" for group, option in dict.fromkeys(parts.named) if group == "model"][:1]
    whole = [*instead, *kept, *wishes, *named]
    for pieces in (
        whole,
        [*kept, *wishes, *named],
        [*kept, *wishes[:1]],
        [*kept, "fewer joules"] if kept else [],
        kept,
        wishes[:1],
    ):
        line = ", ".join(pieces)
        if pieces and _is_read(line, names, fixed):
            return line
    return ""


def _is_read(line: str, names: Names, fixed: tuple[str, ...]) -> bool:
    try:
        parts = heard_in(line, names)
        if not parts.problems:
            _goal(line, names, parts, _Asked(fixed=fixed))
    except Refusal:
        return False
    return not parts.problems
