"""Trains one network to the end of its budget, from scratch or from where a kill left it."""

import copy
import signal
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, final

import torch
from lightning.pytorch import Callback
from lightning.pytorch.loggers import Logger
from lightning.pytorch.utilities.exceptions import SIGTERMException
from torch import nn
from torch.optim import Optimizer

from models.budget import Budget
from models.callbacks.checkpoint import Checkpoint
from models.callbacks.curve import Curve
from models.clock import Clock
from models.data.batches import Batches
from models.data.dataset import Dataset
from models.energy import Energy, Meter
from models.lit import Lit
from models.losses import UNSCORED
from models.memory import PeakMemory
from models.microbatch import MicroBatches
from models.objective import Loss, Objective, objective
from models.processes import Group, together
from models.record import Diverged
from models.resume import Identity, source
from models.trainer import Settings, build, quiet
from refusal import Refusal

__all__ = ["Diverged", "Fitted", "fit"]


@final
@dataclass(frozen=True)
class Fitted:
    """A trained network and how it came to be."""

    net: nn.Module
    """the network that was given, with its final weights, on the device"""
    steps: int
    seconds: float
    """of all sessions, validations and checkpoints included"""
    energy: Energy
    """of all sessions, by the method of the last"""
    curve: list[dict[str, float]]
    metrics: dict[str, float]
    facts: dict[str, Any]


def fit(
    *,
    net: nn.Module,
    data: Dataset,
    loss: Loss | Objective,
    optimizer: Callable[..., Optimizer],
    scheduler: Callable[[float], float],
    settings: Settings,
    budget: Budget,
    callbacks: Mapping[str, Callback],
    loggers: Sequence[Logger],
    meter: Meter,
    seed: int,
    folder: Path,
    ckpt_path: Path | str | None = None,
) -> Fitted:
    """Train `net` in place until `budget` is spent.

    Goes on from `ckpt_path` if it is given, else from the newest checkpoint in `folder`. On the CPU a
    training that is limited by steps or epochs ends bit for bit as if it had never been interrupted.
    `data.batch_size` is the optimizer's batch, whatever the number of devices and micro-batches. With several
    devices each has a process of its own, which imports everything anew.

    Raises:
        Diverged: the loss became non-finite, or exploded.
        Refusal: the machine, the folder or a checkpoint does not fit what is asked.
        KeyboardInterrupt: Ctrl-C; the last checkpoint stays.
        SystemExit: SIGTERM, with code 143; the training was saved at the step it came at.
    """
    settings.check()
    job = partial(
        _train,
        net=net,
        data=data,
        loss=loss,
        optimizer=optimizer,
        scheduler=scheduler,
        settings=settings,
        budget=budget,
        callbacks=dict(callbacks),
        meter=meter,
        seed=seed,
        folder=folder.absolute(),
        found=source(folder, None if ckpt_path is None else Path(ckpt_path)),
        named=ckpt_path is not None,
    )
    if settings.devices == 1:
        return job(group=Group(), loggers=loggers)
    fitted: Fitted = together(job, settings.devices, loggers)
    net.load_state_dict(fitted.net.state_dict())
    return replace(fitted, net=net.to(settings.device()))


def _train(
    *,
    net: nn.Module,
    data: Dataset,
    loss: Loss | Objective,
    optimizer: Callable[..., Optimizer],
    scheduler: Callable[[float], float],
    settings: Settings,
    budget: Budget,
    callbacks: dict[str, Callback],
    meter: Meter,
    seed: int,
    folder: Path,
    found: Path | None,
    named: bool,
    group: Group,
    loggers: Sequence[Logger],
) -> Fitted:
    device = settings.device(group.rank)
    # Processes that were spawned share the memory of the network that they were given.
    net = (net if group.world == 1 else copy.deepcopy(net)).train()
    data = data.to(device)
    total = budget.total_steps(data.batch_size, len(data.train))
    peak = PeakMemory(device)
    lit = Lit(
        net=net,
        objective=objective(loss),
        batches=Batches(data.train, data.batch_size, seed),
        optimizer=optimizer,
        scheduler=scheduler,
        settings=settings,
        budget=budget,
        total=total,
        clock=Clock(meter, group),
        micro=_micro(settings, data, group),
        identity=Identity(_values(net, data, optimizer, seed), strict=not named),
    )
    # A checkpoint comes last, so that it holds what the others did at its step.
    ordered = sorted(
        [*callbacks.values(), Curve(data, settings.val_every, total)],
        key=lambda callback: isinstance(callback, Checkpoint),
    )
    trainer = build(settings, total=total, callbacks=ordered, loggers=loggers, folder=folder)
    if not meter.started:
        # A fine-tuning lies inside of a window that is open.
        meter.start(device)
    peak.start()
    with _interruptible(), quiet():
        trainer.fit(lit, ckpt_path=found, weights_only=True)
    # Lightning takes the network off the device when it is done.
    net.to(device)
    return _fitted(lit, net, trainer.global_step, peak, found)


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


def _values(net: nn.Module, data: Dataset, optimizer: Callable[..., Optimizer], seed: int) -> dict[str, Any]:
    """What tells this training from another in the same folder, in plain values."""
    made = getattr(optimizer, "func", optimizer)
    return {
        "model": type(net).__name__,
        "optimizer": getattr(made, "__name__", type(made).__name__),
        "batch_size": data.batch_size,
        "examples": len(data.train),
        "seed": seed,
    }


def _fitted(lit: Lit, net: nn.Module, steps: int, peak: PeakMemory, found: Path | None) -> Fitted:
    energy, used = lit.clock.energy(), lit.clock.metrics()
    metrics = used | lit.record.metrics() | {"train/peak_bytes": float(peak.read())}
    metrics["train/steps_per_second"] = steps / used["train/seconds"]
    if "train/energy_j" in used:
        metrics["step/energy_j"] = used["train/energy_j"] / steps
    reached = [row["step"] for row in lit.record.curve if _reached(row, lit.budget.target)]
    if reached:
        metrics["train/steps_to_target"] = reached[0]
    facts: dict[str, Any] = {
        "energy": energy.facts(),
        "energy_method": energy.label,
        "peak_method": peak.method,
    }
    facts |= {"precision": lit.settings.precision, "sessions": lit.clock.sessions}
    if found is not None:
        facts["resumed"] = {"from": str(found), "step": lit.resumed_step}
    if lit.micro.events:
        facts["out_of_memory"] = lit.micro.events
    return Fitted(net, steps, used["train/seconds"], energy, lit.record.curve, metrics, facts)


def _reached(row: dict[str, float], target: float | None) -> bool:
    return target is not None and row.get("val/accuracy", float("-inf")) >= target


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
