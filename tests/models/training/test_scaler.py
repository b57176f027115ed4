"""The gradient scaler's path, on the CPU: Lightning's own plugin with torch's own CPU scaler."""

import lightning.pytorch as pl
import pytest
import torch
from lightning.pytorch.plugins.precision import MixedPrecision

from models.optim.lion import Lion
from models.optim.schedules import cosine
from models.training import settings as trainers
from models.training.callbacks.checkpoint import Checkpoint
from models.training.fit import Diverged
from trainings import ADAMW, bare, weights


@pytest.fixture
def scaled(train, monkeypatch):
    """`train` in fp16 with a scaler of a given first scale, which settings refuse on a CPU without it."""

    def run(scale, steps=40, **changes):
        scaler = torch.amp.GradScaler("cpu", init_scale=scale, growth_interval=7)

        def with_scaler(**options):
            plugins = [*options.pop("plugins"), MixedPrecision("16-mixed", "cpu", scaler)]
            return pl.Trainer(**options | {"plugins": plugins, "precision": None})

        monkeypatch.setattr(trainers, "Trainer", with_scaler)
        return train(steps, precision="bf16-mixed", **changes)

    return run


@pytest.mark.parametrize("fused", [True, False])
def test_norms_and_clipping_are_of_unscaled_gradients(scaled, fused):
    optimizer = type(ADAMW)(ADAMW.func, **ADAMW.keywords | {"fused": fused})
    net, _, norms = bare(40, clip=0.3)
    fitted = scaled(1024.0, gradient_clip_val=0.3, optimizer=optimizer)
    assert fitted.metrics["stability/nonfinite_steps"] == 0
    assert fitted.metrics["stability/grad_norm_mean"] == pytest.approx(sum(norms) / 40, rel=0.03)
    assert (weights(fitted.net) - weights(net)).norm() < 0.03 * weights(net).norm()


def test_an_optimizer_that_knows_no_scaler_works_too(scaled):
    fitted = scaled(1024.0, optimizer=lambda groups: Lion(groups, lr=0.003))
    assert fitted.metrics["stability/nonfinite_steps"] == 0
    assert fitted.curve[-1]["val/accuracy"] > 0.8


def test_steps_that_overflow_are_skipped_and_counted_and_training_goes_on(scaled):
    fitted = scaled(2.0**30)
    skipped = fitted.metrics["stability/nonfinite_steps"]
    assert 5 <= skipped <= 20
    assert fitted.steps == 40
    assert fitted.curve[-1]["val/accuracy"] > 0.8


def test_a_scale_that_never_fits_ends_as_diverged(scaled):
    with pytest.raises(Diverged, match="21 steps in a row were not finite"):
        scaled(2.0**120)


@pytest.mark.slow
def test_the_scaler_is_resumed_with_the_training(scaled, tmp_path):
    whole = scaled(2.0**22, folder=tmp_path / "whole", callbacks={"checkpoint": Checkpoint()})

    class Ended(Exception):
        pass

    def ending(progress):
        if progress > 0.6:
            raise Ended
        return cosine(progress)

    with pytest.raises(Ended):
        scaled(
            2.0**22,
            folder=tmp_path / "cut",
            scheduler=ending,
            callbacks={"checkpoint": Checkpoint(None, every_steps=10)},
        )
    # Another first scale: only the checkpoint can bring the right one.
    again = scaled(4.0, folder=tmp_path / "cut")
    assert again.facts["resumed"]["step"] == 20
    assert torch.equal(weights(again.net), weights(whole.net))
    assert again.metrics["stability/nonfinite_steps"] == whole.metrics["stability/nonfinite_steps"] > 0
