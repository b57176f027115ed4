"""What keeps experts equally busy: two losses, a bias that needs none, and the count of who did how much."""

import functools
import math
from collections.abc import MutableMapping, Sequence
from typing import Any, final

import torch
from torch import Tensor, distributed, nn
from torch.optim import Optimizer
from torch.optim.optimizer import register_optimizer_step_post_hook
from torch.utils.weak import WeakTensorKeyDictionary


def balance_loss(scores: Tensor, taken: Tensor, choices: Tensor | None = None) -> Tensor:
    """Experts times the sum of each one's share of choices and mean share of scores; 1 when all are equal.

    `scores` and `taken` are (experts, B, T). The gradient is that of the scores, as choices have none.
    `choices` (experts,) are those of a whole batch that these tokens are a piece of: the losses of its
    pieces, weighted by their tokens, then sum to that of the batch, as do their gradients. Without it they
    do not: the product of two means is no mean of products.
    Source: Fedus et al. (2021), Switch Transformer, arXiv 2101.03961, eq. 4, without its factor alpha; over
    the whole batch and not its pieces: Qiu et al. (2025), arXiv 2501.11873.
    """
    choices = taken.flatten(1).sum(1) if choices is None else choices
    shares = (scores / scores.sum(0)).flatten(1).mean(1)
    return len(scores) * (choices / choices.sum() * shares).sum()


def z_loss(logits: Tensor) -> Tensor:
    """Mean square of the logarithm of the summed exponentials of (experts, B, T): keeps logits small.

    Source: Zoph et al. (2022), ST-MoE, arXiv 2202.08906, eq. 5.
    """
    return logits.logsumexp(0).square().mean()


@final
class SelectionBias(nn.Module):
    """A number for each expert, added to its scores when tokens choose and to nothing else.

    After each step of the optimizer that moves `weight` (the router's), an expert's number grows by `rate`
    times the share of the mean load that its own load falls short of it, and shrinks by as much for a load
    beyond the mean, by `rate` at most. The load is of all that `count` was told since the step before, so
    micro-batches are one batch; what a checkpointed block computes again is not counted again, and `forget`
    drops it. The buffer is all there is to save: between steps no load is pending. Devices that train
    together sum their loads.

    Source: Wang et al. (2024), arXiv 2408.15664, who prefer the sign of the shortfall, as DeepSeek-V3 does
    (arXiv 2412.19437, section 2.1.2). In hundreds of steps, not their hundreds of thousands, no step of the
    sign is both fast and quiet (0.001, 0.003, 0.01: violations of 0.85, 0.13, 0.33); their variant by the
    shortfall itself is, and was the better balanced in their paper too.
    """

    bias: Tensor

    def __init__(self, experts: int, rate: float) -> None:
        super().__init__()
        self.rate = rate
        self.register_buffer("bias", torch.zeros(experts))
        self._load = [0] * experts

    def forward(self, scores: Tensor) -> Tensor:
        """What tokens choose by, from scores (experts, B, T)."""
        return scores.detach() + self.bias[:, None, None]

    def count(self, load: Sequence[int], weight: Tensor) -> None:
        """Add the load of one forward pass in training mode."""
        self._load = [old + new for old, new in zip(self._load, load, strict=True)]
        _listen()
        _WAITING[weight] = self

    def forget(self) -> None:
        """Drop the load since the last update, as of a batch that is taken again."""
        self._load = [0] * len(self._load)

    def update(self) -> None:
        """Move by the load since the last update, as after an optimizer's step."""
        load = self._load
        if _together():  # a tensor of its own would wait for the device
            load = over_devices(torch.tensor(load, device=self.bias.device)).tolist()
        mean = sum(load) / len(load)
        short = [max(-1.0, 1 - own / mean) if mean else 0.0 for own in load]
        self.bias += self.rate * torch.tensor(short, device=self.bias.device, dtype=self.bias.dtype)
        self.forget()


def over_devices(counts: Tensor) -> Tensor:
    """The sum over all devices that train together, in place; as it is where there is only one."""
    if _together():
        distributed.all_reduce(counts)
    return counts


def _together() -> bool:
    return distributed.is_available() and distributed.is_initialized()


_WAITING: MutableMapping[Tensor, SelectionBias] = WeakTensorKeyDictionary()
"""biases that have counted a load since their last update, by the weight they wait for, while it lives"""


@functools.cache
def _listen() -> None:
    """Hear of every optimizer's step, once for all biases of a process."""
    register_optimizer_step_post_hook(_stepped)


def _stepped(optimizer: Optimizer, args: Any, kwargs: Any) -> None:
    if not _WAITING:
        return
    for group in optimizer.param_groups:
        for weight in group["params"]:
            bias = _WAITING.pop(weight, None)
            if bias is not None:
                bias.update()


@final
class Pool:
    """The choices of each expert, (experts,), in a batch of several pieces; `open` while it is counted."""

    def __init__(self, experts: int, device: torch.device) -> None:
        self.choices, self.open = torch.zeros(experts, dtype=torch.int64, device=device), True

    def add(self, taken: Tensor) -> None:
        """Count the choices (experts, B, T) of one piece."""
        self.choices += taken.flatten(1).sum(1)

    def close(self) -> None:
        """All pieces of this device were counted: share the counts with the others."""
        self.choices, self.open = over_devices(self.choices), False


@final
class Load:
    """How many tokens asked for each expert, over all evaluations since `clear`; in plain numbers."""

    def __init__(self, experts: int) -> None:
        self.experts = experts
        self.clear()

    def clear(self) -> None:
        """Forget what was counted."""
        self.tokens = self.served = self.idle = 0
        self.asked = [0] * self.experts

    def add(self, asked: Sequence[int], *, tokens: int, served: int, idle: int) -> None:
        """Count a forward pass: choices of each expert, tokens, choices within capacity, tokens with none."""
        self.asked = [old + new for old, new in zip(self.asked, asked, strict=True)]
        self.tokens, self.served, self.idle = self.tokens + tokens, self.served + served, self.idle + idle

    @property
    def entropy(self) -> float:
        """Of the experts' shares of choices: 1 when all are equal, 0 when one has all."""
        total = sum(self.asked)
        shares = [count / total for count in self.asked if count]
        return -sum(share * math.log(share) for share in shares) / math.log(max(2, self.experts))

    @property
    def violation(self) -> float:
        """The largest load over the mean, less 1 (Wang et al. 2024, eq. 4); 0 when all are equal, or none."""
        total = sum(self.asked)
        return max(self.asked) * self.experts / total - 1 if total else 0.0
