"""Which checkpoint a training goes on from, and whether it is one of this training."""

import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Any, final

from torch import nn

from models.checkpoint import OURS, newest
from refusal import Refusal


@final
@dataclass(frozen=True)
class Identity:
    """What a training is, in plain values, kept in its checkpoints.

    `strict` wants all of it to be equal, as when a command is typed again; otherwise, for a checkpoint that
    somebody names, the network and the optimizer must fit and the rest may differ.
    """

    values: dict[str, Any]
    strict: bool

    def check(self, checkpoint: dict[str, Any], net: nn.Module) -> None:
        """Raise `Refusal` when `checkpoint` is not of this training, or not of this network."""
        _check_shapes(checkpoint["state_dict"], net)
        saved = checkpoint[OURS]["identity"]
        for name in self.values if self.strict else ("optimizer",):
            there, here = saved.get(name), self.values[name]
            if there != here:
                raise Refusal(
                    f"the checkpoint is of another trial ({name} {there} there, {here} here): "
                    "name another folder, or delete its checkpoints to start anew."
                )


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


def _check_shapes(state: dict[str, Any], net: nn.Module) -> None:
    saved = {name.removeprefix("net."): tuple(tensor.shape) for name, tensor in state.items()}
    own = {name: tuple(tensor.shape) for name, tensor in net.state_dict().items()}
    for name in sorted(saved.keys() | own.keys()):
        if saved.get(name) != own.get(name):
            raise Refusal(
                f"the checkpoint is of another model ({name} is {_shown(saved.get(name))} there and "
                f"{_shown(own.get(name))} here): choose the model that it was trained with."
            )


def _shown(shape: tuple[int, ...] | None) -> str:
    return "missing" if shape is None else " x ".join(str(size) for size in shape) or "a scalar"
