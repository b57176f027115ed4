"""The pipeline: hooks act in order, fine-tuning is the trial's own training, and what it costs is counted."""

import functools

import pytest
import torch
from lightning.pytorch import Callback
from torch import nn

from models.compress.compression import Compression
from models.compress.gains import error, shortfalls, speedup
from models.pipeline import Pipeline, slowed
from refusal import Refusal
from trainings import ADAMW, network, parts, weights


class Noted(Compression):
    """Writes down when it is called."""

    def __init__(self, name: str, log: list[str], steps: int = 0) -> None:
        super().__init__()
        self.name, self.log, self.steps = name, log, steps

    def check(self, net, context):
        self.log.append(f"{self.name} check")

    def before(self, net, context):
        self.log.append(f"{self.name} before")
        return net

    def after(self, net, context):
        self.log.append(f"{self.name} after")
        self.facts["score"] = context.score(net)
        return context.finetune(net, self.steps)


def pipeline(tmp_path, steps, **changes):
    own = parts(tmp_path, **changes)
    own.pop("loggers")
    return Pipeline(steps, own.pop("net"), **own)


def test_hooks_act_in_the_order_of_the_list_and_checks_come_first(tmp_path, one_thread) -> None:
    log: list[str] = []
    made = pipeline(tmp_path, {"b": Noted("b", log), "a": Noted("a", log)})
    assert log == ["b check", "a check", "b before", "a before"]
    made.compress(made.fit([]).net)
    assert log[4:] == ["b after", "a after"] and made.context.names == ("b", "a")
    assert 0 <= made.facts()["b"]["score"] <= 1


class Drawing(Compression):
    """Looks at random answers of the network before, and acts while training only."""

    def check(self, net, context):
        net.train()(context.example).sum().backward()
        torch.rand(7)

    def callbacks(self):
        return {"nothing": Callback()}


def test_what_a_check_draws_or_leaves_changes_no_training(tmp_path, one_thread) -> None:
    nets = []
    for name, steps in (("plain", {}), ("checked", {"a": Drawing()})):
        net = network(dropout=0.5)
        nets.append(pipeline(tmp_path / name, steps, net=net).fit([]).net)
    assert torch.equal(weights(nets[0]), weights(nets[1]))


def test_what_acts_while_training_only_is_compared_with_the_trained_network(tmp_path, one_thread) -> None:
    made = pipeline(tmp_path, {"a": Drawing()})
    net = made.compress(made.fit([]).net)
    assert torch.equal(weights(made.trained), weights(net)) and made.energy is None
    assert not torch.equal(weights(made.trained), weights(made.dense))


def test_without_steps_nothing_is_copied_or_counted(tmp_path, one_thread) -> None:
    made = pipeline(tmp_path, {})
    net = made.fit([]).net
    assert made.compress(net) is net and made.energy is None and not made.reshapes


def test_fine_tuning_lowers_the_rate_and_is_counted(tmp_path, one_thread) -> None:
    made = pipeline(tmp_path, {"a": Noted("a", [], steps=30)})
    net = made.fit([]).net
    before = weights(net).clone()
    final = made.compress(net)
    (tuned,) = made.finetuned
    assert tuned.steps == 30 and not torch.equal(weights(final), before)
    assert torch.equal(weights(made.trained), before)
    assert made.energy.joules > 0 and made.energy.seconds > tuned.seconds
    # A tenth of the rate, 30 of the steps of AdamW: no weight moves further than that.
    assert (weights(final) - before).abs().max() < 30 * 0.001 * 1.5


@pytest.mark.slow
def test_a_fine_tuning_goes_on_where_a_kill_left_it(tmp_path, one_thread) -> None:
    whole = pipeline(tmp_path / "whole", {"a": Noted("a", [], steps=30)})
    expected = weights(whole.compress(whole.fit([]).net))
    first = pipeline(tmp_path, {"a": Noted("a", [], steps=30)})
    first.compress(first.fit([]).net)
    again = pipeline(tmp_path, {"a": Noted("a", [], steps=30)})
    final = again.compress(again.fit([]).net)
    assert again.finetuned[0].facts["resumed"]["step"] == 30
    assert torch.equal(weights(final), expected)


def test_every_learning_rate_is_slowed() -> None:
    made = slowed(functools.partial(dict, lr=0.1, adamw_lr=0.01, momentum=0.9), 0.5)
    assert made() == {"lr": 0.05, "adamw_lr": 0.005, "momentum": 0.9}
    assert slowed(ADAMW, 0.1)([nn.Parameter(torch.zeros(1))]).defaults["lr"] == pytest.approx(0.001)


def test_several_devices_are_refused(tmp_path) -> None:
    with pytest.raises(Refusal, match=r"trainer\.devices=1"):
        pipeline(tmp_path, {"a": Noted("a", [])}, devices=2, strategy="ddp")


@pytest.mark.slow
def test_a_smaller_network_is_seen_to_be_faster() -> None:
    wide, narrow = nn.Linear(512, 2048), nn.Linear(512, 16)
    inputs = torch.randn(256, 512)
    assert speedup(wide, narrow, inputs) > 2 > 0.5 > speedup(narrow, wide, inputs)


def test_the_error_is_of_the_largest_logit() -> None:
    net, other = network(), network()
    assert error(net, other, torch.randn(4, 12)) == 0
    with torch.no_grad():
        other[3].bias += 1.0
    inputs = torch.randn(4, 12)
    expected = (1.0 / net(inputs).abs().amax(-1)).max().item()
    assert error(net, other, inputs) == pytest.approx(expected, rel=1e-4)


def test_what_got_worse_is_said() -> None:
    good = {"compress/speedup": 2.0, "compress/speedup_single": 1.0, "compress/bytes_ratio": 0.5}
    assert shortfalls(good) == []
    bad = {"compress/speedup": 0.9, "compress/speedup_single": 0.8, "compress/bytes_ratio": 1.0}
    said = shortfalls(bad)
    assert len(said) == 3 and "0.90" in said[0] and "single" in said[1] and "no smaller" in said[2]
