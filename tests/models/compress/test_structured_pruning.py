"""Structured pruning: fewer FLOPs for real, the right units, and a network that is still whole."""

import copy

import pytest
import torch
from torch import nn

from compressing import compressed, pipeline
from models.compress.artefact import pack, unpack
from models.compress.blocks import prune_blocks
from models.compress.resize import resize
from models.compress.structured import Structured, flops_of, prune_to, sizes
from models.data.dataset import Dataset, Split
from models.nets.cnn import CNN
from models.nets.convnext import ConvNeXt
from models.nets.gpt import GPT
from models.nets.gru import GRU
from models.nets.linear import Linear
from models.nets.mlp import MLP
from models.nets.mobilenet import MobileNet
from models.nets.resnet import ResNet
from models.nets.transformer import Transformer
from refusal import Refusal
from trainings import blobs, network

IMAGE, SIGNAL, TOKENS = torch.randn(1, 1, 8, 8), torch.randn(1, 1, 40), torch.randint(0, 32, (1, 16))
NETS = {
    "mlp": (lambda: MLP((1, 8, 8), 10, width=64, depth=2), IMAGE),
    "low_rank mlp": (lambda: MLP((1, 8, 8), 10, width=64, depth=2, linear="low_rank"), IMAGE),
    "cnn 2-D": (lambda: CNN((1, 8, 8), 10, width=32, blocks=1, growth=2, depth=2), IMAGE),
    "cnn 1-D": (lambda: CNN((1, 40), 10, width=32, readout="mean", norm=False), SIGNAL),
    "resnet": (lambda: ResNet((1, 40), 10, width=16, depth=2), SIGNAL),
    "mobilenet": (lambda: MobileNet((1, 40), 10, width=16, depth=2), SIGNAL),
    "convnext": (lambda: ConvNeXt((1, 40), 10, width=16, depth=2), SIGNAL),
    "transformer": (lambda: Transformer((1, 40), 10, width=32, heads=4), SIGNAL),
    "grouped": (lambda: Transformer((1, 40), 10, width=32, heads=8, kv_heads=4), SIGNAL),
    "shared": (lambda: Transformer((1, 40), 10, width=32, sharing="all"), SIGNAL),
    "low_rank blocks": (lambda: Transformer((1, 40), 10, width=32, linear="low_rank"), SIGNAL),
    "gpt": (lambda: GPT((16,), 32, "recall", width=32, heads=4), TOKENS),
}


QUICK = ("mlp", "cnn 1-D", "resnet", "grouped", "gpt")


@pytest.mark.slow
@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=[] if name in QUICK else pytest.mark.slow) for name in NETS]
)
def test_flops_fall_to_the_share_and_saved_weights_find_their_structure(name) -> None:
    make, example = NETS[name]
    net = make().eval()
    before = {name: weight.clone() for name, weight in net.state_dict().items()}
    smaller = prune_to(net, example, 0.5, 4)
    assert 0.2 < flops_of(smaller, example) / flops_of(net, example) <= 0.5
    assert smaller(example).shape == net(example).shape
    assert all(torch.equal(before[name], weight) for name, weight in net.state_dict().items())
    state = unpack(pack(smaller.state_dict()))
    again = resize(make(), state).eval()
    again.load_state_dict(state)
    assert torch.equal(again(example), smaller(example))
    for old, new in zip(smaller.modules(), again.modules(), strict=True):
        assert old.extra_repr() == new.extra_repr()
        assert getattr(old, "heads", 0) == getattr(new, "heads", 0)


def test_a_structure_without_its_weights_yet_holds_nothing_of_memory() -> None:
    make, example = NETS["mlp"]
    state = prune_to(make().eval(), example, 0.5, 4).state_dict()
    torch.use_deterministic_algorithms(True)  # what is only allocated is filled with NaN
    try:
        again = resize(make(), state)
    finally:
        torch.use_deterministic_algorithms(False)
    assert all(bool(weight.isfinite().all()) for weight in again.parameters())


