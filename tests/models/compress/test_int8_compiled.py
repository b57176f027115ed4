"""Machine code of int8 and 32-bit networks: same answers for any batch, counted by its eager form."""

import copy

import pytest
import torch
from torch import nn

from compressing import compressed
from models.compress import pt2e
from models.compress.compiled import Compile
from models.compress.exported import Compiled
from models.compress.gains import error
from models.compress.int8_aware import Int8Aware
from models.compress.int8_static import Int8Static
from models.compress.processor import instructions, saturates
from models.measure.cost import cost
from models.nets.mlp import MLP
from models.training.evaluate import evaluating


@pytest.mark.slow
@pytest.mark.parametrize("step", [Int8Static(), Compile()], ids=["int8", "fp32"])
def test_code_answers_as_its_graph_for_every_batch_size_and_mode(step, context):
    torch.manual_seed(0)
    net = MLP((1, 8, 8), 10, width=32).eval()
    dense = cost(net, context().example[:1])
    found = step.after(net, context())
    assert isinstance(found, Compiled) and step.facts["compile_seconds"] > 0
    for size in (1, 2, 7, 32, 64):
        x = torch.randn(1, 8, 8, size).movedim(-1, 0)  # as rows of a data set may lie: not one by one
        with evaluating(found), torch.inference_mode():
            expected, answers = found.eager(x), found(x)
            # A hidden unit between two steps of int8 may fall to either side.
            assert torch.allclose(answers, expected, atol=0.02)
            with torch.autocast("cpu", torch.bfloat16):
                assert torch.equal(found(x), answers)
    assert len(found._code._by_size) == 5 and len(set(map(id, found._code._by_size.values()))) == 2
    counted = cost(found, context().example[:1])
    assert counted["compute/flops_forward"] == dense["compute/flops_forward"]
    assert counted["size/parameters"] == dense["size/parameters"]
    assert torch.equal(copy.deepcopy(found)(x), found(x))
    assert set(found.state_dict()) == set(found.eager.state_dict())


@pytest.mark.slow
@pytest.mark.parametrize("channels", [1, 3])
def test_code_of_convolutions_answers_as_its_graph(channels, context):
    """Grouped, of one channel and of several, over images: inductor plans each of them in its own way."""
    torch.manual_seed(0)
    first, last = nn.Conv2d(channels, 8, 3, padding=1), nn.Linear(8, 10)
    depthwise, pointwise = nn.Conv2d(8, 8, 3, groups=8, padding=1), nn.Conv2d(8, 8, 1)
    net = nn.Sequential(
        first, nn.ReLU(), depthwise, pointwise, nn.AdaptiveAvgPool2d(1), nn.Flatten(), last
    ).eval()
    inputs = torch.randn(32, channels, 8, 8)
    graph = pt2e.quantized(net, [inputs], "int8", dynamic=False)
    code = Compiled(graph, graph, inputs)
    assert len(pt2e.layers(graph)) == (3 if channels == 1 else 4)
    for size in (1, 7, 32):
        assert error(graph, code, inputs[:size]) < 0.02
        assert 0 < error(net, code, inputs[:size]) < 0.1


@pytest.mark.slow
def test_a_network_trained_with_rounding_is_scored_as_int8(tmp_path, one_thread):
    step = Int8Aware(finetune_steps=20)
    found, made = compressed(tmp_path, step)
    assert made.finetuned[0].steps == 20 and step.facts["int8"]
    assert step.facts["activation_bits"] == (7 if saturates() else 8)
    assert step.facts["instructions"] == instructions()
    trained = made.context.score(made.trained)
    assert made.context.score(found) > trained - 0.1
