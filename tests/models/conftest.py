"""Fixtures of the tests that train."""

from typing import Any

import pytest
import torch

from made_up_clock import MadeUpClock
from models.training import fit as fitting
from models.training.fit import Fitted, fit
from trainings import parts


@pytest.fixture
def one_thread():
    """The same sums in the same order, whatever else the machine does."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture
def train(tmp_path, one_thread):
    """`fit` on small data; every part can be replaced by its name."""

    def run(steps: int | None = 40, **changes: Any) -> Fitted:
        return fit(**parts(tmp_path, steps, **changes))

    return run


@pytest.fixture
def clock(monkeypatch):
    """Seconds and CPU seconds that pass only as far as the test says."""
    made = MadeUpClock()
    made.rules(monkeypatch)
    return made


@pytest.fixture
def cold(monkeypatch):
    """No steps before the clock: a network's calls are those of its training."""
    monkeypatch.setattr(fitting, "warm", lambda *_: {})
