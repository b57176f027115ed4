"""A goal in words becomes an objective: metric, direction, constraints, and the data and network it names.

Rules read the text, no language model does: the same words always give the same objective. Numbers and names
must all be understood, because a condition that is lost is a wrong answer; other words may be left over and
are shown.
"""

import re
from collections.abc import Iterable
from pathlib import Path

from refusal import Refusal
from research.goal.names import find_names, task_of
from research.goal.wishes import Wish, find_relative, find_wishes
from research.goal.wording import find_bounds
from research.metrics import METRICS, described, elsewhere, is_test, refuse_unclaimed, words
from research.types import Constraint, Direction, Objective, Record

LONGEST = 1000
EXAMPLES = (
    "'90 % accuracy for fewer joules', 'smallest model above 95 % on mnist1d', "
    "'a CNN for digits with >= 0.97 accuracy under 50k parameters'"
)
# Words that carry no condition: they may be left over without a mention.
_ORDINARY = frozenset(
    re.findall(
        r"\w+",
        """
        a an the and or but with for of on in to at by as is be it its that this which while when
        from into using use uses please find search create design build make train get give me us i
        we want need would like best good possible model models network networks net neural
        architecture classifier classification classify task problem data dataset set training
        inference learning deep machine method approach solution single new some any than then so
        keep still level prediction modelling modeling images image test result results one my our
        your can could should have has all there per score achieve reach hit go stay staying having
        keeping
        """,
    )
)


class Goal(Record):
    """What a goal asks for, as far as its words say it."""

    text: str
    objective: Objective
    smallest_effect: float = 0.0
    """least share by which the objective must improve to count, for example 0.2 for `20 % fewer joules`"""
    overrides: tuple[str, ...] = ()
    """what the words fix for every trial, for example `data=cifar10`, `model=cnn`"""
    unused: tuple[str, ...] = ()
    """words that were not needed; shown, so that nothing is dropped unseen"""


def read(
    text: str,
    conf: Path,
    *,
    metric: str | None = None,
    direction: str | None = None,
    constraints: Iterable[str] | None = None,
    fixed: Iterable[str] = (),
) -> Goal:
    """Read a goal; explicit metric, direction and constraints win over its words.

    Args:
        text: the goal as a person wrote it.
        conf: the configuration folder, whose `data` and `model` options are the names that may be used.
        metric: key of the metric to improve.
        direction: `min` or `max`.
        constraints: bounds in the same words as in a goal: `test/accuracy >= 0.9`, `under 50k parameters`.
        fixed: overrides that the person fixed, which win over what the words name.

    Raises:
        Refusal: the text is empty, not understood, or contradicts itself.
    """
    _check_length(text, empty_is_fine=metric is not None)
    fixed = tuple(fixed)
    names, rest = find_names(text, conf, fixed)
    sized, rest = find_relative(rest)
    bounds, rest = find_bounds(rest)
    wishes, rest = find_wishes(rest)
    unused = _left_over(rest)
    wanted = _explicit(constraints) if constraints is not None else bounds
    wish = _chosen(sized + wishes) if metric is None else None
    if not (wish or wanted or names or metric):
        raise Refusal(f"The goal '{text.strip()}' was not understood: say for example {EXAMPLES}.")
    task = task_of(conf, (*names, *fixed))
    key = metric or (wish.metric if wish else _usual_metric(wanted, task))
    for asked in (key, *(bound.metric for bound in wanted)):
        refuse_unclaimed(asked)
    _check_measured([key, *(bound.metric for bound in wanted)], task)
    objective = Objective(metric=key, direction=_direction(key, direction, wish), constraints=_agreed(wanted))
    effect = wish.effect if wish else 0.0
    return Goal(
        text=text.strip(), objective=objective, smallest_effect=effect, overrides=names, unused=unused
    )


def _check_length(text: str, empty_is_fine: bool) -> None:
    if not text.strip() and not empty_is_fine:
        raise Refusal(f"The goal is empty: say for example {EXAMPLES}.")
    if len(text) > LONGEST:
        raise Refusal(
            f"The goal has {len(text)} characters: say it in at most {LONGEST}, for example {EXAMPLES}."
        )


