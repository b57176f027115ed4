"""A gated recurrent network, for signals, images read row by row, and tokens.

Source: Cho et al. (2014), arXiv 1406.1078, with the reset gate after the product, as in cuDNN.
"""

import math
from collections.abc import Sequence
from typing import final

import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

from models.nets.padding import PADDING, mean_of, present
from models.nets.shapes import TOKEN_TASKS, positive, sizes
from refusal import Refusal


@final
class GRU(nn.Module):
    """`depth` layers of `width` units over time.

    (C, L) is read as L / `stride` steps of C * `stride` values, (C, H, W) as H / `stride` steps of rows. A
    classifier reads out the states of all steps (`readout=flatten`), the last state (`last`) or their mean
    (`mean`): (B, *shape) float -> (B, classes). With a `vocabulary` it classifies (B, T) int64 tokens, of
    which 0 is padding: no read-out sees it, so that an answer does not depend on how far a text was padded.
    Of a task with one answer per token every state predicts: (B, T) int64 -> (B, T, classes).

    `cell=scan` is written in plain operations: it works under vmap, and costs on a CPU what PyTorch's own
    does. `cell=fused` is `torch.nn.GRU`: cuDNN's kernel on a GPU, many times faster there; vmap refuses it.
    Raises `Refusal` for a bidirectional net on tokens, which would read its own answers, and for a stride
    that does not divide the steps.
    """

    def __init__(
        self,
        shape: Sequence[int],
        classes: int,
        task: str = "classification",
        *,
        width: int = 32,
        depth: int = 1,
        bidirectional: bool = False,
        stride: int = 1,
        readout: str = "flatten",
        cell: str = "scan",
        vocabulary: int | None = None,
    ) -> None:
        super().__init__()
        positive(classes=classes, width=width, depth=depth, stride=stride)
        self.tokens, self.stride = task in TOKEN_TASKS, stride
        self.texts = vocabulary is not None and not self.tokens and len(sizes(shape)) == 1
        steps, features = _steps(sizes(shape), self.tokens, stride, bidirectional, width if self.texts else 0)
        if self.texts or self.tokens:
            rows = classes if vocabulary is None or self.tokens else vocabulary
            self.embedding: nn.Module = nn.Embedding(rows, width, padding_idx=PADDING if self.texts else None)
        else:
            self.embedding = nn.Identity()
        ways = 2 if bidirectional else 1
        inputs = [width if self.tokens else features] + [width * ways] * (depth - 1)
        self.layers = nn.ModuleList(_layer(cell, size, width, bidirectional) for size in inputs)
        reads = {"flatten": steps, "last": 1, "mean": 1}
        if readout not in reads:
            raise Refusal(f"model.readout '{readout}' is unknown: choose one of {', '.join(reads)}.")
        self.readout = readout
        self.head = nn.Linear(width * ways * (1 if self.tokens else reads[readout]), classes)

    def forward(self, x: Tensor) -> Tensor:
        """Logits for a batch."""
        there = present(x).unflatten(1, (-1, self.stride)).any(-1) if self.texts else None
        x = self._sequence(x)  # (B, T, features)
        for layer in self.layers:
            x = layer(x, there)  # (B, T, width * ways)
        return self.head(x if self.tokens else self._read(x, there))

    def _sequence(self, x: Tensor) -> Tensor:
        if self.tokens:
            return self.embedding(x)
        x = self.embedding(x) if self.texts else x.transpose(1, 2).flatten(2)  # (B, T, C * W)
        return x.unflatten(1, (-1, self.stride)).flatten(2)

    def _read(self, states: Tensor, there: Tensor | None) -> Tensor:
        if self.readout == "flatten":
            return (states if there is None else states * there.unsqueeze(-1)).flatten(1)
        if self.readout == "mean":
            return states.mean(1) if there is None else mean_of(states, there)
        if there is None:
            return states[:, -1]
        last = (there.sum(1) - 1)[:, None, None].expand(-1, 1, states.shape[-1])
        return states.gather(1, last).squeeze(1)


