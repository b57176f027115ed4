"""The estimate of a training's memory against the networks themselves, which research/ never builds."""

from pathlib import Path

import pytest

from construct import build
from research.space.gate import Space
from research.space.memory_estimate import counted, memory

CONF = Path(__file__).parents[3] / "conf"
SPACE = Space(CONF, CONF / "space.yaml")
BATCH = 8


@pytest.mark.slow
@pytest.mark.parametrize("data", ["digits", "mnist1d", "cifar10", "mqar", "pytext"])
def test_every_network_is_estimated_within_its_factor(data: str) -> None:
    import torch

    for model in SPACE.options["model"]:
        if SPACE.check([f"model={model}"], given=[f"data={data}"]):
            continue
        config = SPACE.resolve([f"data={data}", f"model={model}", f"data.batch_size={BATCH}"])
        net = build(config["model"])
        shape = (BATCH, *config["data"]["shape"])
        tokens = config["data"]["task"] != "classification"
        x = torch.zeros(shape, dtype=torch.int64) if tokens else torch.zeros(shape)
        told = counted(config)
        weights, products = sum(one.numel() for one in net.parameters()), products_of(net, x[:1])
        assert weights / 2 <= told.weights <= 2 * weights, (model, data, weights, told)
        assert products / 3 <= told.products <= 3 * products, (model, data, products, told)
        held, need = kept(net, x), memory(config).activations
        assert held / 3 <= need <= 3 * held, (model, data, held, need)


def products_of(net, x) -> float:
    """Products of a forward pass, half of the operations that torch counts."""
    import torch
    from torch.utils.flop_counter import FlopCounterMode

    with FlopCounterMode(display=False) as counter, torch.no_grad():
        net(x)
    return counter.get_total_flops() / 2


def kept(net, x) -> int:
    """Bytes that a forward pass and its loss keep for the backward pass, weights left out, each once."""
    import torch

    own = {one.untyped_storage().data_ptr() for one in net.parameters()}
    sizes: dict[int, int] = {}

    def pack(tensor):
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in own:
            sizes[storage.data_ptr()] = storage.nbytes()
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        logits = net(x).flatten(0, -2)
        torch.nn.functional.cross_entropy(logits, torch.zeros(len(logits), dtype=torch.int64))
    return sum(sizes.values())
