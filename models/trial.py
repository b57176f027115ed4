"""One trial from its parts to its numbers: fit, then score, cost, latency and energy of the same final network."""

import platform
import random
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any, final

import numpy as np
import torch
from torch import nn

from models import loggers
from models.cost import cost
from models.data.dataset import Dataset
from models.energy import Meter
from models.evaluate import evaluate
from models.fit import Fitted, fit
from models.latency import latency
from models.trainer import Settings


@final
@dataclass(frozen=True)
class Measured:
    """All that a trial found out. Metrics are SI units; facts are what is not a number."""

    metrics: dict[str, float]
    facts: dict[str, Any]
    curve: list[dict[str, float]]


def seed_everything(seed: int, threads: int | None) -> None:
    """Seed python, numpy and torch, and set how many threads torch may use."""
    random.seed(seed)
    np.random.seed(seed % 2**32)  # noqa: NPY002 - libraries draw from the global state
    torch.manual_seed(seed)
    if threads:
        torch.set_num_threads(threads)


def run(*, run: loggers.Run, logger: dict[str, Any], **parts: Any) -> Measured:
    """Train and measure; loggers are closed with the trial's exit code whatever happens.

    Raises:
        Diverged: the loss became non-finite or exploded.
        Refusal: the parts do not fit each other or this machine.
    """
    opened = [make(run) for make in (logger or {}).values()]
    metrics: dict[str, float] = {}
    facts: dict[str, Any] = {}
    failed = True
    try:
        measured = train_and_measure(opened, run.folder, **parts)
        metrics, facts, failed = measured.metrics, measured.facts, False
        return measured
    finally:
        loggers.finish(opened, metrics, facts, exit_code=int(failed))


def train_and_measure(
    opened: list[Any],
    folder: Path,
    *,
    data: Dataset,
    model: nn.Module,
    loss: Any,
    optimizer: Any,
    scheduler: Any,
    callbacks: dict[str, Any],
    trainer: Settings,
    budget: Any,
    meter: Meter,
    seed: int,
    ckpt_path: Path | None,
) -> Measured:
    """Fit the network and take every number on the weights it ends with."""
    started = time.perf_counter()
    fitted = fit(
        net=model,
        data=data,
        loss=loss,
        optimizer=optimizer,
        scheduler=scheduler,
        settings=trainer,
        budget=budget,
        callbacks=callbacks or {},
        loggers=opened,
        meter=meter,
        seed=seed,
        folder=folder,
        ckpt_path=ckpt_path,
    )
    fit_seconds = time.perf_counter() - started
    metrics, facts = final_numbers(fitted, data, meter)
    metrics["trial/fit_seconds"] = fit_seconds
    metrics["trial/seconds"] = time.perf_counter() - started
    facts |= fitted.facts | machine(fitted)
    return Measured(fitted.metrics | metrics, facts, fitted.curve)
