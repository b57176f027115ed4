"""Several processes, one device each, that train one network together.

Lightning would start them by running the command again, which would claim, record and log the trial once per
device. Here they are spawned, find Lightning's variables set, and only train.
"""

import copyreg
import math
import os
import queue
import socket
import traceback
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, final

import torch
from lightning.pytorch.loggers import Logger
from torch import multiprocessing

import pulse
from models.energy.meter import Meter
from models.training.record import Diverged
from models.training.resume import random_states, restore_random
from refusal import Refusal


@final
@dataclass(frozen=True)
class Group:
    """One process among those that train together."""

    rank: int = 0
    world: int = 1

    def total(self, figure: float | None) -> float | None:
        """The sum of a figure over the group; None where one has none. All processes must ask."""
        if self.world == 1:
            return figure
        device = "cuda" if torch.distributed.get_backend() == "nccl" else "cpu"
        value = torch.tensor(math.nan if figure is None else figure, dtype=torch.float64, device=device)
        torch.distributed.all_reduce(value)
        return None if math.isnan(value.item()) else value.item()


def together(job: Callable[..., Any], world: int, loggers: Sequence[Logger]) -> Any:
    """Run `job(group=..., loggers=...)` in `world` processes and return what it returns on rank 0.

    Rows that rank 0 logs arrive at `loggers` here, as they come, and its steps are this process's signs of
    life: who hears them may end the training. The first that fails ends all others.

    Raises:
        Diverged, Refusal: as raised in a process; anything else comes as a RuntimeError with its traceback.
    """
    context = multiprocessing.get_context("spawn")
    copyreg.pickle(Meter, _pickled_meter)
    rows: Any = context.Queue()
    with TemporaryDirectory() as name:
        threads = max(1, torch.get_num_threads() // world)
        shared = (world, _free_port(), threads, random_states(), job, rows, Path(name))
        running = [
            context.Process(target=_run, args=(rank, *shared), name=f"rank-{rank}") for rank in range(world)
        ]
        try:
            for process in running:
                process.start()
            while any(process.exitcode is None for process in running):
                _forward(rows, loggers, wait_s=0.1)
                if any(process.exitcode for process in running):
                    break
            _forward(rows, loggers, wait_s=0.0)
        finally:
            for process in running:
                process.terminate()
                process.join()
        return _outcome(Path(name))


@final
class Relay(Logger):
    """Sends rows to the process that holds the real loggers."""

    def __init__(self, rows: Any) -> None:
        super().__init__()
        self._rows = rows

    @property
    def name(self) -> str:
        """Of the logger."""
        return "relay"

    @property
    def version(self) -> int:
        """It has none."""
        return 0

    def log_hyperparams(self, *args: Any, **kwargs: Any) -> None:
        """The process that holds the loggers knows the configuration."""

    def log_metrics(self, metrics: dict[str, float], step: int | None = None) -> None:
        """Send one row."""
        self._rows.put((metrics, step))


def _run(
    rank: int, world: int, port: int, threads: int, state: dict[str, Any], job: Any, rows: Any, folder: Path
) -> None:
    """The life of one process; what it ends with is a file, which outlives it."""
    os.environ |= {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port), "OMP_NUM_THREADS": str(threads)}
    os.environ |= {"LOCAL_RANK": str(rank), "NODE_RANK": "0", "WORLD_SIZE": str(world)}
    torch.set_num_threads(threads)
    restore_random(state)
    try:
        with pulse.heard(lambda step: rows.put((None, step)) if rank == 0 else None):
            result = job(group=Group(rank, world), loggers=[Relay(rows)] if rank == 0 else [])
    except BaseException as error:
        known = type(error).__name__ if isinstance(error, Refusal | Diverged) else None
        text = str(error) if known else traceback.format_exc()
        _leave(folder / f"failed-{rank}", {"known": known, "text": text})
        raise SystemExit(1) from None
    if rank == 0:
        _leave(folder / "result", result)


def _leave(path: Path, content: Any) -> None:
    temporary = path.with_suffix(".tmp")
    torch.save(content, temporary)
    temporary.replace(path)


def _outcome(folder: Path) -> Any:
    failed = sorted(folder.glob("failed-*"))
    found = [torch.load(path, weights_only=True) for path in failed if path.suffix != ".tmp"]
    # A rank that lost its peer fails too; the one that knows why it failed is the one to report.
    for failure in sorted(found, key=lambda failure: failure["known"] is None):
        kind = {"Refusal": Refusal, "Diverged": Diverged}.get(failure["known"], RuntimeError)
        raise kind(failure["text"])
    if not (folder / "result").exists():
        raise RuntimeError("a training process died without a word; it may have run out of memory")
    # An object of ours from a process of ours, in a folder that nobody else may enter: no file that is given.
    return torch.load(folder / "result", weights_only=False, map_location="cpu")


def _forward(rows: Any, loggers: Sequence[Logger], wait_s: float) -> None:
    while True:
        try:
            metrics, step = rows.get(timeout=wait_s) if wait_s else rows.get_nowait()
        except queue.Empty:
            return
        if metrics is None:
            pulse.beat("training", step)
            continue
        for logger in loggers:
            logger.log_metrics(metrics, step=step)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _pickled_meter(meter: Meter) -> tuple[Any, ...]:
    """A meter that was not started, without its lock and its event, which processes cannot share."""
    kept = {name: value for name, value in vars(meter).items() if name not in ("_lock", "_ended")}
    return partial(_meter, kept), ()


def _meter(kept: dict[str, Any]) -> Meter:
    meter = Meter()
    vars(meter).update(kept)
    return meter
