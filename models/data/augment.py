"""Training batches that are never twice the same: flipped, shifted, cut out and mixed, on the device."""

from collections.abc import Sequence
from typing import Any, final

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import one_hot, pad

from refusal import Refusal

KINDS = ("flip", "crop", "cutout", "mixup")
_ROOM = 8
"""of a side that a crop may move by one: 4 of 32 pixels"""
_CUT = 0.25
"""of an example's area that is cut out: 16 of 32 pixels to each side"""
_MIXED = 0.2
"""both parameters of the Beta distribution of a mixture's share"""


def check(names: Sequence[str], shape: Sequence[int], tokens: bool) -> None:
    """Raise `Refusal` for what `data.augment` names twice, does not know, or cannot do to such examples."""
    odd = next((name for name in names if name not in KINDS or list(names).count(name) > 1), None)
    if odd is not None:
        raise Refusal(f"data.augment names '{odd}': choose from {', '.join(KINDS)}, each once.")
    space = tuple(shape[1:]) if len(shape) > 1 and tuple(shape[1:]) != (1,) else ()
    fits = () if tokens else KINDS if len(space) > 1 else KINDS[1:] if space else KINDS[3:]
    wrong = [name for name in names if name not in fits]
    if wrong:
        kind = "tokens" if tokens else "a signal" if space else "a row of a table"
        may = f"{kind} takes {' and '.join(fits)}" if fits else f"{kind} takes none of them"
        raise Refusal(f"data.augment={wrong[0]} makes no sense for examples of {list(shape)}: {may}.")


@final
class Augment:
    """Changes a batch by numbers that are drawn for its place in the stream: a resumed one is the same.

    `flip` mirrors half of the pictures, left for right; `crop` moves an example by up to an eighth of its
    sides, or one place; `cutout` puts the mean in place of a square, or a stretch, of a quarter of it
    (DeVries and Taylor 2017, arXiv 1708.04552); `mixup` adds the examples of a batch in pairs, and their
    answers in the same shares, which come out as (B, classes) then (Zhang et al. 2018, arXiv 1710.09412).
    They act in this order.
    """

    def __init__(self, names: Sequence[str], classes: int, seed: int) -> None:
        self.names, self.classes, self.seed = tuple(names), classes, seed

    def __call__(
        self, inputs: Tensor, targets: Tensor, place: int, rank: int = 0, world: int = 1
    ) -> tuple[Tensor, Tensor]:
        """(B, C, ...) float32 and its answers, changed; `place` is how many examples came before the batch.

        Of `world` processes each draws what a single one would and takes its share; only mixtures are made
        within each share.
        """
        rng = np.random.default_rng((self.seed, place))
        count, axes = len(inputs), inputs.dim() - 2

        def drawn(*more: int) -> Tensor:
            """(B, *more) uniform in [0, 1)."""
            whole = rng.random((world * count, *more), np.float32)
            return torch.from_numpy(whole[rank * count : (rank + 1) * count]).to(inputs.device)

        if "flip" in self.names or "crop" in self.names:
            flipped = drawn() < 0.5 if "flip" in self.names else None
            inputs = moved(inputs, flipped, drawn(axes) if "crop" in self.names else None)
        if "cutout" in self.names:
            inputs = cut_out(inputs, drawn(axes))
        return self._mixed(inputs, targets, rng) if "mixup" in self.names else (inputs, targets)

    def _mixed(self, inputs: Tensor, targets: Tensor, rng: Any) -> tuple[Tensor, Tensor]:
        share = float(rng.beta(_MIXED, _MIXED))
        others = torch.from_numpy(rng.permutation(len(inputs))).to(inputs.device)
        if targets.dtype == torch.int64:
            targets = one_hot(targets, self.classes)
        targets = targets.to(inputs.dtype)
        return tuple(torch.lerp(part[others], part, share) for part in (inputs, targets))  # type: ignore[return-value]


def moved(inputs: Tensor, flipped: Tensor | None, shifts: Tensor | None) -> Tensor:
    """(B, C, ...) mirrored along the last axis where `flipped` (B,), and shifted by `shifts`.

    Those are (B, axes) in [0, 1): the middle leaves an example where it is, what comes in at an edge is 0.
    """
    space = inputs.shape[2:]
    # An eighth, or one; a side of one would leave the example as a whole.
    rooms = [0 if shifts is None or size == 1 else max(1, size // _ROOM) for size in space]
    wide = pad(inputs, [room for room in reversed(rooms) for _ in range(2)])
    device, axes = inputs.device, inputs.dim()
    examples = torch.arange(len(inputs), device=device)[:, None]
    channels = torch.arange(inputs.shape[1], device=device)[None]
    index = [_along(examples, 1, axes), _along(channels, 1, axes)]
    for axis, (size, room) in enumerate(zip(space, rooms, strict=True)):
        at = torch.arange(size, device=device).expand(len(inputs), size)
        if flipped is not None and axis == len(space) - 1:
            at = torch.where(flipped[:, None], at.flip(1), at)
        if shifts is not None:
            at = at + (shifts[:, axis, None] * (2 * room + 1)).long()
        index.append(_along(at, 2 + axis, axes))
    return wide[tuple(index)]


def cut_out(inputs: Tensor, centres: Tensor) -> Tensor:
    """(B, C, ...) with 0, the mean, in a part of each example around its place in `centres` (B, axes)."""
    space = inputs.shape[2:]
    inside = torch.ones((), dtype=torch.bool, device=inputs.device)
    for axis, size in enumerate(space):
        length = size * _CUT ** (1 / len(space))
        far = torch.arange(size, device=inputs.device) + 0.5 - centres[:, axis, None] * size
        inside = inside & _along(far.abs() <= length / 2, 2 + axis, inputs.dim())
    return inputs.masked_fill(inside, 0.0)


def _along(values: Tensor, axis: int, axes: int) -> Tensor:
    """(B or 1, n) as (B or 1, 1, ..., n, ..., 1) with its n at `axis`."""
    shape = [1] * axes
    shape[0], shape[axis] = values.shape[0], values.shape[1]
    return values.reshape(shape)
