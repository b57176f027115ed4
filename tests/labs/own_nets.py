"""Networks, losses and options of a person's own, written where a test says, and typed from there."""

import subprocess
import sys
from pathlib import Path

import pytest
import torch
from lightning.pytorch import LightningModule
from torch import nn

import construct
import own_data
from models.startup import lean  # noqa: F401 - first: it makes Lightning load less

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


def focal(logits: torch.Tensor, targets: torch.Tensor, gamma: float = 2.0) -> torch.Tensor:
    """Lin et al. (2017), arXiv 1708.02002, without weights of classes."""
    each = nn.functional.cross_entropy(logits, targets, reduction="none")
    return ((1 - torch.exp(-each)) ** gamma * each).mean()


def top2(logits: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
    """Share of examples whose class is among the two best."""
    return (logits.topk(2).indices == targets[:, None]).any(1).float().mean()


class Lightning(LightningModule):
    """A network that says itself what a step is; it counts its epochs and what it was given."""

    def __init__(self, in_features: int, num_classes: int, lr: float = 0.01, smoothing: float = 0.0) -> None:
        super().__init__()
        self.save_hyperparameters()
        self.net = nn.Sequential(nn.Flatten(), nn.Linear(in_features, num_classes))
        self.metrics = nn.ModuleDict()
        self.epochs = 0

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.net(x)

    def training_step(self, batch: tuple[torch.Tensor, torch.Tensor], batch_idx: int) -> torch.Tensor:
        inputs, targets = batch
        loss = nn.functional.cross_entropy(self(inputs), targets, label_smoothing=self.hparams["smoothing"])
        self.log("own", loss)
        return loss

    def on_train_epoch_end(self) -> None:
        self.epochs += 1

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.SGD(self.parameters(), self.hparams["lr"])


class OfColumns(Lightning):
    """Its step is about plain columns, and does not call the module itself."""

    def training_step(self, batch: tuple[torch.Tensor, torch.Tensor], batch_idx: int) -> torch.Tensor:
        inputs, targets = batch
        return nn.functional.cross_entropy(self.net[1](inputs), targets)


class Borrowing(Lightning):
    """The same with the trial's optimizer."""

    configure_optimizers = LightningModule.configure_optimizers


class Flat(nn.Sequential):
    """One layer, for tests of all options."""

    def __init__(self, in_features: int, classes: int) -> None:
        super().__init__(nn.Flatten(), nn.Linear(in_features, classes))


PACKAGES = {"timm": ("timm",), "torchvision": ("torchvision",), "hf": ("transformers",)}
SMALL = "hidden_size: 16, num_hidden_layers: 1, num_attention_heads: 2, intermediate_size: 32"
LINES = {
    "own": ["model.target=own_nets.Flat"],
    "timm": ["model.name=resnet10t"],
    "torchvision": ["model.name=resnet18"],
    "hf": ["model.type=bert", f"model.args={{{SMALL}}}"],
}
"""option of conf/model that a person must name something to -> what it needs"""
JUDGES = {("loss", "own"): ["loss.target=own_nets.focal"], ("metric", "own"): ["metric.target=own_nets.top2"]}
"""group and option that a person must name something to -> what it needs"""
NEEDS = JUDGES | {("model", name): line for name, line in LINES.items()}
NAMED = {*JUDGES, ("model", "own")}
"""those that call what a person names"""
BROUGHT = {*own_data.MADE, *LINES}
"""options that need something of a person's"""
construct.trust({}, [text for line in NEEDS.values() for text in line])


def at_hand(name: str) -> None:
    """Skip the test where the package of an option is not installed."""
    for package in PACKAGES.get(name, ()):
        pytest.importorskip(package)


def written(folder: Path) -> Path:
    """`folder` with the networks in it."""
    (folder / "nets.py").write_text(NETS)
    return folder


def command(folder: Path, script: str, *words: str) -> "subprocess.CompletedProcess[str]":
    """A command as it is typed in `folder`, which is not the clone."""
    line = [sys.executable, str(ROOT / script), *words]
    return subprocess.run(line, cwd=folder, capture_output=True, text=True, check=False)
