"""Depth without as many weights: blocks that are run several times, alike or each time a little different."""

from collections.abc import Sequence
from typing import Any, final

import torch
from torch import Tensor, nn
from torch.func import functional_call

from models.nets.mixers.choice import cycle
from models.nets.shapes import positive
from refusal import Refusal

KINDS = ("none", "all", "cycle", "relaxed")
"""what `model.sharing` may name"""


@final
class Cycle(nn.Module):
    """`blocks` one after the other, over and over, until `depth` were run: (B, T, width) -> the same.

    One block is ALBERT's sharing: Lan et al. (2020), arXiv 1909.11942, section 3.1. Several are the CYCLE of
    Takase and Kiyono (2021), arXiv 2104.06022, section 3.
    """

    def __init__(self, blocks: Sequence[nn.Module], depth: int) -> None:
        super().__init__()
        self.blocks, self.depth = nn.ModuleList(blocks), depth

    def forward(self, x: Tensor, there: Tensor | None = None) -> Tensor:
        """The stream after the last round."""
        for block in self.layers():
            x = block(x, there)
        return x

    def layers(self) -> list[nn.Module]:
        """The block of each of the `depth` layers."""
        return [self.blocks[layer % len(self.blocks)] for layer in range(self.depth)]


@final
class Relaxed(nn.Module):
    """One block run `depth` times, each time with its own U V, of rank `rank`, added to each linear layer.

    The sums are formed anew at every call: rank x weights multiply-adds for each layer. U starts at zero, so
    that all layers begin alike. Source: Bae et al. (2024), arXiv 2410.20672, section 2.2, trained from the
    start and not from a decomposed teacher. A call raises `Refusal` where a linear layer was replaced, or
    a module inside is recomputed, which would be done with the weights of no layer.
    """

    def __init__(self, block: nn.Module, depth: int, rank: int) -> None:
        super().__init__()
        self.block, self.depth = block, depth
        self.down, self.up = nn.ParameterDict(), nn.ParameterDict()
        for name, linear in _linears(block):
            rows, columns = linear.weight.shape
            key = name.replace(".", "_")
            self.down[key] = nn.Parameter(torch.randn(depth, rank, columns) * columns**-0.5)
            self.up[key] = nn.Parameter(torch.zeros(depth, rows, rank))

    def forward(self, x: Tensor, there: Tensor | None = None) -> Tensor:
        """The stream after the last layer."""
        for layer in range(self.depth):
            x = functional_call(self.block, self._weights(layer), (x, there))
        return x

    def layers(self) -> list[nn.Module]:
        """The block once for each layer."""
        return [self.block] * self.depth

    def _weights(self, layer: int) -> dict[str, Tensor]:
        found = dict(_linears(self.block))
        if {name.replace(".", "_") for name in found} != set(self.down):
            raise Refusal(
                "model.sharing=relaxed adds to the weights of dense layers, and some were replaced: choose "
                "model.sharing=all or cycle with this compression."
            )
        if any("forward" in vars(module) for module in self.block.modules()):
            raise Refusal(
                "model.sharing=relaxed is recomputed as a whole: set trainer.recompute to [blocks.0]."
            )
        own = {}
        for name, linear in found.items():
            key = name.replace(".", "_")
            own[f"{name}.weight"] = linear.weight + self.up[key][layer] @ self.down[key][layer]
        return own


def distinct(sharing: str, depth: int, shared_blocks: int, pattern: str | Sequence[str]) -> int:
    """How many different blocks a network of `depth` layers has.

    Raises:
        Refusal: the kind is unknown, more blocks than layers, or a pattern whose repeats would need different
            blocks.
    """
    if sharing not in KINDS:
        raise Refusal(f"model.sharing '{sharing}' is unknown: choose one of {', '.join(KINDS)}.")
    if sharing == "none":
        return depth
    blocks = shared_blocks if sharing == "cycle" else 1
    positive(shared_blocks=blocks)
    if blocks > depth:
        raise Refusal(
            f"model.shared_blocks {blocks} is more than model.depth {depth}: choose at most {depth}."
        )
    mixers = len(cycle(pattern))
    if mixers and blocks % mixers:
        raise Refusal(
            f"model.pattern has {mixers} mixers and model.sharing={sharing} has {blocks} block(s) to repeat: "
            "give one name, or sharing=cycle with model.shared_blocks a multiple of the pattern's length."
        )
    return blocks


def arranged(blocks: list[Any], depth: int, sharing: str, rank: int) -> list[nn.Module]:
    """`blocks` as `depth` layers; raises `Refusal` for a `rank` below one, or not below the width."""
    if sharing == "none":
        return blocks
    if sharing != "relaxed":
        return [Cycle(blocks, depth)]
    positive(delta_rank=rank)
    width = blocks[0].mixer.out.in_features
    if rank >= width:
        raise Refusal(
            f"model.delta_rank {rank} shares nothing at model.width {width}: choose less, for example "
            f"{width // 8 or 1}."
        )
    return [Relaxed(blocks[0], depth, rank)]


def layers(stack: nn.Sequential) -> list[Any]:
    """The blocks of a stack in the order in which they are run, shared ones as often as they are."""
    found: list[Any] = []
    for part in stack:
        if isinstance(part, Cycle | Relaxed):
            found += part.layers()
        elif hasattr(part, "mixer"):
            found.append(part)
    return found


def _linears(block: nn.Module) -> list[tuple[str, nn.Linear]]:
    return [(name, module) for name, module in block.named_modules() if isinstance(module, nn.Linear)]
