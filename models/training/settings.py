"""How a training runs: device, precision, clipping, accumulation; and the Lightning Trainer that does it."""

import logging
import sys
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, final

import torch
from lightning.fabric.plugins.environments import LightningEnvironment
from lightning.pytorch import Callback, Trainer
from lightning.pytorch.loggers import Logger
from lightning.pytorch.trainer.connectors import callback_connector

from models.training.checkpoint import Checkpoints
from refusal import Refusal

_WORDS = {
    "accelerator": ("cpu", "gpu"),
    "strategy": ("auto", "ddp"),
    "precision": ("32-true", "bf16-mixed", "16-mixed", "auto"),
    "recompute_keep": ("nothing", "matmuls"),
}
_COUNTS = ("devices", "accumulate_grad_batches", "steps_per_call", "val_every", "memory_bytes")


@final
@dataclass(frozen=True)
class Settings:
    """Lightning's own names where it has one.

    Raises:
        Refusal: a value is out of range, or two do not go together.
    """

    accelerator: str = "cpu"
    """cpu or gpu"""
    devices: int = 1
    """processes that share each batch, one device each"""
    strategy: str = "auto"
    """auto for one device, ddp for several"""
    precision: str = "32-true"
    """of the forward pass and the loss; weights stay float32; auto times a few steps of each and chooses"""
    gradient_clip_val: float | None = None
    """largest 2-norm of all gradients together"""
    accumulate_grad_batches: int = 1
    """micro-batches that each batch is cut into; unlike Lightning's, the optimizer's batch stays as large"""
    val_every: int | None = None
    """optimizer steps between validations; null is a tenth of the budget"""
    steps_per_call: int = 100
    """most optimizer steps in one call of `training_step`; changes no result"""
    recompute: Sequence[str] | None = None
    """names of modules that keep only their inputs for the gradient, such as `blocks.*`: see `recompute`"""
    recompute_keep: str = "nothing"
    """what recomputed modules keep besides: nothing, or matmuls"""
    find_batch: bool = False
    """whether to look for the largest batch that fits before training; it changes no result"""
    memory_bytes: int | None = None
    """what that batch may make the training hold; on a GPU null is all there is"""

    def __post_init__(self) -> None:
        for name, known in _WORDS.items():
            if getattr(self, name) not in known:
                raise Refusal(
                    f"trainer.{name} '{getattr(self, name)}' is unknown: choose {' or '.join(known)}."
                )
        for name in _COUNTS:
            value = getattr(self, name)
            if value is not None and not (isinstance(value, int) and value >= 1):
                raise Refusal(f"trainer.{name} must be a whole number from 1 on, not {value}.")
        clip = self.gradient_clip_val
        if clip is not None and not (isinstance(clip, int | float) and clip > 0):
            raise Refusal("trainer.gradient_clip_val must be a number above 0, or null for no clipping.")
        self._check_recompute()
        self._check_devices()

    def _check_recompute(self) -> None:
        names = self.recompute
        if isinstance(names, str):
            raise Refusal(f"trainer.recompute must be a list of names: write trainer.recompute=[{names}].")
        if names is not None and not all(isinstance(name, str) for name in names):
            raise Refusal("trainer.recompute must be a list of names such as [blocks.*], or null for none.")

    def _check_devices(self) -> None:
        if self.devices > 1 and (self.precision == "auto" or self.find_batch):
            raise Refusal(
                "trainer.precision=auto and trainer.find_batch measure on one device: set trainer.devices=1, "
                "or name the precision."
            )
        if self.devices > 1 and self.strategy != "ddp":
            raise Refusal(f"{self.devices} devices need trainer.strategy=ddp.")
        if self.accelerator == "cpu" and self.precision == "16-mixed":
            # Lightning would silently train in bf16 instead.
            raise Refusal("16-mixed needs a GPU: on the CPU choose trainer.precision=bf16-mixed or 32-true.")
        if self.accelerator == "cpu" and self.find_batch and self.memory_bytes is None:
            raise Refusal(
                "trainer.find_batch on a CPU needs trainer.memory_bytes, the most that the training may "
                "hold, as running out of memory would end the process."
            )

    def check(self) -> None:
        """Raise `Refusal` when this machine lacks what the settings ask for."""
        if self.accelerator == "cpu":
            return
        found = torch.cuda.device_count()
        if found == 0:
            raise Refusal("trainer.accelerator=gpu finds no NVIDIA GPU here: choose trainer=cpu.")
        if found < self.devices:
            raise Refusal(
                f"trainer.devices={self.devices}, but {found} GPU(s) are here: set trainer.devices={found}."
            )
        if self.precision == "bf16-mixed" and not torch.cuda.is_bf16_supported(including_emulation=False):
            raise Refusal("this GPU only emulates bf16: choose trainer.precision=16-mixed or 32-true.")

    def device(self, rank: int = 0) -> str:
        """The torch device of a process."""
        return "cpu" if self.accelerator == "cpu" else f"cuda:{rank}"


def build(
    settings: Settings,
    *,
    total: int | None,
    callbacks: Sequence[Callback],
    loggers: Sequence[Logger],
    folder: Path,
) -> Trainer:
    """A Trainer that does what it is told and nothing beside: no bar, summary, sanity check or sampler."""
    for name in ("lightning.pytorch", "lightning.fabric"):
        logging.getLogger(name).setLevel(logging.WARNING)
    options: dict[str, Any] = {
        "accelerator": settings.accelerator,
        "devices": settings.devices,
        # One process needs no process group, which would outlive the training.
        "strategy": settings.strategy if settings.devices > 1 else "auto",
        "precision": settings.precision,
        # Iteration-based in any case: an unlimited number of steps would make Lightning count epochs.
        "max_steps": sys.maxsize if total is None else total,
        "max_epochs": -1,
        "callbacks": list(callbacks),
        "logger": list(loggers),
        "default_root_dir": folder,
        # Its own environment, so that a cluster's variables do not turn a trial into a part of a job.
        "plugins": [Checkpoints(), LightningEnvironment()],
    }
    off = ("enable_progress_bar", "enable_model_summary", "enable_checkpointing", "use_distributed_sampler")
    options |= dict.fromkeys(off, False) | {"num_sanity_val_steps": 0, "limit_val_batches": 0}
    with quiet(), _nothing_added():
        return Trainer(**options)


@contextmanager
def quiet() -> Iterator[None]:
    """Keep back warnings of Lightning's that say nothing about a training."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="GPU available but not used")
        # What is held rests on purpose.
        warnings.filterwarnings("ignore", message=r"Found \d+ module\(s\) in eval mode")
        # Lightning 2.6 looks at a pytree in the way that torch 2.13 is leaving.
        warnings.filterwarnings("ignore", message=r"`isinstance\(treespec, LeafSpec\)` is deprecated")
        yield


@contextmanager
def _nothing_added() -> Iterator[None]:
    """Keep other packages' callbacks out, for which Lightning looks through all that is installed."""
    theirs = callback_connector._load_external_callbacks
    callback_connector._load_external_callbacks = lambda group: []
    try:
        yield
    finally:
        callback_connector._load_external_callbacks = theirs
