"""precision=auto: what it chooses, that it leaves no trace, and that a resumed training never switches."""

import time

import pytest
import torch
from torch import nn

from models.training.callbacks.checkpoint import Checkpoint
from models.training.precision import candidates, choose
from models.training.record import Diverged
from refusal import Refusal
from trainings import network, weights


class Slow(nn.Module):
    """Takes 20 ms more in the precision that is named."""

    def __init__(self, slow, broken=""):
        super().__init__()
        self.inner, self.slow, self.broken = network(dropout=0.3), slow, broken

    def forward(self, x):
        own = "bf16-mixed" if torch.is_autocast_enabled("cpu") else "32-true"
        if own == self.slow and self.training:
            time.sleep(0.02)
        return self.inner(x) * (float("nan") if own == self.broken else 1.0)


def step_of(net):
    x = torch.randn(8, 12, generator=torch.Generator().manual_seed(0))
    return lambda: net(x).float().square().mean()


@pytest.mark.parametrize(("slow", "chosen"), [("32-true", "bf16-mixed"), ("bf16-mixed", "32-true")])
def test_the_fastest_is_chosen_and_nothing_is_touched(slow, chosen):
    net = Slow(slow)
    before, generator = weights(net), torch.get_rng_state()
    choice = choose(net, step_of(net), "cpu")
    assert choice.precision == chosen and choice.reason.startswith(f"{chosen}, the fastest here by a step: ")
    assert choice.step_seconds[slow] > 0.02 > choice.step_seconds[chosen]
    assert torch.equal(weights(net), before) and torch.equal(torch.get_rng_state(), generator)
    assert all(weight.grad is None for weight in net.parameters())


def test_a_precision_whose_loss_is_not_finite_is_left_out():
    net = Slow("32-true", broken="bf16-mixed")
    choice = choose(net, step_of(net), "cpu")
    assert choice.precision == "32-true" and "the loss of bf16-mixed is not finite" in choice.reason


def test_a_loss_that_is_finite_in_none_ends_the_training(train):
    class Broken(nn.Module):
        def __init__(self):
            super().__init__()
            self.inner = network()

        def forward(self, x):
            return self.inner(x) * float("nan")

    with pytest.raises(Diverged, match="finite in no precision"):
        train(net=Broken(), precision="auto")


def test_fp16_is_for_gpus_and_several_devices_need_a_name(train):
    assert candidates("cpu") == ["32-true", "bf16-mixed"]
    with pytest.raises(Refusal, match="measure on one device"):
        train(precision="auto", devices=2, strategy="ddp")


@pytest.mark.parametrize(("slow", "chosen"), [("32-true", "bf16-mixed"), ("bf16-mixed", "32-true")])
def test_a_training_is_that_of_the_chosen_precision_and_pays_for_the_choice(train, tmp_path, slow, chosen):
    auto = train(steps=6, net=Slow(slow), precision="auto", folder=tmp_path / "auto")
    own = train(steps=6, net=Slow(slow), precision=chosen, folder=tmp_path / "own")
    assert auto.facts["precision"] == auto.settings.precision == chosen
    assert chosen in auto.facts["precision_reason"] and set(auto.facts["precision_step_seconds"]) == set(
        candidates("cpu")
    )
    assert "precision_reason" not in own.facts
    assert torch.equal(weights(auto.net), weights(own.net))
    # Ten slow steps that sleep for 20 ms were taken to choose, at 10 W; six quick ones take a tenth of that.
    assert auto.metrics["train/seconds"] > 0.2
    assert auto.metrics["train/energy_j"] > 2.0
    assert auto.facts["sessions"] == 1


@pytest.mark.slow
def test_a_resumed_training_keeps_its_precision_whatever_is_faster_now(train, tmp_path):
    class Cut(Exception):
        pass

    def cut(progress):
        if progress > 0.6:
            raise Cut
        return 1.0

    saving = {"checkpoint": Checkpoint(None, every_steps=5)}
    with pytest.raises(Cut):
        train(steps=20, net=Slow("32-true"), precision="auto", scheduler=cut, callbacks=saving)
    again = train(steps=20, net=Slow("bf16-mixed"), precision="auto", scheduler=lambda progress: 1.0)
    assert again.facts["resumed"]["step"] == 10 and again.facts["precision"] == "bf16-mixed"
    assert again.facts["precision_reason"] == "bf16-mixed, as the training was begun in it"
    whole = train(
        steps=20, net=Slow(""), precision="bf16-mixed", scheduler=lambda progress: 1.0, folder=tmp_path / "w"
    )
    assert torch.equal(weights(again.net), weights(whole.net))
