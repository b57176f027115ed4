"""Which checkpoint a training goes on from, whether it is one of this training, and its random states."""

import random
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, final

import numpy as np
import torch
from torch import Tensor, nn

from models.training.checkpoint import OURS, newest
from refusal import Refusal

SIGNATURE = "signature"
"""key of the trial's signature in what a checkpoint keeps of an identity"""


@final
@dataclass(frozen=True)
class Identity:
    """What a training is, in plain values, kept in its checkpoints.

    All of it must be equal in a checkpoint that is found, as when a command is typed again. In one that
    somebody `named` the network and the optimizer must fit and the rest may differ.
    """

    values: dict[str, Any]
    named: Path | None = None
    signature: str | None = None
    """of the trial, with all that it depends on; None where nobody gives one, and then none is asked for"""

    def check(self, checkpoint: dict[str, Any], net: nn.Module) -> None:
        """Raise `Refusal` when `checkpoint` is not of this training, or not of this network."""
        _check_shapes(checkpoint["state_dict"], net)
        saved = checkpoint[OURS]["identity"]
        for name in self.values if self.named is None else ("optimizer",):
            there, here = saved.get(name), self.values[name]
            if there != here:
                raise Refusal(
                    f"the checkpoint is of another trial ({name} {there} there, {here} here): "
                    "name another folder, or delete its checkpoints to start anew."
                )
        if self.named is None and self.signature is not None:
            self._check_signature(saved.get(SIGNATURE))

    def state(self) -> dict[str, Any]:
        """What a checkpoint keeps of it."""
        return self.values | {SIGNATURE: self.signature}

    def _check_signature(self, there: str | None) -> None:
        if there == self.signature:
            return
        whose = "does not say which trial it is of" if there is None else f"is of another trial ({there})"
        raise Refusal(
            f"the checkpoint in this trial's folder {whose}, so this trial ({self.signature}) does not go on "
            "from it: delete the folder's checkpoints to start anew, or name the checkpoint in ckpt_path."
        )


@final
@dataclass(frozen=True)
class Origin:
    """A checkpoint that somebody named, where a training began."""

    path: str
    step: int
    signature: str | None
    """of the trial that it is of; None where it does not say"""

    def facts(self) -> dict[str, Any]:
        """In plain values."""
        return {"from": self.path, "step": self.step, "signature": self.signature}

    def note(self) -> str:
        """What must be said of a result that rests on it."""
        whose = "a checkpoint that names no trial" if self.signature is None else f"trial {self.signature}"
        return (
            f"the training began at step {self.step} of {whose}, by ckpt_path: its figures are not those of "
            "this configuration trained from the start"
        )


def check_budget(step: int, total: int | None, spent: bool) -> None:
    """Raise `Refusal` for a named checkpoint that leaves this budget nothing to train."""
    if total is not None and step >= total:
        raise Refusal(
            f"the checkpoint of ckpt_path stands at step {step} and the budget ends at step {total}: name an "
            "earlier one, or raise budget.steps or budget.epochs above it."
        )
    if spent:
        raise Refusal(
            f"the checkpoint of ckpt_path, at step {step}, has already used the seconds or joules of this "
            "budget: name an earlier one, or raise budget.seconds or budget.joules."
        )


def begins(folder: Path, ckpt_path: Path | None, *, owned: bool) -> tuple[Path | None, Path | None]:
    """The checkpoint to go on from, and the same once more where it is the one that somebody named.

    Where checkpoints say whose they are (`owned`), what this trial has done since it began at `ckpt_path`
    comes first: a command that was killed is typed again with its `ckpt_path`.
    """
    own = source(folder, None) if owned or ckpt_path is None else None
    if own is not None or ckpt_path is None:
        return own, None
    named = source(folder, ckpt_path)
    return named, named


def source(folder: Path, ckpt_path: Path | None) -> Path | None:
    """The checkpoint to go on from: the one that is named (a file or a folder), else the trial's own newest.

    Warns when the newest is damaged and an older one is taken. Raises `Refusal` when there is none at
    `ckpt_path`, or all are damaged.
    """
    if ckpt_path is not None and ckpt_path.is_file():
        return ckpt_path.absolute()
    place = folder / "checkpoints" if ckpt_path is None else ckpt_path
    if ckpt_path is not None and (ckpt_path / "checkpoints").is_dir():
        place = ckpt_path / "checkpoints"
    found, damaged = newest(place)
    if found is None and ckpt_path is not None:
        raise Refusal(
            f"there is no checkpoint at ckpt_path={ckpt_path}: name a .ckpt file or a trial's folder."
        )
    if damaged:
        names = ", ".join(path.name for path in damaged)
        warnings.warn(f"damaged: {names}; training goes on from {found}", stacklevel=2)
    return None if found is None else found.absolute()


def tensors_in(state: Mapping[str, Any]) -> dict[str, Tensor]:
    """Of a state dict, without what a module of a person's own adds by `get_extra_state`."""
    return {name: value for name, value in state.items() if isinstance(value, Tensor)}


def _check_shapes(state: dict[str, Any], net: nn.Module) -> None:
    saved = {name.removeprefix("net."): tuple(value.shape) for name, value in tensors_in(state).items()}
    own = {name: tuple(value.shape) for name, value in tensors_in(net.state_dict()).items()}
    for name in sorted(saved.keys() | own.keys()):
        if saved.get(name) != own.get(name):
            raise Refusal(
                f"the checkpoint is of another model ({name} is {_shown(saved.get(name))} there and "
                f"{_shown(own.get(name))} here): choose the model that it was trained with."
            )


def _shown(shape: tuple[int, ...] | None) -> str:
    return "missing" if shape is None else " x ".join(str(size) for size in shape) or "a scalar"


def random_states() -> dict[str, Any]:
    """States of python, numpy, torch and each CUDA device, in types that `weights_only` loads."""
    drawn = np.random.get_state(legacy=False)
    words = torch.from_numpy(drawn["state"]["key"].astype(np.int64))
    return {
        "python": random.getstate(),
        "numpy": [drawn["bit_generator"], words, drawn["state"]["pos"], drawn["has_gauss"], drawn["gauss"]],
        "torch": torch.get_rng_state(),
        "cuda": torch.cuda.get_rng_state_all() if torch.cuda.is_initialized() else [],
    }


def restore_random(saved: dict[str, Any]) -> None:
    """Put every generator back; CUDA states of devices that are not here are left out."""
    version, keys, gauss = saved["python"]
    random.setstate((version, tuple(keys), gauss))
    name, words, *rest = saved["numpy"]
    np.random.set_state((name, words.numpy().astype(np.uint32), *rest))
    torch.set_rng_state(saved["torch"].cpu())
    for index, device_state in enumerate(saved["cuda"][: torch.cuda.device_count()]):
        torch.cuda.set_rng_state(device_state.cpu(), index)
