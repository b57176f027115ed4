"""Gradual pruning: the schedule of the paper, exact masks between its points, and resuming."""

import pytest
import torch
from lightning.pytorch import Callback

from compressing import compressed, pipeline
from made_up_clock import Slow
from models.compress.gradual import Gradual, cubic_sparsity
from models.training.callbacks.checkpoint import Checkpoint
from refusal import Refusal


def test_the_schedule_is_the_papers_equation() -> None:
    assert cubic_sparsity(0.1, 0.9, 0.1, 0.7) == 0
    assert cubic_sparsity(0.05, 0.9, 0.1, 0.7) == 0
    assert cubic_sparsity(0.7, 0.9, 0.1, 0.7) == pytest.approx(0.9)
    assert cubic_sparsity(1.0, 0.9, 0.1, 0.7) == pytest.approx(0.9)
    # s_t = s_f + (s_i - s_f) (1 - (t - t_0) / (n dt))^3 with s_i = 0, half way.
    assert cubic_sparsity(0.4, 0.9, 0.1, 0.7) == pytest.approx(0.9 - 0.9 * 0.5**3)


class Watch(Callback):
    """Shares of zeros at every step."""

    def __init__(self):
        self.zeros = {}

    def on_train_batch_end(self, trainer, pl_module, outputs, batch, batch_idx):
        self.zeros[trainer.global_step] = float((pl_module.net[0].weight == 0).float().mean())


def test_sparsity_rises_at_its_points_and_never_falls(tmp_path, one_thread) -> None:
    watch = Watch()
    net, made = compressed(
        tmp_path, Gradual(0.9, begin=0.25, end=0.75, updates=5), callbacks={"watch": watch}
    )
    zeros = list(watch.zeros.values())
    assert len(zeros) == 40 and zeros == sorted(zeros)
    assert zeros[8] == 0 and zeros[30] == pytest.approx(0.9, abs=0.01)
    # Points at steps 10, 14, 18, 22, 26, 30; the first has a sparsity of 0.
    assert [step for step in range(2, 41) if watch.zeros[step] > watch.zeros[step - 1]] == [
        15,
        19,
        23,
        27,
        31,
    ]
    assert int((net[0].weight == 0).sum()) == round(0.9 * 192)
    assert made.facts()["0"]["layers"]["3.weight"] == pytest.approx(0.9, abs=0.02)


@pytest.mark.slow
def test_how_many_steps_a_call_takes_changes_nothing(tmp_path, one_thread) -> None:
    plan = {"begin": 0.1, "end": 0.9, "updates": 7}
    alone, _ = compressed(tmp_path / "a", Gradual(0.8, **plan), steps_per_call=1)
    together, _ = compressed(tmp_path / "b", Gradual(0.8, **plan), steps_per_call=50)
    assert torch.equal(alone[0].weight, together[0].weight)


@pytest.mark.slow
def test_a_resumed_training_ends_as_an_uninterrupted_one(tmp_path, one_thread) -> None:
    class Stop(Exception):
        pass

    class Kill(Callback):
        def next_stop(self, step):
            return 25 if step < 25 else None

        def on_train_batch_end(self, trainer, pl_module, outputs, batch, batch_idx):
            if trainer.global_step == 25:
                raise Stop

    whole, _ = compressed(tmp_path / "whole", Gradual(0.9))
    with pytest.raises(Stop):
        killed = {"checkpoint": Checkpoint(every_steps=20), "kill": Kill()}
        compressed(tmp_path, Gradual(0.9), callbacks=killed)
    made = pipeline(tmp_path, Gradual(0.9))
    fitted = made.fit([])
    assert fitted.facts["resumed"]["step"] == 20
    assert torch.equal(made.compress(fitted.net)[0].weight, whole[0].weight)


def test_a_budget_in_seconds_ends_at_the_sparsity(tmp_path, one_thread, clock) -> None:
    # A step takes 0.03 s of the clock's.
    net, made = compressed(tmp_path, Gradual(0.9), steps_of_training=None, seconds=0.9, net=Slow(clock))
    assert int((net.inner[0].weight == 0).sum()) == round(0.9 * 192)
    # Pruned while it trained, not only at the end.
    assert (made.trained.inner[0].weight == 0).float().mean() > 0.5


@pytest.mark.parametrize(
    "knobs", [{"sparsity": 1.2}, {"begin": 0.8, "end": 0.7}, {"updates": 0}, {"scope": "row"}]
)
def test_impossible_knobs_are_refused(knobs) -> None:
    with pytest.raises(Refusal, match="compress: "):
        Gradual(**knobs)
