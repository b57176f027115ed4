"""What Lightning's loop sees of training: calls of `training_step`, and who wants to be told of each step."""

from collections.abc import Iterable, Iterator
from itertools import count
from typing import final

from lightning.pytorch import Callback, Trainer

_STEP_HOOKS = (
    "on_before_zero_grad",
    "on_before_backward",
    "on_after_backward",
    "on_before_optimizer_step",
)
_BATCH_HOOKS = ("on_train_batch_start", "on_train_batch_end")


@final
class Calls:
    """An endless stream of numbers: batches are drawn inside the call, several of them."""

    def __iter__(self) -> Iterator[int]:
        return count()


def callbacks_of(trainer: Trainer) -> list[Callback]:
    """All callbacks of a trainer, which sets them without a word of it in its class."""
    return trainer.callbacks  # type: ignore[attr-defined, no-any-return]


def hooked(callbacks: Iterable[Callback]) -> bool:
    """Whether a callback wants to act inside of a step, so that each must go through Lightning."""
    return any(_overrides(callback, _STEP_HOOKS) for callback in callbacks)


def listens_to_batches(callbacks: Iterable[Callback]) -> bool:
    """Whether a callback wants to act after every step; one with `next_stop` says itself after which."""
    return any(_overrides(cb, _BATCH_HOOKS) and not hasattr(cb, "next_stop") for cb in callbacks)


def next_stop(callbacks: Iterable[Callback], step: int) -> int | None:
    """The first step after `step` at which a callback must be called; None if none says so."""
    asked = (callback.next_stop(step) for callback in callbacks if hasattr(callback, "next_stop"))
    return min((stop for stop in asked if stop is not None), default=None)


def _overrides(callback: Callback, hooks: tuple[str, ...]) -> bool:
    return any(getattr(type(callback), hook) is not getattr(Callback, hook) for hook in hooks)
