"""Optimizers that do more than step, on two processes that share each batch."""

from functools import partial

import pytest
import torch

from models.optim.schedule_free import ScheduleFreeAdamW
from models.optim.sophia import Sophia
from models.training.fit import fit
from trainings import network, parts, weights

OPTIMIZERS = {
    "sophia": partial(Sophia, lr=0.01, interval=3),
    "schedulefree": partial(ScheduleFreeAdamW, lr=0.01),
}


@pytest.mark.slow
@pytest.mark.parametrize("name", OPTIMIZERS)
def test_two_processes_train_what_one_trains_and_return_the_average(name, tmp_path, one_thread):
    ended = []
    for way, changes in (("one", {}), ("two", {"devices": 2, "strategy": "ddp"})):
        torch.manual_seed(3)
        net = network()
        fit(**parts(tmp_path, 12, net=net, optimizer=OPTIMIZERS[name], folder=tmp_path / way, **changes))
        ended.append(weights(net))
    torch.testing.assert_close(*ended, rtol=1e-3, atol=1e-4)
