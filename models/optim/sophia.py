"""Sophia: momentum over a diagonal estimate of the curvature, each step clipped."""

import math
from collections.abc import Callable, Iterable, Sequence
from typing import Any, final

import torch
from torch import Tensor, distributed
from torch.nn.functional import cross_entropy
from torch.optim import Optimizer

from models.optim.gradients import gradients_of
from refusal import Refusal


@final
class Sophia(Optimizer):
    """Algorithm 3 of Liu et al. 2023, arXiv 2305.14342, with the estimator of its algorithm 2.

    That is Gauss-Newton-Bartlett: every `interval` steps, before `step`, `curvature` must be called, which
    samples labels from the network's own answers and squares the gradient of their loss. `rho` is the paper's
    gamma: the share of updates that are not clipped grows with it. Not pytorch_optimizer's SophiaH, which
    goes backward through a backward pass (`create_graph`): fused attention kernels cannot.

    State is a momentum and a curvature per parameter. Unscored positions count in the curvature.

    Raises:
        Refusal: a number is out of range.
    """

    def __init__(
        self,
        params: Iterable[Any],
        lr: float = 3e-3,
        betas: tuple[float, float] = (0.965, 0.99),
        rho: float = 0.05,
        weight_decay: float = 0.0,
        interval: int = 10,
    ) -> None:
        if lr < 0.0 or weight_decay < 0.0 or rho <= 0.0:
            raise Refusal("optimizer.lr and weight_decay must be 0 or larger, and optimizer.rho above 0.")
        if not all(0.0 <= beta < 1.0 for beta in betas):
            raise Refusal(f"optimizer.betas {list(betas)} must lie in [0, 1).")
        if interval < 1:
            raise Refusal(f"optimizer.interval {interval} must be a whole number from 1 on: 10 is usual.")
        self._interval = interval
        options = {"lr": lr, "betas": tuple(betas), "rho": rho, "weight_decay": weight_decay, "taken": 0}
        super().__init__(params, options)

    def curvature_due(self) -> bool:
        """Whether `curvature` is to be called before the next step."""
        return self.param_groups[0]["taken"] % self._interval == 0

    def curvature(self, *passes: Callable[[], Tensor]) -> None:
        """Take in an estimate from logits (..., classes) of a batch, which `passes` compute with gradients.

        They are of the pieces that it goes through in, one for each. No `grad` is touched. Labels come from
        torch's own generator, so a resumed training draws the same.
        """
        params = [parameter for group in self.param_groups for parameter in group["params"]]
        total: Sequence[Tensor]
        total, seen = _sampled(passes[0], params)
        for forward in passes[1:]:
            gradients, more = _sampled(forward, params)
            # Not in place: parameters may share a gradient.
            total = torch._foreach_mul(total, math.sqrt(seen / (seen + more)))
            torch._foreach_add_(total, gradients, alpha=math.sqrt(more / (seen + more)))
            seen += more
        self._absorb(dict(zip(params, _of_rank_0(total), strict=True)))

    @torch.no_grad()
    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """Move every parameter that has a gradient; `closure` re-evaluates the loss, which is returned.

        Raises:
            RuntimeError: no curvature was ever given.
        """
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        if not self.state:
            raise RuntimeError("Sophia needs curvature(forward) before its first step")
        for group in self.param_groups:
            params = [parameter for parameter in group["params"] if parameter.grad is not None]
            if params:
                self._move(group, params)
            group["taken"] += 1
        return loss

    @torch.no_grad()
    def _absorb(self, gradients: dict[Tensor, Tensor]) -> None:
        for group in self.param_groups:
            found = [gradients[parameter] for parameter in group["params"]]
            curvatures = [self._state(parameter)["curvature"] for parameter in group["params"]]
            second = group["betas"][1]
            torch._foreach_mul_(curvatures, second)
            torch._foreach_addcmul_(curvatures, found, found, value=1.0 - second)

    def _move(self, group: dict[str, Any], params: list[Tensor]) -> None:
        gradients = gradients_of(params)
        momenta = [self._state(parameter)["exp_avg"] for parameter in params]
        torch._foreach_lerp_(momenta, gradients, 1.0 - group["betas"][0])
        scales = torch._foreach_mul([self._state(weight)["curvature"] for weight in params], group["rho"])
        torch._foreach_clamp_min_(scales, 1e-15)
        update = torch._foreach_div(momenta, scales)
        torch._foreach_clamp_min_(update, -1.0)
        torch._foreach_clamp_max_(update, 1.0)
        if group["weight_decay"]:
            torch._foreach_mul_(params, 1.0 - group["lr"] * group["weight_decay"])
        torch._foreach_add_(params, update, alpha=-group["lr"])

    def _state(self, parameter: Tensor) -> dict[str, Tensor]:
        state = self.state[parameter]
        if not state:
            state["exp_avg"], state["curvature"] = torch.zeros_like(parameter), torch.zeros_like(parameter)
        return state


def _sampled(forward: Callable[[], Tensor], params: list[Tensor]) -> tuple[tuple[Tensor, ...], int]:
    """The gradient of the loss of sampled labels, summed and over the root of their number; and that number.

    N times the square of the mean's gradient, taken as one square: half precision keeps more of it.
    """
    logits = forward().flatten(0, -2).float()  # (N, classes)
    if logits.shape[-1] == 1:
        raise Refusal("optimizer=sophia draws classes, and this network answers values: choose another.")
    labels = torch.multinomial(logits.detach().softmax(-1), 1).squeeze(1)
    loss = cross_entropy(logits, labels, reduction="sum") / math.sqrt(len(labels))
    return torch.autograd.grad(loss, params, allow_unused=True, materialize_grads=True), len(labels)


def _of_rank_0(gradients: Sequence[Tensor]) -> Sequence[Tensor]:
    """One estimate for all devices, which have the batch and perhaps not the same labels."""
    if distributed.is_available() and distributed.is_initialized():
        for gradient in gradients:
            distributed.broadcast(gradient, 0)
    return gradients
