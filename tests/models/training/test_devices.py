import csv
import queue
from functools import partial

import pytest
import torch
from lightning.pytorch.loggers import CSVLogger
from torch import nn

import pulse
from models.data.dataset import Dataset, Split
from models.training.callbacks.checkpoint import Checkpoint
from models.training.devices import _forward
from models.training.fit import Diverged, fit
from refusal import Ended, Refusal
from trainings import WATTS, blobs, network, parts, weights

pytestmark = pytest.mark.slow


def sparse():
    data = blobs()
    targets = data.train.targets.clone()
    targets[torch.rand(len(targets), generator=torch.Generator().manual_seed(1)) < 0.4] = -100
    return Dataset(Split(data.train.inputs, targets), data.val, data.test, "classification", (12,), 4, 32)


class Broken(nn.Module):
    """Answers NaN when it is trained."""

    def __init__(self):
        super().__init__()
        self.inner = network()

    def forward(self, x):
        return self.inner(x) * float("nan")


class Forgotten(nn.Module):
    """Has a gradient for nothing at all."""

    def __init__(self):
        super().__init__()
        self.inner = network()

    def forward(self, x):
        return self.inner(x).detach()


def test_two_processes_train_what_one_trains(tmp_path, one_thread):
    options = {"data": sparse(), "val_every": 10, "accumulate_grad_batches": 2, "gradient_clip_val": 0.5}
    alone = fit(**parts(tmp_path, folder=tmp_path / "one", **options))
    logger = CSVLogger(tmp_path, name="", version="csv")
    net = network()
    callbacks = {"checkpoint": Checkpoint(None, every_steps=15)}
    given = parts(
        tmp_path, folder=tmp_path / "two", net=net, loggers=[logger], callbacks=callbacks, devices=2,
        strategy="ddp", **options,
    )  # fmt: skip
    steps: list[int | None] = []
    with pulse.heard(steps.append):
        both = fit(**given)
    taken = [step for step in steps if step is not None]
    assert taken == sorted(taken) and taken[-1] == 40 and steps[-1] is None
    assert both.net is net and both.steps == 40
    torch.testing.assert_close(weights(net), weights(alone.net), rtol=1e-3, atol=1e-4)
    for left, right in zip(both.curve, alone.curve, strict=True):
        assert left["step"] == right["step"]
        assert left["train/loss"] == pytest.approx(right["train/loss"], rel=1e-3)
        assert left["val/loss"] == pytest.approx(right["val/loss"], rel=1e-2)
    # Each process counts its own, by its own clock.
    assert 1.3 * WATTS * both.seconds < both.energy.joules < 3 * WATTS * both.seconds
    assert both.energy.standing_j == pytest.approx(2.0 * both.seconds, rel=0.01)
    logger.finalize("success")
    with (tmp_path / "csv" / "metrics.csv").open() as file:
        assert [float(row["step"]) for row in csv.DictReader(file)] == [10, 20, 30, 40]
    # Typed again, it goes on from its checkpoint: two processes, one file.
    longer = parts(tmp_path, 60, folder=tmp_path / "two", devices=2, strategy="ddp", **options)
    again = fit(**longer)
    assert again.facts["resumed"]["step"] == 40 and again.steps == 60


@pytest.mark.parametrize(
    ("changes", "kind", "sentence"),
    [
        ({"net": Broken()}, Diverged, "loss is nan at step 1"),
        (
            {"optimizer": partial(torch.optim.SGD, lr=0.1), "ckpt_path": None, "net": Forgotten()},
            RuntimeError,
            "grad",
        ),
    ],
)
def test_what_ends_a_process_ends_the_training_by_its_name(tmp_path, one_thread, changes, kind, sentence):
    with pytest.raises(kind, match=sentence):
        fit(**parts(tmp_path, devices=2, strategy="ddp", **changes))


def test_who_hears_a_step_of_several_devices_may_end_their_training():
    def cancelled(step):
        raise Ended(f"cancelled at step {step}")

    rows = queue.Queue()
    rows.put((None, 3))
    with pulse.heard(cancelled), pytest.raises(Ended, match="at step 3"):
        _forward(rows, [], wait_s=0.0)


def test_a_refusal_comes_through(tmp_path, one_thread):
    fit(**parts(tmp_path, 5))
    with pytest.raises(Refusal, match="another trial"):
        fit(**parts(tmp_path, devices=2, strategy="ddp", seed=1))
