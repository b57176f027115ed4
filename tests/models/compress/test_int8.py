"""Int8 weights, graphs and fake rounding; slow is what imports torchao, which takes seconds."""

import copy
import math

import pytest
import torch
from torch import nn

from models.compress import exported, pt2e
from models.compress.int8_aware import Int8Aware
from models.compress.int8_dynamic import Int8Dynamic
from models.compress.int8_static import Int8Static
from models.compress.int8_weights import Int8Linear, Int8Weights
from models.compress.rounding import RoundedInput, RoundedWeight, settle, simulate
from models.measure.cost import measure
from models.nets.cnn import CNN
from models.nets.gpt import GPT
from models.nets.mlp import MLP
from refusal import Refusal


def mlp():
    torch.manual_seed(0)
    return MLP((1, 8, 8), 10, width=64).eval()


@pytest.mark.parametrize("rows", [1, 40])
def test_int8_weights_answer_like_the_layer_on_few_rows_and_on_many(rows):
    torch.manual_seed(0)
    linear, x = nn.Linear(64, 32), torch.randn(rows, 3, 64)
    found, exact = Int8Linear(linear)(x), linear(x)
    assert found.shape == exact.shape
    assert float((found - exact).detach().abs().max() / exact.detach().abs().max()) < 0.03


def test_rounding_is_to_the_nearest_of_255_steps():
    linear = nn.Linear(64, 32, bias=False)
    made = Int8Linear(linear)
    off = (made.weight * made.weight_scale[:, None] - linear.weight).detach().abs()
    assert (off <= made.weight_scale[:, None] / 2 + 1e-7).all()
    assert made.weight.abs().amax(1).eq(127).all()


def test_int8_weights_take_a_quarter_of_the_bytes_and_count_as_weights(context):
    net, x = MLP((1, 8, 8), 10, width=512, depth=2).eval(), context().example
    dense, _ = measure(net, x[:1])
    exact, names = net(x), set(net.state_dict())
    step = Int8Weights()
    step.check(net, context("int8_weights"))
    found = step.after(net, context())
    assert step.facts["layers"] == ["layers.1", "layers.3", "layers.5"] and not step.facts["kept"]
    numbers, facts = measure(found, x[:1])
    assert numbers["size/bytes"] < 0.28 * dense["size/bytes"]
    assert numbers["size/parameters"] == dense["size/parameters"]
    assert numbers["compute/flops_forward"] == dense["compute/flops_forward"]
    assert facts == {"flops_uncounted": []}
    assert names <= set(found.state_dict())
    assert float((found(x) - exact).detach().abs().max() / exact.detach().abs().max()) < 0.05
    fresh = Int8Weights().rebuild(MLP((1, 8, 8), 10, width=512, depth=2), found.state_dict(), x[:1])
    fresh.load_state_dict(found.state_dict())
    assert torch.equal(fresh.eval()(x), found(x))


def test_a_shared_layer_stays_shared(context):
    one = nn.Linear(64, 64)
    net = Int8Weights().after(nn.Sequential(nn.Flatten(), one, nn.ReLU(), one), context()).net
    assert net[1] is net[3] and type(net[1]) is Int8Linear


def test_a_network_without_linear_layers_is_refused(context):
    with pytest.raises(Refusal, match="no linear layer of 256 weights"):
        Int8Weights().check(nn.Flatten(), context())


@pytest.mark.slow
@pytest.mark.parametrize("dynamic", [False, True], ids=["static", "dynamic"])
@pytest.mark.parametrize(
    "make", [mlp, lambda: CNN((1, 8, 8), 10, width=16, depth=1).eval()], ids=["mlp", "cnn"]
)
def test_a_graph_keeps_names_and_arithmetic_and_is_loaded_again(make, dynamic, context):
    net, x = make(), context().example
    graph = pt2e.quantized(net, context().calibration(2), "int8", dynamic=dynamic)
    assert set(net.state_dict()) <= set(graph.state_dict())
    assert float((graph(x) - net(x)).detach().abs().max() / net(x).detach().abs().max()) < 0.05
    (dense, _), (found, facts) = measure(net, x[:1]), measure(graph, x[:1])
    assert found["compute/flops_forward"] == dense["compute/flops_forward"]
    assert found["size/parameters"] == dense["size/parameters"]
    assert "compute/flops_train" not in found and facts == {"flops_uncounted": []}
    # The fresh network's scales come from one example of zeros, so they must come from the file.
    step = Int8Dynamic() if dynamic else Int8Static()
    fresh = step.rebuild(copy.deepcopy(make()), graph.state_dict(), torch.zeros_like(x[:1]))
    fresh.load_state_dict(graph.state_dict())
    assert torch.equal(fresh(x), graph(x))


