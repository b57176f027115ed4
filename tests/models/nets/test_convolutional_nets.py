"""MobileNet, ResNet and ConvNeXt: what their blocks compute, their weights, and what they refuse."""

import pytest
import torch
from torch import nn

from cases import each
from models.measure.cost import cost
from models.nets.convnext import ConvNeXt
from models.nets.convolutions import Convolution, Norm, Place, Points, places
from models.nets.mobilenet import MobileNet
from models.nets.resnet import ResNet
from models.nets.separable import InvertedResidual, SqueezeExcite, block
from refusal import Refusal

NETS = {"mobilenet": MobileNet, "resnet": ResNet, "convnext": ConvNeXt}


def weights(net):
    return sum(weight.numel() for weight in net.parameters())


def test_every_stage_but_the_first_halves_and_grows():
    assert places(8, 3, 1, 2) == [(8, 8, 1), (8, 8, 1), (8, 16, 2), (16, 16, 1), (16, 32, 2), (32, 32, 1)]


def test_a_signal_is_convolved_as_by_conv1d():
    ours, plain = (
        Convolution(1, 6, 8, 5, 2, groups=2),
        nn.Conv1d(6, 8, 5, 2, padding=2, groups=2, bias=False),
    )
    plain.weight.data = ours.conv.weight.data.squeeze(2)
    x = torch.randn(3, 6, 11)
    assert torch.allclose(ours(Points()(x)).squeeze(1).transpose(1, 2), plain(x), atol=1e-6)


def test_points_are_normalised_as_by_group_norm():
    x = torch.randn(3, 16, 5, 7)
    assert torch.allclose(Norm(16)(Points()(x)).movedim(-1, 1), nn.GroupNorm(1, 16)(x), atol=1e-6)


@pytest.mark.parametrize("name", NETS)
@pytest.mark.parametrize("shape", [(1, 40), (2, 8, 8)])
def test_an_example_is_answered_alike_in_every_batch_and_mode(name, shape):
    net, x = NETS[name](shape, 10, width=8), torch.randn(5, *shape)
    together = net.train()(x)
    alone = torch.cat([net.eval()(one) for one in x.split(1)])
    assert torch.allclose(together, alone, atol=1e-5)


@each("name", NETS)
@each("shape", [(1, 10), (3, 14, 22), (1, 2, 2)])
@each("readout", ["flatten", "mean"])
def test_odd_sizes_shrink_to_nothing_less_than_a_point(name, shape, readout):
    net = NETS[name](shape, 7, width=8, depth=4, growth=1, blocks=0, readout=readout)
    assert net(torch.randn(2, *shape)).shape == (2, 7)


def test_a_halving_reads_the_last_point_of_an_odd_size():
    net = ConvNeXt((1, 14), 3, width=8, depth=2, kernel=1, blocks=0)
    x = torch.randn(1, 1, 14, requires_grad=True)
    net(x).square().sum().backward()
    assert (x.grad != 0).all()


@pytest.mark.parametrize(
    ("net", "count"),
    [
        (block("separable", 2, Place(8, 24, 1), 3, 4, 0.0, "relu"), 8 * 9 + 8 * 24 + 2 * (8 + 24)),
        (block("inverted", 2, Place(8, 24, 2), 5, 4, 0.0, "relu"), 32 * (8 + 25 + 24) + 2 * (64 + 24)),
        (block("inverted", 1, Place(8, 8, 1), 3, 1, 0.0, "relu"), 8 * (3 + 8) + 2 * 16),
        (SqueezeExcite(16, 0.25, "relu"), 2 * 4 * 16 + 4 + 16),
        (ResNet((1, 8), 10, width=8, depth=1, blocks=0), 24 + 2 * 192 + 3 * 16 + 8 * 4 * 10 + 10),
        (
            ConvNeXt((1, 8), 10, width=8, depth=1, blocks=0),
            24 + 16 + (8 * 7 + 8) + 16 + 2 * 256 + 32 + 8 + 8 + 16 + 8 * 4 * 10 + 10,
        ),
    ],
)
def test_weights_are_as_many_as_the_formula_says(net, count):
    assert weights(net) == count


def test_an_inverted_block_adds_what_it_read_where_shapes_allow():
    x = torch.randn(2, 1, 6, 8)
    for place, adds in ((Place(8, 8, 1), True), (Place(8, 8, 2), False), (Place(8, 16, 1), False)):
        net = InvertedResidual(1, place, 3, 2, 0.0, "relu")
        nn.init.zeros_(net.branch[-1].weight)
        assert torch.equal(net(x), x) if adds else not net(x).any()


def test_squeeze_excite_gates_whole_channels_below_one():
    x = torch.rand(3, 4, 5, 16) + 0.5
    gate = SqueezeExcite(16, 0.25, "relu")(x) / x
    assert torch.allclose(gate, gate[:, :1, :1].expand_as(gate)) and gate.min() > 0 and gate.max() < 1


def test_a_residual_block_starts_from_its_input_unchanged():
    net = ResNet((1, 8), 10, width=8, depth=1, blocks=0)
    nn.init.zeros_(net.features[2].branch[-1].conv.weight)
    x = torch.randn(2, 1, 4, 8)
    assert torch.equal(net.features[2](x), x)


def test_depthwise_blocks_cost_a_fraction_of_full_ones():
    shape, example = (3, 32, 32), torch.randn(1, 3, 32, 32)
    full = cost(ResNet(shape, 10, width=16, readout="mean"), example)
    light = cost(MobileNet(shape, 10, width=16, block="separable", squeeze=0.0, readout="mean"), example)
    for key in ("size/parameters", "compute/flops_forward"):
        assert light[key] < full[key] / 8


@pytest.mark.parametrize("kind", ["low_rank", "grouped", "monarch"])
def test_the_perceptrons_of_a_convnext_take_each_kind(kind):
    dense, net = ConvNeXt((1, 40), 10, width=16), ConvNeXt((1, 40), 10, width=16, linear=kind)
    net(torch.randn(2, 1, 40)).square().sum().backward()
    assert all(weight.grad is not None for weight in net.parameters()) and weights(net) < weights(dense)


@each("name", NETS)
@each(
    ("changes", "advice"),
    [
        ({"kernel": 4}, "odd number, for example 5"),
        ({"blocks": -1}, "model.blocks -1"),
        ({"width": 0}, "model.width 0"),
        ({"readout": "last"}, "flatten, mean"),
        ({"activation": "sine"}, "relu, gelu"),
        ({"dropout": 1.0}, "model.dropout 1.0"),
        ({"shape": (64,)}, "choose model=mlp"),
        ({"task": "language"}, "choose model=gpt"),
    ],
)
def test_impossible_settings_are_refused_with_the_key_to_change(name, changes, advice):
    with pytest.raises(Refusal, match=advice):
        NETS[name](**({"shape": (1, 40), "classes": 10} | changes))


def test_what_only_one_of_them_has_is_refused_too():
    with pytest.raises(Refusal, match="separable, inverted"):
        MobileNet((1, 40), 10, block="fused")
    with pytest.raises(Refusal, match=r"model.squeeze 1.5"):
        MobileNet((1, 40), 10, squeeze=1.5)
    with pytest.raises(Refusal, match="patch 3 does not divide"):
        ConvNeXt((1, 40), 10, patch=3)


@pytest.mark.parametrize("name", NETS)
def test_dropout_acts_while_training_only(name):
    net, x = NETS[name]((1, 40), 10, width=8, dropout=0.5), torch.randn(4, 1, 40)
    assert not torch.equal(net(x), net(x))
    assert torch.equal(net.eval()(x), net(x))
