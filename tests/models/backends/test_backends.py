"""Backends answer as the network, its int8 graph and what they left on disk; one is taken by its merit."""

import copy
from dataclasses import replace

import pytest
import torch
from torch import Tensor, nn

from models import inference
from models.backends.auto import Auto
from models.backends.inductor import Inductor
from models.backends.onnx import OnnxRuntime
from models.backends.openvino import OpenVino
from models.backends.served import Served, restored
from models.compress import artefact, backend, pt2e
from models.compress.backend import Rounding
from models.compress.compiled import Compile
from models.compress.gains import error
from models.compress.int8_dynamic import Int8Dynamic
from models.compress.int8_static import Int8Static
from models.data.dataset import Dataset, Split
from models.measure.cost import measure
from models.nets.cnn import CNN
from refusal import Refusal

OUTSIDE = {"onnx": (OnnxRuntime, ("onnxruntime", "onnxscript")), "openvino": (OpenVino, ("openvino", "nncf"))}


def outside(name):
    kind, packages = OUTSIDE[name]
    for package in packages:
        pytest.importorskip(package)
    return kind()


@pytest.mark.slow
@pytest.mark.parametrize("name", OUTSIDE)
def test_code_of_a_network_answers_as_it_does_for_every_size_of_batch(name, within, convolutions):
    context = within(outside(name))
    step = Compile()
    step.check(convolutions, context)
    final = step.after(convolutions, context)
    assert step.facts["backend"] == name
    for size in (1, 3, 32, 255):
        x = context.data.test.inputs[:size]
        assert torch.allclose(final(x), convolutions(x), atol=1e-4)


@pytest.mark.slow
@pytest.mark.parametrize("name", OUTSIDE)
def test_int8_is_near_the_fake_quantised_graph_and_near_32_bits(name, within, convolutions):
    context = within(outside(name))
    step = Int8Static(4)
    final = step.after(convolutions, context)
    graph = pt2e.quantized(convolutions, context.calibration(4), "int8", dynamic=False)
    x = context.data.test.inputs
    assert 0 < error(convolutions, final, x) < 0.15
    assert error(graph, final, x) < 0.15
    assert abs(context.score(final) - context.score(graph)) < 0.02


@pytest.mark.slow
def test_a_network_that_openvino_cannot_round_is_refused_by_name(
    within, convolutions, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever NNCF ends in is no traceback of the trial."""
    context = within(outside("openvino"))

    def stumbles(*about: object, **named: object) -> None:
        raise KeyError("240 node_embedding_2")

    monkeypatch.setattr("nncf.quantize", stumbles)
    with pytest.raises(Refusal, match=r"openvino cannot round CNN \(KeyError: .*choose backend=onnx"):
        Int8Static(4).after(convolutions, context)


class Placed(nn.Module):
    """Words and their places, by a table too large for an exporter to fold: (B, 6) -> (B, 4)."""

    places: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.words, self.table, self.read = nn.Embedding(20, 16), nn.Embedding(600, 16), nn.Linear(16, 4)
        self.register_buffer("places", torch.arange(600)[None])

    def forward(self, x: Tensor) -> Tensor:
        return self.read(self.words(x) + self.table(self.places[:, : x.shape[1]])).mean(1)


@pytest.mark.slow
@pytest.mark.parametrize("name", OUTSIDE)
def test_a_table_of_places_is_no_obstacle(name, within):
    """NNCF ended in a KeyError at embeddings that are looked up by a constant, as BERT's of positions."""
    words = torch.arange(64 * 6).reshape(64, 6) % 19
    split = Split(words, torch.arange(64) % 4)
    context = replace(within(outside(name)), data=Dataset(*[split] * 3, "classification", (6,), 4, 16))
    net = Placed().eval().requires_grad_(False)
    assert 0 < error(net, Int8Static(2).after(net, context), words) < 0.15


@pytest.mark.slow
@pytest.mark.parametrize("name", OUTSIDE)
def test_no_sum_is_cut_off_at_16_bits(name, within, pictures):
    """All weights and all inputs are the largest there are: a processor without VNNI would halve the sums."""
    net = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(288, 64), torch.nn.Linear(64, 4)).eval()
    for layer in net[1:]:
        torch.nn.init.constant_(layer.weight, 0.01)
        torch.nn.init.zeros_(layer.bias)
    ones = Split(torch.ones(256, 2, 12, 12), pictures.val.targets)
    context = replace(within(outside(name)), data=replace(pictures, train=ones))
    final, _ = context.backends[0].rounded(net.requires_grad_(False), context, Rounding("int8_static", 2))
    assert error(net, final, ones.inputs[:33]) < 0.03


