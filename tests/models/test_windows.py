"""Which of a training's figures are of its steps, and which of the harness around them."""

import os
import subprocess
import sys
import time
from functools import partial

import pytest
import torch
from lightning.pytorch import Callback
from lightning.pytorch.loggers import Logger
from torch import nn
from trainings import WATTS, network, parts

from models import trial
from models.callbacks.checkpoint import Checkpoint
from models.callbacks.halving import Halving, Stopped
from models.checkpoint import OURS
from models.compress.compression import Compression
from models.energy import Meter
from models.fit import Diverged, fit
from models.loggers import Run
from models.pipeline import Pipeline
from models.trial import train_and_measure, with_compression

STEP_S, LOOK_S = 0.01, 0.02
WARM_S = 3 * STEP_S
"""of the steps before the clock"""


def spin(seconds):
    end = time.process_time() + seconds
    while time.process_time() < end:
        pass


class Slow(nn.Module):
    """Takes 10 ms of CPU time for a training step, and 20 ms for each look at it."""

    def __init__(self):
        super().__init__()
        self.inner = network()

    def forward(self, x):
        spin(STEP_S if self.training else LOOK_S)
        return self.inner(x)


class Worker(Callback):
    """Somebody's own work after certain steps, like a gradual pruning's."""

    def next_stop(self, step):
        return step + 4 - step % 4

    def on_train_batch_end(self, trainer, pl_module, outputs, batch, batch_idx):
        if trainer.global_step % 4 == 0:
            spin(0.03)


class SlowLogger(Logger):
    name, version = "slow", 0

    def log_hyperparams(self, *args, **kwargs):
        pass

    def log_metrics(self, metrics, step=None):
        spin(0.03)


@pytest.mark.parametrize("every", [1, 4, 12])
def test_steps_cost_what_they_cost_however_often_they_are_looked_at(train, every):
    metrics = train(steps=12, net=Slow(), val_every=every, meter=Meter(), callbacks={}).metrics
    looks = 12 // every
    assert metrics["train/cpu_seconds"] == pytest.approx(12 * STEP_S, rel=0.25)
    assert metrics["harness/cpu_seconds"] == pytest.approx(WARM_S + looks * LOOK_S, rel=0.3, abs=0.03)
    assert metrics["harness/seconds"] >= 0.9 * looks * LOOK_S


def test_what_other_callbacks_do_after_steps_is_a_part_of_the_training_and_logging_is_not(train):
    metrics = train(
        steps=12, net=Slow(), val_every=6, meter=Meter(), callbacks={"own": Worker()}, loggers=[SlowLogger()]
    ).metrics
    assert metrics["train/cpu_seconds"] == pytest.approx(12 * STEP_S + 3 * 0.03, rel=0.2)
    assert metrics["harness/cpu_seconds"] == pytest.approx(WARM_S + 2 * (LOOK_S + 0.03), rel=0.3, abs=0.03)


def test_a_checkpoint_is_the_harnesss(train, monkeypatch):
    from models import checkpoint

    saved = checkpoint.torch.save

    def slowly(*arguments):
        spin(0.05)
        return saved(*arguments)

    monkeypatch.setattr(checkpoint.torch, "save", slowly)
    fitted = train(
        steps=12, net=Slow(), val_every=12, meter=Meter(), callbacks={"c": Checkpoint(None, every_steps=4)}
    )
    assert fitted.metrics["train/cpu_seconds"] == pytest.approx(12 * STEP_S, rel=0.25)
    assert fitted.metrics["harness/cpu_seconds"] == pytest.approx(
        WARM_S + LOOK_S + 3 * 0.05, rel=0.3, abs=0.04
    )


def test_the_rows_of_a_curve_are_of_the_steps(train):
    fitted = train(steps=12, net=Slow(), val_every=3, meter=Meter(), callbacks={})
    cpu = [row["cpu_second"] for row in fitted.curve]
    assert cpu == pytest.approx([3 * STEP_S, 6 * STEP_S, 9 * STEP_S, 12 * STEP_S], rel=0.25)
    assert cpu[-1] <= fitted.metrics["train/cpu_seconds"]
    assert fitted.curve[-1]["second"] == pytest.approx(fitted.seconds, rel=0.05)


