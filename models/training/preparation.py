"""What a training is made of, its mode, and what is measured before: its precision, the largest batch."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, final

from lightning.pytorch import Callback
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.optim import Optimizer

from models.data.batches import sequential
from models.data.dataset import Dataset
from models.energy.figures import Reading
from models.energy.meter import Meter
from models.training.batch_finder import find
from models.training.budget import Budget
from models.training.evaluate import Scores
from models.training.objective import Loss, TrainingObjective, objective
from models.training.precision import Choice, choose, taken_over
from models.training.settings import Settings


@final
@dataclass(frozen=True)
class Parts:
    """What a training is made of. `settings` may leave open what is measured first."""

    net: nn.Module
    data: Dataset
    loss: Loss | TrainingObjective
    optimizer: Callable[..., Optimizer]
    scheduler: Callable[[float], float]
    settings: Settings
    budget: Budget
    callbacks: Mapping[str, Callback]
    meter: Meter
    seed: int
    folder: Path
    signature: str | None = None
    """of the trial: a checkpoint in the folder that has another one, or none, is not this trial's"""
    beside: Scores | None = None
    """what a person's own loss and metric say of a network, beside the scores of the curve"""

    @property
    def objective(self) -> TrainingObjective:
        """What is minimised."""
        return objective(self.loss)

    @property
    def piece(self) -> int:
        """Examples of the largest piece of a batch, on one device."""
        return -(-self.data.batch_size // self.settings.accumulate_grad_batches)


@final
@dataclass(frozen=True)
class Prepared:
    """Settings with nothing left open, and what it took to get there."""

    settings: Settings
    spent: dict[str, Any]
    """what choosing the precision took, as a clock's state: it is part of what the training costs"""
    metrics: dict[str, float] = field(default_factory=dict)
    facts: dict[str, Any] = field(default_factory=dict)


def prepare(parts: Parts, device: str, found: Path | None) -> Prepared:
    """Settle the settings of `parts` by `precision.choose` and `batch_finder.find`.

    A training that goes on from the checkpoint `found` keeps its precision. Data and network are on the
    device, and the meter runs. Raises what those two raise.
    """
    net, data, settings, meter = parts.net, parts.data, parts.settings, parts.meter
    facts: dict[str, Any] = {}
    metrics: dict[str, float] = {}
    before = meter.read(exact=True)
    if settings.precision == "auto":
        step = first_step(net, parts.objective, data, parts.piece)
        choice = _choice(net, step, device, found)
        settings, facts = replace(settings, precision=choice.precision), choice.facts()
    after = meter.read(exact=True)
    names = ("seconds", "cpu_seconds", "joules", "standing_j", "codecarbon_j")
    spent = {name: used(before, after, name) for name in names} | {"sessions": 0}
    if settings.find_batch:
        how = parts.optimizer, settings.precision, device, settings.memory_bytes
        largest = find(net, parts.objective, data, *how)
        settings, facts = replace(settings, find_batch=False), facts | largest.facts()
        metrics["train/largest_batch"] = float(largest.batch)
    return Prepared(settings, spent, metrics, facts)


def training(net: nn.Module) -> nn.Module:
    """In training mode, but for batch normalisations whose parameters are held, statistics and all."""
    for module in net.train().modules():
        own = list(module.parameters(recurse=False))
        if isinstance(module, _BatchNorm) and own and not any(weight.requires_grad for weight in own):
            module.eval()
    return net


def first_step(
    net: nn.Module, objective: TrainingObjective, data: Dataset, size: int
) -> Callable[[], Tensor]:
    """A forward pass of the first `size` training examples, which returns their loss."""
    inputs, targets = next(sequential(data.train, size))
    return lambda: objective(net, inputs, targets)


def _choice(net: nn.Module, step: Callable[[], Tensor], device: str, found: Path | None) -> Choice:
    kept = None if found is None else taken_over(found)
    return choose(net, step, device) if kept is None else kept


def used(before: Reading, after: Reading, name: str) -> float | None:
    """How much of a figure was used between two readings; None where one has none."""
    first, last = getattr(before, name), getattr(after, name)
    return None if first is None or last is None else last - first
