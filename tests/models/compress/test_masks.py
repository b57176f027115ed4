"""Which weights are pruned, and that they stay pruned."""

import copy

import pytest
import torch
from torch import nn

from models.compress.masks import KeepMasks, keep, mark, prunable
from models.nets.gpt import GPT
from models.optim.schedule_free import ScheduleFreeAdamW
from refusal import Refusal
from trainings import network, weights


def test_biases_norms_embeddings_and_positions_are_left_out() -> None:
    net = GPT((8,), 16, width=8, depth=1, heads=2, positions="learned")
    kinds = {name.rpartition(".")[0].rpartition(".")[2] for name in prunable(net)}
    assert "positions" not in prunable(net) and "embedding.weight" not in prunable(net)
    assert kinds == {"qkv", "out", "0", "2", "head"}


def test_patterns_keep_layers_dense_and_nothing_left_is_refused() -> None:
    assert set(prunable(network())) == {"0.weight", "3.weight"}
    assert set(prunable(network(), ["3.*"])) == {"0.weight"}
    with pytest.raises(Refusal, match="no weight to prune"):
        prunable(network(), ["*"])


def test_marks_are_found_again_in_a_copy() -> None:
    net = network()
    assert keep(net) == {}
    net[0].weight.data[:8] = 0
    mark(net, ["0.weight"])
    (callback,) = keep(copy.deepcopy(net)).values()
    assert set(callback.masks) == {"0.weight"} and int(callback.masks["0.weight"].sum()) == 8 * 12


@pytest.mark.parametrize("optimizer", ["adamw", "sgd", "schedule-free"])
def test_masked_weights_are_zero_after_every_step(train, cold, optimizer) -> None:
    mask = torch.rand(16, 12) > 0.5
    seen = []

    class Look(nn.Identity):
        def forward(self, x):
            seen.append(bool((net[0].weight[~mask] == 0).all()))
            return x

    net = network()
    net.append(Look())
    made = {
        "adamw": torch.optim.AdamW,
        "schedule-free": ScheduleFreeAdamW,
        "sgd": lambda groups, **_: torch.optim.SGD(groups, lr=0.1, momentum=0.9),
    }[optimizer]
    before = weights(net).clone()
    fitted = train(
        net=net,
        steps=30,
        callbacks={"masks": KeepMasks({"0.weight": mask})},
        optimizer=lambda groups: made(groups),
    )
    assert len(seen) >= 30 and all(seen)
    assert (fitted.net[0].weight[mask] != 0).all() and not torch.equal(weights(fitted.net), before)
