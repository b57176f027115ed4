"""Which of a training's figures are of its steps, and which of the harness around them."""

import os
import resource
import subprocess
import sys
import time
from pathlib import Path

import pytest
from forked import alone
from lightning.pytorch import Callback
from lightning.pytorch.loggers import Logger
from pytest import approx

from made_up_clock import CORE_W, HELD_UP, LOOK_S, STEP_S, Slow, holds, metered
from models import trial
from models.compress.compression import Compression
from models.energy.disturbance import Watch
from models.energy.meter import Meter
from models.pipeline import Pipeline
from models.training.callbacks.checkpoint import Checkpoint
from models.training.loggers import Run
from models.trial import train_and_measure, with_compression
from trainings import WATTS, parts

OWN_S = 0.03


class Worker(Callback):
    """Somebody's own work after certain steps, like a gradual pruning's."""

    def __init__(self, clock):
        self.clock = clock

    def next_stop(self, step):
        return step + 4 - step % 4

    def on_train_batch_end(self, trainer, pl_module, outputs, batch, batch_idx):
        if trainer.global_step % 4 == 0:
            self.clock.work(OWN_S)


class SlowLogger(Logger):
    name, version = "slow", 0

    def __init__(self, clock):
        super().__init__()
        self.clock = clock

    def log_hyperparams(self, *args, **kwargs):
        pass

    def log_metrics(self, metrics, step=None):
        self.clock.work(OWN_S)