def _check_measured(metrics: Iterable[str], task: str) -> None:
    for metric in metrics:
        only = elsewhere(metric, task)
        if only:
            raise Refusal(
                f"The goal asks for {words(metric)} ({metric}), which is measured for {only}, and the task "
                f"of the data is {task}: name other data, or ask for accuracy or loss."
            )


def _usual_metric(bounds: list[Constraint], task: str) -> str:
    """What is improved when no wish is said: the score that is bounded, else the usual score of the task."""
    scored = [bound.metric for bound in bounds if is_test(bound.metric)]
    usual = {"language": "test/bits_per_byte", "regression": "test/rmse"}
    return scored[0] if scored else usual.get(task, "test/accuracy")


def _direction(metric: str, asked: str | None, wish: Wish | None) -> Direction:
    if asked not in (None, "min", "max"):
        raise Refusal(f"objective.direction={asked} is neither min nor max.")
    known = described(metric)
    if asked is None and known is None:
        raise Refusal(
            f"objective.metric={metric} is not a metric whose better direction is known: "
            f"add objective.direction=min|max, or choose one of {', '.join(METRICS)}."
        )
    if known is None or asked is not None:
        return "min" if asked == "min" else "max"
    return wish.direction if wish else known.better


def _chosen(wishes: list[Wish]) -> Wish | None:
    """The wish that is said most strongly; two equally strong ones for different metrics contradict."""
    strong = [wish for wish in wishes if wish.strength == 2]
    metrics = list(dict.fromkeys(wish.metric for wish in strong))
    if len(metrics) > 1:
        raise Refusal(
            f"The goal asks for two things at once, {metrics[0]} and {metrics[1]}: "
            "improve one and give the other a bound, for example '90 % accuracy for fewer joules'."
        )
    if strong:
        return max(strong, key=lambda wish: wish.effect)
    return max(wishes, key=lambda wish: wish.strength, default=None)


def _explicit(constraints: Iterable[str]) -> list[Constraint]:
    stated: list[Constraint] = []
    for line in constraints:
        bounds, rest = find_bounds(str(line))
        if len(bounds) != 1 or re.search(r"\w", rest):
            raise Refusal(
                f"The constraint '{line}' was not understood: "
                "write it as 'test/accuracy >= 0.9' or 'under 50k parameters'."
            )
        stated += bounds
    return stated


def _agreed(bounds: list[Constraint]) -> tuple[Constraint, ...]:
    """One bound per metric and side, the tighter one; refused where no value can lie between them."""
    tight: dict[tuple[str, str], Constraint] = {}
    for bound in bounds:
        kept = tight.get((bound.metric, bound.op))
        if kept is None or (bound.bound > kept.bound) == (bound.op == ">="):
            tight[bound.metric, bound.op] = bound
    for (metric, op), low in tight.items():
        high = tight.get((metric, "<="))
        if op == ">=" and high and low.bound > high.bound:
            raise Refusal(
                f"No {metric} is at least {low.bound:g} and at most {high.bound:g}: drop one of the bounds."
            )
    return tuple(tight.values())


def _left_over(rest: str) -> tuple[str, ...]:
    """Words that no rule used; refused where one of them is a number, a name, or what the model is for."""
    first = re.search(r"\w", rest)
    unused: list[str] = []
    for match in re.finditer(r"[^\W_][\w'./-]*", rest):
        word = match[0].rstrip(".'/-")
        if word.lower() in _ORDINARY:
            continue
        named = re.search(r"[A-Z]", word if not first or match.start() != first.start() else word[1:])
        about = re.search(
            r"(?:\bon|\bfor|\busing)\s+(?:an?\s+|the\s+)?$", rest[: match.start()], re.IGNORECASE
        )
        if named or about or re.search(r"\d", word):
            raise Refusal(
                f"'{word}' in the goal was not understood: it is neither a data set, a network, nor a "
                f"bound on a metric; say for example {EXAMPLES}."
            )
        unused.append(word)
    return tuple(unused)
