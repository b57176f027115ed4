"""Trains one network to the end of its budget, from scratch or from where a kill left it."""

import copy
import signal
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import torch
from lightning.pytorch.loggers import Logger
from lightning.pytorch.utilities.exceptions import SIGTERMException
from torch import Tensor

import pulse
from models.data.batches import Batches
from models.data.dataset import UNSCORED, Dataset
from models.energy.meter import Meter
from models.optim.averaging import stale
from models.training.as_it_is import fit_as_it_is, steps_itself
from models.training.callbacks.checkpoint import Checkpoint
from models.training.callbacks.curve import AIMED, POINTS, Between, Curve
from models.training.callbacks.target import Reached
from models.training.checkpoint import healed
from models.training.clock import Clock
from models.training.devices import Group, together
from models.training.fitted import Fitted, facts_of, metrics_of
from models.training.lit import Lit
from models.training.memory import PeakMemory, activation_bytes
from models.training.precision import autocast
from models.training.preparation import Parts, first_step, prepare, training
from models.training.recompute import recompute
from models.training.record import Diverged
from models.training.resume import Identity, begins
from models.training.settings import Settings, build, quiet
from models.training.side import taken
from models.training.step import MicroBatches
from models.training.warmup import warm
from refusal import Ended, Refusal

__all__ = ["Diverged", "Fitted", "fit"]


def fit(*, loggers: Sequence[Logger], ckpt_path: Path | str | None = None, **parts: Any) -> Fitted:
    """Train the network of `parts`, which are those of `Parts` by name, in place until the budget is spent.

    Goes on from the newest checkpoint in the folder, which must be this trial's, else from `ckpt_path`.
    On the CPU a training that is limited by steps or epochs ends bit for bit as if never interrupted.
    `data.batch_size` is the optimizer's batch, whatever the number of devices and micro-batches. With several
    devices each has a process of its own, which imports everything anew.

    Raises:
        Diverged: the loss became non-finite, or exploded.
        Refusal: the machine, the network, the folder or a checkpoint does not fit what is asked; a checkpoint
            that is named lies at or beyond the budget.
        KeyboardInterrupt: Ctrl-C; the last checkpoint stays.
        SystemExit: SIGTERM, with code 143; the training was saved at the step it came at.
    """
    given = Parts(**parts)
    settings, net = given.settings, given.net
    settings.check()
    if steps_itself(net):
        if ckpt_path is not None:
            raise Refusal(
                f"{type(net).__name__} has a training_step of its own, which ckpt_path cannot go on."
            )
        return fit_as_it_is(given, loggers)
    path = None if ckpt_path is None else Path(ckpt_path)
    anew = healed(given.folder / "checkpoints")
    found, named = begins(given.folder, path, owned=given.signature is not None)
    given = replace(given, folder=given.folder.absolute())
    job = partial(_train, given, found=found, named=named)
    if settings.devices == 1:
        return _told(job(group=Group(), loggers=loggers), anew)
    fitted: Fitted = _told(together(job, settings.devices, loggers), anew)
    net.load_state_dict(fitted.net.state_dict())
    return replace(fitted, net=net.to(settings.device()))


def _told(fitted: Fitted, anew: str | None) -> Fitted:
    if anew is not None:
        fitted.facts["notes"] = [*fitted.facts.get("notes", ()), anew]
    return fitted


def _train(
    parts: Parts, *, found: Path | None, named: Path | None, group: Group, loggers: Sequence[Logger]
) -> Fitted:
    settings, device, meter = parts.settings, parts.settings.device(group.rank), parts.meter
    # Processes that were spawned share the memory of the network that they were given.
    net = training(parts.net if group.world == 1 else copy.deepcopy(parts.net))
    data = parts.data.to(device)
    parts = replace(parts, net=net, data=data, loss=parts.objective)
    micro, peak = _micro(settings, data, group), PeakMemory(device)
    first = not meter.started
    if first:
        # A fine-tuning lies inside of a window that is open.
        meter.start(device)
    with recompute(net, settings.recompute, settings.recompute_keep):
        ready = prepare(parts, device, found)
        parts = replace(parts, settings=ready.settings)
        spent = ready.spent
        if first and found is None and device == "cpu" and group.world == 1:
            # Not shown to leave no trace on a GPU, or in processes that train together.
            spent = spent | warm(parts, peak)
        else:
            peak.start(trimmed=first)
        lit = _lit(parts, micro, _clock(meter, group, spent), named=named)
        steps = _run(lit, parts, found, loggers)
        # Lightning takes the network off the device when it is done.
        net.to(device)
        held = {"train/peak_bytes": float(peak.read())}
        notes = stale(parts.optimizer, net)
        held |= taken(
            "train/activation_bytes",
            lambda: {"train/activation_bytes": _activations(lit, data, group, device)},
            dict[str, float](),
            notes,
        )
    metrics = metrics_of(lit, steps) | held | ready.metrics
    facts = facts_of(lit, found) | {"peak_method": peak.method} | ready.facts
    if notes:
        facts["notes"] = facts.get("notes", []) + notes
    energy, seconds = lit.clock.energy(), metrics["train/seconds"]
    return Fitted(net, steps, seconds, energy, lit.record.curve, metrics, facts, ready.settings)


