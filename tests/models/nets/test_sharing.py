"""Blocks that are run several times: fewer weights, the same depth of arithmetic, no hidden copies."""

import pytest
import torch
from torch.func import functional_call, grad, stack_module_state, vmap
from torch.nn.attention import SDPBackend, sdpa_kernel

from models.measure.cost import cost
from models.nets.gpt import GPT
from models.nets.sharing import layers
from models.nets.structured import linear
from models.nets.transformer import Transformer
from models.training.recompute import recompute
from refusal import Refusal


def make(**options):
    torch.manual_seed(0)
    return GPT((12,), 20, **({"width": 16, "heads": 2, "depth": 4} | options))


def weights(net):
    return sum(weight.numel() for weight in net.blocks.parameters())


BLOCK = 12 * 16 * 16 + 2 * 16
TOKENS = torch.randint(0, 20, (3, 12))


@pytest.mark.parametrize(
    ("options", "count"),
    [
        ({"sharing": "none"}, 4 * BLOCK + 16),
        ({"sharing": "all"}, BLOCK + 16),
        ({"sharing": "cycle", "shared_blocks": 2}, 2 * BLOCK + 16),
        ({"sharing": "cycle", "shared_blocks": 3}, 3 * BLOCK + 16),
        ({"sharing": "relaxed", "delta_rank": 3}, BLOCK + 16 + 4 * 3 * 16 * (4 + 2 + 5 + 5)),
    ],
)
def test_shared_weights_are_there_once_and_run_at_every_depth(options, count):
    net = make(**options)
    found = cost(net, TOKENS[:1])
    assert weights(net) == count
    assert found["size/parameters"] == count + 2 * 20 * 16
    assert sum(tensor.numel() for tensor in net.state_dict().values()) == count + 2 * 20 * 16
    assert len(layers(net.blocks)) == 4 and net.state_bytes(12) == 4 * 2 * 12 * 16 * 4
    plain = cost(make(), TOKENS[:1])["compute/flops_forward"]
    assert plain <= found["compute/flops_forward"] <= 1.6 * plain


def test_a_cycle_is_the_deep_network_with_copied_blocks():
    shared, deep = make(sharing="cycle", shared_blocks=2), make()
    deep.embedding, deep.head, deep.blocks[-1] = shared.embedding, shared.head, shared.blocks[-1]
    for place, block in enumerate(layers(shared.blocks)):
        deep.blocks[place].load_state_dict(block.state_dict())
    assert torch.equal(shared(TOKENS), deep(TOKENS))


def test_deltas_begin_at_nothing_and_make_each_layer_its_own():
    relaxed = make(sharing="relaxed", delta_rank=2)
    inner = relaxed.blocks[0]
    x = torch.randn(2, 12, 16)
    alike = x
    for _ in range(4):
        alike = inner.block(alike)
    assert torch.allclose(inner(x), alike, atol=1e-6)
    with torch.no_grad():
        inner.up["feedforward_2"][1] += 0.1
    weights = (
        inner.block.feedforward[2].weight + inner.up["feedforward_2"][1] @ inner.down["feedforward_2"][1]
    )
    assert torch.equal(inner._weights(1)["feedforward.2.weight"], weights)
    assert torch.equal(inner._weights(2)["feedforward.2.weight"], inner.block.feedforward[2].weight)
    assert not torch.allclose(inner(x), alike, atol=1e-3)


def test_after_one_step_every_delta_learns():
    net = make(sharing="relaxed")
    optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
    for _ in range(2):
        optimizer.zero_grad()
        torch.nn.functional.cross_entropy(net(TOKENS).flatten(0, 1), TOKENS.flatten()).backward()
        optimizer.step()
    assert all(weight.grad.abs().amax() > 0 for weight in net.parameters())
    assert all(delta.grad.abs().amax((1, 2)).min() > 0 for delta in net.blocks[0].down.values())


@pytest.mark.parametrize("sharing", ["all", "cycle", "relaxed"])
def test_shared_networks_train_as_one_program(sharing):
    nets = [make(sharing=sharing).eval() for _ in range(2)]
    with torch.no_grad():
        for weight in nets[1].parameters():
            weight += 0.05 * torch.randn_like(weight)
    values = stack_module_state(nets)

    def loss(weights, buffers):
        return functional_call(nets[0], (weights, buffers), (TOKENS,)).square().mean()

    with sdpa_kernel(SDPBackend.MATH):
        grads = vmap(grad(loss))(*values)
    for place, net in enumerate(nets):
        net(TOKENS).square().mean().backward()
        for name, weight in net.named_parameters():
            assert torch.allclose(grads[name][place], weight.grad, atol=1e-4), name


@pytest.mark.parametrize(
    ("options", "advice"),
    [
        ({"sharing": "some"}, "none, all, cycle, relaxed"),
        ({"sharing": "cycle", "shared_blocks": 5}, "choose at most 4"),
        ({"sharing": "cycle", "shared_blocks": 0}, r"model\.shared_blocks 0"),
        ({"sharing": "all", "pattern": ["linear", "softmax"]}, "give one name"),
        (
            {"sharing": "cycle", "shared_blocks": 3, "pattern": ["linear", "softmax"]},
            "multiple of the pattern",
        ),
        ({"sharing": "relaxed", "delta_rank": 0}, r"model\.delta_rank 0"),
        ({"sharing": "relaxed", "delta_rank": 16}, "choose less, for example 2"),
    ],
)
def test_sharing_that_does_not_fit_is_refused_with_what_would(options, advice):
    with pytest.raises(Refusal, match=advice):
        make(**options)


def test_what_would_take_the_weights_of_no_layer_is_refused():
    net = make(sharing="relaxed")
    loss = net(TOKENS).square().mean()
    plain = torch.autograd.grad(loss, list(net.parameters()), allow_unused=True)
    with recompute(net, ["blocks.0"]):
        again = torch.autograd.grad(net(TOKENS).square().mean(), list(net.parameters()), allow_unused=True)
    assert all(torch.equal(one, other) for one, other in zip(plain, again, strict=True))
    with recompute(net, ["blocks.0.block.mixer"]), pytest.raises(Refusal, match=r"trainer\.recompute"):
        net(TOKENS)
    net.blocks[0].block.mixer.out = linear("low_rank", 16, 16, False)
    with pytest.raises(Refusal, match=r"model\.sharing=all or cycle"):
        net(TOKENS)
    assert net.metrics() == make().metrics()


def test_a_cycle_repeats_its_pattern():
    net = make(sharing="cycle", pattern=["linear", "softmax"])
    assert [type(block.mixer).__name__ for block in layers(net.blocks)] == [
        "LinearAttention",
        "Attention",
    ] * 2


def test_classifiers_share_too():
    net = Transformer((1, 8, 8), 10, width=16, depth=3, sharing="all")
    assert weights(net) == BLOCK + 16 and net(torch.randn(2, 1, 8, 8)).shape == (2, 10)


@pytest.mark.parametrize("kinds", [("dense", kind) for kind in ("low_rank", "grouped", "monarch")])
def test_structured_feed_forward_networks_start_as_dense_ones_do(kinds):
    torch.manual_seed(0)
    x, spread = torch.randn(500, 64), {}
    for kind in kinds:
        net = GPT((12,), 20, width=64, depth=8, linear=kind)
        with torch.no_grad():
            outputs = [block.feedforward(x) for block in layers(net.blocks)]
        spread[kind] = float(torch.stack(outputs).std())
    assert spread[kinds[1]] == pytest.approx(spread["dense"], rel=0.25)
