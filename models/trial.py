"""One trial from its parts to its numbers: fit, then score, cost, latency and energy of one final network."""

import platform
import random
import time
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Any, final

import numpy as np
import torch
from torch import nn

from models import cost, latency, loggers
from models.data.batches import sequential
from models.data.dataset import Dataset
from models.energy import Meter
from models.evaluate import evaluate
from models.fit import Fitted, fit
from models.numerics import error_vs_fp32
from models.trainer import Settings
from refusal import Refusal

AUTOCAST = {"bf16-mixed": torch.bfloat16, "16-mixed": torch.float16}


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
    np.random.seed(seed % 2**32)
    torch.manual_seed(seed)
    if threads:
        torch.set_num_threads(threads)


def prepare(folder: Path, seed: int, threads: int | None) -> None:
    """Make the trial's folder and seed everything, before any part is built.

    Raises:
        Refusal: the folder cannot be written.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        (folder / ".writable").touch()
        (folder / ".writable").unlink()
    except OSError as error:
        raise Refusal(
            f"root: {folder} cannot be written ({error.strerror}): choose another root=FOLDER."
        ) from error
    seed_everything(seed, threads)


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
        parts["meter"].stop()
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
    # Lightning's own use of a torch type that torch renames; nothing a user could do.
    warnings.filterwarnings("ignore", message=r".*LeafSpec.*is deprecated")
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
    metrics, facts = final_numbers(fitted, data, trainer.precision, meter)
    metrics["trial/fit_seconds"] = fit_seconds
    metrics["trial/seconds"] = time.perf_counter() - started
    facts |= fitted.facts
    doubt = None if fitted.energy is None or fitted.energy.valid else fitted.energy.note
    facts["notes"] = [f"no joules of the training: {doubt}"] if doubt else []
    return Measured(fitted.metrics | metrics, facts, fitted.curve)


def final_numbers(
    fitted: Fitted, data: Dataset, precision: str, meter: Meter
) -> tuple[dict[str, float], dict[str, Any]]:
    """Score, cost, latency and energy of one and the same network, in the precision of its training."""
    net = fitted.net
    device = next(net.parameters()).device
    data = data.to(device)
    dtype = AUTOCAST.get(precision)
    example, batch = (next(sequential(data.test, size))[0] for size in (1, data.batch_size))
    with torch.autocast(device.type, dtype, enabled=dtype is not None):
        val, _ = evaluate(net, data.val, data.task, data.batch_size, data.classes)
        test, facts = evaluate(net, data.test, data.task, data.batch_size, data.classes, detailed=True)
        timed, infer = latency.measure(net, batch, meter)
    metrics = {f"val/{key}": value for key, value in val.items()}
    metrics |= {f"test/{key}": value for key, value in test.items()}
    counted, uncounted = cost.measure(net, example)
    metrics |= counted | timed
    metrics["numerics/error_vs_fp32"] = error_vs_fp32(net, batch, dtype)
    facts |= {"infer": infer, **uncounted, **machine(device)}
    return metrics, facts


def machine(device: torch.device) -> dict[str, Any]:
    """What the numbers were taken on."""
    return {
        "device": torch.cuda.get_device_name(device)
        if device.type == "cuda"
        else platform.processor() or "cpu",
        "threads": torch.get_num_threads(),
        "torch": torch.__version__,
    }
