"""From a network to the optimizer that moves it: which parameters decay, and which take part in what."""

from collections.abc import Callable
from typing import Any

from torch import nn
from torch.optim import Optimizer

from models.optim.roles import REST, roles


def optimizer_for(make: Callable[..., Optimizer], net: nn.Module) -> Optimizer:
    """The optimizer that `make` gives for `net`; its learning rates are kept as `initial_lr`.

    `make` is called with parameter groups. It is a class or function, or a partial of one, whose keyword
    `weight_decay` says whether they are split by decay; where it has a true attribute `by_role` they are
    split by role as well, and each names its own (models/optim/roles.py).

    Raises:
        Refusal: the optimizer does not take the network, or a number of its own is out of range.
    """
    decay = getattr(make, "keywords", {}).get("weight_decay", 0.0)
    by_role = getattr(getattr(make, "func", make), "by_role", False)
    optimizer = make(groups_by_role(net) if by_role else groups(net, decay))
    for group in optimizer.param_groups:
        group["initial_lr"] = group["lr"]
    return optimizer


def groups(net: nn.Module, weight_decay: float) -> list[dict[str, Any]]:
    """Parameter groups for an optimizer's constructor: weight decay on parameters of two and more dimensions.

    Biases and the gains of normalisations are left free, the field's practice since GPT-2 (as in nanoGPT's
    `configure_optimizers`). Without decay it is one group, because each group costs a launch at every step.
    """
    trained = [parameter for parameter in net.parameters() if parameter.requires_grad]
    matrices = [parameter for parameter in trained if parameter.ndim >= 2]
    vectors = [parameter for parameter in trained if parameter.ndim < 2]
    if not weight_decay or not matrices or not vectors:
        return [{"params": trained}]
    return [{"params": matrices}, {"params": vectors, "weight_decay": 0.0}]


def groups_by_role(net: nn.Module) -> list[dict[str, Any]]:
    """Groups that name their `role`, one for each there is; vectors are a group without decay."""
    found: dict[tuple[str, bool], list[nn.Parameter]] = {}
    for parameter, role in roles(net).items():
        if parameter.requires_grad:
            found.setdefault((role, role == REST and parameter.ndim < 2), []).append(parameter)
    return [
        {"params": params, "role": role} | ({"weight_decay": 0.0} if free else {})
        for (role, free), params in found.items()
    ]
