"""Steps that leave no trace."""

import random

import numpy as np
import pytest
import torch
from torch import nn

from models.training.untouched import restored, untouched


class Noisy(nn.Module):
    def __init__(self):
        super().__init__()
        self.norm, self.drop, self.read = nn.BatchNorm1d(4), nn.Dropout(0.5), nn.Linear(4, 2)
        self.latest = None

    def forward(self, x):
        self.latest = self.read(self.drop(self.norm(x) * random.random() * np.random.rand()))
        return self.latest


def state_of(net):
    kept = [tensor.clone() for tensor in net.state_dict().values()]
    return [*kept, torch.get_rng_state()], random.getstate(), np.random.get_state()[1].tolist()


def test_buffers_attributes_gradients_and_generators_are_what_they_were():
    net = Noisy()
    net(torch.randn(3, 4)).sum().backward()
    gradient, latest, buffer = net.read.weight.grad, net.latest, net.norm.running_mean
    before = state_of(net)
    with untouched(net):
        assert net.read.weight.grad is None
        net(torch.randn(3, 4)).sum().backward()
        assert not torch.equal(net.norm.running_mean, buffer)
    after = state_of(net)
    assert all(map(torch.equal, before[0], after[0])) and before[1:] == after[1:]
    assert net.read.weight.grad is gradient and net.latest is latest and net.norm.running_mean is buffer


def test_weights_that_were_moved_come_back_also_after_an_error():
    net = Noisy()
    before = state_of(net)
    optimizer = torch.optim.Adam(net.parameters(), lr=0.1)
    with pytest.raises(KeyError), restored(net):
        net(torch.randn(3, 4)).sum().backward()
        optimizer.step()
        raise KeyError
    after = state_of(net)
    assert all(map(torch.equal, before[0], after[0])) and before[1:] == after[1:]
    assert net.read.weight.grad is None