def _lit(parts: Parts, micro: MicroBatches, clock: Clock, *, named: Path | None) -> Lit:
    return Lit(
        net=parts.net,
        objective=parts.objective,
        batches=Batches(
            parts.data.train, parts.data.batch_size, parts.seed, augment=parts.data.changes(parts.seed)
        ),
        optimizer=parts.optimizer,
        scheduler=parts.scheduler,
        settings=parts.settings,
        budget=parts.budget,
        total=parts.budget.total_steps(parts.data.batch_size, len(parts.data.train)),
        clock=clock,
        micro=micro,
        identity=Identity(_values(parts), named, parts.signature),
    )


def _clock(meter: Meter, group: Group, spent: dict[str, Any]) -> Clock:
    clock = Clock(meter, group)
    clock.load_state_dict(spent)
    return clock


def _run(lit: Lit, parts: Parts, found: Path | None, loggers: Sequence[Logger]) -> int:
    """All steps of the training; returns how many."""
    points = POINTS if lit.budget.bound is None else AIMED
    curve = Curve(parts.data, lit.settings.val_every, lit.total, points, parts.beside)
    # A checkpoint comes last, so that it holds what the others did at its step.
    ends = [] if lit.budget.bound is None else [Reached(lit.budget.bound, parts.data.task)]
    ordered = sorted(
        [Between(), *parts.callbacks.values(), curve, *ends],
        key=lambda callback: isinstance(callback, Checkpoint),
    )
    trainer = build(lit.settings, total=lit.total, callbacks=ordered, loggers=loggers, folder=parts.folder)
    with _accounted(lit), _interruptible(), quiet():
        trainer.fit(lit, ckpt_path=found, weights_only=True)
    return int(trainer.global_step)


def _activations(lit: Lit, data: Dataset, group: Group, device: str) -> float:
    """Of the largest piece of a batch that goes through at once."""
    # What shared a network out among processes still listens to its gradients.
    net = lit.net if group.world == 1 else copy.deepcopy(lit.net)
    step = first_step(net, lit.objective, data, -(-data.batch_size // (lit.micro.pieces * group.world)))

    def forward() -> Tensor:
        with autocast(lit.settings.precision, device):
            return step()

    return float(activation_bytes(net, forward))


def _micro(settings: Settings, data: Dataset, group: Group) -> MicroBatches:
    pieces, targets = settings.accumulate_grad_batches, data.train.targets
    if pieces * group.world > data.batch_size:
        raise Refusal(
            f"a batch of {data.batch_size} cannot be cut into {pieces} micro-batches on {group.world} "
            f"device(s): set trainer.accumulate_grad_batches to {data.batch_size // group.world} or less."
        )
    # Bytes cannot hold the mark of an unscored target, and comparing them with it would overflow.
    sparse = targets.dtype == torch.int64 and bool((targets == UNSCORED).any())
    return MicroBatches(pieces, sparse=sparse, rank=group.rank, world=group.world)


def _values(parts: Parts) -> dict[str, Any]:
    """What tells this training from another in the same folder, in plain values."""
    made = getattr(parts.optimizer, "func", parts.optimizer)
    return {
        "model": type(parts.net).__name__,
        "optimizer": getattr(made, "__name__", type(made).__name__),
        "batch_size": parts.data.batch_size,
        "examples": len(parts.data.train),
        "seed": parts.seed,
        "precision": parts.settings.precision,
    }


@contextmanager
def _accounted(lit: Lit) -> Iterator[None]:
    """Tell what a training that ends early has used: a search that forgets those joules flatters itself."""
    try:
        yield
    except Ended as error:
        spent = lit.clock.metrics()
        used = spent["train/seconds"], spent.get("train/energy_j")
        share = lit.budget.share(lit.trainer.global_step, lit.total, *used)
        error.spent = (error.spent or {}) | spent | {"share": share}
        raise
    except Exception:
        # Processes that train together must all read their clocks, and the others go on.
        if lit.settings.devices == 1 and lit.clock.running:
            with suppress(Exception):  # after some errors of a device nothing of it answers
                pulse.spent(lit.clock.metrics, last=True)
        raise


@contextmanager
def _interruptible() -> Iterator[None]:
    """Let signals out as what they are.

    Lightning turns Ctrl-C into exit code 1 and ignores the next one for good; SIGTERM it turns into code 0.
    """
    main = threading.current_thread() is threading.main_thread()
    handler = signal.getsignal(signal.SIGINT)
    try:
        yield
    except SIGTERMException:
        raise SystemExit(128 + signal.SIGTERM) from None
    except SystemExit as stop:
        if isinstance(stop.__context__, KeyboardInterrupt):
            raise KeyboardInterrupt from None
        raise
    finally:
        if main:
            signal.signal(signal.SIGINT, handler)
