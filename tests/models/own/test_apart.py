"""What a network answers by and no checkpoint holds is told, and what changes no answer is not."""

from collections import deque
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from models.own.beginning import Beginning
from models.own.network import described
from trainings import blobs


class Plain(nn.Module):
    """A layer, and something beside it that each kind below keeps in its own way."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(12, 4)
        self.register_buffer("sums", torch.zeros(4))
        self.made()

    def made(self) -> None:
        return None

    def beside(self, y: Tensor) -> Tensor:
        return y

    def forward(self, x: Tensor) -> Tensor:
        return self.beside(self.layer(x))


class Mean(Plain):
    """A running mean that is no buffer."""

    def made(self) -> None:
        self.mean = torch.zeros(4)

    def beside(self, y: Tensor) -> Tensor:
        if self.training:
            self.mean = 0.9 * self.mean + 0.1 * y.detach().mean(0)
        return y - self.mean


class Buffered(Plain):
    """The same as a buffer, which a checkpoint holds."""

    sums: Tensor

    def beside(self, y: Tensor) -> Tensor:
        if self.training:
            self.sums.mul_(0.9).add_(0.1 * y.detach().mean(0))
        return y - self.sums


class Warming(Plain):
    """Its first calls are different."""

    def made(self) -> None:
        self.state = {"calls": 0}

    def beside(self, y: Tensor) -> Tensor:
        self.state = {"calls": self.state["calls"] + 1}
        return y * min(1.0, self.state["calls"] / 5)


class Noisy(Plain):
    """Draws from a generator of its own."""

    def made(self) -> None:
        self.rng = torch.Generator().manual_seed(0)

    def beside(self, y: Tensor) -> Tensor:
        return y + torch.rand(4, generator=self.rng) if self.training else y


class Counting(Plain):
    """Counts, and answers the same."""

    def made(self) -> None:
        self.calls, self.last, self.cache, self.seen = 0, None, None, deque(maxlen=3)

    def beside(self, y: Tensor) -> Tensor:
        self.calls, self.last = self.calls + 1, y.detach().mean(0)
        self.cache = torch.arange(4) if self.cache is None else self.cache
        self.seen.append(float(y.detach().mean()))
        return y + self.cache


class Listening(Plain):
    """Holds what nobody can hold against anything."""

    def made(self) -> None:
        self.listeners = [print]


CASES = [(Plain, []), (Mean, ["mean"]), (Buffered, []), (Warming, ["state"]), (Noisy, ["rng"])]
CASES += [(Counting, []), (Listening, [])]


@pytest.mark.parametrize(("make", "names"), CASES)
def test_what_decides_about_answers_and_is_in_no_checkpoint_is_told(make: Any, names: list[str]) -> None:
    torch.manual_seed(0)
    data, inner = blobs(), make()
    net = described(nn.Sequential(inner), "nets.Own")
    begun = Beginning().begin(net, data)
    assert begun.notes == []
    for _ in range(7):
        net.train()(data.train.inputs[:32])
    before = {name: value.clone() for name, value in net.state_dict().items()}
    mode, random = net.training, torch.get_rng_state()
    told = begun.doubts(net, data)
    assert all(f"answers by 0.{name}, which training changes" in told[0] for name in names)
    assert len(told) == bool(names)
    # It was only looked at.
    assert net.training == mode and torch.equal(torch.get_rng_state(), random)
    assert all(torch.equal(value, before[name]) for name, value in net.state_dict().items())
