"""A LightningModule with a training step of its own, run by Lightning as it is and measured as others are.

What Lightning's own loop does between two batches is the harness's, as validations and the curve are; the
step, its gradient and the optimizer are the training's. It cannot be resumed, for nobody knows what it keeps.
"""

import warnings
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from types import SimpleNamespace
from typing import Any, final

from lightning.fabric.utilities.warnings import PossibleUserWarning
from lightning.pytorch import Callback, LightningModule, Trainer
from lightning.pytorch.loggers import Logger
from torch import Tensor, nn
from torch.optim import Optimizer

from models.data.batches import Batches
from models.nets.shapes import has_flat_columns
from models.optim.averaging import averaged, settle
from models.optim.gradients import WantsCurvature, gradients_of, norm_of
from models.optim.groups import optimizer_for
from models.training.clock import Clock, Now
from models.training.devices import Group
from models.training.evaluate import evaluate
from models.training.fitted import Fitted, metrics_of
from models.training.memory import PeakMemory
from models.training.preparation import Parts, training
from models.training.record import TrainingRecord
from models.training.settings import build, quiet
from refusal import Refusal

NOTE = (
    "the network's own training_step was run as it is: loss, checkpoints and callbacks of the lab had no "
    "part in it, a killed training begins anew, and train/loss of the curve is of its own loss"
)
_POINTS = 10
_SILENT = ("checkpoint", "divergence", "progress", "halving")
"""callbacks of the lab's that may be left out"""
_MASKS = "masks"
"""the one that has its part, of a compression: what was pruned stays so while the rest is fine-tuned"""


def steps_itself(net: nn.Module) -> bool:
    """Whether a network is a LightningModule that says what a step of its training is."""
    return isinstance(net, LightningModule) and type(net).training_step is not LightningModule.training_step


