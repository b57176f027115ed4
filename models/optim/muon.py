"""Muon for hidden matrices and AdamW for the rest, as one optimizer."""

import math
from collections.abc import Callable, Iterable
from functools import cache
from typing import Any, final

import torch
from torch import Tensor
from torch.optim import AdamW, Optimizer

from models.optim.gradients import gradients_of
from models.optim.roles import FILTERS, REST, STACK
from refusal import Refusal

_COEFFICIENTS = (3.4445, -4.7750, 2.0315)
"""of the quintic that Jordan et al. tuned for its slope at 0; singular values end between 0.7 and 1.2"""
_HALF = 128
"""smaller side from which on bfloat16 pays on a CPU that multiplies it; 3.5 to 4 times with tiles (AMX)"""


@final
class MuonAdamW(Optimizer):
    """Momentum whose update is orthogonalised, on groups with a role other than `rest`; torch's AdamW there.

    Source: Jordan et al. 2024, kellerjordan.github.io/posts/muon, with Nesterov momentum and the step scaled
    by sqrt(max(1, out / in)), as torch.optim.Muon's `original`. Not torch.optim.Muon itself: it takes
    matrices one by one, where here those of one shape, transposed ones too, go through each multiplication
    together (0.5 to 0.8 of its time on a CPU), and it takes neither convolutions nor experts in one tensor.
    A test holds both equal on matrices.

    State is one momentum per hidden parameter, and AdamW's two for each of the rest.

    Raises:
        Refusal: a number is out of range, or the network has no hidden matrix.
    """

    by_role = True

    def __init__(
        self,
        params: Iterable[dict[str, Any]],
        lr: float = 0.02,
        momentum: float = 0.95,
        ns_steps: int = 5,
        weight_decay: float = 0.0,
        adamw_lr: float = 0.003,
        betas: tuple[float, float] = (0.9, 0.95),
        eps: float = 1e-8,
    ) -> None:
        _check(lr, adamw_lr, momentum, ns_steps)
        given = [dict(group) for group in params]
        hidden = [group for group in given if group["role"] != REST]
        if not hidden:
            raise Refusal("the model has no hidden matrix for optimizer=muon: choose optimizer=adamw.")
        rest = [group for group in given if group["role"] == REST]
        options: dict[str, Any] = {"betas": tuple(betas), "eps": eps, "weight_decay": weight_decay}
        # It fills the groups in, and lends its fused step; what it holds is this optimizer's.
        self._adamw = AdamW(rest, lr=adamw_lr, fused=True, **options) if rest else None
        own = {"lr": lr, "momentum": momentum, "ns_steps": ns_steps, "weight_decay": weight_decay}
        super().__init__([group | own for group in hidden] + _groups(self._adamw), {})

    @torch.no_grad()
    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """Move every parameter that has a gradient; `closure` re-evaluates the loss, which is returned."""
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        for group in self.param_groups:
            params = [parameter for parameter in group["params"] if parameter.grad is not None]
            if params and group["role"] != REST:
                self._move(group, params)
        if self._adamw is not None:
            # Loading a checkpoint puts other dictionaries into this optimizer.
            self._adamw.param_groups = [group for group in self.param_groups if group["role"] == REST]
            self._adamw.state = self.state
            self._adamw.step()
        return loss

    def _move(self, group: dict[str, Any], params: list[Tensor]) -> None:
        gradients = gradients_of(params)
        momenta = [self._momentum(parameter) for parameter in params]
        torch._foreach_lerp_(momenta, gradients, 1.0 - group["momentum"])
        updates = torch._foreach_lerp(gradients, momenta, group["momentum"])
        matrices = [_matrices(update, group["role"]) for update in updates]
        polar = orthogonalised(matrices, group["ns_steps"])
        torch._foreach_mul_(polar, [math.sqrt(max(1.0, unit.shape[1] / unit.shape[2])) for unit in polar])
        if group["weight_decay"]:
            torch._foreach_mul_(params, 1.0 - group["lr"] * group["weight_decay"])
        shaped = [_as_given(unit, update, group["role"]) for unit, update in zip(polar, updates, strict=True)]
        torch._foreach_add_(params, shaped, alpha=-group["lr"])

    def _momentum(self, parameter: Tensor) -> Tensor:
        state = self.state[parameter]
        if not state:
            state["momentum_buffer"] = torch.zeros_like(parameter)
        return state["momentum_buffer"]


