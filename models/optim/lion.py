"""Lion: the sign of an interpolated momentum, with decoupled weight decay."""

from collections.abc import Callable, Iterable
from typing import Any, final

import torch
from torch import Tensor
from torch.optim import Optimizer

from models.optim.gradients import gradients_of
from refusal import Refusal


@final
class Lion(Optimizer):
    """Algorithm 2 of Chen et al. 2023, arXiv 2302.06675, in five foreach operations a group.

    Written here although pytorch_optimizer has one with the same arithmetic (a test holds them equal): its
    import costs 1.3 CPU seconds in every process that trains. A step takes 0.8 to 1.0 of the time of theirs.
    State is one momentum per parameter, half of Adam's.

    Raises:
        Refusal: `lr`, `betas` or `weight_decay` are out of range.
    """

    def __init__(
        self,
        params: Iterable[Any],
        lr: float = 1e-4,
        betas: tuple[float, float] = (0.9, 0.99),
        weight_decay: float = 0.0,
    ) -> None:
        if lr < 0.0 or weight_decay < 0.0:
            raise Refusal(f"optimizer.lr {lr} and optimizer.weight_decay {weight_decay} must be 0 or larger.")
        if not all(0.0 <= beta < 1.0 for beta in betas):
            raise Refusal(f"optimizer.betas {list(betas)} must lie in [0, 1).")
        super().__init__(params, {"lr": lr, "betas": tuple(betas), "weight_decay": weight_decay})

    @torch.no_grad()
    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """Move every parameter that has a gradient; `closure` re-evaluates the loss, which is returned."""
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        for group in self.param_groups:
            params = [parameter for parameter in group["params"] if parameter.grad is not None]
            if params:
                self._move(group, params)
        return loss

    def _move(self, group: dict[str, Any], params: list[Tensor]) -> None:
        gradients = gradients_of(params)
        momenta = [self._momentum(parameter) for parameter in params]
        first, second = group["betas"]
        update = torch._foreach_lerp(momenta, gradients, 1.0 - first)
        torch._foreach_sign_(update)
        if group["weight_decay"]:
            torch._foreach_mul_(params, 1.0 - group["lr"] * group["weight_decay"])
        torch._foreach_add_(params, update, alpha=-group["lr"])
        torch._foreach_lerp_(momenta, gradients, 1.0 - second)

    def _momentum(self, parameter: Tensor) -> Tensor:
        state = self.state[parameter]
        if not state:
            state["exp_avg"] = torch.zeros_like(parameter)
        return state["exp_avg"]