def test_a_budget_of_seconds_buys_steps_alone(train):
    fitted = train(steps=None, seconds=0.2, net=Slow(), val_every=1, meter=Meter(), callbacks={})
    assert 0.2 <= fitted.seconds < 0.3
    assert fitted.metrics["harness/seconds"] > 0.9 * fitted.steps * LOOK_S


def test_joules_are_of_the_steps_by_any_counter(train):
    metrics = train(steps=12, net=Slow(), val_every=2, callbacks={}).metrics
    assert metrics["train/energy_j"] == pytest.approx(WATTS * metrics["train/seconds"], rel=0.02)
    assert metrics["harness/energy_j"] == pytest.approx(WATTS * metrics["harness/seconds"], rel=0.02)


class Children(Callback):
    """A step that lets a child work."""

    def next_stop(self, step):
        return None

    def on_train_batch_end(self, trainer, pl_module, outputs, batch, batch_idx):
        pid = os.fork()
        if pid == 0:
            spin(0.1)
            os._exit(0)
        os.waitpid(pid, 0)


@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
def test_children_of_a_training_are_in_its_cpu_seconds(train):
    metrics = train(
        steps=2, steps_per_call=1, val_every=2, meter=Meter(), callbacks={"c": Children()}
    ).metrics
    assert 0.2 < metrics["train/cpu_seconds"] < 0.5


class Service(Logger):
    """A logger with a busy process of its own, as wandb has one."""

    name, version = "service", 0

    def __init__(self, run):
        super().__init__()
        self.process = subprocess.Popen([sys.executable, "-S", "-c", "while True: pass"])

    def log_hyperparams(self, *args, **kwargs):
        pass

    def log_metrics(self, metrics, step=None):
        pass

    def finalize(self, status):
        self.process.kill()
        self.process.wait()


def test_a_loggers_own_process_is_the_harnesss(tmp_path, one_thread):
    own = parts(tmp_path, 12, net=Slow(), val_every=12, meter=Meter(), callbacks={})
    own.pop("loggers"), own.pop("folder")
    named = {"model": own.pop("net"), "trainer": own.pop("settings"), "compress": {}}
    run = Run(tmp_path, "id", "name", None, (), {})
    metrics = trial.run(run=run, logger={"s": Service}, **named, **own).metrics
    assert metrics["train/cpu_seconds"] == pytest.approx(12 * STEP_S, rel=0.3)
    # It works all the time that it can have, through steps and looks.
    assert metrics["harness/cpu_seconds"] > LOOK_S + 0.03


@pytest.mark.parametrize("steps", [1, 5])
def test_the_shortest_training_has_cpu_seconds_and_joules(train, steps):
    fitted = train(steps=steps, meter=Meter(), callbacks={})
    assert 0 < fitted.metrics["train/cpu_seconds"] < 1
    if fitted.energy.label == "estimated":
        watts = fitted.energy.hardware["core_w"]
        assert fitted.metrics["train/energy_j"] == pytest.approx(watts * fitted.metrics["train/cpu_seconds"])
        assert fitted.energy.valid


def test_sessions_add_up_all_their_figures(tmp_path, one_thread):
    options = {"net": Slow(), "val_every": 4, "meter": Meter()}
    first = fit(**parts(tmp_path, 4, **options))
    again = fit(**parts(tmp_path, 12, **options))
    assert first.metrics["train/cpu_seconds"] == pytest.approx(4 * STEP_S, rel=0.3)
    assert again.metrics["train/cpu_seconds"] == pytest.approx(12 * STEP_S, rel=0.25)
    assert again.metrics["harness/cpu_seconds"] == pytest.approx(WARM_S + 3 * LOOK_S, rel=0.4, abs=0.06)
    for key in ("train/seconds", "train/energy_j", "train/energy_standing_j", "harness/seconds"):
        assert again.metrics[key] > first.metrics[key] > 0


