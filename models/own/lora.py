"""Low-rank adapters beside linear layers, by the peft library: few weights are trained, then merged."""

from typing import Any

from torch import nn

from models.own.zoo import package
from refusal import Refusal


def adapt(net: nn.Module, rank: int, classes: int) -> None:
    """Put an adapter beside each linear layer but the read-out, in place; they and the read-out are trained.

    Source: Hu et al. (2021), LoRA, arXiv 2106.09685, scaled by two. What is adapted answers as before until
    a step is taken. The rest is held: no gradient, no state of the optimizer.

    Raises:
        Refusal: peft is missing, the rank is no number from 1 on, or no layer can be adapted.
    """
    if isinstance(rank, bool) or not isinstance(rank, int) or rank < 1:
        raise Refusal(
            f"model.lora={rank} is no rank: give a whole number from 1 on, as model.lora=8, or null."
        )
    linear = {name: module for name, module in net.named_modules() if _is_linear(module)}
    ends = {name for name, module in linear.items() if _outputs(module) == classes}
    if not linear.keys() - ends:
        kinds = ", ".join(sorted({type(part).__name__ for part in net.modules() if not [*part.children()]}))
        raise Refusal(
            f"model.lora adapts linear layers, of which this network ({kinds}) has none: try model.freeze."
        )
    peft = package("peft", "hf")
    config = peft.LoraConfig(r=rank, lora_alpha=2 * rank, target_modules=sorted(linear.keys() - ends))
    peft.inject_adapter_in_model(config, net)
    for name in ends:
        linear[name].requires_grad_(True)


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


def _is_linear(module: nn.Module) -> bool:
    """Theirs too: transformers' Conv1D is a linear layer the other way round."""
    return isinstance(module, nn.Linear) or type(module).__name__ == "Conv1D"


def _outputs(module: Any) -> int:
    return int(module.out_features if isinstance(module, nn.Linear) else module.nf)