@pytest.mark.parametrize("every", [1, 4, 12])
def test_steps_cost_what_they_cost_however_often_they_are_looked_at(train, clock, tmp_path, every):
    net = Slow(clock)
    metrics = train(steps=12, net=net, val_every=every, meter=metered(tmp_path), callbacks={}).metrics
    holds(metrics, "train", 12 * STEP_S)
    holds(metrics, "harness", net.calls.warm_up_s(12) + 12 // every * LOOK_S)


def test_what_other_callbacks_do_after_steps_is_a_part_of_the_training_and_logging_is_not(
    train, clock, tmp_path
):
    net, own = Slow(clock), {"callbacks": {"own": Worker(clock)}, "loggers": [SlowLogger(clock)]}
    metrics = train(steps=12, net=net, val_every=6, meter=metered(tmp_path), **own).metrics
    holds(metrics, "train", 12 * STEP_S + 3 * OWN_S)
    holds(metrics, "harness", net.calls.warm_up_s(12) + 2 * (LOOK_S + OWN_S))


def test_a_checkpoint_is_the_harnesss(train, clock, tmp_path, monkeypatch):
    from models.training import checkpoint

    saved = checkpoint.torch.save

    def slowly(*arguments):
        clock.work(OWN_S)
        return saved(*arguments)

    monkeypatch.setattr(checkpoint.torch, "save", slowly)
    net, own = Slow(clock), {"callbacks": {"c": Checkpoint(None, every_steps=4)}}
    metrics = train(steps=12, net=net, val_every=12, meter=metered(tmp_path), **own).metrics
    holds(metrics, "train", 12 * STEP_S)
    holds(metrics, "harness", net.calls.warm_up_s(12) + LOOK_S + 3 * OWN_S)


def test_the_rows_of_a_curve_are_of_the_steps(train, clock, tmp_path):
    fitted = train(steps=12, net=Slow(clock), val_every=3, meter=metered(tmp_path), callbacks={})
    worked = [steps * STEP_S for steps in (3, 6, 9, 12)]
    assert [row["cpu_second"] for row in fitted.curve] == approx(worked)
    assert [row["second"] for row in fitted.curve] == approx([HELD_UP * one for one in worked])
    assert [row["joule"] for row in fitted.curve] == approx([CORE_W * one for one in worked])


def test_a_budget_of_seconds_buys_steps_alone(train, clock, tmp_path):
    # A step lasts 0.03 s: six are too few.
    net, meter = Slow(clock), metered(tmp_path)
    fitted = train(steps=None, seconds=0.2, net=net, val_every=1, meter=meter, callbacks={})
    assert fitted.steps == 7 and fitted.seconds == approx(7 * HELD_UP * STEP_S)
    assert fitted.metrics["harness/cpu_seconds"] == approx(net.calls.warm_up_s(7) + 7 * LOOK_S)


def test_joules_are_of_the_steps_by_any_counter(train, clock):
    """By one that counts, whoever works, and is read at each edge of a window."""
    net = Slow(clock)
    metrics = train(steps=12, net=net, val_every=2, callbacks={}).metrics
    around = net.calls.warm_up_s(12) + 6 * LOOK_S
    assert metrics["train/energy_j"] == approx(WATTS * HELD_UP * 12 * STEP_S)
    assert metrics["harness/energy_j"] == approx(WATTS * HELD_UP * around)


class Real:
    """This thread's own clock, and what was worked by it."""

    def __init__(self):
        self.worked = {STEP_S: 0.0, LOOK_S: 0.0}

    def __deepcopy__(self, memo):
        return self

    def work(self, cpu_s):
        """Ten times as long for a look as for a step, to be far more than anything around them."""
        began = time.thread_time()
        while time.thread_time() < began + (cpu_s if cpu_s == STEP_S else 10 * cpu_s):
            pass
        self.worked[cpu_s] += time.thread_time() - began


def all_cpu_s():
    """Of this process and the children that it waited for."""
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(one.ru_utime + one.ru_stime for one in used)


@pytest.mark.slow
@alone
def test_steps_and_looks_by_the_real_clock(train, tmp_path):
    train(steps=1, folder=tmp_path / "first")
    clock, before = Real(), all_cpu_s()
    metrics = train(steps=8, net=Slow(clock), val_every=4, meter=Meter(), callbacks={}).metrics
    everything = all_cpu_s() - before
    # Two looks are 0.4 s, which is far more than a fit takes for all but its steps.
    steps, looks = 8 * STEP_S, clock.worked[LOOK_S]
    assert steps <= metrics["train/cpu_seconds"] <= everything - looks
    assert looks <= metrics["harness/cpu_seconds"] <= everything - steps


class Children(Callback):
    """A step that lets a child work."""

    cpu_s = 0.1

    def next_stop(self, step):
        return None

    def on_train_batch_end(self, trainer, pl_module, outputs, batch, batch_idx):
        pid = os.fork()
        if pid == 0:
            while time.process_time() < self.cpu_s:
                pass
            os._exit(0)
        os.waitpid(pid, 0)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
@alone
def test_children_of_a_training_are_in_its_cpu_seconds_once(train, tmp_path):
    train(steps=1, folder=tmp_path / "first")
    before = all_cpu_s()
    metrics = train(
        steps=2, steps_per_call=1, val_every=2, meter=Meter(), callbacks={"c": Children()}
    ).metrics
    assert 2 * Children.cpu_s <= metrics["train/cpu_seconds"] <= all_cpu_s() - before


class Service(Logger):
    """A logger with a process of its own, as wandb has one."""

    name, version = "service", 0

    def __init__(self, run):
        super().__init__()
        self.process = subprocess.Popen([sys.executable, "-S", "-c", "import time; time.sleep(600)"])

    def log_hyperparams(self, *args, **kwargs):
        pass

    def log_metrics(self, metrics, step=None):
        pass

    def finalize(self, status):
        self.process.kill()
        self.process.wait()


def test_a_loggers_own_process_is_the_harnesss(tmp_path, one_thread, clock):
    """It works all the time that there is, through steps and looks."""
    clock.serving, net = True, Slow(clock)
    own = parts(tmp_path, 12, net=net, val_every=12, meter=metered(tmp_path), callbacks={})
    own.pop("loggers"), own.pop("folder")
    named = {"model": own.pop("net"), "trainer": own.pop("settings"), "compress": {}}
    metrics = trial.run(run=Run(tmp_path, "id", "name", None, (), {}), logger={"s": Service}, **named, **own)
    metrics = metrics.metrics
    assert metrics["train/cpu_seconds"] == approx(12 * STEP_S)
    served = HELD_UP * (12 * STEP_S + LOOK_S)
    assert metrics["harness/cpu_seconds"] == approx(net.calls.warm_up_s(12) + LOOK_S + served)


@pytest.mark.parametrize("steps", [1, 5])
def test_the_shortest_training_has_cpu_seconds_and_joules(train, tmp_path, steps):
    before = all_cpu_s()
    fitted = train(steps=steps, meter=metered(tmp_path), callbacks={})
    assert 0 < fitted.metrics["train/cpu_seconds"] < all_cpu_s() - before
    assert fitted.metrics["train/energy_j"] == approx(CORE_W * fitted.metrics["train/cpu_seconds"])
    assert fitted.energy.valid and fitted.energy.label == "estimated"


class Tuned(Compression):
    """Trains on after the training, looking often."""

    def after(self, net, context):
        return context.finetune(net, 6)


def test_a_fine_tunings_validations_are_the_harnesss_too(tmp_path, one_thread, clock):
    net = Slow(clock)
    own = parts(tmp_path, 6, net=net, val_every=2, meter=metered(tmp_path), callbacks={})
    own.pop("loggers")
    made = Pipeline({"t": Tuned()}, own.pop("net"), **own)
    fitted = made.fit([])
    warm_up_s = net.calls.warm_up_s(6)
    made.compress(fitted.net)
    metrics = with_compression(fitted.metrics, made)
    own["meter"].stop()
    holds(fitted.metrics, "train", 6 * STEP_S)
    # Six steps, and one to count the bytes of a step anew.
    holds(metrics, "compress", 7 * STEP_S)
    holds(metrics, "train", (6 + 7) * STEP_S)
    holds(metrics, "harness", warm_up_s + 2 * 3 * LOOK_S)


class Neighbour:
    """A watch on a machine where every thread waits as long as it runs."""

    def __init__(self):
        self.looks = 0

    def read(self, children):
        self.looks += 1
        return {"ran": float(self.looks), "waited": float(self.looks)}


@pytest.mark.parametrize(
    ("watch", "windows"),
    [(Neighbour, {"train", "infer", "harness"}), (lambda: Watch(Path("/nowhere")), set())],
)
def test_a_trial_tells_its_basis_and_what_disturbed_it(tmp_path, one_thread, clock, watch, windows):
    own = parts(tmp_path, 6, net=Slow(clock), meter=Meter(watch=watch))
    loggers, net, settings = own.pop("loggers"), own.pop("net"), own.pop("settings")
    own.pop("folder")
    measured = train_and_measure(loggers, tmp_path, compress={}, model=net, trainer=settings, **own)
    own["meter"].stop()
    facts = measured.facts
    assert facts["energy_basis"] == facts["energy"]["basis"] != ""
    assert facts["disturbed"].keys() == windows
    assert facts["disturbed"].get("train") == facts["energy"]["disturbed"]
    assert facts["energy"]["codecarbon_j"] > 0
    assert {
        "train/cpu_seconds",
        "harness/cpu_seconds",
        "infer/cpu_seconds_per_sample",
    } <= measured.metrics.keys()
