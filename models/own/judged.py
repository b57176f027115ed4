"""A loss and a metric of a person's own: functions of answers and targets, whole or by their names."""

import inspect
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any, Literal, final

import torch
from torch import Tensor, nn

from models.data.batches import sequential
from models.data.dataset import Split
from models.own.network import name_of, one_line
from models.training.evaluate import evaluating
from models.training.step import out_of_memory
from refusal import Refusal

Better = Literal["max", "min"]


@final
class OwnLoss:
    """`target(logits, targets)`, a scalar to minimise and a mean over the examples.

    A function, with `args` as further keywords, or a class that is made of them and called, such as
    torch.nn.CrossEntropyLoss. Of tokens it gets (N, C) and (N,), with -100 where nothing is asked.
    """

    def __init__(self, target: Callable[..., Any], args: Mapping[str, Any] | None = None) -> None:
        self.name, self._judge = name_of(target), _made("loss", target, args)

    def __call__(self, logits: Tensor, targets: Tensor) -> Tensor:
        """The loss of a batch. Raises `Refusal` for what is no number to minimise."""
        found = _asked(self.name, self._judge, logits, targets)
        if not isinstance(found, Tensor) or found.dim() or not found.is_floating_point():
            shown = tuple(found.shape) if isinstance(found, Tensor) else type(found).__name__
            raise Refusal(f"{self.name} answers {shown}: a loss is one number, a mean over the examples.")
        return found

    def metrics(self) -> dict[str, Callable[[Tensor, Tensor], Any]]:
        """What it is of a whole split, by the name of the figure."""
        return {"own_loss": self._judge}


@final
class OwnMetric:
    """`target(logits, targets)` of all examples of a split at once: a figure where more or less is better."""

    def __init__(
        self, target: Callable[..., Any], args: Mapping[str, Any] | None = None, better: Better = "max"
    ) -> None:
        """Raises `Refusal` for another direction than max and min."""
        if better not in ("max", "min"):
            raise Refusal(f"metric.better={better} is no direction: write max or min.")
        self.name, self._judge = name_of(target), _made("metric", target, args)
        self._key = "own_score" if better == "max" else "own_error"

    def metrics(self) -> dict[str, Callable[[Tensor, Tensor], Any]]:
        """What it is of a whole split, by the name of the figure."""
        return {self._key: self._judge}


def scores(net: nn.Module, split: Split, batch_size: int, judges: Sequence[Any]) -> dict[str, float]:
    """The figures of a person's loss and metric on a split, of all its examples together.

    `judges` are losses and metrics of any kind, of which ours have nothing to add.

    Raises:
        Refusal: what they answer is no number.
    """
    asked = {key: judge for one in judges for key, judge in getattr(one, "metrics", dict)().items()}
    if not asked:
        return {}
    with evaluating(net), torch.inference_mode():
        pairs = [(net(inputs), targets) for inputs, targets in sequential(split, batch_size)]
        logits, targets = (torch.cat(part) for part in zip(*pairs, strict=True))
        return {key: _number(key, _asked(key, judge, logits, targets)) for key, judge in asked.items()}


def _made(kind: str, target: Callable[..., Any], args: Mapping[str, Any] | None) -> Callable[..., Any]:
    if not callable(target):
        raise Refusal(f"{kind}.target names a function of yours, or a class.")
    given = dict(args or {})
    if not inspect.isclass(target):
        return partial(target, **given)
    make: Callable[..., Any] = target
    try:
        made: Callable[..., Any] = make(**given)
    except Exception as error:
        raise Refusal(
            f"{name_of(target)} cannot be made: {type(error).__name__}: {one_line(error)}."
        ) from error
    return made


def _asked(name: str, judge: Callable[..., Any], logits: Tensor, targets: Tensor) -> Any:
    if targets.dim() > 1 and not targets.is_floating_point() and targets.shape == logits.shape[:-1]:
        logits, targets = logits.flatten(0, -2), targets.flatten()
    try:
        return judge(logits, targets)
    except Exception as error:
        if isinstance(error, RuntimeError) and out_of_memory(error):
            raise
        shapes = f"logits {tuple(logits.shape)} and targets {tuple(targets.shape)}"
        raise Refusal(f"{name} cannot judge {shapes}: {type(error).__name__}: {one_line(error)}.") from error


def _number(name: str, found: Any) -> float:
    try:
        return float(found)
    except (TypeError, ValueError, RuntimeError) as error:
        raise Refusal(f"{name} answers {type(found).__name__}, no number: {one_line(error)}.") from error
