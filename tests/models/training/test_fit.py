import csv
import math
from functools import partial

import pytest
import torch
from lightning.pytorch import Callback
from lightning.pytorch.loggers import CSVLogger
from torch import nn

from made_up_clock import HELD_UP, STEP_S, Slow
from models.data.dataset import Dataset, Split
from models.energy.meter import Meter
from models.optim.schedules import constant, linear
from models.training.fit import Diverged
from models.training.objective import CrossEntropy
from refusal import Refusal
from trainings import WATTS, bare, blobs, network, none_at_all, weights


@pytest.mark.parametrize("steps_per_call", [1, 7, 100])
def test_a_training_is_the_plain_loop_bit_for_bit_however_many_steps_a_call_takes(train, steps_per_call):
    fitted = train(steps_per_call=steps_per_call, val_every=9)
    net, losses, norms = bare(40)
    assert torch.equal(weights(fitted.net), weights(net))
    assert fitted.steps == 40
    assert [row["step"] for row in fitted.curve] == [9, 18, 27, 36, 40]
    assert fitted.curve[0]["train/loss"] == pytest.approx(sum(losses[:9]) / 9, rel=1e-6)
    assert fitted.curve[-1]["train/loss"] == pytest.approx(sum(losses[36:]) / 4, rel=1e-6)
    assert fitted.metrics["stability/grad_norm_max"] == pytest.approx(max(norms), rel=1e-5)
    assert fitted.metrics["stability/grad_norm_mean"] == pytest.approx(sum(norms) / 40, rel=1e-5)
    assert fitted.metrics["stability/nonfinite_steps"] == 0


def test_clipping_is_torchs(train):
    net, _, norms = bare(40, clip=0.3)
    assert max(norms) > 0.6
    fitted = train(gradient_clip_val=0.3)
    torch.testing.assert_close(weights(fitted.net), weights(net), rtol=1e-4, atol=1e-6)
    assert fitted.metrics["stability/grad_norm_max"] == pytest.approx(max(norms), rel=1e-4)


@pytest.mark.slow
@pytest.mark.parametrize("pieces", [2, 3, 32])
def test_micro_batches_give_what_the_whole_batch_gives(train, pieces):
    fitted = train(accumulate_grad_batches=pieces)
    torch.testing.assert_close(weights(fitted.net), weights(bare(40)[0]), rtol=1e-3, atol=1e-4)


@pytest.mark.slow
def test_micro_batches_weigh_by_what_is_scored(train, tmp_path):
    data = blobs()
    targets = data.train.targets.clone()
    targets[torch.rand(len(targets), generator=torch.Generator().manual_seed(1)) < 0.6] = -100
    sparse = Dataset(Split(data.train.inputs, targets), data.val, data.test, "classification", (12,), 4, 32)
    once = train(data=sparse, folder=tmp_path / "once")
    pieces = train(data=sparse, accumulate_grad_batches=4, folder=tmp_path / "pieces")
    torch.testing.assert_close(weights(pieces.net), weights(once.net), rtol=1e-3, atol=1e-4)
    assert pieces.curve[-1]["train/loss"] == pytest.approx(once.curve[-1]["train/loss"], rel=1e-4)


class Listener(Callback):
    """Counts what a callback of anybody's may want to be told."""

    def __init__(self):
        self.backwards, self.zeroed, self.before_step, self.norms = 0, 0, [], []

    def on_before_zero_grad(self, trainer, pl_module, optimizer):
        self.zeroed += 1

    def on_after_backward(self, trainer, pl_module):
        self.backwards += 1

    def on_before_optimizer_step(self, trainer, pl_module, optimizer):
        self.before_step.append(trainer.global_step)
        self.norms.append(sum(p.grad.square().sum() for p in pl_module.parameters()).sqrt().item())


def test_callbacks_that_hook_into_steps_see_every_step_and_change_nothing(train):
    listener = Listener()
    fitted = train(callbacks={"listener": listener})
    net, _, norms = bare(40)
    assert listener.before_step == list(range(40))
    assert listener.zeroed == listener.backwards == 40
    assert listener.norms == pytest.approx(norms, rel=1e-4)
    torch.testing.assert_close(weights(fitted.net), weights(net))


