"""FLOPs of every network, forward and in training, against a count by hand from the shapes of its layers."""

from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
import yaml
from hydra.utils import get_object
from torch import nn

from cases import each
from flops_by_hand import by_hand
from models.compress import pt2e
from models.compress.int8_weights import Int8Weights
from models.compress.magnitude import magnitude_masks
from models.compress.masks import apply, prunable
from models.compress.own_precision import OwnPrecision
from models.compress.structured import prune_once
from models.compress.two_four import sparse
from models.measure.cost import measure
from models.nets.gpt import GPT
from models.nets.structured import LowRank

CONF = Path(__file__).parents[3] / "conf"
FILES = {path.stem: yaml.safe_load(path.read_text()) for path in sorted((CONF / "model").glob("*.yaml"))}
MODELS = {name: file for name, file in FILES.items() if file["_target_"].startswith("models.nets.")}
del MODELS["bag"]  # whose vocabulary is that of a person's own texts: tests/models/nets/test_bag.py
SHAPES = {
    "image": {"shape": (1, 8, 8), "classes": 10, "task": "classification"},
    "signal": {"shape": (1, 40), "classes": 10, "task": "classification"},
    # More than one chunk of a mixer, and not a whole number of them.
    "tokens": {"shape": (100,), "classes": 30, "task": "language"},
    "few tokens": {"shape": (24,), "classes": 30, "task": "language"},
}
OF_TOKENS = ("gpt", "moe_gpt")
EVERY = [
    (name, kind)
    for name in MODELS
    for kind in (["tokens", "few tokens"] if name.startswith(OF_TOKENS) else ["image", "signal"])
] + [("gru", "tokens")]
LINEAR = [{"linear": kind} for kind in ("low_rank", "grouped", "monarch")]
MIXERS = [{"pattern": name} for name in ("window", "linear", "gated", "delta", "delta-softmax")]
OPTIONS = [
    *[("mlp", "image", change | {"depth": 2}) for change in LINEAR],
    *[("convnext", "signal", change) for change in LINEAR],
    ("convnext", "image", {"kernel": 3, "patch": 4, "blocks": 2, "readout": "mean"}),
    *[("mobilenet", kind, {"block": "separable", "squeeze": 0.0}) for kind in ("image", "signal")],
    ("mobilenet", "image", {"expansion": 1, "kernel": 5}),
    ("resnet", "signal", {"growth": 1, "blocks": 0, "kernel": 5}),
    ("cnn", "image", {"blocks": 2, "growth": 2, "readout": "mean", "norm": False}),
    *[
        ("gru", "signal", {"cell": cell, "bidirectional": both})
        for cell in ("scan", "fused")
        for both in (False, True)
    ],
    ("gru", "image", {"depth": 2, "stride": 2, "readout": "last"}),
    *[("transformer", "image", change | {"patch": 2}) for change in LINEAR],
    *[("transformer", "signal", {"pattern": name, "patch": 2, "window": 8}) for name in ("window", "linear")],
    *[("gpt", kind, change) for change in MIXERS for kind in ("tokens", "few tokens")],
    *[("gpt", "tokens", change | {"convolution": 4, "kv_heads": 2}) for change in MIXERS],
    ("gpt", "tokens", {"pattern": "window", "window": 16}),
    *[("gpt", "tokens", {"sharing": kind, "depth": 4}) for kind in ("all", "cycle", "relaxed")],
    *[("gpt", "tokens", change) for change in LINEAR],
    ("gpt", "tokens", {"tied": True, "positions": "learned"}),
    *[("moe_gpt", "tokens", change) for change in ({"chosen": 3}, {"shared": 2}, {"tied": True})],
    ("moe_gpt", "tokens", {"capacity": 0.5, "score": "sigmoid", "convolution": 3, "pattern": "linear"}),
]