def older(path):
    """A checkpoint as it was before CPU seconds were counted."""
    saved = torch.load(path, weights_only=True)
    saved[OURS]["clock"] = {"seconds": 3.0, "joules": 40.0, "co2_kg": 1e-5, "sessions": 1}
    # Where no manifest lists it, as after a copy by hand.
    other = path.parents[2] / path.name
    torch.save(saved, other)
    return other


def test_an_older_checkpoint_goes_on_without_the_joules_of_its_meter(tmp_path, one_thread):
    fit(**parts(tmp_path, 4, val_every=4))
    path = older(tmp_path / "trial" / "checkpoints" / "step_4.ckpt")
    resumed = fit(**parts(tmp_path, 12, val_every=4, folder=tmp_path / "other", ckpt_path=path))
    assert resumed.steps == 12 and 3.0 < resumed.seconds < 6.0
    assert not {"train/energy_j", "train/cpu_seconds", "train/co2_kg"} & resumed.metrics.keys()
    assert "older meter" in resumed.energy.note and resumed.energy.joules is None


@pytest.mark.parametrize("kind", [Stopped, Diverged])
def test_a_training_that_ends_early_tells_all_it_used(train, kind):
    changes = {"callbacks": {"h": Halving(bars={0.25: 2.0})}} if kind is Stopped else {}
    if kind is Diverged:
        changes = {"optimizer": partial(torch.optim.SGD, lr=1e18), "callbacks": {}}
    with pytest.raises(kind) as ended:
        train(steps=16, net=Slow(), val_every=4, meter=Meter(), **changes)
    spent = ended.value.spent
    assert spent["train/cpu_seconds"] >= STEP_S
    assert spent["train/energy_j"] > 0 and spent["train/seconds"] > 0 and 0 < spent["share"] <= 1
    if kind is Stopped:
        # A point of the curve is judged at the next stop.
        assert spent["train/cpu_seconds"] == pytest.approx(8 * STEP_S, rel=0.3)
        assert spent["harness/cpu_seconds"] == pytest.approx(WARM_S + LOOK_S, rel=0.5, abs=0.03)


class Tuned(Compression):
    """Trains on after the training, looking often."""

    def after(self, net, context):
        return context.finetune(net, 6)


def test_a_fine_tunings_validations_are_the_harnesss_too(tmp_path, one_thread):
    own = parts(tmp_path, 6, net=Slow(), val_every=2, meter=Meter(), callbacks={})
    own.pop("loggers")
    made = Pipeline({"t": Tuned()}, own.pop("net"), **own)
    fitted = made.fit([])
    made.compress(fitted.net)
    metrics = with_compression(fitted.metrics, made)
    own["meter"].stop()
    assert fitted.metrics["train/cpu_seconds"] == pytest.approx(6 * STEP_S, rel=0.5)
    # Setting a training up takes a while, and is what compressing costs.
    assert 6 * STEP_S < metrics["compress/cpu_seconds"] < 6 * STEP_S + 0.3
    assert metrics["train/cpu_seconds"] == pytest.approx(
        fitted.metrics["train/cpu_seconds"] + metrics["compress/cpu_seconds"]
    )
    assert metrics["harness/cpu_seconds"] == pytest.approx(WARM_S + 2 * 3 * LOOK_S, rel=0.4, abs=0.08)


def test_a_trial_tells_its_basis_and_what_disturbed_it(tmp_path, one_thread):
    own = parts(tmp_path, 6, net=Slow(), meter=Meter())
    loggers, net, settings = own.pop("loggers"), own.pop("net"), own.pop("settings")
    own.pop("folder")
    measured = train_and_measure(loggers, tmp_path, compress={}, model=net, trainer=settings, **own)
    own["meter"].stop()
    facts = measured.facts
    assert facts["energy_basis"] == facts["energy"]["basis"] != ""
    assert set(facts["disturbed"]) <= {"train", "infer", "harness"}
    assert facts["disturbed"].get("train") == facts["energy"]["disturbed"]
    assert facts["energy"]["codecarbon_j"] > 0
    assert {
        "train/cpu_seconds",
        "harness/cpu_seconds",
        "infer/cpu_seconds_per_sample",
    } <= measured.metrics.keys()
