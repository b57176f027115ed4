"""Texts of several lengths: what a network answers does not depend on how far a text was padded."""

import pytest
import torch

from cases import each
from models.nets.bag import Bag
from models.nets.gru import GRU
from models.nets.transformer import Transformer

VOCABULARY, LONG = 30, 24
TEXTS = ([3], [7, 1, 29], [5] * 8, list(range(1, 17)))
NETS = {
    "bag": lambda length: Bag((length,), 4, vocabulary=VOCABULARY, width=8),
    **{
        f"transformer {pattern} {sharing} {heads}": lambda length, p=pattern, s=sharing, h=heads: Transformer(
            (length,), 4, vocabulary=VOCABULARY, width=16, depth=2, heads=4, kv_heads=h, pattern=p, window=4,
            sharing=s,
        )
        for pattern, sharing, heads in (
            ("softmax", "none", None), ("softmax", "none", 2), ("window", "none", None),
            ("linear", "none", 1), ("window-softmax", "none", None), ("softmax", "all", None),
            ("linear", "relaxed", None),
        )
    },
    **{
        f"gru {readout} {cell} {ways} {stride}": lambda length, r=readout, c=cell, w=ways, s=stride: GRU(
            (length,), 4, vocabulary=VOCABULARY, width=8, depth=2, readout=r, cell=c, bidirectional=w,
            stride=s,
        )
        for readout, cell, ways, stride in (
            ("mean", "scan", False, 1), ("mean", "scan", True, 1), ("last", "scan", True, 2),
            ("last", "fused", False, 1), ("mean", "fused", True, 2), ("last", "fused", True, 1),
        )
    },
}  # fmt: skip


def padded(texts, length):
    rows = torch.zeros(len(texts), length, dtype=torch.int64)
    for row, text in zip(rows, texts, strict=True):
        row[: len(text)] = torch.tensor(text)
    return rows


def with_weights_of(net, other):
    """The first with the other's weights; of what has a row for each place it takes the first ones."""
    theirs = other.state_dict()
    own = {
        name: theirs[name][tuple(slice(size) for size in value.shape)]
        for name, value in net.state_dict().items()
    }
    net.load_state_dict(own)
    return net


@pytest.mark.slow
@each("name", NETS)
def test_padding_changes_no_answer(name):
    torch.manual_seed(0)
    wide = NETS[name](LONG).eval()
    together = wide(padded(TEXTS, LONG))
    for text, answer in zip(TEXTS, together, strict=True):
        alone = wide(padded([text], LONG))[0]
        torch.testing.assert_close(alone, answer, atol=1e-5, rtol=1e-5)
        stride = getattr(wide, "stride", 1)
        tight = with_weights_of(NETS[name](-(-len(text) // stride) * stride).eval(), wide)
        torch.testing.assert_close(
            tight(padded([text], -(-len(text) // stride) * stride))[0], answer, atol=1e-5, rtol=1e-5
        )


@each("name", NETS)
def test_gradients_are_finite_and_padding_learns_nothing(name):
    torch.manual_seed(0)
    net = NETS[name](LONG)
    net(padded([*TEXTS, []], LONG)).square().sum().backward()
    assert all(torch.isfinite(weight.grad).all() for weight in net.parameters() if weight.grad is not None)
    assert not net.embedding.weight.grad[0].any() and net.embedding.weight.grad[3].any()


def test_the_order_of_a_text_matters_to_those_that_read_it_in_order():
    torch.manual_seed(0)
    forwards, backwards = padded([[1, 2, 3, 4]], 8), padded([[4, 3, 2, 1]], 8)
    for name in ("transformer softmax none None", "gru last scan True 2"):
        net = NETS[name](8).eval()
        assert not torch.allclose(net(forwards), net(backwards), atol=1e-4), name


def test_a_read_out_of_all_states_has_nothing_of_padding():
    torch.manual_seed(0)
    net = GRU((8,), 4, vocabulary=VOCABULARY, width=8, readout="flatten").eval()
    short = padded([[1, 2]], 8)
    before = net(short)
    net.head.weight.data[:, 2 * 8 :] += 1
    torch.testing.assert_close(net(short), before)
