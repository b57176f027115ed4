"""Low-rank adapters beside linear layers, by the peft library: few weights are trained, then merged."""

from typing import Any

import torch
from torch import Tensor, nn

from models.own.zoo import package
from models.training.untouched import untouched
from refusal import Refusal


def adapt(net: nn.Module, rank: int, classes: int, inputs: Tensor) -> None:
    """Put an adapter beside each linear layer but the read-out, in place; they and the read-out are trained.

    Source: Hu et al. (2021), LoRA, arXiv 2106.09685, scaled by two. What is adapted answers as before until
    a step is taken. The rest is held: no gradient, no state of the optimizer. By `inputs`, a batch, it is
    seen which layers are called at all, and in which order: the read-out is the last that is as wide as the
    `classes`, for a layer before it may be as wide by chance.

    Raises:
        Refusal: peft is missing, the rank is no number from 1 on, no layer can be adapted, or none answers.
    """
    if isinstance(rank, bool) or not isinstance(rank, int) or rank < 1:
        raise Refusal(
            f"model.lora={rank} is no rank: give a whole number from 1 on, as model.lora=8, or null."
        )
    linear = {name: module for name, module in net.named_modules() if _is_linear(module)}
    called = _called(net, linear, inputs)
    read_out = next((name for name in reversed(called) if _outputs(linear[name]) == classes), None)
    adapted = sorted({*called} - {read_out})
    if not adapted:
        kinds = ", ".join(sorted({type(part).__name__ for part in net.modules() if not [*part.children()]}))
        raise Refusal(
            f"model.lora adapts linear layers, of which this network ({kinds}) has none: try model.freeze."
        )
    if read_out is None:
        raise Refusal(
            f"model.lora trains the read-out too, and no linear layer of this network answers {classes} "
            "classes: try model.freeze."
        )
    peft = package("peft", "hf")
    config = peft.LoraConfig(r=rank, lora_alpha=2 * rank, target_modules=adapted)
    peft.inject_adapter_in_model(config, net)
    for name in adapted:
        # Torch's own blocks of a transformer read past a layer that has no hook when they evaluate.
        net.get_submodule(name).register_forward_pre_hook(_seen)
    linear[read_out].requires_grad_(True)


def merge(net: nn.Module) -> None:
    """Add what the adapters have learnt to the weights beside them, and take them out, in place."""
    for name, module in [*net.named_modules()]:
        if not hasattr(module, "base_layer") or not hasattr(module, "lora_A"):
            continue
        adapter: Any = module
        adapter.merge()
        above, _, last = name.rpartition(".")
        setattr(net.get_submodule(above), last, adapter.get_base_layer())
    for weight in net.parameters():
        weight.requires_grad_(True)


def _called(net: nn.Module, linear: dict[str, nn.Module], inputs: Tensor) -> list[str]:
    """The names of layers in the order in which a forward pass calls them."""
    found: list[str] = []
    hooks = [
        module.register_forward_pre_hook(lambda *_, name=name: found.append(name))
        for name, module in linear.items()
    ]
    try:
        with untouched(net), torch.no_grad():
            net.train()(inputs)
    finally:
        for hook in hooks:
            hook.remove()
    return found


def _seen(module: nn.Module, args: Any) -> None:
    """Does nothing."""


def _is_linear(module: nn.Module) -> bool:
    """Theirs too: transformers' Conv1D is a linear layer the other way round."""
    return isinstance(module, nn.Linear) or type(module).__name__ == "Conv1D"


def _outputs(module: Any) -> int:
    return int(module.out_features if isinstance(module, nn.Linear) else module.nf)
