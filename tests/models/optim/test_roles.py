import torch
from torch import nn
from torch.nn.utils import parametrize

from models.nets.cnn import CNN
from models.nets.gpt import GPT
from models.nets.gru import GRU
from models.nets.mlp import MLP
from models.nets.transformer import Transformer
from models.optim.groups import groups_by_role
from models.optim.roles import FILTERS, MATRIX, REST, STACK, roles


def named(net):
    names = {parameter: name for name, parameter in net.named_parameters()}
    found = roles(net)
    assert set(found) == set(names)
    return {names[parameter]: role for parameter, role in found.items()}


def test_a_language_models_blocks_are_hidden_and_its_ends_are_not():
    for options in ({}, {"tied": True}, {"positions": "learned"}):
        found = named(GPT((16,), 30, width=16, depth=1, **options))
        hidden = {name for name, role in found.items() if role != REST}
        assert hidden == {name for name in found if name.startswith("blocks.0") and "norm" not in name}
        assert {found[name] for name in hidden} == {MATRIX}


def test_patches_and_positions_and_read_outs_are_ends():
    found = named(Transformer((1, 8, 8), 10, width=16, depth=1))
    assert {found[name] for name in ("embedding.weight", "positions", "head.weight")} == {REST}


def test_a_perceptron_reads_out_with_its_last_layer():
    found = named(MLP((1, 8, 8), 10, width=16, depth=2))
    assert [role for role in found.values() if role == MATRIX] == [MATRIX] * 2
    assert list(found.values())[-2:] == [REST, REST]


class Doubled(nn.Module):
    def forward(self, weight):
        return 2 * weight


def test_a_layer_has_its_role_when_training_computes_its_weight():
    net = MLP((1, 8, 8), 10, width=16, depth=2)
    parametrize.register_parametrization(net.layers[-1], "weight", Doubled())
    assert named(net)["layers.5.parametrizations.weight.original"] == REST
    filters, depthwise = nn.Conv2d(4, 4, 3), nn.Conv2d(4, 4, 3, groups=4)
    for layer in (filters, depthwise):
        parametrize.register_parametrization(layer, "weight", Doubled())
    found = named(nn.Sequential(filters, depthwise, nn.Flatten(), nn.Linear(4, 2)))
    assert found["0.parametrizations.weight.original"] == FILTERS
    assert found["1.parametrizations.weight.original"] == REST


def test_filters_and_stacks_are_told_apart():
    found = named(CNN((1, 40), 10, width=8, depth=2))
    assert found["features.0.0.weight"] == found["features.1.0.weight"] == FILTERS
    assert {role for name, role in found.items() if name.startswith("readout")} == {REST}
    assert named(GRU((1, 40), 10, width=8))["layers.0.weight"] == STACK
    depthwise = nn.Sequential(nn.Conv2d(4, 4, 3, groups=4), nn.Flatten(), nn.Linear(4, 2))
    assert named(depthwise)["0.weight"] == REST


def test_groups_name_their_roles_and_leave_out_what_is_frozen():
    net = MLP((1, 8, 8), 10, width=16, depth=2)
    net.layers[1].weight.requires_grad_(False)
    found = groups_by_role(net)
    assert sorted((group["role"], group.get("weight_decay", 1)) for group in found) == [
        (MATRIX, 1),
        (REST, 0.0),
        (REST, 1),
    ]
    trained = [parameter for parameter in net.parameters() if parameter.requires_grad]
    assert sum(len(group["params"]) for group in found) == len(trained)
    assert not any(torch.equal(net.layers[1].weight, p) for group in found for p in group["params"])
