"""A target ends a training at the first point of its curve that keeps it, and changes nothing before."""

import os
import signal
from functools import partial

import pytest
import torch
from forked import in_a_process
from lightning.pytorch import Callback

from models.training.callbacks.checkpoint import Checkpoint
from models.training.fit import fit
from refusal import Refusal
from trainings import network, parts, weights


class Seen(Callback):
    """The weights after each step that a curve of two steps has a point of."""

    def __init__(self):
        self.weights = {}

    def next_stop(self, step):
        return step + 2 - step % 2

    def on_train_batch_end(self, trainer, pl_module, outputs, batch, batch_idx):
        self.weights[trainer.global_step] = weights(pl_module.net).clone()


class Killed(Callback):
    """Ends the process as `kill -9` does, after a step."""

    def __init__(self, step):
        self.step = step

    def next_stop(self, step):
        return self.step if step < self.step else None

    def on_train_batch_end(self, trainer, pl_module, outputs, batch, batch_idx):
        if trainer.global_step == self.step:
            os.kill(os.getpid(), signal.SIGKILL)


def first(curve, metric, kept):
    return next(row["step"] for row in curve if kept(row[metric]))


@pytest.mark.parametrize(
    ("target", "metric", "kept"),
    [
        (0.6, "val/accuracy", lambda value: value >= 0.6),
        ("val/accuracy >= 0.7", "val/accuracy", lambda value: value >= 0.7),
        ("val/loss<=1.1", "val/loss", lambda value: value <= 1.1),
    ],
)
def test_it_ends_where_the_whole_training_first_kept_it_with_the_weights_of_that_step(
    train, tmp_path, target, metric, kept
):
    seen = Seen()
    whole = train(val_every=2, callbacks={"seen": seen}, folder=tmp_path / "whole")
    step = first(whole.curve, metric, kept)
    assert 2 <= step < 40, "a target that tells something"
    ended = train(val_every=2, target=target, folder=tmp_path / "ended")
    assert ended.steps == step == ended.metrics["train/steps_to_target"]
    assert weights(ended.net).equal(seen.weights[step]), "the schedule is that of the whole budget"
    assert [row["step"] for row in ended.curve] == list(range(2, int(step) + 1, 2))
    assert "notes" not in ended.facts


@pytest.mark.slow
def test_one_that_is_never_kept_trains_to_the_end_and_says_how_close_it_came(train, tmp_path):
    whole = train(folder=tmp_path / "a")
    missed = train(target="val/loss <= 0.00001", folder=tmp_path / "b")
    assert missed.steps == 40 and weights(missed.net).equal(weights(whole.net))
    assert "train/steps_to_target" not in missed.metrics
    best = min(row["val/loss"] for row in whole.curve)
    (note,) = missed.facts["notes"]
    assert "not reached" in note and f"{best:.4g}" in note


def test_a_score_that_the_data_lacks_is_refused(train):
    with pytest.raises(Refusal, match=r"bits_per_byte, which only data of bytes has"):
        train(target="val/bits_per_byte <= 3")


def seeded(tmp_path, folder, **changes):
    torch.manual_seed(5)
    callbacks = {"checkpoint": Checkpoint(None, every_steps=3), **changes.pop("callbacks", {})}
    given = {"val_every": 2, "target": 0.95, "net": network(dropout=0.3), "callbacks": callbacks, **changes}
    return fit(**parts(tmp_path, 40, folder=tmp_path / folder, **given))


@pytest.mark.slow
def test_a_killed_training_ends_at_the_same_step_with_the_same_weights(one_thread, tmp_path):
    whole = seeded(tmp_path, "whole")
    assert 8 < whole.steps < 40
    job = partial(seeded, tmp_path, "killed", callbacks={"killed": Killed(7)})
    assert in_a_process(job) == -signal.SIGKILL
    resumed = seeded(tmp_path, "killed")
    assert resumed.facts["resumed"]["step"] == 6
    assert resumed.steps == whole.steps == resumed.metrics["train/steps_to_target"]
    assert weights(resumed.net).equal(weights(whole.net))


def test_what_had_ended_at_its_target_is_not_trained_on(one_thread, tmp_path):
    ended = seeded(tmp_path, "a")
    again = seeded(tmp_path, "a")
    assert again.facts["resumed"]["step"] == again.steps == ended.steps
    assert weights(again.net).equal(weights(ended.net))


@pytest.mark.slow
def test_a_curve_without_a_set_distance_is_finer_where_it_ends_the_training(train, tmp_path):
    ended = train(200, target=0.6, folder=tmp_path / "a")
    steps = [row["step"] for row in train(200, folder=tmp_path / "b").curve]
    assert steps == list(range(20, 201, 20)) and ended.steps % 4 == 0 and ended.steps < 20
    assert [row["step"] for row in ended.curve] == list(range(4, ended.steps + 1, 4))
