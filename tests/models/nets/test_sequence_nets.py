"""What the sequence networks promise beyond shapes: causality, order, equality with PyTorch's own layers."""

import pytest
import torch

from models.nets.gpt import GPT
from models.nets.gru import GRU, Fused, Scan
from models.nets.mixers.softmax import Attention
from models.nets.transformer import Transformer


@pytest.mark.parametrize("bidirectional", [False, True])
def test_the_scan_is_pytorchs_gru(bidirectional):
    scan, fused = Scan(3, 5, bidirectional), Fused(3, 5, bidirectional)
    with torch.no_grad():
        for way, suffix in enumerate(["", "_reverse"][: 1 + bidirectional]):
            fused.gru.get_parameter(f"weight_ih_l0{suffix}").copy_(scan.read.weight.view(-1, 15, 3)[way])
            fused.gru.get_parameter(f"bias_ih_l0{suffix}").copy_(scan.read.bias.view(-1, 15)[way])
            fused.gru.get_parameter(f"weight_hh_l0{suffix}").copy_(scan.weight[way].T)
            fused.gru.get_parameter(f"bias_hh_l0{suffix}").copy_(scan.bias[way, 0])
    inputs = torch.randn(4, 7, 3)
    assert torch.allclose(scan(inputs), fused(inputs), atol=1e-6)


@pytest.mark.parametrize(
    "net",
    [
        GPT((12,), 20, width=16, heads=2),
        GPT((12,), 20, width=16, heads=2, positions="learned", tied=True),
        GRU((12,), 20, "language", width=16, depth=2),
        GRU((12,), 20, "language", width=16, cell="fused"),
    ],
    ids=["gpt", "gpt-learned-tied", "gru", "gru-fused"],
)
def test_no_position_sees_what_it_predicts(net):
    tokens = torch.randint(0, 20, (3, 12))
    changed = tokens.clone()
    changed[:, 7:] = (changed[:, 7:] + 1) % 20
    before, after = net(tokens), net(changed)
    assert torch.allclose(before[:, :7], after[:, :7], atol=1e-5)
    assert not torch.allclose(before[:, 7:], after[:, 7:], atol=1e-3)


def test_a_shorter_text_is_read_as_the_head_of_a_longer_one():
    for positions in ("rotary", "learned"):
        net, tokens = GPT((12,), 20, width=16, heads=2, positions=positions), torch.randint(0, 20, (3, 12))
        assert torch.allclose(net(tokens)[:, :5], net(tokens[:, :5]), atol=1e-5)


def test_an_untrained_gpt_is_near_a_uniform_guess():
    torch.manual_seed(0)
    tokens = torch.randint(0, 256, (8, 64))
    logits = GPT((64,), 256)(tokens).detach()
    loss = torch.nn.functional.cross_entropy(logits[:, :-1].flatten(0, 1), tokens[:, 1:].flatten())
    assert abs(float(loss) - 5.545) < 0.4


def test_rotary_attention_depends_on_distance_only():
    attention = Attention(8, 2, 10, causal=False, rotary=True)
    vectors = torch.randn(2, 1, 1, 1, 8)
    turned = attention._turn(vectors.expand(2, 1, 1, 10, 8)[..., :4])
    products = torch.einsum("bhtd,bhsd->ts", turned[0], turned[1])
    for distance in range(-3, 4):
        diagonal = products.diagonal(distance)
        assert torch.allclose(diagonal, diagonal[0].expand_as(diagonal), atol=1e-5)


def test_patches_are_cut_in_reading_order():
    net = Transformer((3, 8, 12), 10, patch=4)
    image = torch.randn(2, 3, 8, 12)
    patches = net._cut(image)
    assert patches.shape == (2, 6, 48)
    assert patches[1, 4].view(3, 4, 4).equal(image[1, :, 4:8, 4:8])
    signal = torch.randn(2, 3, 8)
    assert Transformer((3, 8), 10, patch=2)._cut(signal)[0, 1].view(3, 2).equal(signal[0, :, 2:4])


def test_a_transformer_reads_tokens_with_a_vocabulary():
    net = Transformer((6,), 4, vocabulary=30)
    assert net(torch.randint(0, 30, (5, 6))).shape == (5, 4)


@pytest.mark.parametrize("shape", [(2, 12), (2, 12, 3)])
def test_gru_steps_hold_channels_and_rows(shape):
    net = GRU(shape, 10, stride=2)
    inputs = torch.randn(3, *shape)
    steps = net._sequence(inputs)
    assert steps.shape == (3, 6, 2 * inputs[0].numel() // 12)
    assert steps[0, 1].sort().values.equal(inputs[0, :, 2:4].flatten().sort().values)


@pytest.mark.parametrize("readout", ["flatten", "last", "mean"])
@pytest.mark.parametrize("bidirectional", [False, True])
def test_gru_readouts(readout, bidirectional):
    net = GRU((1, 12), 10, readout=readout, bidirectional=bidirectional, depth=2)
    assert net(torch.randn(3, 1, 12)).shape == (3, 10)