@final
class Scan(nn.Module):
    """One layer in plain operations, both directions advanced together: (B, T, F) -> (B, T, width * ways)."""

    def __init__(self, features: int, width: int, bidirectional: bool) -> None:
        super().__init__()
        self.width, ways = width, 2 if bidirectional else 1
        self.read = nn.Linear(features, ways * 3 * width)
        bound = 1 / math.sqrt(width)
        self.weight = nn.Parameter(torch.empty(ways, width, 3 * width).uniform_(-bound, bound))
        self.bias = nn.Parameter(torch.empty(ways, 1, 3 * width).uniform_(-bound, bound))

    def forward(self, x: Tensor, there: Tensor | None = None) -> Tensor:
        """States of every step, forward and then backward in time; they stay where none is `there` (B, T)."""
        ways, width, _ = self.weight.shape
        read = self.read(x).unflatten(-1, (ways, 3 * width)).permute(1, 2, 0, 3)  # (T, ways, B, 3 * width)
        read = torch.stack([read[:, 0], read[:, 1].flip(0)], 1) if ways == 2 else read
        state, states = read.new_zeros((*read.shape[1:-1], width)), []
        seen = None if there is None else _both_ways(there, ways)
        for place, step in enumerate(read.unbind(0)):
            new = self._advance(step, state)
            state = new if seen is None else torch.where(seen[place], new, state)
            states.append(state)
        out = torch.stack(states, 2)  # (ways, B, T, width)
        return torch.cat([out[0], out[1].flip(1)], -1) if ways == 2 else out[0]

    def _advance(self, read: Tensor, state: Tensor) -> Tensor:
        recalled = torch.baddbmm(self.bias, state, self.weight)
        split = (2 * self.width, self.width)
        (read_gates, read_new), (gates, new) = read.split(split, -1), recalled.split(split, -1)
        reset, keep = torch.sigmoid(read_gates + gates).chunk(2, -1)
        return torch.lerp(torch.tanh(torch.addcmul(read_new, reset, new)), state, keep)


@final
class Fused(nn.Module):
    """One layer of `torch.nn.GRU`: (B, T, F) -> (B, T, width * ways)."""

    def __init__(self, features: int, width: int, bidirectional: bool) -> None:
        super().__init__()
        self.gru = nn.GRU(features, width, batch_first=True, bidirectional=bidirectional)

    def forward(self, x: Tensor, there: Tensor | None = None) -> Tensor:
        """States of every step; what is read backwards begins where something is `there` (B, T)."""
        if there is None or not self.gru.bidirectional:
            return self.gru(x)[0]
        packed = pack_padded_sequence(x, there.sum(1).cpu(), batch_first=True, enforce_sorted=False)
        return pad_packed_sequence(self.gru(packed)[0], batch_first=True, total_length=x.shape[1])[0]


def _both_ways(there: Tensor, ways: int) -> Tensor:
    """(T, ways, B, 1) of (B, T), the second way backwards in time."""
    steps = there.T[:, None, :, None]
    return torch.cat([steps, steps.flip(0)], 1) if ways == 2 else steps


def _layer(cell: str, features: int, width: int, bidirectional: bool) -> nn.Module:
    cells = {"scan": Scan, "fused": Fused}
    if cell not in cells:
        raise Refusal(f"model.cell '{cell}' is unknown: choose one of {', '.join(cells)}.")
    return cells[cell](features, width, bidirectional)


def _steps(
    shape: tuple[int, ...], tokens: bool, stride: int, bidirectional: bool, embedded: int
) -> tuple[int, int]:
    """Steps in time and values per step; texts have `embedded` values a token."""
    if tokens and (bidirectional or stride > 1):
        raise Refusal(
            "model.bidirectional and model.stride let a network read the tokens that it must predict: set "
            "them to false and 1 for this data."
        )
    if tokens:
        return shape[0], 1
    if embedded and len(shape) == 1:
        shape = (embedded, *shape)
    if len(shape) == 1:
        raise Refusal(f"model=gru has no time axis in a shape of {list(shape)}: choose model=mlp.")
    if shape[1] % stride:
        raise Refusal(f"model.stride {stride} does not divide {shape[1]} steps: choose one that does.")
    return shape[1] // stride, stride * shape[0] * math.prod(shape[2:])