@pytest.mark.slow
@pytest.mark.parametrize("shape", [(40,), (8, 8)], ids=str)
def test_all_layers_but_convolutions_of_one_channel_are_int8_over_signals_too(shape):
    own = ["features.1.0.weight", "readout.2.weight"]
    for channels, first in ((1, []), (2, ["features.0.0.weight"])):
        net = CNN((channels, *shape), 10, width=8, depth=2).eval()
        graph = pt2e.quantized(net, [torch.randn(4, channels, *shape)], "int8", dynamic=False)
        assert pt2e.layers(graph) == [*first, *own]
        for size in (1, 4, 9):
            assert graph(torch.randn(size, channels, *shape)).shape == (size, 10)


def test_fake_rounding_is_of_the_layers_that_become_int8():
    net = CNN((1, 40), 10, width=8, depth=2).eval()
    simulate(net, [torch.randn(4, 1, 40)])
    rounded = [name for name, module in net.named_modules() if hasattr(module, "rounding")]
    assert rounded == ["features.1.0", "readout.2"]


@pytest.mark.slow
@pytest.mark.parametrize("largest", [127, 255])
@pytest.mark.parametrize("step", [Int8Static(), Int8Dynamic()], ids=["static", "dynamic"])
def test_a_graph_keeps_the_range_of_the_processor_that_it_was_made_for(largest, step, context):
    x = context().example
    graph = pt2e.quantized(mlp(), [x], "int8", dynamic=isinstance(step, Int8Dynamic), largest=largest)
    state = graph.state_dict()
    assert pt2e.largest_in(state) == largest
    fresh = step.rebuild(mlp(), state, torch.zeros_like(x[:1]))
    fresh.load_state_dict(state)
    assert torch.equal(fresh(x), graph(x))


@pytest.mark.slow
def test_a_weight_with_another_use_stays_and_a_shared_one_is_kept_once():
    class Tied(nn.Module):
        def __init__(self):
            super().__init__()
            self.embedding, self.mix = nn.Embedding(20, 16), nn.Linear(16, 16)
            self.head = nn.Linear(16, 20, bias=False)
            self.head.weight = self.embedding.weight

        def forward(self, tokens):
            return self.head(self.mix(self.mix(self.embedding(tokens))))

    graph = pt2e.quantized(Tied(), [torch.randint(0, 20, (2, 5))], "int8", dynamic=False)
    state = graph.state_dict()
    assert sorted(pt2e.layers(graph)) == ["head.weight_int8", "mix.weight"]
    assert state["head.weight"].dtype == torch.float32
    assert sum("dequantize_per_channel" in str(node.target) for node in graph.graph.nodes) == 3


@pytest.mark.slow
def test_evaluation_mode_can_be_asked_of_a_graph(context):
    graph = pt2e.quantized(mlp(), [context().example], "int8", dynamic=False)
    assert not graph.eval().training


@pytest.mark.slow
def test_fake_rounding_is_what_int8_will_read_back(context):
    net, x = mlp(), context().example
    latent = copy.deepcopy(net.state_dict())
    graph = pt2e.quantized(net, [x], "int8", dynamic=False)
    simulate(net, [x])
    scale = graph.get_submodule("layers.1").weight_scale
    int8 = graph.get_submodule("layers.1").weight * scale[:, None]
    assert torch.allclose(net.layers[1].weight, int8, atol=1e-6)
    net(x).sum().backward()
    assert net.layers[1].parametrizations.weight.original.grad.abs().sum() > 0
    settle(net)
    assert all(torch.equal(latent[name], value) for name, value in net.state_dict().items())
    assert not net.layers[1]._forward_pre_hooks


