"""The peer of sweep_overhead.py: Hydra's basic launcher and a Lightning trainer with all its defaults.

    python benchmarks/lightning_defaults.py -m optimizer=SGD,Adam,AdamW seed=0,1

The same digits, splits, MLP, batch and steps as `train.py budget.steps=200`, written as Lightning's own
introduction writes it: DataLoader, `training_step`, `self.log`, a validation after each epoch, a test.
"""

import sys
import warnings
from pathlib import Path
from typing import final

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

import hydra  # noqa: E402  the script runs from any folder
import torch  # noqa: E402
from hydra.core.config_store import ConfigStore  # noqa: E402
from lightning import pytorch as pl  # noqa: E402
from omegaconf import DictConfig  # noqa: E402
from torch.nn import functional as F  # noqa: E402
from torch.utils.data import DataLoader, TensorDataset  # noqa: E402

from models.data import digits  # noqa: E402
from models.data.dataset import Split  # noqa: E402
from models.nets.mlp import MLP  # noqa: E402

ConfigStore.instance().store(
    "peer", {"optimizer": "Adam", "lr": 0.001, "seed": 0, "steps": 200, "root": "peer"}
)


@final
class Classifier(pl.LightningModule):
    """An MLP 64-128-10 as the introduction would train it."""

    def __init__(self, optimizer: str, lr: float) -> None:
        super().__init__()
        self.net = MLP((1, 8, 8), 10)
        self.optimizer, self.lr = optimizer, lr

    def training_step(self, batch: list[torch.Tensor], _: int) -> torch.Tensor:
        """Return the loss of one batch and log it."""
        loss = F.cross_entropy(self.net(batch[0]), batch[1])
        self.log("train/loss", loss)
        return loss

    def validation_step(self, batch: list[torch.Tensor], _: int) -> None:
        """Log the share of right answers."""
        self.log("val/accuracy", self.accuracy(batch))

    def test_step(self, batch: list[torch.Tensor], _: int) -> None:
        """Log the share of right answers."""
        self.log("test/accuracy", self.accuracy(batch))

    def accuracy(self, batch: list[torch.Tensor]) -> torch.Tensor:
        """Return the share of right answers."""
        return (self.net(batch[0]).argmax(-1) == batch[1]).float().mean()

    def configure_optimizers(self) -> torch.optim.Optimizer:
        """Return the optimizer by its name."""
        return getattr(torch.optim, self.optimizer)(self.parameters(), lr=self.lr)


def loader(split: Split, *, shuffle: bool = False) -> DataLoader:
    return DataLoader(TensorDataset(split.inputs, split.targets), batch_size=128, shuffle=shuffle)


@hydra.main(version_base="1.3", config_path=None, config_name="peer")
def main(cfg: DictConfig) -> float:
    """One job: fit for `steps` steps, then test."""
    warnings.filterwarnings(
        "ignore"
    )  # Lightning advises worker processes, which cost more than they bring here
    pl.seed_everything(cfg.seed)
    data = digits.load(batch_size=128)
    trainer = pl.Trainer(max_steps=cfg.steps, default_root_dir=cfg.root)
    module = Classifier(cfg.optimizer, cfg.lr)
    trainer.fit(module, loader(data.train, shuffle=True), loader(data.val))
    (tested,) = trainer.test(module, loader(data.test))
    return tested["test/accuracy"]


if __name__ == "__main__":
    main()
