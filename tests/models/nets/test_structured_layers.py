"""Structured linear layers: drop-ins of equal output variance, with the weights that their formula says."""

import pytest
import torch
from torch.func import functional_call, stack_module_state, vmap

from cases import each
from models.nets.mlp import MLP
from models.nets.structured import KINDS, Grouped, LowRank, Monarch, linear
from refusal import Refusal

SIZES = [(64, 64), (64, 256), (256, 64)]


def weights(layer):
    return sum(parameter.numel() for parameter in layer.parameters())


@each("kind", KINDS)
@each(("inputs", "outputs"), SIZES)
def test_outputs_vary_as_those_of_a_fresh_dense_layer(kind, inputs, outputs):
    torch.manual_seed(0)
    x = torch.randn(2000, inputs)
    layers = [linear(kind, inputs, outputs) for _ in range(4)]
    found = torch.stack([layer(x).var(0).mean() for layer in layers]).mean().item()
    assert found == pytest.approx(1 / 3 + 1 / (3 * inputs), rel=0.08)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("bias", [True, False])
def test_any_leading_shape_passes_and_sizes_can_be_read_off(kind, bias):
    layer = linear(kind, 32, 48, bias)
    assert (layer.in_features, layer.out_features) == (32, 48)
    x = torch.randn(2, 3, 5, 32)
    assert layer(x).shape == (2, 3, 5, 48)
    assert torch.allclose(layer(x)[1, 2], layer(x[1, 2]), atol=1e-6)
    assert torch.allclose(layer(x)[1, 2, 0], layer(x[1, 2, 0]), atol=1e-6)
    zero = layer(torch.zeros(1, 32))
    assert bool(zero.any()) is bias


@pytest.mark.parametrize(
    ("layer", "count"),
    [
        (linear("low_rank", 64, 256, False, share=0.5), 25 * 320),
        (LowRank(64, 256, 8, bias=True), 8 * 320 + 256),
        (Grouped(64, 256, 4), 64 * 256 // 4 + 256),
        (Monarch(64, 256, 4, bias=False), 64 * 320 // 4),
        (Monarch(256, 64, 8), 64 * 320 // 8 + 64),
    ],
)
def test_weights_are_as_many_as_the_formula_says(layer, count):
    assert weights(layer) == count


@pytest.mark.parametrize(
    ("kind", "blocks", "seen"), [("grouped", 4, 16), ("monarch", 4, 64), ("monarch", 8, 64)]
)
def test_how_many_inputs_an_output_sees(kind, blocks, seen):
    layer = linear(kind, 64, 64, False, blocks=blocks)
    matrix = layer(torch.eye(64))
    assert ((matrix != 0).sum(0) == seen).all()


def test_two_grouped_layers_in_a_row_see_everything():
    both = torch.nn.Sequential(Grouped(64, 64, 8, False), Grouped(64, 64, 8, False))
    assert (both(torch.eye(64)) != 0).all()


def test_monarch_is_the_product_of_its_factors():
    """The paper's P L P R x, written with whole matrices."""
    layer = Monarch(12, 8, 2)
    shuffle = torch.eye(8)[torch.arange(8).view(2, 4).T.flatten()]
    right, left = (torch.block_diag(*factor.transpose(1, 2)) for factor in (layer.first, layer.second))
    matrix = shuffle @ left @ shuffle @ right
    x = torch.randn(5, 12)
    assert torch.allclose(layer(x), x @ matrix.T + layer.bias, atol=1e-6)


@pytest.mark.parametrize("kind", KINDS)
def test_stacked_layers_run_as_one_program(kind):
    layers, x = [linear(kind, 16, 32) for _ in range(2)], torch.randn(3, 4, 16)
    stacked, buffers = stack_module_state(layers)
    out = vmap(lambda weights: functional_call(layers[0], (weights, buffers), (x,)))(stacked)
    assert torch.allclose(out, torch.stack([layer(x) for layer in layers]), atol=1e-6)


@pytest.mark.parametrize(
    ("call", "advice"),
    [
        (lambda: linear("sparse", 8, 8), "dense, low_rank, grouped, monarch"),
        (lambda: linear("low_rank", 8, 8, share=0.0), "linear_share 0.0"),
        (lambda: LowRank(8, 16, 9), "choose 1 to 8"),
        (lambda: linear("grouped", 64, 10, blocks=4), "choose one of 2"),
        (lambda: linear("grouped", 63, 10, blocks=4), "choose model.linear=low_rank"),
        (lambda: linear("grouped", 8, 8, blocks=0), "linear_blocks 0"),
        (lambda: linear("monarch", 64, 32, blocks=8), "choose at most 5"),
    ],
)
def test_what_does_not_fit_is_refused_with_what_does(call, advice):
    with pytest.raises(Refusal, match=advice):
        call()


@pytest.mark.parametrize("kind", KINDS)
def test_a_perceptron_takes_each_kind(kind):
    net = MLP((1, 8, 8), 10, width=64, depth=2, linear=kind)
    x = torch.randn(4, 1, 8, 8)
    net(x).square().sum().backward()
    assert all(weight.grad is not None and weight.grad.any() for weight in net.parameters())
    dense = weights(MLP((1, 8, 8), 10, width=64, depth=2))
    assert weights(net) == dense if kind == "dense" else weights(net) < 0.6 * dense
