"""Every option of conf/model: builds for the data that suits it, refuses the rest, and can be stacked."""

from pathlib import Path

import pytest
import torch
import yaml
from hydra.utils import get_object
from torch.func import functional_call, grad, stack_module_state, vmap
from torch.nn.attention import SDPBackend, sdpa_kernel

import own_nets
from cases import each
from refusal import Refusal

CONF = Path(__file__).parents[3] / "conf"
MODELS = {path.stem: yaml.safe_load(path.read_text()) for path in sorted((CONF / "model").glob("*.yaml"))}
MODELS = {name: content for name, content in MODELS.items() if name not in own_nets.LINES}
CARDS = {path.stem: yaml.safe_load(path.read_text()) for path in sorted((CONF / "data").glob("*.yaml"))}
# What a person's own data look like is not known before they are there.
DATA = {name: card for name, card in CARDS.items() if card["shape"]}
TOKENS = {"language", "recall"}
READS_TOKENS, ONLY_TOKENS = {"gru", "gpt", "moe_gpt"}, {"gpt", "moe_gpt"}


def suits(model, data):
    kind = MODELS[model]["_target_"].split(".")[2]
    if kind == "bag":  # whose texts are a person's own: tests/models/nets/test_bag.py
        return False
    return kind in READS_TOKENS if DATA[data]["task"] in TOKENS else kind not in ONLY_TOKENS


PAIRS = [(model, data) for model in MODELS for data in DATA]
SUITED = [pair for pair in PAIRS if suits(*pair)]
# Of data sets that look alike to a network one is enough to build it for.
LOOKS = {(str(own["shape"]), own["classes"], own["task"]): name for name, own in DATA.items()}
BUILT = [(model, data) for model, data in SUITED if data in LOOKS.values()]
# One data set of each shape is enough to try what a network can do.
SMALL = [(model, data) for model, data in SUITED if data in ("digits", "mnist1d", "mqar")]


def build(model, data, **changes):
    given = {name: DATA[data][name] for name in ("shape", "classes", "task")}
    options = {name: value for name, value in MODELS[model].items() if name != "_target_"}
    options = {name: None if "select" in str(value) else value for name, value in options.items()}
    return get_object(MODELS[model]["_target_"])(**(options | given | changes))


def narrow(model, data, **changes):
    """The same option with few units, which shows the same and costs less."""
    return build(model, data, **({"width": 8} if "width" in MODELS[model] else {}), **changes)


def example(data, count=2):
    shape, classes = DATA[data]["shape"], DATA[data]["classes"]
    if DATA[data]["task"] in TOKENS:
        return torch.randint(0, classes, (count, *shape))
    return torch.randn(count, *shape)


@each("model", MODELS)
def test_shape_classes_and_task_come_from_the_data(model):
    for name in ("shape", "classes", "task"):
        assert MODELS[model][name] == f"${{data.{name}}}"


@pytest.mark.slow
@each(("model", "data"), BUILT)
def test_logits_have_one_row_per_answer(model, data):
    answers = (2, *DATA[data]["shape"]) if DATA[data]["task"] in TOKENS else (2,)
    assert build(model, data)(example(data)).shape == (*answers, DATA[data]["classes"])


@each(("model", "data"), [pair for pair in PAIRS if not suits(*pair)])
def test_data_of_another_kind_is_refused_with_another_choice(model, data):
    with pytest.raises(Refusal, match=r"choose (model|data)="):
        build(model, data)


@pytest.mark.slow
@each(("model", "data"), SMALL)
def test_every_weight_gets_a_gradient_and_no_state_is_hidden(model, data):
    net = narrow(model, data)
    before = [buffer.clone() for buffer in net.buffers()]
    logits = net(example(data, 4)).flatten(0, -2)
    targets = torch.arange(len(logits)) % logits.shape[1]
    torch.nn.functional.cross_entropy(logits, targets).backward()
    assert all(weight.grad is not None for weight in net.parameters())
    # An expert that none of these few tokens chose has a gradient of zeros.
    silent = [name for name, weight in net.named_parameters() if not weight.grad.any()]
    assert all(".experts." in name for name in silent)
    assert all(torch.equal(old, new) for old, new in zip(before, net.buffers(), strict=True))
    # The bias that balances experts is no weight, moves with the optimizer's steps only, and is to be saved.
    saved = {name for name in net.state_dict() if not name.endswith(".balance.bias")}
    assert saved == dict(net.named_parameters()).keys()


