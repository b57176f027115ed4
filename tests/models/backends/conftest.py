"""A context of any backend, on data that a small network has learnt."""

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn
from torch.nn import functional

from models.compress.context import Context
from models.data.dataset import Dataset, Split
from models.nets.cnn import CNN
from models.nets.transformer import Transformer


def _pictures(examples: int) -> Split:
    """Four classes of 2 x 12 x 12: which quarter is bright."""
    generator = torch.Generator().manual_seed(examples)
    targets = torch.randint(0, 4, (examples,), generator=generator)
    inputs = torch.randn(examples, 2, 12, 12, generator=generator)
    for at, target in enumerate(targets.tolist()):
        row, column = 6 * (target // 2), 6 * (target % 2)
        inputs[at, :, row : row + 6, column : column + 6] += 0.6
    return Split(inputs, targets)


@pytest.fixture(scope="session")
def pictures() -> Dataset:
    return Dataset(*map(_pictures, (512, 256, 255)), "classification", (2, 12, 12), 4, 32)


@pytest.fixture(scope="session")
def convolutions(pictures: Dataset) -> nn.Module:
    """A small network that gets most of them right."""
    torch.manual_seed(0)
    return learnt(CNN((2, 12, 12), 4, width=64, depth=2), pictures, 0.01)


def learnt(net: nn.Module, pictures: Dataset, lr: float) -> nn.Module:
    optimizer = torch.optim.AdamW(net.parameters(), lr=lr)
    for _ in range(40):
        optimizer.zero_grad()
        functional.cross_entropy(net(pictures.train.inputs), pictures.train.targets).backward()
        optimizer.step()
    return net.eval().requires_grad_(False)


@pytest.fixture(scope="session")
def attention(pictures: Dataset) -> nn.Module:
    """A small transformer that has learnt the same."""
    torch.manual_seed(0)
    net = Transformer((2, 12, 12), 4, width=32, depth=2, heads=2, patch=4)
    return learnt(net, pictures, 0.005)


@pytest.fixture
def within(pictures: Dataset, tmp_path: Path) -> Any:
    """A context with these backends."""

    def make(*backends: Any, **more: Any) -> Context:
        fixed = ("cpu", 0, "32-true", tmp_path, lambda net, *_: net)
        return Context(pictures, *fixed, more.pop("names", ()), backends, **more)

    return make
