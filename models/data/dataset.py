"""What a loader returns: three splits that live as tensors, checked once against the config that asked."""

from dataclasses import dataclass, replace
from typing import final

import torch
from torch import Tensor

from refusal import Refusal

TASKS = ("classification", "language", "recall")
UNSCORED = -100
"""target of a position that no loss and no score counts"""


@final
@dataclass(frozen=True)
class Split:
    """Examples and their answers; row i of one belongs to row i of the other."""

    inputs: Tensor
    """(N, *shape) float32, standardised; or (N, T) integer tokens in the smallest type that holds them"""
    targets: Tensor
    """(N,) int64 class; or (N, T) uint8 or int64 next token, `UNSCORED` where nothing is asked"""

    def __len__(self) -> int:
        return len(self.inputs)

    def to(self, device: torch.device | str) -> "Split":
        """The same split on `device`."""
        return Split(self.inputs.to(device), self.targets.to(device))


@final
@dataclass(frozen=True)
class Dataset:
    """Train, validation and test, with what a network must know of them to be built.

    Raises `Refusal` when `shape`, `classes`, `task` or `batch_size` do not fit the tensors.
    """

    train: Split
    val: Split
    test: Split
    task: str
    shape: tuple[int, ...]
    classes: int
    batch_size: int

    def __post_init__(self) -> None:
        # An override arrives as any sequence of numbers; equality below wants a tuple.
        object.__setattr__(self, "shape", tuple(int(size) for size in self.shape))
        if self.task not in TASKS:
            raise Refusal(f"data.task '{self.task}' is unknown: choose one of {', '.join(TASKS)}.")
        for name in ("train", "val", "test"):
            _check_split(self, name, getattr(self, name))
        if not 1 <= self.batch_size <= len(self.train):
            raise Refusal(
                f"data.batch_size {self.batch_size} does not fit {len(self.train)} training examples: "
                f"set it between 1 and {len(self.train)}."
            )

    def to(self, device: torch.device | str) -> "Dataset":
        """The same data on `device`."""
        return replace(self, train=self.train.to(device), val=self.val.to(device), test=self.test.to(device))


def _check_split(data: Dataset, name: str, split: Split) -> None:
    if len(split) == 0 or len(split) != len(split.targets):
        raise Refusal(
            f"the {name} split holds {len(split)} inputs and {len(split.targets)} targets: "
            "give it more data, or change the shares of the splits."
        )
    true = tuple(split.inputs.shape[1:])
    if true != data.shape:
        shown = ",".join(str(size) for size in true)
        raise Refusal(f"data.shape {list(data.shape)} is not the data's own: set data.shape=[{shown}].")
    per_token = split.targets.dim() == 2 and not split.inputs.is_floating_point()
    if per_token == (data.task == "classification"):
        fits = "language or recall" if per_token else "classification"
        raise Refusal(f"data.task {data.task} does not fit the data, whose answers ask for {fits}.")
    _check_classes(data, split.targets, exactly=name == "train" and not per_token)
    if per_token:
        _check_classes(data, split.inputs, exactly=False)


def _check_classes(data: Dataset, tensor: Tensor, *, exactly: bool) -> None:
    asked = tensor[tensor != UNSCORED] if tensor.dtype == torch.int64 else tensor
    low, high = (int(value) for value in asked.aminmax()) if asked.numel() else (0, 0)
    if low < 0 or high >= data.classes or (exactly and high + 1 != data.classes):
        raise Refusal(
            f"data.classes {data.classes} does not fit the data, whose values run from {low} to {high}: "
            f"set data.classes={high + 1}."
        )
