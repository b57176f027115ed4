from torch import nn

from models.optim.groups import groups


def test_matrices_decay_and_vectors_do_not():
    net = nn.Sequential(nn.Conv1d(1, 2, 3), nn.LayerNorm(4), nn.Linear(4, 3))
    decayed, free = groups(net, 0.1)
    assert {parameter.ndim for parameter in decayed["params"]} == {2, 3}
    assert {parameter.ndim for parameter in free["params"]} == {1}
    assert free["weight_decay"] == 0.0 and "weight_decay" not in decayed
    assert len(decayed["params"]) + len(free["params"]) == len(list(net.parameters()))


def test_without_decay_it_is_one_group_of_what_is_trained():
    net = nn.Linear(4, 3)
    net.bias.requires_grad_(False)
    (only,) = groups(net, 0.0)
    assert only["params"] == [net.weight]
    assert len(groups(net, 0.1)) == 1
