"""Networks of every mixer: fit for one program of many seeds, causal, and of the state that they report."""

import pytest
import torch
from torch.func import functional_call, grad, stack_module_state, vmap
from torch.nn.attention import SDPBackend, sdpa_kernel

from models.nets.gpt import GPT
from models.nets.mixers.choice import BOTH_WAYS, NAMES
from models.nets.transformer import Transformer

TOKENS = torch.randint(0, 20, (3, 12), generator=torch.Generator().manual_seed(0))
OPTIONS = [
    *({"pattern": name} for name in NAMES),
    {"pattern": "gated-softmax", "kv_heads": 1, "convolution": 3},
    {"pattern": ["linear", "delta", "window"], "kv_heads": 2, "positions": "learned"},
]


def gpt(**options):
    return GPT((12,), 20, **({"width": 16, "heads": 4, "depth": 3, "window": 4} | options))


def classifier(pattern):
    return Transformer((1, 8, 8), 10, width=16, heads=4, patch=2, window=4, pattern=pattern)


NETS = [(lambda o=o: gpt(**o), TOKENS) for o in OPTIONS]
NETS += [(lambda p=p: classifier(p), torch.randn(3, 1, 8, 8)) for p in BOTH_WAYS]
IDS = [str(option) for option in [*OPTIONS, *BOTH_WAYS]]


@pytest.mark.parametrize(("make", "inputs"), NETS, ids=IDS)
def test_every_weight_learns_and_two_networks_train_as_one_program(make, inputs):
    nets = [make().eval() for _ in range(2)]
    values = stack_module_state(nets)

    def loss(weights, buffers):
        return functional_call(nets[0], (weights, buffers), (inputs,)).square().mean()

    with sdpa_kernel(SDPBackend.MATH):
        grads = vmap(grad(loss))(*values)
    for place, net in enumerate(nets):
        net(inputs).square().mean().backward()
        assert net.state_dict().keys() == dict(net.named_parameters()).keys()
        for name, weight in net.named_parameters():
            assert weight.grad.abs().sum() > 0, name
            assert torch.allclose(grads[name][place], weight.grad, atol=1e-4), name


@pytest.mark.parametrize("options", OPTIONS, ids=str)
def test_a_token_changes_what_follows_and_nothing_before(options):
    net, changed = gpt(**options), TOKENS.clone()
    changed[:, 7:] = (changed[:, 7:] + 1) % 20
    before, after = net(TOKENS), net(changed)
    assert torch.allclose(before[:, :7], after[:, :7], atol=1e-5)
    assert not torch.allclose(before[:, 7:], after[:, 7:], atol=1e-3)
    assert torch.allclose(net(TOKENS[:, :5]), before[:, :5], atol=1e-5)


def test_the_state_is_the_sum_over_the_layers():
    alone = {name: gpt(pattern=name).metrics()["state/bytes"] for name in NAMES}
    assert alone["softmax"] == 3 * 2 * 12 * 16 * 4
    mixed = gpt(pattern=["linear", "delta", "window"]).metrics()["state/bytes"]
    assert 3 * mixed == alone["linear"] + alone["delta"] + alone["window"]
    assert gpt(kv_heads=1).metrics()["state/bytes"] == alone["softmax"] / 4


@pytest.mark.parametrize("seed", range(3))
def test_the_default_network_is_what_it_was_before_mixers_could_be_chosen(seed):
    """Weights drawn in the same order: embedding and its start, each block's, their starts, the head."""
    torch.manual_seed(seed)
    net = gpt(depth=1)
    torch.manual_seed(seed)
    for size in ((20, 16), (20, 16)):
        torch.empty(size).normal_()
    for rows, columns in ((48, 16), (16, 16), (64, 16), (16, 64)):
        torch.nn.Linear(columns, rows, bias=False)
    started = [torch.empty(48, 16).normal_(std=0.25), torch.empty(16, 16).normal_(std=0.25)]
    assert torch.equal(net.blocks[0].mixer.qkv.weight, started[0])
    assert torch.equal(net.blocks[0].mixer.out.weight, started[1] / 2**0.5)
