"""Networks, losses and options of a person's own, written where a test says, and typed from there."""

import subprocess
import sys
from pathlib import Path

from torch import nn

import construct
import own_data

ROOT = Path(__file__).parents[2]
NETS = '''"""Networks of a person's own."""

import torch
from torch import nn


class Tiny(nn.Sequential):
    def __init__(self, in_features, num_classes, width=32):
        hidden = nn.Linear(in_features, width)
        super().__init__(nn.Flatten(), hidden, nn.ReLU(), nn.Linear(width, num_classes))


class Reader(nn.Module):
    """Reads tokens."""

    def __init__(self, vocab_size, num_labels, *, dim):
        super().__init__()
        self.words, self.head = nn.Embedding(vocab_size, dim), nn.Linear(dim, num_labels)

    def forward(self, tokens):
        return self.head(self.words(tokens).mean(1))


class Pairs(Tiny):
    def forward(self, x):
        return super().forward(x), x


class Noisy(Tiny):
    """Draws, counts and normalises, which a look at it must not change."""

    def __init__(self, in_features, num_classes):
        super().__init__(in_features, num_classes)
        self.norm = nn.BatchNorm1d(num_classes)
        self.calls = 0

    def forward(self, x):
        self.calls += 1
        return self.norm(super().forward(x) + torch.rand(1))


def made(shape, classes):
    return Tiny(shape[0], classes)


def broken(classes):
    raise RuntimeError("no such layer")


def number():
    return 7
'''


class Flat(nn.Sequential):
    """One layer, for tests of all options."""

    def __init__(self, in_features: int, classes: int) -> None:
        super().__init__(nn.Flatten(), nn.Linear(in_features, classes))


LINES = {"own": ["model.target=own_nets.Flat"]}
"""option of conf/model that a person must name something to -> what it needs"""
BROUGHT = {*own_data.MADE, *LINES}
"""options that need something of a person's"""
construct.trust({}, [text for line in LINES.values() for text in line])


def written(folder: Path) -> Path:
    """`folder` with the networks in it."""
    (folder / "nets.py").write_text(NETS)
    return folder


def command(folder: Path, script: str, *words: str) -> "subprocess.CompletedProcess[str]":
    """A command as it is typed in `folder`, which is not the clone."""
    line = [sys.executable, str(ROOT / script), *words]
    return subprocess.run(line, cwd=folder, capture_output=True, text=True, check=False)
