"""When training ends: by epochs, steps, seconds or joules, or when its validation keeps a target."""

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, final

from refusal import Refusal

CURVE_SCORES = {"val/accuracy": ">=", "val/loss": "<=", "val/bits_per_byte": "<="}
CURVE_SCORES |= {"val/rmse": "<=", "val/mae": "<=", "val/r2": ">="}
CURVE_SCORES |= {"val/own_score": ">=", "val/own_error": "<=", "val/own_loss": "<="}
"""what every point of a learning curve may have, and which side of a bound is the better one"""
_BOUND = re.compile(r"\s*(val/\w+)\s*(>=|<=)\s*([-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?)\s*")


@final
@dataclass(frozen=True)
class Target:
    """A bound on a score of the learning curve, as `val/accuracy >= 0.9`."""

    metric: str
    op: str
    bound: float

    def kept_by(self, row: Mapping[str, float]) -> bool:
        """Whether a point of the curve keeps it; one that lacks the score, or has no finite one, does not."""
        value = row.get(self.metric, math.nan)
        return value >= self.bound if self.op == ">=" else value <= self.bound

    def __str__(self) -> str:
        return f"{self.metric} {self.op} {self.bound:g}"


def target(given: Any) -> Target:
    """A bound in words; a bare number is of `val/accuracy`.

    Raises:
        Refusal: it is no bound on a score of the curve, or on the side that is worse.
    """
    if isinstance(given, int | float) and not isinstance(given, bool) and math.isfinite(given):
        return Target("val/accuracy", ">=", float(given))
    words = _BOUND.fullmatch(given) if isinstance(given, str) else None
    if words is None or words[1] not in CURVE_SCORES:
        raise Refusal(
            f"budget.target={given!a} is no bound on a score of the learning curve: write it as "
            f"'val/accuracy >= 0.9', with one of {', '.join(CURVE_SCORES)}, or null."
        )
    metric, op, bound = words.groups()
    if op != CURVE_SCORES[metric]:
        raise Refusal(
            f"budget.target={given!a} would end a training as it begins: "
            f"write {metric} {CURVE_SCORES[metric]} {bound}."
        )
    if not math.isfinite(float(bound)):
        raise Refusal(f"budget.target={given!a} has no finite bound: write it as '{metric} {op} 0.9'.")
    return Target(metric, op, float(bound))


@final
@dataclass(frozen=True)
class Budget:
    """Limits of one training; null lifts one, and at least one beside the target must stay.

    All of them count steps alone, so that how often a training is looked at changes nothing.

    Raises:
        Refusal: no limit is set, one is not larger than zero, or the target is no bound.
    """

    epochs: float | None = None
    """passes over the training split"""
    steps: int | None = None
    """optimizer steps"""
    seconds: float | None = None
    """wall time of the steps: validations, checkpoints and logging do not count, however often they come"""
    joules: float | None = None
    """energy of the steps by the trial's meter, without the standing draw"""
    target: float | str | None = None
    """a bound on a validation score: the first point of the curve that keeps it ends the training"""
    ceilings: Mapping[str, Any] | None = None
    """what a kind of machine takes: a config that exceeds it is refused before; training reads none of it"""

    def __post_init__(self) -> None:
        limits = {name: getattr(self, name) for name in ("epochs", "steps", "seconds", "joules")}
        if all(limit is None for limit in limits.values()):
            raise Refusal("training would never end: set one of budget.steps, epochs, seconds or joules.")
        for name, limit in limits.items():
            if limit is not None and not (isinstance(limit, int | float) and limit > 0):
                raise Refusal(f"budget.{name} must be a number above 0 or null, not {limit}.")
        if self.steps is not None and (isinstance(self.steps, bool) or not float(self.steps).is_integer()):
            raise Refusal(f"budget.steps must be a whole number above 0 or null, not {self.steps}.")
        self.bound  # noqa: B018  # what is no bound is refused before anything is trained

    @cached_property
    def bound(self) -> Target | None:
        """The target as a bound, None without one."""
        return None if self.target is None else target(self.target)

    def total_steps(self, batch_size: int, examples: int) -> int | None:
        """Optimizer steps that `steps` and `epochs` allow, at least 1; None when neither is set."""
        limits = [] if self.steps is None else [int(self.steps)]
        if self.epochs is not None:
            limits.append(max(1, round(self.epochs * examples / batch_size)))
        return min(limits) if limits else None

    def share(self, step: float, total: int | None, second: float, joule: float | None) -> float:
        """The largest share, in [0, 1], of what is limited that is spent; a target is no part of it."""
        share = step / total if total else 0.0
        if self.seconds is not None:
            share = max(share, second / self.seconds)
        if self.joules is not None and joule is not None:
            share = max(share, joule / self.joules)
        return min(share, 1.0)

    def spent(self, second: float, joule: float | None) -> bool:
        """Whether seconds or joules are used up; steps are counted by the trainer."""
        late = self.seconds is not None and second >= self.seconds
        return late or (self.joules is not None and joule is not None and joule >= self.joules)


@final
@dataclass(frozen=True)
class Given:
    """No training: the network is as its weights are, and only what a compression fine-tunes is trained.

    Raises:
        Refusal: a budget is no whole number, or too small.
    """

    calibration: int | None = None
    """training batches from which activations' ranges are taken; None is what each compression says"""
    finetune: int | None = None
    """optimizer steps of each fine-tuning; None is what each compression says, 0 does none"""
    ceilings: Mapping[str, Any] | None = None
    """as a training's"""

    def __post_init__(self) -> None:
        for name, least in (("calibration", 1), ("finetune", 0)):
            value = getattr(self, name)
            if value is not None and not (type(value) is int and value >= least):
                raise Refusal(f"budget.{name} must be a whole number from {least} on or null, not {value}.")
