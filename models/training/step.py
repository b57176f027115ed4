"""One optimizer step, by the shortest path that is still right."""

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from functools import partial
from typing import Any, final

import torch
from lightning.pytorch import LightningModule
from torch import Tensor, nn
from torch.optim import Optimizer

from models.data.batches import Batches
from models.optim.gradients import WantsCurvature, clip, gradients_of, norm_of
from models.training.calls import callbacks_of, hooked
from models.training.microbatch import MicroBatches
from models.training.objective import Objective


@final
class Step:
    """Draws a batch, fills the gradients, clips them and moves the weights.

    Alone, without a gradient scaler and without callbacks that hook into it, a step is torch's own calls.
    Otherwise backward and step go through Lightning's strategy and precision plugin, all hooks included. An
    optimizer with `curvature_due()` and `curvature(*passes)` is first given ways to the logits of its pieces.
    """

    def __init__(
        self,
        module: LightningModule,
        net: nn.Module,
        objective: Objective,
        batches: Batches,
        micro: MicroBatches,
        largest_norm: float | None,
    ) -> None:
        trainer = module.trainer
        self._module, self._trainer = module, trainer
        self._strategy: Any = trainer.strategy  # with what only strategies of several devices have
        self._net, self._objective, self._batches, self._micro = net, objective, batches, micro
        self._largest_norm = largest_norm
        self._optimizer: Optimizer = trainer.optimizers[0]
        self._moved = [p for group in self._optimizer.param_groups for p in group["params"]]
        self._scaler = getattr(trainer.precision_plugin, "scaler", None)
        self._together = trainer.world_size > 1
        self._plugged = self._together or self._scaler is not None or hooked(callbacks_of(trainer))
        self._mixed = trainer.precision != "32-true"
        self._curved = self._optimizer if isinstance(self._optimizer, WantsCurvature) else None
        self._balanced = hasattr(net, "auxiliary_loss")
        self.norm = torch.zeros(())
        """of the latest step's gradients, before clipping"""

    @property
    def skips(self) -> bool:
        """Whether a step with a gradient that is not finite is left out."""
        return self._scaler is not None

    def __call__(self, step: int) -> Tensor:
        """Take step `step`; returns the mean loss of this device's share, detached."""
        inputs, targets = next(self._batches)
        if self._curved is not None and self._curved.curvature_due():
            self._fitting(step, len(inputs), partial(self._curvature, self._curved, inputs))
        loss = self._fitting(step, len(inputs), partial(self._gradients, inputs, targets))
        if self._plugged:
            self._step_by_plugin()
        else:
            self.measure()
            self._optimizer.step()
        return loss

    def measure(self) -> None:
        """Take the norm of all gradients together, and clip them if asked to."""
        gradients = gradients_of(self._moved)
        self.norm = norm_of(gradients)
        if self._largest_norm is not None:
            clip(gradients, self.norm, self._largest_norm)

    def _fitting(self, step: int, batch: int, work: Callable[[], Any]) -> Any:
        """What `work` gives for a batch, which it takes in smaller pieces each time that memory runs out."""
        while True:
            try:
                return work()
            except RuntimeError as error:
                self._micro.refine(error, step, batch)
                getattr(self._net, "forget", _nothing)()
            # Outside of the handler, whose traceback would keep the failed step's tensors.
            self._clear()
            torch.cuda.empty_cache()

    def _clear(self) -> None:
        if self._plugged:
            for callback in callbacks_of(self._trainer):
                callback.on_before_zero_grad(self._trainer, self._module, self._optimizer)
        for parameter in self._moved:
            parameter.grad = None

    def _curvature(self, curved: WantsCurvature, inputs: Tensor) -> None:
        pieces = inputs.tensor_split(self._micro.pieces * self._micro.world)
        curved.curvature(*(partial(self._logits, piece) for piece in pieces))

    def _gradients(self, inputs: Tensor, targets: Tensor) -> Tensor:
        """Fill the gradients; returns the mean loss of this device's share, detached."""
        self._clear()
        if self._micro.whole:
            loss = self._forward(inputs, targets)
            self._backward(loss)
            return loss.detach()
        total = torch.zeros((), device=inputs.device)
        pieces = self._micro.cut(inputs, targets, every=self._balanced)
        with self._pooled([partial(self._logits, piece) for piece, _, _ in pieces]):
            for index, (piece, answers, weight) in enumerate(pieces, 1):
                waits = self._together and index < len(pieces)
                with self._strategy.block_backward_sync() if waits else nullcontext():
                    share = len(piece) * self._micro.world / len(inputs)
                    loss = self._forward(piece, answers, weight, share)
                    self._backward(loss)
                total += loss.detach()
        return total

    def _pooled(self, passes: list[Callable[[], Tensor]]) -> AbstractContextManager[None]:
        """What a network that balances over a batch wants around the passes of its pieces."""
        pooled = getattr(self._net, "pooled", None)
        return nullcontext() if pooled is None else pooled(passes)

    def _forward(self, *given: Any) -> Tensor:
        if not self._mixed:
            return self._objective(self._net, *given)
        with self._trainer.precision_plugin.forward_context():
            return self._objective(self._net, *given)

    def _logits(self, inputs: Tensor) -> Tensor:
        with self._trainer.precision_plugin.forward_context() if self._mixed else nullcontext():
            return self._net(inputs)

    def _backward(self, loss: Tensor) -> None:
        if self._plugged:
            self._module.manual_backward(loss)
        else:
            loss.backward()

    def _step_by_plugin(self) -> None:
        # The plugin leaves unscaling to fused optimizers, which do it too late for the norm and for clipping.
        if self._scaler is not None and getattr(self._optimizer, "_step_supports_amp_scaling", False):
            self._scaler.unscale_(self._optimizer)
        # It calls `on_before_optimizer_step`, in which the module measures and clips.
        self._strategy.optimizer_step(self._optimizer, _nothing)


def _nothing() -> None:
    """The closure of an optimizer whose gradients are there already."""