def orthogonalised(stacks: list[Tensor], steps: int) -> list[Tensor]:
    """Each (B, m, n) with the singular values of its matrices brought near 1, by Newton and Schulz.

    All matrices of one shape or its transpose are multiplied together. In bfloat16 on a GPU, and on a CPU
    with such products where the smaller side is 128 or more; in float32 otherwise, where that is faster.
    """
    shapes = [tuple(sorted(stack.shape[1:])) for stack in stacks]
    found: dict[int, Tensor] = {}
    for shape in dict.fromkeys(shapes):
        members = [index for index, other in enumerate(shapes) if other == shape]
        flat = torch.cat([_wide(stacks[index]) for index in members])
        parts = _iterated(flat, steps).split([len(stacks[index]) for index in members])
        for index, part in zip(members, parts, strict=True):
            found[index] = part if part.shape == stacks[index].shape else part.mT
    return [found[index] for index in range(len(stacks))]


def _iterated(wide: Tensor, steps: int) -> Tensor:
    """(B, m, n), m at most n, to its nearest semi-orthogonal matrices, roughly."""
    a, b, c = _COEFFICIENTS
    half = wide.device.type != "cpu" or (wide.shape[1] >= _HALF and multiplies_bfloat16())
    x = wide.bfloat16() if half else wide
    x = x / x.norm(dim=(1, 2), keepdim=True).clamp(min=1e-7)
    for _ in range(steps):
        gram = x @ x.mT  # (B, m, m)
        x = torch.baddbmm(x, torch.baddbmm(gram, gram, gram, beta=b, alpha=c), x, beta=a)
    return x.to(wide.dtype)


@cache
def multiplies_bfloat16() -> bool:
    """Whether this CPU multiplies bfloat16 itself; where it does not, that takes 5 to 30 times as long."""
    if torch.cpu._is_avx2_supported():  # of x86, where oneDNN says yes to AVX512 alone, which has none
        return bool(torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported())
    return bool(torch.ops.mkldnn._is_mkldnn_bf16_supported())


def _wide(stack: Tensor) -> Tensor:
    return stack.mT if stack.shape[1] > stack.shape[2] else stack


def _matrices(update: Tensor, role: str) -> Tensor:
    """(B, out, in): filters flattened to rows, a stack (..., in, out) with all before it as B."""
    if role == STACK:
        return update.flatten(0, -3).mT
    return (update.flatten(1) if role == FILTERS else update).unsqueeze(0)


def _as_given(matrices: Tensor, update: Tensor, role: str) -> Tensor:
    return (matrices.mT if role == STACK else matrices).reshape(update.shape)


def _groups(optimizer: Optimizer | None) -> list[dict[str, Any]]:
    return [] if optimizer is None else optimizer.param_groups


def _check(lr: float, adamw_lr: float, momentum: float, ns_steps: int) -> None:
    if lr < 0.0 or adamw_lr < 0.0:
        raise Refusal(f"optimizer.lr {lr} and optimizer.adamw_lr {adamw_lr} must be 0 or larger.")
    if not 0.0 <= momentum < 1.0:
        raise Refusal(f"optimizer.momentum {momentum} must lie in [0, 1).")
    if not 1 <= ns_steps <= 20:
        raise Refusal(f"optimizer.ns_steps {ns_steps} must lie between 1 and 20: 5 is usual.")