@pytest.mark.slow
@pytest.mark.parametrize("name", OUTSIDE)
def test_attention_becomes_int8(name, within, attention, pictures):
    """OpenVINO's int8 of what NNCF makes for transformers was wrong by as much as the answers themselves."""
    context = within(outside(name))
    final = Int8Static(4).after(attention, context)
    graph = pt2e.quantized(attention, context.calibration(4), "int8", dynamic=False)
    x = pictures.test.inputs
    assert 0 < error(attention, final, x) < 0.1 + 2 * error(attention, graph, x)
    assert abs(context.score(final) - context.score(attention)) < 0.03


@pytest.mark.slow
@pytest.mark.parametrize("name", OUTSIDE)
def test_what_is_saved_is_the_runtimes_own_file_and_answers_again(name, within, convolutions, tmp_path):
    context = within(outside(name))
    final = Int8Static(4).after(convolutions, context)
    size = artefact.save(final, tmp_path / "weights.pt")
    assert size < 0.8 * artefact.measure(convolutions)
    x = context.data.test.inputs[:5]
    fresh = CNN((2, 12, 12), 4, width=64, depth=2)
    steps = {"int8_static": Int8Static(4), "tolerance": None}
    again = inference.restore(fresh, steps, tmp_path / "weights.pt", x[:1])
    assert torch.equal(again(x), final(x))
    counted, dense = measure(final, x[:1])[0], measure(convolutions, x[:1])[0]
    assert counted["compute/flops_forward"] == dense["compute/flops_forward"]
    assert counted["size/parameters"] == dense["size/parameters"]


@pytest.mark.slow
@pytest.mark.parametrize("name", OUTSIDE)
def test_a_layer_that_is_kept_is_in_32_bits(name, within, convolutions):
    """With all but one kept the answers are nearer to those of 32 bits, and with all they are those."""
    runs, x = outside(name), within().data.test.inputs
    context = within(runs)
    names = frozenset(["features.0.0", "features.1.0", "readout.2"])
    errors = []
    for kept in (frozenset(), names - {"readout.2"}, names):
        made, facts = runs.rounded(convolutions, context, Rounding("int8_static", 4, kept))
        assert facts["kept"] == sorted(kept)
        errors.append(error(convolutions, made, x))
    assert errors[0] > errors[1] > errors[2]
    assert errors[2] < 0.1 * errors[0]


@pytest.mark.slow
def test_dynamic_scales_are_onnx_runtimes_and_not_openvinos(within, convolutions):
    context = within(outside("onnx"))
    final = Int8Dynamic().after(convolutions, context)
    assert 0 < error(convolutions, final, context.data.test.inputs) < 0.2
    with pytest.raises(Refusal, match="backend=openvino has no int8_dynamic"):
        Int8Dynamic().check(convolutions, within(OpenVino()))


@pytest.mark.parametrize("name", OUTSIDE)
def test_a_backend_that_is_not_installed_says_how_it_is(name, within, convolutions, monkeypatch):
    import importlib.util

    found = importlib.util.find_spec
    hidden = {"onnxruntime", "openvino"}
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda package: None if package in hidden else found(package)
    )
    with pytest.raises(Refusal, match=rf'pip install -e "\.\[{name}\]", or choose backend=inductor'):
        Int8Static().check(convolutions, within(OUTSIDE[name][0]()))


