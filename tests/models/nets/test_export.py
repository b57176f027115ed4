"""Both transformers leave Python with every mixer and every sharing, for quantisation and other runtimes."""

import pytest
import torch
from torch.export import Dim, export

from models.nets.gpt import GPT
from models.nets.mixers.choice import BOTH_WAYS, NAMES
from models.nets.transformer import Transformer

SHARED = [{"sharing": "all"}, {"sharing": "cycle"}, {"sharing": "relaxed"}]
GROUPED = {"kv_heads": 2, "convolution": 3}


def exported(net, inputs):
    """The graph for any batch gives the same for another batch."""
    net.eval()
    graph = export(net, (inputs,), dynamic_shapes=({0: Dim("batch", min=2, max=64)},)).module()
    more = torch.cat([inputs, inputs.flip(0), inputs])
    assert torch.allclose(graph(more), net(more), atol=1e-5)


@pytest.mark.slow
@pytest.mark.parametrize("options", [{"pattern": name} for name in NAMES] + SHARED + [GROUPED], ids=str)
def test_a_gpt_is_exported_for_any_batch(options):
    net = GPT((80,), 20, width=16, heads=4, window=32, depth=3, **options)
    exported(net, torch.randint(0, 20, (4, 80)))


@pytest.mark.slow
@pytest.mark.parametrize("options", [{"pattern": name} for name in BOTH_WAYS] + SHARED, ids=str)
def test_a_classifier_is_exported_for_any_batch(options):
    net = Transformer((1, 8, 8), 10, width=16, heads=4, patch=2, window=4, depth=3, **options)
    exported(net, torch.randn(4, 1, 8, 8))