def build(name, kind, changes):
    torch.manual_seed(0)
    apart = ("_target_", "vocabulary")
    options = {key: value for key, value in MODELS[name].items() if key not in apart}
    return get_object(MODELS[name]["_target_"])(**(options | SHAPES[kind] | changes))


def example(kind):
    shape, generator = SHAPES[kind]["shape"], torch.Generator().manual_seed(0)
    tokens = SHAPES[kind]["task"] == "language"
    return torch.randint(0, 30, (1, *shape), generator=generator) if tokens else torch.randn(1, *shape)


@pytest.mark.slow
@each(
    ("name", "kind", "changes"),
    [(name, kind, {}) for name, kind in EVERY] + OPTIONS,
)
def test_every_network_counts_as_by_hand(name, kind, changes):
    net, x = build(name, kind, changes), example(kind)
    found, facts = measure(net, x)
    forward, train = by_hand(net, x)
    assert found["compute/flops_forward"] == forward
    assert found["compute/flops_train"] == train
    assert facts == {"flops_uncounted": []}


CONVOLUTIONS = [
    (nn.Conv1d(8, 12, 3, padding=1), (8, 20)),
    (nn.Conv1d(8, 8, 5, stride=2, groups=8, bias=False), (8, 21)),
    (nn.Conv1d(8, 12, 3, groups=4, dilation=2), (8, 20)),
    (nn.Conv2d(4, 6, (3, 5), stride=(2, 1), padding=1), (4, 9, 10)),
    (nn.Conv2d(6, 6, 3, groups=6, padding=1), (6, 8, 8)),
    (nn.Conv2d(6, 18, 3, groups=3), (6, 8, 8)),
    (nn.Conv2d(6, 12, 3, groups=6, stride=2), (6, 9, 9)),
    (nn.ConvTranspose1d(8, 4, 4, stride=2), (8, 10)),
    (nn.ConvTranspose2d(6, 6, 3, groups=6, stride=2), (6, 5, 5)),
    (nn.ConvTranspose2d(6, 9, 3, groups=3, padding=1), (6, 5, 5)),
]


@each(("layer", "shape"), CONVOLUTIONS)
@each("inner", [False, True])
def test_convolutions_of_every_kind_count_as_by_hand(layer, shape, inner):
    net = nn.Sequential(Gain(), layer) if inner else nn.Sequential(layer)
    found, _ = measure(net, torch.randn(1, *shape))
    forward, train = by_hand(net, torch.randn(1, *shape))
    assert found["compute/flops_forward"] == forward
    assert found["compute/flops_train"] == train == forward * (3 if inner else 2)


class Gain(nn.Module):
    """A layer without products, that wants its gradient."""

    def __init__(self):
        super().__init__()
        self.gain = nn.Parameter(torch.ones(()))

    def forward(self, x):
        return x * self.gain


def test_a_separable_block_counts_as_on_paper():
    block = nn.Sequential(nn.Conv2d(16, 16, 3, padding=1, groups=16), nn.ReLU(), nn.Conv2d(16, 32, 1))
    found = measure(block, torch.zeros(1, 16, 10, 10))[0]
    depthwise, pointwise = 2 * 100 * 16 * 9, 2 * 100 * 16 * 32
    assert found["compute/flops_forward"] == depthwise + pointwise
    assert found["compute/flops_train"] == 2 * depthwise + 3 * pointwise


def test_a_frozen_layer_has_no_gradient_of_its_weight():
    net = nn.Sequential(nn.Linear(8, 8), nn.Conv1d(1, 4, 3, groups=1), nn.Flatten(), nn.Linear(24, 2))
    net[1].requires_grad_(False)
    found = measure(net, torch.zeros(1, 1, 8))[0]
    first, middle, last = 2 * 8 * 8, 2 * 6 * 4 * 3, 2 * 24 * 2
    assert found["compute/flops_train"] == 2 * first + 2 * middle + 3 * last


