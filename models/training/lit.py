"""The one LightningModule: many optimizer steps in one `training_step`; it owns no ideas."""

import math
import time
from collections.abc import Callable
from contextlib import nullcontext
from typing import Any, final

import torch
from lightning.pytorch import LightningModule
from torch import Tensor, nn
from torch.optim import Optimizer

import pulse
from models.data.batches import Batches
from models.optim.groups import optimizer_for
from models.training.budget import Budget
from models.training.checkpoint import OURS
from models.training.clock import Clock, Now
from models.training.objective import TrainingObjective
from models.training.record import TrainingRecord
from models.training.resume import SIGNATURE, Identity, Origin, check_budget, random_states, restore_random
from models.training.settings import Settings
from models.training.step import Calls, MicroBatches, Step, callbacks_of, listens_to_batches, next_stop

_CALL_SECONDS = 0.1
"""longest call of `training_step`: how late a stop, a timed checkpoint or a look at the meter may be"""


@final
class Lit(LightningModule):
    """Takes optimizer steps up to the next stop of any callback, then reads all their numbers at once.

    A call of `training_step` for each step would cost a tiny network more than the step (0.3 to 1 ms). How
    many steps a call takes changes no result: learning rates are set, and losses and gradient norms kept, for
    each of them; `trainer.global_step` counts optimizer steps.

    Raises:
        Diverged: a loss or a gradient is not finite.
        Refusal: one example does not fit into memory, or a checkpoint is of another training.
    """

    def __init__(
        self,
        *,
        net: nn.Module,
        objective: TrainingObjective,
        batches: Batches,
        optimizer: Callable[..., Optimizer],
        scheduler: Callable[[float], float],
        settings: Settings,
        budget: Budget,
        total: int | None,
        clock: Clock,
        micro: MicroBatches,
        identity: Identity,
    ) -> None:
        super().__init__()
        self.automatic_optimization = False
        self.net, self.objective, self.batches = net, objective, batches
        self.settings, self.budget, self.total = settings, budget, total
        self.clock, self.micro, self.identity, self.record = clock, micro, identity, TrainingRecord()
        self.now, self.resumed_step = Now(0.0), -1
        """what was used up at the last look; the step of the checkpoint that was loaded"""
        self.origin: Origin | None = None
        self.timed = budget.seconds is not None or budget.joules is not None
        self._make_optimizer, self._scheduler = optimizer, scheduler
        self._rng: dict[str, Any] | None = None

    def configure_optimizers(self) -> Optimizer:
        """One optimizer over all parameters."""
        return optimizer_for(self._make_optimizer, self.net)

    def train_dataloader(self) -> Calls:
        """An endless stream of calls; batches are drawn inside `training_step`."""
        return Calls()

    def on_train_start(self) -> None:
        """Put random generators back where a checkpoint had them, and see whether the budget is spent."""
        largest_norm = self.settings.gradient_clip_val
        self._step = Step(self, self.net, self.objective, self.batches, self.micro, largest_norm)
        self._groups = self.trainer.optimizers[0].param_groups
        self._progress = self.trainer.fit_loop.epoch_loop.manual_optimization.optim_step_progress
        self._alone = self.trainer.world_size == 1
        self._most = 1 if listens_to_batches(callbacks_of(self.trainer)) else self.settings.steps_per_call
        self._per_call = self._most if self._alone else 1
        if self._rng is not None:
            restore_random(self._rng)
        # What was spent on the way here, as on choosing the precision, is this attempt's.
        pulse.spent(self.clock.metrics if self.resumed_step >= 0 else dict, first=True)
        self.clock.start(needs_joules=self.budget.joules is not None)
        self._look()

    def training_step(self, batch: int, batch_idx: int) -> None:
        """Take optimizer steps up to the next stop; `batch` is only the number of the call.

        The clock runs for the steps and for what other callbacks do after them (`Between`); keeping the
        record and Lightning's own loop, which come once a call, are the harness's.
        """
        first = step = self.trainer.global_step
        losses: list[Tensor] = []
        norms: list[Tensor] = []
        stop, longest = self._stop(step), self._longest()
        self.clock.resume()
        began, elapsed = time.perf_counter(), 0.0
        # Lightning has autocast on in all of `training_step`; only the forward pass and the loss may have it.
        mixed = self.settings.precision != "32-true"
        with torch.autocast(self.device.type, enabled=False) if mixed else nullcontext():
            while step < stop and elapsed < longest:
                self._set_rate(step, elapsed)
                losses.append(self._step(step))
                norms.append(self._step.norm)
                self._progress.increment_ready()
                self._progress.increment_completed()
                step += 1
                elapsed = time.perf_counter() - began
        if self.device.type == "cuda":
            torch.cuda.synchronize(self.device)
        self.clock.pause()
        self._absorb(first, losses, norms)
        self._look((time.perf_counter() - began) / len(losses))

    def on_before_optimizer_step(self, optimizer: Optimizer) -> None:
        """Gradients are complete and unscaled: measure and clip them."""
        self._step.measure()

    def on_train_end(self) -> None:
        """Stop the clock, after the callbacks' last validation and checkpoint, which are the harness's."""
        self.clock.finish()
        pulse.spent(self.clock.metrics, last=True)
        pulse.beat("the training")

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Add all that a resumed training needs to be the uninterrupted one."""
        checkpoint[OURS] = {
            "identity": self.identity.state(),
            "origin": None if self.origin is None else vars(self.origin),
            "batches": self.batches.state_dict(),
            "record": self.record.state_dict(),
            "clock": self.clock.state_dict(),
            "micro": {"pieces": self.micro.pieces, "events": self.micro.events},
            "rng": random_states(),
        }

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Take over the training that `checkpoint` is of; `Refusal` when it is another one."""
        self.identity.check(checkpoint, self.net)
        saved = checkpoint[OURS]
        origin = saved.get("origin")
        self.origin = None if origin is None else Origin(**origin)
        self.batches.load_state_dict(saved["batches"])
        self.record.load_state_dict(saved["record"])
        self.clock.load_state_dict(saved["clock"])
        self.micro.pieces, self.micro.events = saved["micro"]["pieces"], saved["micro"]["events"]
        self._rng, self.resumed_step, self.now = saved["rng"], checkpoint["global_step"], self.clock.read()
        named = self.identity.named
        if named is not None:
            check_budget(self.resumed_step, self.total, self.budget.spent(self.now.second, self.now.joule))
            self.origin = Origin(str(named), self.resumed_step, saved["identity"].get(SIGNATURE))

    def _stop(self, step: int) -> int:
        """The step at which this call ends at the latest: a callback's stop, or the end of the training."""
        stops = [next_stop(callbacks_of(self.trainer), step), self.total, step + self._per_call]
        return min(stop for stop in stops if stop is not None)

    def _longest(self) -> float:
        """Seconds after which this call takes no further step; ranks must agree, so they count steps only."""
        if not self._alone:
            return math.inf
        if self.budget.seconds is None:
            return _CALL_SECONDS
        # Points of the curve are a tenth of the budget apart, and the end must not be late.
        return min(_CALL_SECONDS, self.budget.seconds / 50, self.budget.seconds - self.now.second)

    def _look(self, step_seconds: float = 0.0) -> None:
        """See what is used up, by rank 0's clock and the meters, and stop the training if that is all."""
        now = self.clock.read() if self.budget.joules is not None else Now(self.clock.second())
        now = now._replace(wall=self.clock.wall())
        if not self._alone:
            now, step_seconds = self.trainer.strategy.broadcast((now, step_seconds))
            if step_seconds:
                self._per_call = max(1, min(self._most, int(_CALL_SECONDS / step_seconds)))
        self.now = now
        pulse.beat("training", self.trainer.global_step)
        pulse.spent(self.clock.metrics)
        if self.budget.spent(now.second, now.joule):
            self.trainer.should_stop = True

    def _set_rate(self, step: int, elapsed: float) -> None:
        """Set the learning rate; steps are taken by their middle, so that none has a rate of 0."""
        second, joule = self.now.second, self.now.joule
        if self.timed and self._alone:
            # Between two looks at the meter, power is taken to be what it was on average.
            joule = None if joule is None or not second else joule * (1.0 + elapsed / second)
            second += elapsed
        factor = self._scheduler(self.budget.share(step + 0.5, self.total, second, joule))
        for group in self._groups:
            group["lr"] = group["initial_lr"] * factor

    def _absorb(self, first: int, losses: list[Tensor], norms: list[Tensor]) -> None:
        """Hand losses and norms to the record: one wait for the device, and one message between ranks."""
        numbers = torch.stack([torch.stack(losses).float(), torch.stack(norms).float()])
        if not self._alone:
            numbers = self.trainer.strategy.reduce(numbers, reduce_op="mean")
        both = numbers.tolist()
        self.record.absorb(first, both[0], both[1], skipping=self._step.skips)
