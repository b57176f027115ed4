"""Schedule-free AdamW: an average of all weights takes the place of a falling learning rate."""

from collections.abc import Callable, Iterable
from typing import Any, final

import torch
from torch import Tensor
from torch.optim import Optimizer

from models.optim.gradients import gradients_of
from refusal import Refusal


@final
class ScheduleFreeAdamW(Optimizer):
    """Algorithm 1 of Defazio et al. 2024, arXiv 2405.15682, in foreach operations.

    Gradients are taken at y = (1 - beta1) z + beta1 x, where z is moved by them and x, the mean of all z
    weighted by the square of the largest learning rate so far, is the result. Parameters hold y until `eval`
    puts x in their place, and again after `train`; models/optim/averaging.py calls both.

    Written here although pytorch_optimizer has one with the same arithmetic (a test holds them equal): its
    import costs 1.5 CPU seconds in every process that trains, seven times a training of 200 small steps.
    State is z and the mean square of the gradients, as much as Adam's.

    Raises:
        Refusal: a number is out of range.
    """

    def __init__(
        self,
        params: Iterable[Any],
        lr: float = 0.01,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0.0,
    ) -> None:
        if lr < 0.0 or weight_decay < 0.0:
            raise Refusal(f"optimizer.lr {lr} and optimizer.weight_decay {weight_decay} must be 0 or larger.")
        if not (0.0 < betas[0] < 1.0 and 0.0 <= betas[1] < 1.0):
            raise Refusal(f"optimizer.betas {list(betas)} must lie between 0 and 1, the first above 0.")
        own = {"taken": 0, "weights": 0.0, "largest": 0.0, "averaged": False}
        options = {"lr": lr, "betas": tuple(betas), "eps": eps, "weight_decay": weight_decay}
        super().__init__(params, options | own)

    def eval(self) -> None:
        """Put the averaged weights x into the parameters; nothing happens where they are."""
        for group in self.param_groups:
            if not group["averaged"]:
                self._lerp(group, 1.0 - 1.0 / group["betas"][0])
                group["averaged"] = True

    def train(self) -> None:
        """Put the weights y, at which gradients are taken, back; exact only to rounding."""
        for group in self.param_groups:
            if group["averaged"]:
                self._lerp(group, 1.0 - group["betas"][0])
                group["averaged"] = False

    @torch.no_grad()
    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """Move every parameter that has a gradient; `closure` re-evaluates the loss, which is returned.

        Raises:
            RuntimeError: the parameters hold averaged weights.
        """
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        for group in self.param_groups:
            if group["averaged"]:
                raise RuntimeError("the parameters hold averaged weights: call train() before step()")
            self._move(group, [parameter for parameter in group["params"] if parameter.grad is not None])
        return loss

    def _move(self, group: dict[str, Any], params: list[Tensor]) -> None:
        lr, first = group["lr"], group["betas"][0]
        group["taken"] += 1
        group["largest"] = max(lr, group["largest"])
        group["weights"] += group["largest"] ** 2
        share = group["largest"] ** 2 / group["weights"] if group["weights"] else 0.0
        if not params:
            return
        states = [self._state(parameter) for parameter in params]
        points, squares = ([state[name] for state in states] for name in ("z", "exp_avg_sq"))
        update = self._directions(group, params, squares)
        torch._foreach_lerp_(params, points, share)
        torch._foreach_add_(params, update, alpha=lr * (first * (1.0 - share) - 1.0))
        torch._foreach_add_(points, update, alpha=-lr)

    def _directions(
        self, group: dict[str, Any], params: list[Tensor], squares: list[Tensor]
    ) -> tuple[Tensor, ...]:
        """Adam's update without momentum, plus the decay of y."""
        second, gradients = group["betas"][1], gradients_of(params)
        torch._foreach_mul_(squares, second)
        torch._foreach_addcmul_(squares, gradients, gradients, value=1.0 - second)
        scales = torch._foreach_div(squares, 1.0 - second ** group["taken"])
        torch._foreach_sqrt_(scales)
        torch._foreach_add_(scales, group["eps"])
        update = torch._foreach_div(gradients, scales)
        if group["weight_decay"]:
            torch._foreach_add_(update, params, alpha=group["weight_decay"])
        return update

    @torch.no_grad()
    def _lerp(self, group: dict[str, Any], weight: float) -> None:
        moved = [parameter for parameter in group["params"] if parameter in self.state]
        if moved:
            torch._foreach_lerp_(moved, [self.state[parameter]["z"] for parameter in moved], weight)

    def _state(self, parameter: Tensor) -> dict[str, Tensor]:
        state = self.state[parameter]
        if not state:
            state["z"], state["exp_avg_sq"] = parameter.detach().clone(), torch.zeros_like(parameter)
        return state
