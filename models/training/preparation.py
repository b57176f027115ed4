"""What is measured before a training to settle how it runs: its precision, and the largest batch."""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, final

from torch import Tensor, nn
from torch.optim import Optimizer

from models.data.batches import sequential
from models.data.dataset import Dataset
from models.energy.figures import Reading
from models.energy.meter import Meter
from models.training.batch_finder import find
from models.training.objective import Objective
from models.training.precision import Choice, choose, taken_over
from models.training.settings import Settings


@final
@dataclass(frozen=True)
class Prepared:
    """Settings with nothing left open, and what it took to get there."""

    settings: Settings
    spent: dict[str, Any]
    """what choosing the precision took, as a clock's state: it is part of what the training costs"""
    metrics: dict[str, float] = field(default_factory=dict)
    facts: dict[str, Any] = field(default_factory=dict)


def prepare(
    net: nn.Module,
    objective: Objective,
    data: Dataset,
    optimizer: Callable[..., Optimizer],
    settings: Settings,
    meter: Meter,
    device: str,
    found: Path | None,
) -> Prepared:
    """Settle `settings` by `precision.choose` and `batch_finder.find`.

    A training that goes on from the checkpoint `found` keeps its precision. `data` and `net` are on the
    device, and the meter runs. Raises what those two raise.
    """
    facts: dict[str, Any] = {}
    metrics: dict[str, float] = {}
    before = meter.read(exact=True)
    if settings.precision == "auto":
        step = first_step(net, objective, data, -(-data.batch_size // settings.accumulate_grad_batches))
        choice = _choice(net, step, device, found)
        settings, facts = replace(settings, precision=choice.precision), choice.facts()
    spent = _difference(before, meter.read(exact=True))
    if settings.find_batch:
        largest = find(net, objective, data, optimizer, settings.precision, device, settings.memory_bytes)
        settings, facts = replace(settings, find_batch=False), facts | largest.facts()
        metrics["train/largest_batch"] = float(largest.batch)
    return Prepared(settings, spent, metrics, facts)


def first_step(net: nn.Module, objective: Objective, data: Dataset, size: int) -> Callable[[], Tensor]:
    """A forward pass of the first `size` training examples, which returns their loss."""
    inputs, targets = next(sequential(data.train, size))
    return lambda: objective(net, inputs, targets)


def _choice(net: nn.Module, step: Callable[[], Tensor], device: str, found: Path | None) -> Choice:
    kept = None if found is None else taken_over(found)
    return choose(net, step, device) if kept is None else kept


def _difference(before: Reading, after: Reading) -> dict[str, Any]:
    def used(name: str) -> float | None:
        first, last = getattr(before, name), getattr(after, name)
        return None if first is None or last is None else last - first

    names = ("seconds", "cpu_seconds", "joules", "standing_j", "codecarbon_j")
    return {name: used(name) for name in names} | {"sessions": 0}