def test_rounding_of_weights_and_inputs_by_hand():
    weight = torch.tensor([[127.5, 0.4, -3.6]])
    assert RoundedWeight()(weight).tolist() == [[127.0, 0.0, -4.0]]
    hook = RoundedInput(-1.0, 254.0)
    assert hook(nn.Identity(), (torch.tensor([-7.0, 0.6, 300.0]),))[0].tolist() == [-1.0, 1.0, 254.0]
    reduced = RoundedInput(-2.0, 252.0, largest=127)  # in steps of 2
    assert reduced(nn.Identity(), (torch.tensor([-7.0, 1.2, 300.0]),))[0].tolist() == [-2.0, 2.0, 252.0]


class Branches(nn.Module):
    def __init__(self):
        super().__init__()
        self.one, self.other = nn.Linear(64, 10), nn.Linear(64, 10)

    def forward(self, x):
        x = x.flatten(1)
        return self.one(x) if x.sum() > 0 else self.other(x)


@pytest.mark.slow
@pytest.mark.parametrize(
    "step", [Int8Static(), Int8Dynamic(), Int8Aware()], ids=["static", "dynamic", "aware"]
)
def test_a_network_whose_path_depends_on_data_is_refused_before_training(step, context):
    with pytest.raises(Refusal, match=r"cannot turn Branches into a graph .* choose compress="):
        step.check(Branches(), context())


@pytest.mark.slow
def test_a_network_without_anything_to_round_is_refused(context):
    with pytest.raises(Refusal, match="finds no linear layer"):
        pt2e.quantized(nn.Flatten(), [context().example], "int8_static", dynamic=False)


def test_other_processors_are_refused(monkeypatch, context):
    with pytest.raises(Refusal, match="int8 kernels of x86 CPUs"):
        Int8Static().check(mlp(), context(device="cuda"))
    monkeypatch.setattr(pt2e.platform, "machine", lambda: "arm64")
    with pytest.raises(Refusal, match="arm64"):
        Int8Static().check(mlp(), context())


def test_a_machine_without_a_compiler_is_told_what_to_install(monkeypatch, context):
    monkeypatch.setattr(exported.shutil, "which", lambda name: None)
    with pytest.raises(Refusal, match="install g\\+\\+"):
        Int8Static().check(mlp(), context())


def test_nonsense_is_refused():
    with pytest.raises(Refusal, match="1 or more"):
        Int8Static(batches=0)
    with pytest.raises(Refusal, match="at least one step"):
        Int8Aware(finetune_steps=0)


def test_scales_of_a_dead_output_are_finite():
    linear = nn.Linear(8, 4)
    linear.weight.data[0] = 0
    assert not math.isnan(float(Int8Linear(linear)(torch.ones(1, 8)).detach().sum()))


@pytest.mark.slow
def test_a_network_that_torchao_stumbles_over_is_refused(monkeypatch, context):
    from torchao.quantization.pt2e import quantize_pt2e

    def stumble(*_):
        raise NotImplementedError('"linspace_cpu" not implemented for Bool')

    monkeypatch.setattr(quantize_pt2e, "prepare_pt2e", stumble)
    with pytest.raises(Refusal, match=r"int8_static cannot round MLP .*linspace"):
        Int8Static().check(mlp(), context())


@pytest.mark.slow
def test_products_of_activations_are_left_alone():
    net = GPT((16,), 20, width=16, depth=1).eval()
    graph = pt2e.quantized(net, [torch.randint(0, 20, (2, 16))], "int8", dynamic=False)
    rounded = {user.target for node in pt2e._activations(graph) for user in node.users}
    assert torch.ops.aten.linear.default in rounded and torch.ops.aten.mul.Tensor not in rounded


def test_what_a_person_has_made_a_weight_of_stays_when_the_rounding_ends():
    torch.manual_seed(0)
    wave = torch.nn.utils.parametrizations.weight_norm(nn.Conv1d(1, 4, 3))
    sharp = torch.nn.utils.parametrizations.spectral_norm(nn.Linear(8, 8))
    net = nn.Sequential(wave, nn.Flatten(), nn.Linear(4 * 6, 8), sharp).eval()
    x = torch.randn(5, 1, 8)
    before, answers = {name: value.clone() for name, value in net.state_dict().items()}, net(x)
    simulate(net, [x])
    settle(net)
    assert net.state_dict().keys() == before.keys() and torch.equal(net(x), answers)
