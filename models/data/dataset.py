"""What a loader returns: three splits that live as tensors, checked once against the config that asked."""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, final

import torch
from torch import Tensor

from models.data.augment import Augment, check
from models.data.stream import Stream
from refusal import Refusal

TASKS = ("classification", "multilabel", "regression", "language", "recall")
UNSCORED = -100
"""target of a position that no loss and no score counts"""


@final
@dataclass(frozen=True)
class Scale:
    """What inputs are put on one scale by: (1, C, 1, ...) float32 each, one of each channel."""

    mean: Tensor
    deviation: Tensor
    gaps: bool = False
    """whether inputs may be missing, not a number, which is the mean then"""

    def __call__(self, inputs: Tensor) -> Tensor:
        """(B, C, ...) of any type -> float32, less the mean and over the deviation."""
        scaled = inputs.to(torch.float32, copy=True).sub_(self.mean).div_(self.deviation)
        return scaled.nan_to_num_(0.0) if self.gaps else scaled

    def to(self, device: torch.device | str) -> "Scale":
        """The same on `device`."""
        return replace(self, mean=self.mean.to(device), deviation=self.deviation.to(device))


@final
@dataclass(frozen=True)
class Split:
    """Examples and their answers; row i of one belongs to row i of the other.

    With `rows` the split is those of them, in that order: parts of one pool then share its memory. With a
    `scale` the inputs lie as they were read, and are put on it batch by batch.
    """

    inputs: Tensor
    """(N, *shape) float32, standardised; or (N, T) integer tokens in the smallest type that holds them"""
    targets: Tensor
    """(N,) int64 class; (N, K) bool, several classes; (N, T) uint8 or int64 next token, `UNSCORED` where
    nothing is asked; (N, 1) value"""
    rows: Tensor | None = None
    """(n,) int64 places in both; None is all of them, in order"""
    scale: Scale | None = None
    values: Scale | None = None
    """what the targets of a regression are put on one scale by, as the inputs"""
    stream: Stream | None = None
    """what reads the inputs where they are larger than the memory; they stay on the CPU then"""

    def __len__(self) -> int:
        return len(self.targets if self.rows is None else self.rows)

    @property
    def device(self) -> torch.device:
        """Where its batches are."""
        return self.targets.device

    def to(self, device: torch.device | str) -> "Split":
        """The same split on `device`."""
        rows = None if self.rows is None else self.rows.to(device)
        scale = None if self.scale is None else self.scale.to(device)
        values = None if self.values is None else self.values.to(device)
        inputs = self.inputs if self.stream else self.inputs.to(device)
        return Split(inputs, self.targets.to(device), rows, scale, values, self.stream)

    def part(self, start: int, stop: int) -> "Split":
        """Its examples from `start` up to `stop`, without a copy."""
        if self.rows is None:
            return replace(self, inputs=self.inputs[start:stop], targets=self.targets[start:stop])
        return replace(self, rows=self.rows[start:stop])

    def taken(self, places: Tensor) -> tuple[Tensor, Tensor]:
        """Inputs and targets at (n,) `places` of the split, as a network takes them."""
        return self.asked(places)()

    def asked(self, places: Tensor) -> Callable[[], tuple[Tensor, Tensor]]:
        """`taken`, which is begun now and waited for later where inputs are read from the disk."""
        rows = places if self.rows is None else self.rows.index_select(0, places)
        if self.stream is None:
            return lambda: self._wide(self.inputs.index_select(0, rows), self.targets.index_select(0, rows))
        reading = self.stream.ask(rows)
        return lambda: self._wide(reading().to(self.device), self.targets.index_select(0, rows))

    def whole(self) -> tuple[Tensor, Tensor]:
        """All inputs and targets in order, as a network takes them: float32 or int64, on their scale."""
        if self.rows is None:
            return self._wide(self.inputs, self.targets)
        return self.taken(torch.arange(len(self), device=self.device))

    def answers(self) -> Tensor:
        """The targets of the split alone, as they are kept."""
        return self.targets if self.rows is None else self.targets.index_select(0, self.rows)

    def _wide(self, inputs: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
        inputs = _widened(inputs) if self.scale is None else self.scale(inputs)
        return inputs, _widened(targets) if self.values is None else self.values(targets)


def _widened(tensor: Tensor) -> Tensor:
    return tensor if tensor.is_floating_point() or tensor.dtype == torch.bool else tensor.long()


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
    about: dict[str, Any] = field(default_factory=dict)
    """what is kept with the network: `names` of the classes, `mean` and `deviation` of the inputs' scale; and
    `notes`, sentences for whoever asked"""
    augment: Sequence[str] | None = ()
    """how batches are changed while training, of `models.data.augment.KINDS`"""

    def __post_init__(self) -> None:
        # An override arrives as any sequence of numbers; equality below wants a tuple.
        object.__setattr__(self, "shape", tuple(int(size) for size in self.shape))
        if self.task not in TASKS:
            raise Refusal(f"data.task '{self.task}' is unknown: choose one of {', '.join(TASKS)}.")
        named = (self.augment,) if isinstance(self.augment, str) else self.augment or ()
        object.__setattr__(self, "augment", tuple(named))
        check(named, self.shape, tokens=_tokens(self.train))
        for name in ("train", "val", "test"):
            _check_split(self, name, getattr(self, name))
        if not 1 <= self.batch_size <= len(self.train):
            raise Refusal(
                f"data.batch_size {self.batch_size} does not fit {len(self.train)} training examples: "
                f"set it between 1 and {len(self.train)}."
            )

    def changes(self, seed: int) -> Augment | None:
        """What makes the training batches of a run with this seed never twice the same."""
        return Augment(self.augment, self.classes, seed) if self.augment else None

    @property
    def known(self) -> dict[str, Any]:
        """What a network needs of its data beside its weights: shape, classes and names, scale, tokenizer."""
        about = {key: value for key, value in self.about.items() if key != "notes"}
        return {"task": self.task, "shape": list(self.shape), "classes": self.classes} | about

    def spelt(self) -> str:
        """The same as it lies in `data.json`."""
        return json.dumps(self.known, ensure_ascii=False, indent=1)

    def to(self, device: torch.device | str) -> "Dataset":
        """The same data on `device`."""
        if self.train.device == torch.device(device):
            return self
        return replace(self, train=self.train.to(device), val=self.val.to(device), test=self.test.to(device))


def _check_split(data: Dataset, name: str, split: Split) -> None:
    if len(split) == 0 or len(split.inputs) != len(split.targets):
        raise Refusal(
            f"the {name} split holds {len(split.inputs)} inputs and {len(split.targets)} targets: "
            "give it more data, or change the shares of the splits."
        )
    true = tuple(split.inputs.shape[1:])
    if true != data.shape:
        shown = ",".join(str(size) for size in true)
        raise Refusal(f"data.shape {list(data.shape)} is not the data's own: set data.shape=[{shown}].")
    fits = _tasks(split)
    if data.task not in fits:
        said = " or ".join(fits)
        raise Refusal(f"data.task {data.task} does not fit the data, whose answers ask for {said}.")
    if data.task == "multilabel" and split.targets.shape[1] != data.classes:
        own = split.targets.shape[1]
        raise Refusal(f"data.classes {data.classes} does not fit the data of {own}: set data.classes={own}.")
    if data.task in ("classification", "language", "recall"):
        per_token = "language" in fits
        _check_classes(data, split.answers(), exactly=name == "train" and not per_token)
        if per_token and split.stream is None:
            _check_classes(data, split.inputs, exactly=False)


def _tasks(split: Split) -> tuple[str, ...]:
    if split.targets.is_floating_point():
        return ("regression",)
    if split.targets.dtype == torch.bool:
        return ("multilabel",)
    per_token = split.targets.dim() == 2 and _tokens(split)
    return ("language", "recall") if per_token else ("classification",)


def _tokens(split: Split) -> bool:
    return split.scale is None and not split.inputs.is_floating_point()


def _check_classes(data: Dataset, tensor: Tensor, *, exactly: bool) -> None:
    asked = tensor[tensor != UNSCORED] if tensor.dtype == torch.int64 else tensor
    low, high = (int(value) for value in asked.aminmax()) if asked.numel() else (0, 0)
    if low < 0 or high >= data.classes or (exactly and high + 1 != data.classes):
        raise Refusal(
            f"data.classes {data.classes} does not fit the data, whose values run from {low} to {high}: "
            f"set data.classes={high + 1}."
        )
