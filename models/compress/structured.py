"""Structured pruning: heads, hidden units and channels are removed, so the network is a smaller dense one."""

import copy
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import final

import torch
from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.nn.functional import binary_cross_entropy_with_logits, cross_entropy, mse_loss
from torch.utils.flop_counter import FlopCounterMode

from models.compress.blocks import blocks, prune_blocks
from models.compress.channels import prune_channels
from models.compress.compression import Compression
from models.compress.context import Context
from models.compress.masks import one_of, share
from models.compress.resize import resize, restate
from models.data.batches import sequential
from models.data.dataset import UNSCORED
from models.nets.unseen import unseen
from models.training.evaluate import evaluating
from refusal import Refusal

_LEAST = 6
"""halvings of what is kept, after which a target is out of reach"""
_HALVINGS = 5
"""of the interval in which the share to keep is then looked for"""
IMPORTANCES = ("taylor", "magnitude")


def prune_once(net: nn.Module, example: Tensor, kept: float, round_to: int) -> nn.Module:
    """A copy of `net` with a share `kept` of its units, gradients of `net` used as in `strength`.

    `example` (1, *shape). What is held stays held.

    Raises:
        Refusal: what to remove cannot be told in this network.
    """
    smaller = copy.deepcopy(net)
    for old, new in zip(net.parameters(), smaller.parameters(), strict=True):
        new.grad = old.grad
    # Channels are followed along gradients, which what is held would cut.
    with evaluating(smaller), all_moving(smaller):
        if blocks(smaller):
            prune_blocks(smaller, kept, round_to)
        else:
            prune_channels(smaller, example, kept, round_to)
    smaller.zero_grad(set_to_none=True)
    restate(smaller)
    return smaller


@contextmanager
def all_moving(net: nn.Module) -> Iterator[None]:
    """No parameter held inside; those that were are again afterwards, by name."""
    held = {name for name, weight in net.named_parameters() if not weight.requires_grad}
    for name in held:
        weight = net.get_parameter(name)
        weight.requires_grad_(weight.is_floating_point())
    try:
        yield
    finally:
        for name in held:
            net.get_parameter(name).requires_grad_(False)


def prune_to(
    net: nn.Module, example: Tensor, flops: float, round_to: int, halvings: int = _HALVINGS
) -> nn.Module:
    """The largest pruned copy of `net` with at most a share `flops` of its FLOPs, by halving what is kept.

    Raises:
        Refusal: no smaller network comes below `flops`, or what to remove cannot be told.
    """
    dense = flops_of(net, example)
    found: list[float] = []
    for halving in range(1, _LEAST + 1):
        low = 0.5**halving
        try:
            best = prune_once(net, example, low, round_to)
        except Refusal:
            if not found:
                raise
            break
        found.append(flops_of(best, example) / dense)
        if found[-1] <= flops:
            return _largest(net, example, flops * dense, round_to, low, best, halvings)
    raise Refusal(
        f"compress.structured.flops {flops} cannot be reached: the smallest network that pruning leaves has "
        f"{min(found):.2f} of the FLOPs; set it above that, or choose a wider model."
    )


def _largest(
    net: nn.Module, example: Tensor, most: float, round_to: int, low: float, best: nn.Module, halvings: int
) -> nn.Module:
    """The largest network of at most `most` FLOPs between `best`, that keeps a share `low`, and twice it."""
    high = 2 * low
    for _ in range(halvings):
        middle = (low + high) / 2
        tried = prune_once(net, example, middle, round_to)
        if flops_of(tried, example) <= most:
            low, best = middle, tried
        else:
            high = middle
    return best


def flops_of(net: nn.Module, example: Tensor) -> float:
    """FLOPs of a forward pass of one example, as `models.measure.cost` counts them, and nothing else."""
    counter = FlopCounterMode(display=False)
    plain = torch.backends.cudnn.flags(enabled=False), sdpa_kernel(SDPBackend.MATH)
    with unseen(net) as besides, evaluating(net), torch.no_grad(), plain[0], plain[1], counter:
        net(example)
    return float(counter.get_total_flops() + besides.forward)


@final
class Structured(Compression):
    """Prunes the trained network to a share `flops` of its FLOPs, then fine-tunes it.

    `importance` is `taylor`, from gradients on `batches` training batches, or `magnitude`, from weights.
    Transformer blocks lose heads and hidden units, the same number in each, and keep the width of their
    stream; other networks lose units and channels, in proportion in each layer. Fine-tuning starts at the
    full rate and falls with the trial's schedule: Renda et al. (2020), arXiv 2003.02389, rate rewinding; on
    the validation split of digits 0.3 of it left a transformer a point behind.

    Raises:
        Refusal: a knob is out of range, or the network cannot be pruned so.
    """

    def __init__(
        self,
        flops: float = 0.5,
        importance: str = "taylor",
        batches: int = 8,
        round_to: int = 4,
        finetune_steps: int = 200,
        lr_factor: float = 1.0,
    ) -> None:
        super().__init__()
        self.flops, self.importance = share("flops", flops), one_of("importance", importance, IMPORTANCES)
        if batches < 1 or round_to < 1:
            raise Refusal("compress: batches and round_to of structured must be 1 or more.")
        self.batches, self.round_to = batches, round_to
        self.finetune_steps, self.lr_factor = finetune_steps, lr_factor

    def check(self, net: nn.Module, context: Context) -> None:
        """Prune a copy as it is, since only that shows what a network lets be removed."""
        with torch.random.fork_rng():
            copied = copy.deepcopy(net).to(context.device)
            prune_to(copied, context.example[:1], self.flops, self.round_to, halvings=0)

    def after(self, net: nn.Module, context: Context) -> nn.Module:
        """The smaller network, fine-tuned."""
        example = context.example[:1]
        before = flops_of(net, example)
        net.zero_grad(set_to_none=True)
        if self.importance == "taylor":
            fill_gradients(net, context, self.batches)
        smaller = prune_to(net, example, self.flops, self.round_to)
        self.facts |= {"flops": flops_of(smaller, example) / before, "sizes": sizes(net, smaller)}
        return context.finetune(smaller, self.finetune_steps, self.lr_factor)

    def rebuild(self, net: nn.Module, state: Mapping[str, Tensor], example: Tensor) -> nn.Module:
        """The sizes of the saved weights."""
        return resize(net, state, example)


def fill_gradients(net: nn.Module, context: Context, batches: int) -> None:
    """Add the gradients of the plain loss of the task on the first `batches` batches of training."""
    with evaluating(net), torch.enable_grad(), all_moving(net):
        first = context.data.train.part(0, batches * context.batch_size)
        for inputs, targets in sequential(first, context.batch_size):
            _plain_loss(net(inputs).float(), targets).backward()


def _plain_loss(answers: Tensor, targets: Tensor) -> Tensor:
    if targets.is_floating_point():
        return mse_loss(answers, targets)
    if targets.dtype == torch.bool:
        return binary_cross_entropy_with_logits(answers, targets.float())
    return cross_entropy(answers.flatten(0, -2), targets.flatten(), ignore_index=UNSCORED)


def sizes(before: nn.Module, after: nn.Module) -> dict[str, str]:
    """Shapes of the weights that changed, as `[512, 128] -> [256, 128]`."""
    old = {name: list(weight.shape) for name, weight in before.named_parameters()}
    new = {name: list(weight.shape) for name, weight in after.named_parameters()}
    return {name: f"{old[name]} -> {new[name]}" for name in old if old[name] != new[name]}
