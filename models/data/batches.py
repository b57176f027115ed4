"""Batches of tensors that are already on the device: no DataLoader, no workers, no collation.

A DataLoader costs 0.6 ms a batch, more than the whole training step of a small network. Here the rows of
many batches are gathered at once and handed out as views, which costs microseconds.
"""

import hashlib
from collections.abc import Callable, Iterator
from typing import Any, final

import torch
from torch import Tensor

from models.data.augment import Augment
from models.data.dataset import Split
from refusal import Refusal

Batch = tuple[Tensor, Tensor]

_CHUNK_BYTES = 2 * 2**20
"""each trial has its own, while the data it is gathered from is shared"""
_CHUNK_BATCHES = 16
"""of 64 batches the first chunk took 2 ms of new pages, and a training of 20 steps used a third of it"""


@final
class Batches:
    """An endless stream of training batches, the same for the same seed on every device.

    The stream of examples is one permutation of the split after another, cut into batches of equal size. An
    epoch's tail is neither dropped nor short: a batch may hold the last examples of one epoch and the first
    of the next. So every example is seen exactly once an epoch, and shapes never change.

    With `world` processes each step takes `world * batch_size` examples from that one stream and process
    `rank` gets its slice; a single process with the product as its batch size sees the same examples.

    Inputs come out as float32 or int64 and targets as int64, on the split's device.
    Raises `Refusal` when a step wants more examples than the split holds.
    """

    def __init__(
        self,
        split: Split,
        batch_size: int,
        seed: int,
        *,
        rank: int = 0,
        world: int = 1,
        augment: Augment | None = None,
    ) -> None:
        if not 1 <= batch_size * world <= len(split):
            raise Refusal(
                f"a batch of {batch_size} for each of {world} processes does not fit {len(split)} examples: "
                f"set data.batch_size between 1 and {len(split) // world}."
            )
        self.split, self.batch_size, self.seed, self.rank, self.world = split, batch_size, seed, rank, world
        self._augment = augment
        self._stride = batch_size * world
        self._chunk = _batches_per_chunk(split, batch_size)
        self._drawn = 0
        self._ready: list[Batch] = []
        self._ahead: tuple[int, Callable[[], Batch]] | None = None
        """the chunk that begins at a place of the stream, while it is read from the disk"""
        self._permutation = (-1, torch.empty(0, dtype=torch.int64))

    @property
    def epoch(self) -> float:
        """Epochs drawn so far, by all processes together."""
        return self._drawn / len(self.split)

    def __iter__(self) -> Iterator[Batch]:
        return self

    def __next__(self) -> Batch:
        if not self._ready:
            self._gather()
        place = self._drawn
        self._drawn += self._stride
        batch = self._ready.pop()
        return batch if self._augment is None else self._augment(*batch, place, self.rank, self.world)

    def state_dict(self) -> dict[str, Any]:
        """Where the stream stands, in plain numbers; equal on every rank."""
        return {"seed": self.seed, "examples": len(self.split), "drawn": self._drawn}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on exactly where `state` was taken; the batch size may have changed since.

        Raises `Refusal` when `state` is from another split or another seed.
        """
        own = self.state_dict()
        for name in ("seed", "examples"):
            if state[name] != own[name]:
                raise Refusal(
                    f"the checkpoint's data order has {name} {state[name]} and this run {own[name]}: resume "
                    "with the data and the seed that the checkpoint was written with."
                )
        self._drawn, self._ready = int(state["drawn"]), []

    def _gather(self) -> None:
        inputs, targets = (
            tensor.unflatten(0, (self._chunk, self.batch_size)).unbind()
            for tensor in self._chunk_at(self._drawn)
        )
        self._ready = list(zip(inputs, targets, strict=True))[::-1]

    def _chunk_at(self, start: int) -> Batch:
        """The examples of the next batches; where they are read from the disk, those after them are begun."""
        ahead = self._ahead[1] if self._ahead is not None and self._ahead[0] == start else self._asked(start)
        if self.split.stream is not None:
            after = start + self._chunk * self._stride
            self._ahead = after, self._asked(after)
        return ahead()

    def _asked(self, start: int) -> Callable[[], Batch]:
        order = self._order(start, start + self._chunk * self._stride)
        rows = order.view(self._chunk, self.world, self.batch_size)[:, self.rank].flatten()
        return self.split.asked(rows.to(self.split.device))

    def _order(self, start: int, stop: int) -> Tensor:
        """(stop - start,) int64: these places of the stream, as rows of the split."""
        size, parts = len(self.split), []
        while start < stop:
            epoch, offset = divmod(start, size)
            parts.append(self._shuffled(epoch)[offset : offset + stop - start])
            start += len(parts[-1])
        return torch.cat(parts)

    def _shuffled(self, epoch: int) -> Tensor:
        if self._permutation[0] != epoch:
            # Drawn on the CPU so that every device sees one order; hashed since close seeds start alike.
            seed = int.from_bytes(hashlib.sha256(f"{self.seed}/{epoch}".encode()).digest()[:4], "big")
            generator = torch.Generator().manual_seed(seed)
            self._permutation = (epoch, torch.randperm(len(self.split), generator=generator))
        return self._permutation[1]


def sequential(split: Split, batch_size: int) -> Iterator[Batch]:
    """Every example once, in order, for evaluation; the last batch may be short. Types as in `Batches`."""
    for start in range(0, len(split), batch_size):
        yield split.part(start, start + batch_size).whole()


def _batches_per_chunk(split: Split, batch_size: int) -> int:
    """How many batches to gather at once: enough to spread its cost, few enough to stay in the cache."""
    narrow = split.inputs.is_floating_point() or split.scale is not None
    example = split.inputs[0].numel() * (4 if narrow else 8)
    return max(1, min(_CHUNK_BATCHES, _CHUNK_BYTES // (example * batch_size)))
