import pytest
import torch

from models.compress.compiled import Compile
from models.compress.gains import error_vs_fp32
from models.compress.half import Half
from models.compress.int8_weights import Int8Weights
from models.measure.cost import cost
from models.nets.gpt import GPT
from models.nets.mlp import MLP
from refusal import Refusal


@pytest.fixture
def net():
    torch.manual_seed(0)
    return MLP((1, 8, 8), 10, width=64).eval()


@pytest.mark.parametrize(("name", "precision"), [("float16", 2e-3), ("bfloat16", 2e-2)])
def test_half_the_bytes_and_answers_within_the_types_precision(net, context, name, precision):
    x, dense = context().example, cost(net, context().example[:1])
    exact = net(x)
    half = Half(name)
    half.check(net, context())
    found = half.after(net, context())
    assert found(x).dtype == torch.float32
    assert 0 < float((found(x) - exact).detach().abs().max() / exact.detach().abs().max()) < precision
    assert cost(found, x[:1])["size/bytes"] < 0.55 * dense["size/bytes"] + 3000
    assert 0 < half.facts["largest_error"] <= precision
    assert half.facts["overflowed"] == 0


def test_mixed_precision_outside_changes_nothing(net, context):
    x = context().example
    found = Half("float16").after(net, context())
    with torch.no_grad():
        alone = found(x)
        with torch.autocast("cpu", torch.bfloat16):
            assert torch.equal(found(x), alone)


def test_a_weight_that_float16_cannot_hold_is_told(net, context):
    net.layers[1].weight.data[0, 0] = 1e6
    half = Half("float16")
    half.after(net, context())
    assert half.facts["overflowed"] == 1


def test_what_was_saved_loads_under_the_same_names_and_answers_the_same(net, context):
    names, x = list(net.state_dict()), context().example
    found = Half("bfloat16").after(net, context())
    state = found.state_dict()
    assert list(state) == names
    fresh = Half("bfloat16").rebuild(MLP((1, 8, 8), 10, width=64), state, x[:1])
    fresh.load_state_dict(state)
    assert torch.equal(fresh.eval()(x), found(x))


def test_tokens_stay_tokens(context):
    net = GPT((16,), 10, width=16, depth=1).eval()
    tokens = torch.randint(0, 10, (2, 16))
    assert Half("bfloat16").after(net, context())(tokens).dtype == torch.float32


def test_the_error_against_32_bits_can_still_be_taken(net, context):
    x = context().example
    assert 0 < error_vs_fp32(Half("bfloat16").after(net, context()), x) < 0.05


class Stubborn(torch.nn.Linear):
    def forward(self, x):
        return super().forward(x.float())


def test_a_network_that_insists_on_32_bits_is_refused(context):
    net = torch.nn.Sequential(torch.nn.Flatten(), Stubborn(64, 10))
    with pytest.raises(Refusal, match=r"compress=fp16 on Sequential .* does not work .*same dtype"):
        Half("float16").check(net, context())


def test_an_unknown_type_is_refused():
    with pytest.raises(Refusal, match="choose float16 or bfloat16"):
        Half("float8")


@pytest.mark.parametrize(
    ("step", "names", "says"),
    [
        (Half("float16"), ("fp16", "bf16"), "keep one of fp16, bf16"),
        (Int8Weights(), ("bf16", "int8_weights"), "rounds weights twice"),
        (Half("bfloat16"), ("bf16", "prune50"), r"set compress=\[prune50,bf16\]"),
        (Compile(), ("compiled", "bf16"), r"set compress=\[bf16,compiled\]"),
        (Int8Weights(), ("int8_weights", "compiled"), "does not go with compiled"),
        (Compile(), ("compiled", "distill"), r"set compress=\[distill,compiled\]"),
    ],
)
def test_formats_that_exclude_each_other_are_refused(net, context, step, names, says):
    with pytest.raises(Refusal, match=says):
        step.check(net, context(*names))
