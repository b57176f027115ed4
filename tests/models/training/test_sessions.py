"""A training's figures over all its sessions, and those of one that ends before its budget."""

from functools import partial

import pytest
import torch
from pytest import approx

import pulse
from made_up_clock import HELD_UP, LOOK_S, STEP_S, Slow, holds, metered
from models.training.callbacks.halving import HalvingStop, Stopped
from models.training.checkpoint import OURS
from models.training.fit import Diverged, fit
from trainings import parts


def test_sessions_add_up_all_their_figures(tmp_path, one_thread, clock):
    net = Slow(clock)
    options = {"net": net, "val_every": 4, "meter": metered(tmp_path)}
    first = fit(**parts(tmp_path, 4, **options)).metrics
    warm_up_s = net.calls.warm_up_s(4)
    again = fit(**parts(tmp_path, 12, **options)).metrics
    holds(first, "train", 4 * STEP_S)
    holds(first, "harness", warm_up_s + LOOK_S)
    holds(again, "train", 12 * STEP_S)
    holds(again, "harness", warm_up_s + 3 * LOOK_S)
    standing = again["train/energy_standing_j"] / first["train/energy_standing_j"]
    assert standing == approx(3.0)


def older(path):
    """A checkpoint as it was before CPU seconds were counted."""
    saved = torch.load(path, weights_only=True)
    saved[OURS]["clock"] = {"seconds": 3.0, "joules": 40.0, "co2_kg": 1e-5, "sessions": 1}
    # Where no manifest lists it, as after a copy by hand.
    other = path.parents[2] / path.name
    torch.save(saved, other)
    return other


def test_an_older_checkpoint_goes_on_without_the_joules_of_its_meter(tmp_path, one_thread, clock):
    net = Slow(clock)
    fit(**parts(tmp_path, 4, net=net, val_every=4))
    path = older(tmp_path / "trial" / "checkpoints" / "step_4.ckpt")
    resumed = fit(**parts(tmp_path, 12, net=net, val_every=4, folder=tmp_path / "other", ckpt_path=path))
    assert resumed.steps == 12 and resumed.seconds == approx(3.0 + HELD_UP * 8 * STEP_S)
    assert not {"train/energy_j", "train/cpu_seconds", "train/co2_kg"} & resumed.metrics.keys()
    assert "older meter" in resumed.energy.note and resumed.energy.joules is None


@pytest.mark.parametrize("kind", [Stopped, Diverged])
def test_a_training_that_ends_early_tells_all_it_used(train, clock, tmp_path, kind):
    changes = {"callbacks": {"h": HalvingStop(bars={0.25: 2.0})}} if kind is Stopped else {}
    if kind is Diverged:
        changes = {"optimizer": partial(torch.optim.SGD, lr=1e18), "callbacks": {}}
    net = Slow(clock)
    with pytest.raises(kind) as ended:
        train(steps=16, net=net, val_every=4, meter=metered(tmp_path), **changes)
    spent = ended.value.spent
    assert spent["train/cpu_seconds"] >= STEP_S and 0 < spent["share"] <= 1
    assert spent["train/energy_j"] > 0 and spent["train/seconds"] > 0
    if kind is Stopped:
        # A point of the curve is judged at the next stop; no step was counted after it.
        holds(spent, "train", 8 * STEP_S)
        holds(spent, "harness", (net.calls.count(True) - 8) * STEP_S + LOOK_S)


class Broken(Slow):
    """Has no memory left at its fortieth step, with those before the clock."""

    def forward(self, x):
        answer = super().forward(x)
        if self.training and self.calls.count(True) == 40:
            raise MemoryError
        return answer


def test_a_training_that_an_error_ends_leaves_all_it_used_where_its_attempt_is_booked(train, clock, tmp_path):
    net, begun = Broken(clock), list[int]()
    heard = pulse.heard(lambda step: begun.append(net.calls.count(True)))  # its first sign: no step yet
    with pulse.spending(tmp_path, "mine"), heard, pytest.raises(MemoryError):
        train(steps=64, net=net, meter=metered(tmp_path))
    assert 0 < begun[0] < 40
    holds(pulse.left(tmp_path, "mine"), "train", (40 - begun[0]) * STEP_S)
