import math

import pytest

from models.training.record import Diverged, TrainingRecord


def test_rows_hold_the_mean_loss_since_the_row_before():
    record = TrainingRecord()
    record.absorb(0, [1.0, 3.0], [1.0, 2.0], skipping=False)
    assert record.add_row({"step": 2})["train/loss"] == 2.0
    record.absorb(2, [5.0], [6.0], skipping=False)
    assert record.add_row({"step": 3})["train/loss"] == 5.0
    assert "train/loss" not in record.add_row({"step": 3})
    assert record.metrics() == {
        "stability/nonfinite_steps": 0.0,
        "stability/grad_norm_mean": 3.0,
        "stability/grad_norm_max": 6.0,
    }


@pytest.mark.parametrize(
    ("losses", "norms", "sentence"),
    [
        ([1.0, math.nan], [1.0, 1.0], "loss is nan at step 12"),
        ([1.0, math.inf], [1.0, math.nan], "loss is inf at step 12"),
        ([1.0, 1.0], [math.inf, 1.0], "gradient's norm is inf at step 11"),
    ],
)
def test_what_is_not_finite_ends_the_training_at_its_step(losses, norms, sentence):
    with pytest.raises(Diverged, match=sentence):
        TrainingRecord().absorb(10, losses, norms, skipping=False)


def test_a_scalers_skipped_steps_are_counted_and_too_many_in_a_row_end_it():
    record = TrainingRecord()
    record.absorb(0, [1.0] * 3, [math.inf, 2.0, math.inf], skipping=True)
    assert record.metrics()["stability/nonfinite_steps"] == 2.0
    assert record.metrics()["stability/grad_norm_mean"] == 2.0
    with pytest.raises(Diverged, match="21 steps in a row were not finite, up to step 23"):
        record.absorb(3, [1.0] * 30, [math.inf] * 30, skipping=True)


def test_its_state_is_all_of_it():
    record, other = TrainingRecord(), TrainingRecord()
    record.absorb(0, [1.0, 3.0], [math.inf, 2.0], skipping=True)
    record.add_row({"step": 2})
    record.absorb(2, [1.5], [4.0], skipping=True)
    other.load_state_dict(record.state_dict())
    assert other.metrics() == record.metrics()
    assert other.add_row({"step": 3}) == record.add_row({"step": 3})
    assert other.curve == record.curve
