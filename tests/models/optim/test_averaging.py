from functools import partial

import pytest
import torch

from models.optim.averaging import averaged, settle, stale
from models.optim.schedule_free import ScheduleFreeAdamW


def stepped(make):
    parameter = torch.nn.Parameter(torch.tensor([1.0, -2.0, 0.3]))
    optimizer = make([parameter])
    for step in range(7):
        parameter.grad = torch.tensor([0.1, 0.7, -0.3]) * (step + 1)
        optimizer.step()
    return parameter, optimizer


def test_an_average_is_inside_only_and_leaves_the_weights_bit_for_bit():
    parameter, optimizer = stepped(lambda params: ScheduleFreeAdamW(params, lr=0.123))
    before = parameter.detach().clone()
    with pytest.raises(KeyError), averaged(optimizer):
        assert not torch.equal(parameter, before)
        raise KeyError
    assert torch.equal(parameter, before)
    optimizer.step()


def test_settling_leaves_the_average():
    parameter, optimizer = stepped(lambda params: ScheduleFreeAdamW(params, lr=0.123))
    with averaged(optimizer):
        inside = parameter.detach().clone()
    settle(optimizer)
    assert torch.equal(parameter, inside)


def test_other_optimizers_are_left_alone():
    parameter, optimizer = stepped(torch.optim.AdamW)
    before = parameter.detach().clone()
    with averaged(optimizer):
        assert torch.equal(parameter, before)
    settle(optimizer)
    assert torch.equal(parameter, before)


def test_statistics_of_other_weights_than_those_that_are_scored_are_told(train):
    normalised = torch.nn.Sequential(
        torch.nn.Flatten(), torch.nn.Linear(12, 8), torch.nn.BatchNorm1d(8), torch.nn.Linear(8, 4)
    )
    make = partial(ScheduleFreeAdamW, lr=0.01)
    assert any("averaged ones" in note for note in train(5, net=normalised, optimizer=make).facts["notes"])
    assert stale(partial(torch.optim.AdamW, lr=0.01), normalised) == []
    assert stale(make, torch.nn.Linear(3, 2)) == []