class EveryBatch(Callback):
    def __init__(self):
        self.steps = []

    def on_train_batch_end(self, trainer, pl_module, outputs, batch, batch_idx):
        self.steps.append(trainer.global_step)


class AtStops(EveryBatch):
    def next_stop(self, step):
        return min((stop for stop in (5, 12, 33) if stop > step), default=None)


def test_a_batch_hook_is_called_after_every_step_unless_it_names_its_stops(train, tmp_path):
    every, some = EveryBatch(), AtStops()
    train(callbacks={"every": every}, folder=tmp_path / "a")
    assert every.steps == list(range(1, 41))
    train(callbacks={"some": some}, val_every=20, folder=tmp_path / "b")
    assert some.steps == [5, 12, 20, 33, 40]


def test_a_curve_has_ten_points_and_ends_with_the_training(train):
    curve = train(steps=43).curve
    assert [row["step"] for row in curve] == [4, 8, 12, 16, 20, 24, 28, 32, 36, 40, 43]
    assert all({"second", "joule", "train/loss", "val/loss", "val/accuracy"} <= row.keys() for row in curve)
    assert curve[-1]["val/accuracy"] > 0.6 > curve[0]["val/accuracy"] - 0.3
    assert [row["second"] for row in curve] == sorted(row["second"] for row in curve)