@each("length", [6, 9])
@each("held", [False, True])
def test_attention_of_torch_counts_whether_its_weights_train_or_not(length, held):
    layer = nn.TransformerEncoderLayer(16, 4, 32, batch_first=True)
    net = nn.Sequential(layer.requires_grad_(not held), nn.Linear(16, 2))
    found, facts = measure(net, torch.randn(1, length, 16))
    projections, scores = 4 * 16 * 16, 2 * length * 16
    by_place = projections + scores + 2 * 16 * 32 + 16 * 2
    assert found["compute/flops_forward"] == 2 * length * by_place and not facts["flops_uncounted"]
    assert torch.backends.mha.get_fastpath_enabled()


def test_the_gradient_of_what_is_left_out_is_not_counted():
    # Low rank: the first of two thin layers reads the data.
    found = measure(LowRank(16, 12, 3), torch.zeros(1, 16))[0]
    assert found["compute/flops_train"] == 2 * (2 * 16 * 3) + 3 * (2 * 3 * 12)


def test_a_table_that_reads_in_and_out_counts_once_where_it_multiplies():
    tied, own = (GPT((16,), 20, width=8, heads=2, depth=1, tied=tied) for tied in (True, False))
    tokens = torch.zeros(1, 16, dtype=torch.int64)
    for name in ("compute/flops_forward", "compute/flops_train"):
        assert measure(tied, tokens)[0][name] == measure(own, tokens)[0][name]


def pruned(net):
    weights = prunable(net)
    apply(weights, magnitude_masks(weights, 0.9, "layer"))
    return net


def two_four(net):
    return sparse(net, ["blocks.0.mixer.qkv", "blocks.1.feedforward.0"], torch.bfloat16, packed=False)


def int8_weights(net):
    return Int8Weights(smallest=1).after(net, SimpleNamespace(device="cpu"))


def half(net):
    return OwnPrecision(net.to(torch.bfloat16).requires_grad_(False))


@pytest.mark.parametrize("compress", [pruned, two_four, int8_weights, half])
@pytest.mark.parametrize("length", [4, 24], ids=["few rows", "many rows"])
def test_number_formats_and_zeros_change_no_count(compress, length):
    shape = {"shape": (length,), "classes": 30, "task": "language"}
    net = GPT(**shape, width=64, depth=2, heads=4, pattern="linear", convolution=3)
    tokens = torch.zeros(1, length, dtype=torch.int64)
    forward, _ = by_hand(net, tokens)
    found, facts = measure(compress(net), tokens)
    assert found["compute/flops_forward"] == forward
    assert facts == {"flops_uncounted": []}


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "kind"),
    [("mlp", "image"), ("cnn", "signal"), ("mobilenet", "image"), ("resnet", "image"), ("gpt", "tokens")],
)
def test_what_pruning_leaves_counts_as_by_hand(name, kind):
    net, x = build(name, kind, {}), example(kind)
    smaller = prune_once(net, x, 0.5, round_to=4)
    found, _ = measure(smaller, x)
    assert (found["compute/flops_forward"], found["compute/flops_train"]) == by_hand(smaller, x)
    assert found["compute/flops_forward"] < 0.8 * by_hand(net, x)[0]


@pytest.mark.slow
@pytest.mark.parametrize(
    "changes", [{"pattern": "linear", "convolution": 4}, {"kv_heads": 2}, {"tied": True}]
)
@pytest.mark.parametrize("dynamic", [False, True])
def test_an_exported_int8_graph_counts_as_the_network_that_it_is_of(changes, dynamic):
    net = build("gpt", "few tokens", changes)
    forward, _ = by_hand(net, example("few tokens"))
    graph = pt2e.quantized(net, [example("few tokens").repeat(2, 1)], "int8", dynamic=dynamic)
    found, facts = measure(graph, example("few tokens"))
    assert found["compute/flops_forward"] == forward
    assert found["size/parameters"] == sum(weight.numel() for weight in net.parameters())
    assert facts == {"flops_uncounted": []}