@pytest.mark.slow
@each(("model", "data"), SMALL)
def test_two_networks_train_as_one_program(model, data):
    nets, inputs = [narrow(model, data).eval() for _ in range(2)], example(data)
    weights, buffers = stack_module_state(nets)

    def call(weights, buffers):
        return functional_call(nets[0], (weights, buffers), (inputs,))

    def loss(weights, buffers):
        return call(weights, buffers).square().mean()

    with sdpa_kernel(SDPBackend.MATH):
        logits = vmap(call)(weights, buffers)
        grads = vmap(grad(loss))(weights, buffers)
    for place, net in enumerate(nets):
        assert torch.allclose(logits[place], net(inputs), atol=1e-4)
        net(inputs).square().mean().backward()
        for name, weight in net.named_parameters():
            assert torch.allclose(grads[name][place], weight.grad, atol=1e-4), name


@pytest.mark.slow
@each(("model", "data"), SMALL)
def test_a_seed_fixes_the_weights(model, data):
    states = []
    for _ in range(2):
        torch.manual_seed(3)
        states.append(narrow(model, data).state_dict())
    assert all(torch.equal(states[0][name], states[1][name]) for name in states[0])


@pytest.mark.parametrize(
    ("model", "data", "changes", "count"),
    [
        ("linear", "digits", {}, 650),
        ("mlp", "digits", {"width": 128, "depth": 1}, 64 * 128 + 128 + 1290),
        ("mlp", "digits", {"width": 8, "depth": 3}, 64 * 8 + 8 + 2 * 72 + 90),
        ("cnn", "mnist1d", {"width": 8, "norm": False, "depth": 1}, 8 * 3 + 8 + 8 * 20 * 10 + 10),
        (
            "cnn",
            "digits",
            {"width": 8, "depth": 2, "growth": 2, "readout": "mean"},
            72 + 16 + 1152 + 32 + 170,
        ),
        ("gru", "mnist1d", {"width": 6, "readout": "last"}, 3 * 6 + 18 + 3 * 36 + 18 + 70),
        (
            "transformer",
            "digits",
            {"width": 8, "depth": 1, "heads": 2},
            17 * 8 + 4 * 8 + 12 * 64 + 3 * 8 + 90,
        ),
        ("gpt", "mqar", {"width": 8, "depth": 1, "heads": 2, "tied": True}, 64 * 8 + 12 * 64 + 3 * 8),
    ],
)
def test_parameters_are_as_many_as_the_formula_says(model, data, changes, count):
    assert sum(weight.numel() for weight in build(model, data, **changes).parameters()) == count


@each(
    ("model", "data", "changes", "advice"),
    [
        ("mlp", "digits", {"width": 0}, "model.width 0"),
        ("mlp", "digits", {"depth": 0}, "model.depth 0"),
        ("mlp", "digits", {"dropout": 1.0}, "model.dropout 1.0"),
        ("mlp", "digits", {"activation": "sine"}, "relu, gelu"),
        ("mlp", "digits", {"shape": [1, 2, 3, 4]}, "give .T., .C, L. or"),
        ("cnn", "digits", {"kernel": 4}, "odd number, for example 5"),
        ("cnn", "digits", {"readout": "max"}, "flatten, mean"),
        ("cnn", "digits", {"shape": [64]}, "choose model=mlp"),
        ("gru", "mnist1d", {"stride": 7}, "does not divide 40 steps"),
        ("gru", "mnist1d", {"cell": "lstm"}, "scan, fused"),
        ("gru", "mnist1d", {"readout": "max"}, "flatten, last, mean"),
        ("gru", "mqar", {"bidirectional": True}, "false and 1"),
        ("gru", "digits", {"shape": [64]}, "choose model=mlp"),
        ("transformer", "digits", {"heads": 3}, "heads 3 does not divide model.width 64"),
        ("transformer", "digits", {"heads": 0}, "model.heads 0"),
        ("transformer", "digits", {"patch": 3}, "model.patch 3 does not divide"),
        ("transformer", "digits", {"shape": [64]}, "set model.vocabulary"),
        ("gpt", "mqar", {"heads": 64}, "choose an even quotient"),
        ("gpt", "mqar", {"positions": "sine"}, "rotary or learned"),
        ("gpt", "mqar", {"depth": 0}, "model.depth 0"),
    ],
)
def test_impossible_settings_are_refused_with_the_key_to_change(model, data, changes, advice):
    with pytest.raises(Refusal, match=advice):
        build(model, data, **changes)


@pytest.mark.parametrize(
    ("model", "data", "changes"),
    [
        ("mlp", "digits", {"dropout": 0.5}),
        ("cnn", "digits", {"dropout": 0.5, "blocks": 1}),
        ("transformer", "digits", {"dropout": 0.5}),
        ("gpt", "mqar", {"dropout": 0.5}),
    ],
)
def test_dropout_acts_while_training_only(model, data, changes):
    net, inputs = narrow(model, data, **changes), example(data)
    assert not torch.equal(net(inputs), net(inputs))
    net.eval()
    assert torch.equal(net(inputs), net(inputs))