def test_rows_go_to_the_loggers_at_the_optimizer_step(train, tmp_path):
    fitted = train(loggers=[CSVLogger(tmp_path, name="", version="csv")], val_every=10)
    with (tmp_path / "csv" / "metrics.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [float(row["step"]) for row in rows] == [10, 20, 30, 40]
    assert [float(row["val/accuracy"]) for row in rows] == [row["val/accuracy"] for row in fitted.curve]


@pytest.mark.slow
def test_energy_and_time_are_of_the_training(train, clock):
    fitted = train(steps=300, net=Slow(clock))
    metrics = fitted.metrics
    assert metrics["train/seconds"] == fitted.seconds == pytest.approx(300 * HELD_UP * STEP_S)
    assert metrics["train/energy_j"] == pytest.approx(WATTS * metrics["train/seconds"])
    assert metrics["step/energy_j"] == pytest.approx(metrics["train/energy_j"] / 300)
    assert metrics["train/steps_per_second"] == pytest.approx(300 / fitted.seconds)
    assert metrics["train/energy_standing_j"] == pytest.approx(2.0 * metrics["train/seconds"], rel=1e-6)
    both = metrics["train/energy_j"] + metrics["train/energy_standing_j"]
    assert metrics["train/co2_kg"] == pytest.approx(both / 3.6e6 * 0.475)
    assert metrics["train/peak_bytes"] >= 0
    assert metrics["train/samples_per_second"] == pytest.approx(32 * metrics["train/steps_per_second"])
    assert metrics["train/energy_j_per_sample"] == pytest.approx(metrics["step/energy_j"] / 32)
    assert fitted.energy.joules == metrics["train/energy_j"]
    assert fitted.facts["energy"]["label"] == fitted.facts["energy_method"] == "estimated"
    assert fitted.facts["energy"]["basis"] == fitted.facts["energy_basis"] == f"{WATTS} W"
    assert fitted.facts["sessions"] == 1


@pytest.mark.slow
def test_activations_are_those_of_a_micro_batch_and_fall_when_modules_are_recomputed(train, tmp_path):
    def bytes_of(name, **options):
        fitted = train(steps=2, net=deep(), folder=tmp_path / name, **options)
        return fitted.metrics["train/activation_bytes"]

    plain = bytes_of("plain")
    # 8 tanh of 32 x 64, and two gradients in passing, in float32, beside one gradient of a weight
    assert 8 * 32 * 64 * 4 < plain < 11 * 32 * 64 * 4 + 64 * 64 * 4
    assert bytes_of("pieces", accumulate_grad_batches=4) < 0.5 * plain
    assert bytes_of("recomputed", recompute=["1.*"]) < 0.8 * plain


def deep():
    torch.manual_seed(0)
    inside = [nn.Sequential(nn.Linear(64, 64), nn.Tanh(), nn.Linear(64, 64), nn.Tanh()) for _ in range(4)]
    return nn.Sequential(nn.Linear(12, 64), nn.Sequential(*inside), nn.Linear(64, 4))


def test_seconds_end_a_training_and_its_schedule(train, clock):
    rates = []

    def spying(progress):
        rates.append(progress)
        return linear(progress)

    # A step takes 0.03 s, so sixteen are too few.
    fitted = train(steps=None, seconds=0.5, net=Slow(clock), scheduler=spying)
    assert fitted.steps == 17 and fitted.seconds == pytest.approx(17 * HELD_UP * STEP_S)
    assert rates == sorted(rates) and rates[0] < 0.1 and rates[-1] > 0.9
    assert 9 <= len(fitted.curve) <= 12


def test_joules_end_a_training_and_need_a_meter_that_has_some(train, clock, tmp_path):
    # A step takes 0.03 s of 10 W, so thirteen are too few; a call of a few steps looks at the meter once.
    fitted = train(steps=None, joules=4.0, net=Slow(clock), scheduler=constant, folder=tmp_path / "a")
    assert 14 <= fitted.steps < 14 + 4
    assert fitted.metrics["train/energy_j"] == pytest.approx(fitted.steps * WATTS * HELD_UP * STEP_S)
    with pytest.raises(Refusal, match="joules"):
        train(steps=None, joules=4.0, meter=Meter(counters=none_at_all), folder=tmp_path / "b")


def test_what_no_meter_counts_is_left_out(train):
    fitted = train(meter=Meter(counters=none_at_all))
    assert not {"train/energy_j", "train/co2_kg", "step/energy_j"} & fitted.metrics.keys()
    assert all("joule" not in row for row in fitted.curve)
    assert fitted.energy.joules is None


def test_epochs_are_passes_over_the_training_split(train):
    assert train(steps=None, epochs=2).steps == round(2 * 200 / 32)


class Poisoned(nn.Module):
    """Answers NaN from one call of training on."""

    def __init__(self, call):
        super().__init__()
        self.inner, self.call, self.calls = network(), call, 0

    def forward(self, x):
        self.calls += self.training
        return self.inner(x) * (math.nan if self.calls >= self.call else 1.0)


def test_a_loss_that_is_not_finite_ends_the_training_at_its_step(train):
    with pytest.raises(Diverged, match="loss is nan at step 17"):
        train(net=Poisoned(17))


def test_an_exploding_gradient_ends_the_training_too(train):
    with pytest.raises(Diverged, match=r"diverged: the (loss|gradient)"):
        train(optimizer=partial(torch.optim.SGD, lr=1e18), steps=60)


def test_a_diverged_training_leaves_no_checkpoint_of_it(train, tmp_path):
    with pytest.raises(Diverged):
        train(net=Poisoned(3))
    assert not list((tmp_path / "trial" / "checkpoints").glob("*.ckpt"))


def test_bf16_trains_with_weights_in_float32(train):
    seen = []

    class Watch(nn.Module):
        def __init__(self):
            super().__init__()
            self.inner = network()

        def forward(self, x):
            logits = self.inner(x)
            seen.append((self.training, logits.dtype))
            return logits

    class Moment(torch.optim.SGD):
        def step(self, closure=None):
            seen.append(("step", torch.is_autocast_enabled("cpu")))
            return super().step(closure)

    fitted = train(net=Watch(), precision="bf16-mixed", optimizer=partial(Moment, lr=0.1))
    assert {(True, torch.bfloat16), (False, torch.bfloat16), ("step", False)} == set(seen)
    assert all(parameter.dtype == torch.float32 for parameter in fitted.net.parameters())
    assert fitted.curve[-1]["val/accuracy"] > 0.6


def test_a_label_smoothing_loss_is_used(train, tmp_path):
    plain = train(folder=tmp_path / "a").curve[-1]["train/loss"]
    assert train(loss=CrossEntropy(0.2), folder=tmp_path / "b").curve[-1]["train/loss"] > plain + 0.1
