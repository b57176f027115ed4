"""Gradual magnitude pruning: sparsity rises during the training, so that the network can adapt.

Source: Zhu and Gupta (2017), arXiv 1710.01878, equation 1, over shares of the training in place of steps.
"""

from collections.abc import Mapping, Sequence
from typing import Any, final

import numpy as np
import torch
from lightning.pytorch import Callback, Trainer
from torch import Tensor, nn

from models.compress.compression import Compression
from models.compress.context import Context
from models.compress.magnitude import magnitude_masks, sparsity_facts
from models.compress.masks import SCOPES, after_each_step, apply, mark, one_of, prunable, share
from models.training.lit import Lit
from refusal import Refusal


def cubic_sparsity(progress: float, final_sparsity: float, begin: float, end: float) -> float:
    """Sparsity at share `progress` of the training: 0 up to `begin`, then steep, then flat up to `end`."""
    passed = min(max((progress - begin) / (end - begin), 0.0), 1.0)
    return final_sparsity * (1.0 - (1.0 - passed) ** 3)


@final
class Gradual(Compression):
    """Prunes at `updates` points between the shares `begin` and `end` of the training.

    Raises:
        Refusal: a knob is out of range, or the network has nothing to prune.
    """

    def __init__(
        self,
        sparsity: float = 0.9,
        scope: str = "layer",
        begin: float = 0.1,
        end: float = 0.7,
        updates: int = 30,
        skip: Sequence[str] = (),
    ) -> None:
        super().__init__()
        self.sparsity, self.scope = share("sparsity", sparsity), one_of("scope", scope, SCOPES)
        if not 0 <= begin < end <= 1:
            raise Refusal(f"compress: begin {begin} and end {end} must be shares with begin below end.")
        if updates < 1:
            raise Refusal(f"compress: updates {updates} is too few: set it to 1 or more.")
        self.begin, self.end, self.updates, self.skip = begin, end, updates, tuple(skip)

    def check(self, net: nn.Module, context: Context) -> None:
        """Refuse a network with nothing to prune."""
        prunable(net, self.skip)

    def callbacks(self) -> dict[str, Callback]:
        """What prunes during the training."""
        return {"gradual": Pruner(self)}

    def after(self, net: nn.Module, context: Context) -> nn.Module:
        """The network at exactly the sparsity that was asked for; a budget in time may end short of it."""
        weights = prunable(net, self.skip)
        masks = magnitude_masks(weights, self.sparsity, self.scope)
        apply(weights, masks)
        mark(net, masks)
        self.facts |= sparsity_facts(weights)
        return net


@final
class Pruner(Callback):
    """Raises the sparsity at its points and keeps the masks in force between them.

    Masks are part of each checkpoint, so a resumed training ends as an uninterrupted one.
    """

    def __init__(self, plan: Gradual) -> None:
        self._plan = plan
        self._total: int | None = None
        self._done = -1
        self._weights: dict[str, nn.Parameter] = {}
        self._masks: dict[str, Tensor] = {}
        self._saved: Mapping[str, Any] = {}

    def next_stop(self, step: int) -> int | None:
        """The first step after `step` at which the sparsity rises, where steps limit the training."""
        if self._total is None:
            return None
        stops = self._steps(self._total)
        return next((stop for stop in stops if stop > step), None)

    def on_train_start(self, trainer: Trainer, pl_module: Any) -> None:
        """Find the weights, put back a checkpoint's masks, and hook into the optimizer."""
        lit: Lit = pl_module
        self._total = None if lit.timed else lit.total
        self._weights = prunable(lit.net, self._plan.skip)
        packed = self._saved.get("masks", {})
        self._masks = {name: _unpacked(bits, self._weights[name]) for name, bits in packed.items()}
        after_each_step(trainer.optimizers[0], self._weights, lambda: self._masks)

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: Any, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Prune further where a point has been reached."""
        reached = self._reached(trainer.global_step, pl_module)
        if reached <= self._done:
            return
        self._done = reached
        plan, length = self._plan, self._plan.end - self._plan.begin
        progress = plan.begin + length * reached / plan.updates
        sparsity = cubic_sparsity(progress, plan.sparsity, plan.begin, plan.end)
        self._masks = magnitude_masks(self._weights, sparsity, plan.scope)
        apply(self._weights, self._masks)

    def state_dict(self) -> dict[str, Any]:
        """Points passed, and masks of one bit a weight."""
        return {"done": self._done, "masks": {name: _packed(mask) for name, mask in self._masks.items()}}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Go on between the points that the checkpoint was taken between."""
        self._saved, self._done = state_dict, state_dict["done"]

    def _steps(self, total: int) -> list[int]:
        """Of all points in a training of `total` steps."""
        plan, length = self._plan, self._plan.end - self._plan.begin
        return [
            round(total * (plan.begin + length * point / plan.updates)) for point in range(plan.updates + 1)
        ]

    def _reached(self, step: int, module: Lit) -> int:
        """The last point that is over; -1 before the first."""
        if self._total is not None:
            return sum(stop <= step for stop in self._steps(self._total)) - 1
        plan = self._plan
        progress = module.budget.share(step, module.total, module.now.second, module.now.joule)
        passed = (progress - plan.begin) / (plan.end - plan.begin)
        return -1 if passed < 0 else min(int(passed * plan.updates), plan.updates)


def _packed(mask: Tensor) -> Tensor:
    return torch.from_numpy(np.packbits(mask.cpu().numpy().reshape(-1)))


def _unpacked(bits: Tensor, weight: Tensor) -> Tensor:
    flat = np.unpackbits(bits.numpy(), count=weight.numel()).astype(bool)
    return torch.from_numpy(flat).view(weight.shape).to(weight.device)