def test_16_bits_are_left_to_inductor(within, convolutions, monkeypatch):
    monkeypatch.setattr(backend, "installed", lambda *_: None)
    from models.backends import onnx

    monkeypatch.setattr(onnx, "installed", lambda *_: None)
    with pytest.raises(Refusal, match="weights of 32 bits"):
        Compile().check(copy.deepcopy(convolutions).bfloat16(), within(OnnxRuntime()))


class Fixed(backend.Backend):
    """Answers by a network that it is given, after so many calls of it."""

    def __init__(self, name, answering, calls=1):
        self.name, self._answering, self._calls = name, answering, calls

    def check(self, net, context, how):
        return None

    def rounded(self, net, context, how):
        return self._answering, {"calls": self._calls}

    def code(self, net, context):
        return Repeated(net, self._calls), {}


class Repeated(torch.nn.Module):
    def __init__(self, net, calls):
        super().__init__()
        self.net, self.calls = net, calls

    def forward(self, x):
        return [self.net(x) for _ in range(self.calls)][-1]


@pytest.mark.slow
def test_the_fastest_that_keeps_the_score_is_taken_and_all_are_told(within, convolutions):
    wrong = copy.deepcopy(convolutions)
    wrong.readout[-1].weight.zero_()
    slow, quick, bad = (
        Fixed("slow", convolutions, 40),
        Fixed("quick", convolutions, 8),
        Fixed("bad", wrong),
    )
    step = Int8Static()
    step.after(convolutions, within(slow, quick, bad, lose=0.005))
    assert step.facts["backend"] == "quick"
    told = step.facts["backends"]
    assert told["bad"]["speedup"] > told["quick"]["speedup"] > told["slow"]["speedup"]
    assert told["bad"]["score"] < told["quick"]["score"] == told["slow"]["score"]


@pytest.mark.slow
def test_one_that_refuses_is_left_out_and_all_that_refuse_are_a_refusal(within, convolutions):
    class Refusing(Fixed):
        def rounded(self, net, context, how):
            raise self._answering or Refusal("not here")

    step = Int8Static()
    step.after(convolutions, within(Refusing("one", None), Fixed("other", convolutions)))
    assert step.facts["backend"] == "other" and step.facts["backends"]["one"] == "not here"
    step = Int8Static()
    step.after(
        convolutions, within(Refusing("one", RuntimeError("no g++\nat all")), Fixed("other", convolutions))
    )
    assert step.facts["backends"]["one"] == "RuntimeError: no g++"
    with pytest.raises(RuntimeError, match="no g"):
        Int8Static().after(convolutions, within(Refusing("one", RuntimeError("no g++"))))
    with pytest.raises(Refusal, match="not here"):
        Int8Static().after(convolutions, within(Refusing("one", None), Refusing("two", None)))


@pytest.mark.slow
def test_where_none_keeps_the_score_the_best_score_is_taken(within, convolutions):
    bad, worse = copy.deepcopy(convolutions), copy.deepcopy(convolutions)
    bad.readout[-1].weight[0] = 0
    worse.readout[-1].weight.zero_()
    step = Int8Static()
    step.after(convolutions, within(Fixed("bad", bad, 8), Fixed("worse", worse), lose=0.0))
    assert step.facts["backend"] == "bad"


def test_weights_of_torchs_are_no_file_of_a_runtime(convolutions):
    assert restored(convolutions, convolutions.state_dict()) is None
    assert isinstance(Served(convolutions, {}, lambda x: x), torch.nn.Module)


def test_auto_is_inductor_at_least_and_its_loss_is_a_share():
    assert next(one.name for one in Auto().candidates()) == Inductor.name
    with pytest.raises(Refusal, match=r"backend\.lose=2 is no loss"):
        Auto(2)