def fit_as_it_is(parts: Parts, loggers: Sequence[Logger]) -> Fitted:
    """Train `parts.net` by its own `training_step((inputs, targets), index)` until the budget is spent.

    The inputs are as its forward pass has them: columns as (B, F); of mixed examples the targets are shares
    of the classes, (B, C). Its `configure_optimizers` counts; without one it has the trial's optimizer and
    schedule. Its forward pass answers as every network's, by which it is validated.

    Raises:
        Diverged: its loss or its gradient is not finite.
        Refusal: settings that only the lab's own step has.
    """
    _check(parts)
    settings, meter, net = parts.settings, parts.meter, parts.net
    assert isinstance(net, LightningModule)
    device = settings.device()
    data = parts.data.to(device)
    training(net.to(device))
    first = not meter.started
    if first:
        meter.start(device)
    peak = PeakMemory(device)
    peak.start(trimmed=first)
    total = parts.budget.total_steps(data.batch_size, len(data.train))
    borrows = type(net).configure_optimizers is LightningModule.configure_optimizers
    if borrows:
        vars(net)["configure_optimizers"] = lambda: _lent(parts, net)
    watch = _Watch(parts, Clock(meter, Group()), total, sets_rates=borrows)
    stream = Batches(data.train, data.batch_size, parts.seed, augment=data.changes(parts.seed))
    batches = _Epochs(stream, len(data.train) // data.batch_size, has_flat_columns(net))
    callbacks = [watch, *(one for name, one in parts.callbacks.items() if name == _MASKS)]
    trainer = build(settings, total=total, callbacks=callbacks, loggers=loggers, folder=parts.folder)
    with quiet(), warnings.catch_warnings():
        # What Lightning advises on loaders and logging is the person's to weigh, not an error of a trial.
        warnings.simplefilter("ignore", PossibleUserWarning)
        trainer.fit(net, train_dataloaders=batches)
    steps, optimizers = int(trainer.global_step), trainer.optimizers
    # What it holds of its trainer would go with every copy of the network.
    net._trainer = None
    vars(net).pop("configure_optimizers", None)
    held = {"train/peak_bytes": float(peak.read())}
    told: Any = SimpleNamespace(
        clock=watch.clock, batches=batches, record=watch.record, budget=parts.budget, trainer=trainer
    )
    assert optimizers, "Lightning trains nothing without an optimizer"
    metrics = metrics_of(told, steps) | held
    energy = watch.clock.energy()
    facts: dict[str, Any] = {"energy": energy.facts(), "energy_method": energy.label}
    facts |= {"energy_basis": energy.basis}
    facts |= {"disturbed": watch.clock.disturbed(), "precision": settings.precision, "sessions": 1}
    facts |= {"peak_method": peak.method, "notes": [NOTE]}
    net.to(device)
    return Fitted(net, steps, metrics["train/seconds"], energy, watch.record.curve, metrics, facts, settings)


def _check(parts: Parts) -> None:
    settings = parts.settings
    whose = f"{type(parts.net).__name__} has a training_step of its own"
    if settings.devices > 1 or settings.precision == "auto" or settings.find_batch or settings.recompute:
        raise Refusal(
            f"{whose}: set trainer.devices=1, trainer.find_batch=false, trainer.recompute=null and a "
            "trainer.precision by its name."
        )
    if settings.accumulate_grad_batches > 1 or settings.gradient_clip_val is not None:
        raise Refusal(f"{whose}, which cuts no batch and clips no gradient: leave both to the step itself.")
    if others := [name for name in parts.callbacks if name not in (*_SILENT, _MASKS)]:
        raise Refusal(f"{whose}, in which {', '.join(others)} can have no part: leave it out.")
    if not parts.objective.plain:
        raise Refusal(f"{whose}, in which a distillation can have no part: leave it out of compress.")


def _lent(parts: Parts, net: nn.Module) -> Optimizer:
    optimizer = optimizer_for(parts.optimizer, net)
    if isinstance(optimizer, WantsCurvature):
        raise Refusal(
            f"{type(net).__name__} has a training_step of its own, in which nobody takes the curvature that "
            f"{type(optimizer).__name__} wants: choose another optimizer."
        )
    return optimizer


@final
class _Epochs:
    """Batches of one endless stream in epochs of `count`, for what a module does by epochs."""

    def __init__(self, batches: Batches, count: int, columns: bool) -> None:
        self._batches, self._count, self.batch_size = batches, max(1, count), batches.batch_size
        self._columns = columns

    def __len__(self) -> int:
        return self._count

    def __iter__(self) -> Iterator[tuple[Tensor, Tensor]]:
        for _ in range(self._count):
            inputs, targets = next(self._batches)
            yield inputs.flatten(1) if self._columns else inputs, targets


@final
class _Watch(Callback):
    """The clock runs from a batch's start to its end; between them the curve is taken and the budget kept."""

    def __init__(self, parts: Parts, clock: Clock, total: int | None, *, sets_rates: bool) -> None:
        self.clock, self.record = clock, TrainingRecord()
        self._parts, self._total, self._points = parts, total, 0
        self._norm, self._now, self._sets_rates = 0.0, Now(0.0), sets_rates

    def on_train_start(self, trainer: Trainer, pl_module: Any) -> None:
        """The harness has begun."""
        self.clock.start(needs_joules=self._parts.budget.joules is not None)

    def on_train_batch_start(self, trainer: Trainer, pl_module: Any, batch: Any, batch_idx: int) -> None:
        """A step follows, with the rate of its middle where the optimizer is the trial's."""
        self.clock.resume()
        if self._sets_rates:
            share = self._share(trainer.global_step + 0.5)
            for group in trainer.optimizers[0].param_groups:
                group["lr"] = group["initial_lr"] * self._parts.scheduler(share)

    def on_before_optimizer_step(self, trainer: Trainer, pl_module: Any, optimizer: Optimizer) -> None:
        """Gradients are complete."""
        gradients = gradients_of(pl_module.parameters())
        self._norm = float(norm_of(gradients)) if gradients else 0.0

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: Any, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """The step is over: keep its loss, add to the curve where a point is due, and look at the budget."""
        self.clock.pause()
        loss = outputs.get("loss") if isinstance(outputs, dict) else outputs
        if isinstance(loss, Tensor):
            step = trainer.global_step - 1
            self.record.absorb(step, [float(loss)], [self._norm], skipping=False)
        budget, self._now = self._parts.budget, self.clock.read()
        share = self._share(trainer.global_step)
        if int(share * _POINTS) > self._points or share >= 1.0:
            self._points = int(share * _POINTS)
            self._row(trainer, pl_module)
        kept = budget.bound is not None and self.record.curve and budget.bound.kept_by(self.record.curve[-1])
        if budget.spent(self._now.second, self._now.joule) or kept:
            trainer.should_stop = True

    def on_train_end(self, trainer: Trainer, pl_module: Any) -> None:
        """The last point, unless it is there."""
        if not self.record.curve or self.record.curve[-1]["step"] != trainer.global_step:
            self._row(trainer, pl_module)
        for optimizer in trainer.optimizers:
            settle(optimizer)
        self.clock.finish()

    def _share(self, step: float) -> float:
        return self._parts.budget.share(step, self._total, self._now.second, self._now.joule)

    def _row(self, trainer: Trainer, net: nn.Module) -> None:
        with self.clock.aside():
            now, data = self.clock.read(), self._parts.data.to(self._parts.settings.device())
            used = {"second": now.second, "cpu_second": now.cpu_second, "joule": now.joule}
            row: dict[str, float] = {"step": trainer.global_step}
            row |= {name: value for name, value in used.items() if value is not None}
            size, beside = 4 * data.batch_size, self._parts.beside
            with ExitStack() as inside:
                for optimizer in trainer.optimizers:
                    inside.enter_context(averaged(optimizer))
                inside.enter_context(trainer.precision_plugin.val_step_context())
                scores, _ = evaluate(net, data.val, data.task, size, data.classes)
                scores |= beside(net, data.val, size) if beside else {}
            row = self.record.add_row(row | {f"val/{name}": value for name, value in scores.items()})
        for logger in trainer.loggers:
            logger.log_metrics(row, step=trainer.global_step)
