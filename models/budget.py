"""When training ends: by epochs, steps, seconds or joules, whichever is spent first."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, final

from refusal import Refusal


@final
@dataclass(frozen=True)
class Budget:
    """Limits of one training; null lifts one, and at least one must stay.

    All of them count steps alone, so that how often a training is looked at changes nothing.

    Raises:
        Refusal: no limit is set, or one is not larger than zero.
    """

    epochs: float | None = None
    """passes over the training split"""
    steps: int | None = None
    """optimizer steps"""
    seconds: float | None = None
    """wall time of the steps: validations, checkpoints and logging do not count, however often they come"""
    joules: float | None = None
    """energy of the steps by the trial's meter, without the standing draw"""
    target: float | None = None
    """val/accuracy whose first reaching is `train/steps_to_target`; it ends nothing"""
    ceilings: Mapping[str, Any] | None = None
    """what a kind of machine takes: a config that exceeds it is refused before; training reads none of it"""

    def __post_init__(self) -> None:
        limits = {name: getattr(self, name) for name in ("epochs", "steps", "seconds", "joules")}
        if all(limit is None for limit in limits.values()):
            raise Refusal("training would never end: set one of budget.steps, epochs, seconds or joules.")
        for name, limit in limits.items():
            if limit is not None and not (isinstance(limit, int | float) and limit > 0):
                raise Refusal(f"budget.{name} must be a number above 0 or null, not {limit}.")

    def total_steps(self, batch_size: int, examples: int) -> int | None:
        """Optimizer steps that `steps` and `epochs` allow, at least 1; None when neither is set."""
        limits = [] if self.steps is None else [int(self.steps)]
        if self.epochs is not None:
            limits.append(max(1, round(self.epochs * examples / batch_size)))
        return min(limits) if limits else None

    def share(self, step: float, total: int | None, second: float, joule: float | None) -> float:
        """The largest share, in [0, 1], of what is limited that is spent."""
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