@pytest.mark.parametrize("kv_heads", [4, 2])
def test_heads_that_do_nothing_go_first_and_the_answer_stays(kv_heads) -> None:
    net = Transformer((1, 40), 10, width=32, heads=4, kv_heads=kv_heads).eval()
    blocks = [module for module in net.modules() if hasattr(module, "mixer")]
    for block in blocks:
        # The last half of the heads, and of the hidden units, write nothing.
        block.mixer.out.weight.data[:, 16:] = 0
        block.feedforward[2].weight.data[:, 64:] = 0
    inputs = torch.randn(3, 1, 40)
    expected = net(inputs)
    prune_blocks(net, 0.5, 4)
    assert [block.mixer.heads for block in blocks] == [2, 2]
    assert {block.mixer.kv_heads for block in blocks} == {kv_heads // 2}
    assert torch.allclose(net(inputs), expected, atol=1e-5)


def test_gradients_judge_what_the_loss_needs() -> None:
    net = MLP((64,), 10, width=64, depth=1).eval()
    inputs = torch.randn(8, 64)
    # Half of the units are large and never reach the answer.
    net.layers[1].weight.data[:32] *= 10
    net.layers[3].weight.data[:, :32] = 0
    net(inputs).square().sum().backward()
    smaller = prune_to(net, inputs[:1], 0.5, 4)
    assert torch.allclose(smaller(inputs), net(inputs), atol=1e-4)
    assert all(weight.grad is None for weight in smaller.parameters())


@pytest.mark.parametrize(
    ("net", "example", "advice"),
    [
        (lambda: GRU((1, 40), 10, width=8), SIGNAL, "its layers.0 weights are of Scan.*prune50"),
        (lambda: MLP((1, 8, 8), 10, width=64, linear="monarch"), IMAGE, "of Monarch"),
        (lambda: Linear((1, 8, 8), 10), IMAGE, "cannot be reached.*1.00 of the FLOPs"),
        (lambda: Transformer((1, 40), 10, width=32, sharing="relaxed"), SIGNAL, "sharing=all, cycle or none"),
        (lambda: GPT((16,), 32, "recall", width=32, pattern="gated"), TOKENS, "set model.pattern to softmax"),
        (lambda: nn.Flatten(), IMAGE, "no linear or convolutional layer"),
    ],
    ids=["gru", "monarch", "linear", "relaxed", "gated", "empty"],
)
def test_what_cannot_be_told_apart_is_refused(net, example, advice) -> None:
    with pytest.raises(Refusal, match=advice):
        prune_to(net(), example, 0.5, 4)


@pytest.mark.parametrize(
    ("knobs", "advice"),
    [
        ({"flops": 1.5}, "flops 1.5 is no share"),
        ({"importance": "luck"}, "taylor, magnitude"),
        ({"round_to": 0}, "must be 1 or more"),
    ],
)
def test_impossible_knobs_are_refused(knobs, advice) -> None:
    with pytest.raises(Refusal, match=advice):
        Structured(**knobs)


def test_an_unreachable_share_is_refused_before_training_and_draws_no_random_numbers(tmp_path) -> None:
    torch.manual_seed(0)
    expected = torch.rand(1)
    torch.manual_seed(0)
    net = network(width=64)
    torch.manual_seed(0)
    pipeline(tmp_path, Structured(0.5), net=net)
    assert torch.equal(torch.rand(1), expected)
    with pytest.raises(Refusal, match="cannot be reached"):
        pipeline(tmp_path, Structured(0.001), net=net)
    assert not (tmp_path / "trial").exists()


@pytest.mark.parametrize("importance", ["taylor", pytest.param("magnitude", marks=pytest.mark.slow)])
def test_a_trained_network_is_pruned_and_fine_tuned(tmp_path, one_thread, importance) -> None:
    net, made = compressed(
        tmp_path, Structured(0.5, importance, finetune_steps=40), net=network(width=64), steps_of_training=80
    )
    assert made.facts()["0"]["flops"] <= 0.5 and net[0].out_features <= 32
    assert "[64, 12] -> " in made.facts()["0"]["sizes"]["0.weight"]
    assert made.context.score(net) > made.context.score(made.trained) - 0.05
    assert torch.export.export(net.eval(), (blobs().test.inputs[:2],))
    assert sizes(made.trained, net) == made.facts()["0"]["sizes"]


@pytest.mark.slow
def test_a_transformer_is_pruned_in_a_trial_of_its_own(tmp_path, one_thread) -> None:
    inputs = torch.randn(64, 1, 40)
    split = Split(inputs, (inputs.mean((1, 2)) > 0).long())
    data = Dataset(split, split, split, "classification", (1, 40), 2, 16)
    net = Transformer((1, 40), 2, width=32, heads=4, depth=1)
    final, _ = compressed(
        tmp_path, Structured(0.5, finetune_steps=5), net=net, data=data, steps_of_training=5
    )
    assert flops_of(final, inputs[:1]) <= 0.5 * flops_of(copy.deepcopy(net), inputs[:1]) * 1.001
    program = torch.export.export(final.eval(), (inputs[:2],))
    assert torch.allclose(program.module()(inputs[:2]), final(inputs[:2]), atol=1e-5)
