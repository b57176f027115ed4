"""What the tests of compressions share."""

import pytest
import torch

from models.backends.inductor import Inductor
from models.compress.context import Context
from models.data.dataset import Dataset, Split


@pytest.fixture
def context(tmp_path):
    """A context of 64 random images (1, 8, 8); its names are the steps', fine-tuning does nothing."""
    generator = torch.Generator().manual_seed(1)
    images = torch.randn(64, 1, 8, 8, generator=generator)
    answers = torch.arange(64) % 10
    split = Split(images, answers)
    data = Dataset(split, split, split, "classification", (1, 8, 8), 10, 32)

    def make(*names, device="cpu"):
        return Context(data, device, 0, "32-true", tmp_path, lambda net, *_: net, names, (Inductor(),))

    return make
