"""One optimizer step, by the shortest path that is right: in pieces, with callbacks that take part."""

from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, nullcontext
from functools import partial
from itertools import count
from typing import Any, final

import torch
from lightning.pytorch import Callback, LightningModule, Trainer
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.optim import Optimizer

from models.data.batches import Batches
from models.optim.gradients import WantsCurvature, clip, gradients_of, norm_of
from models.training.objective import TrainingObjective, scored
from refusal import Refusal

Piece = tuple[Tensor, Tensor, float]
"""inputs, targets, and the piece's weight in the batch's mean loss"""


@final
class MicroBatches:
    """Cuts each batch so that the weighted losses of its pieces sum to the loss of the whole.

    `pieces` is what every device cuts its share into. Weights are shares of the scored positions, so unequal
    pieces and unscored targets leave the gradient that of the large batch, to float tolerance, for what is a
    mean over positions. Dropout draws as many numbers, but others. What has statistics over a batch (batch
    normalisation, which no network of the lab has, and the similarities of distillation) gets another
    gradient. `sparse` says that the data has unscored targets; they are counted on the host, which waits for
    the device.
    """

    def __init__(self, pieces: int, *, sparse: bool, rank: int = 0, world: int = 1) -> None:
        self.pieces, self.rank, self.world = pieces, rank, world
        self._sparse = sparse
        self.events: list[dict[str, Any]] = []
        """one entry for each time that memory ran out"""

    @property
    def whole(self) -> bool:
        """Whether a batch goes through as it is."""
        return self.pieces * self.world == 1

    def cut(self, inputs: Tensor, targets: Tensor, *, every: bool = False) -> list[Piece]:
        """The own pieces of a batch that all devices have; weights sum to `world` over all devices.

        A piece without scored positions is left out, unless `every` is wanted: its weight is 0 then.
        """
        count = self.pieces * self.world
        pieces = list(zip(inputs.tensor_split(count), targets.tensor_split(count), strict=True))
        sizes = [int(scored(answers)) if self._sparse else len(answers) for _, answers in pieces]
        scale = self.world / sum(sizes)
        mine = range(self.rank * self.pieces, (self.rank + 1) * self.pieces)
        # A mean over no position is not a number, so such a piece is left out.
        kept = [(*pieces[index], sizes[index] * scale) for index in mine if sizes[index] or every]
        # Every device has to take part in the sum of gradients, if with nothing.
        return kept or [(*pieces[sizes.index(max(sizes))], 0.0)]

    def notes(self, net: nn.Module) -> list[str]:
        """What must be said of a training of `net` in these pieces."""
        if self.whole or not any(isinstance(module, _BatchNorm) for module in net.modules()):
            return []
        pieces = self.pieces * self.world
        return [f"batch normalisation saw {pieces} pieces of each batch: its result is not the batch's"]

    def refine(self, error: RuntimeError, step: int, batch: int) -> None:
        """Double the pieces after `error` at `step` with a batch of `batch` examples.

        Raises:
            RuntimeError: `error` itself, when it is not about memory.
            Refusal: one example does not fit, or other devices are in the middle of the same step.
        """
        if not out_of_memory(error):
            raise error
        if self.world > 1:
            raise Refusal(
                f"one of {self.world} devices ran out of memory at step {step}: "
                f"set trainer.accumulate_grad_batches={2 * self.pieces}."
            ) from error
        if 2 * self.pieces > batch:
            raise Refusal("one example does not fit into memory: choose a smaller model.") from error
        self.pieces *= 2
        event = {"step": step, "accumulate": self.pieces, "micro_batch": -(-batch // self.pieces)}
        self.events.append(event)


def out_of_memory(error: RuntimeError) -> bool:
    """Whether a device or the CPU's allocator had no memory left."""
    text = str(error)
    cpu = "DefaultCPUAllocator" in text and "allocate memory" in text
    return isinstance(error, torch.OutOfMemoryError) or cpu or "CUBLAS_STATUS_ALLOC_FAILED" in text


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
    return trainer.callbacks  # type: ignore[attr-defined]


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
        objective: TrainingObjective,
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
        if self._curved is not None and batches.split.targets.dtype == torch.bool:
            raise Refusal(
                "optimizer=sophia draws one class of each example, and these may have several: set another."
            )
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
