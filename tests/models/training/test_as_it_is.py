"""A training step of a person's own is run by Lightning as it is, and measured like any training."""

import time
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any

import pytest
import torch
from torch import nn

import own_nets
import train as lab
from models.data.batches import Batches
from models.data.dataset import Dataset
from models.own.network import build
from models.training.objective import TrainingObjective
from refusal import Refusal
from trainings import blobs


def module(kind: type[Any] = own_nets.Lightning, **how: Any) -> Any:
    torch.manual_seed(0)
    return kind(12, 4, **how)


def bare(net: nn.Module, steps: int, make: Callable[..., Any], rate: Callable[[int], float]) -> None:
    """The same steps as a plain loop of torch's own calls."""
    optimizer, batches = make(net.parameters()), Batches(blobs().train, 32, 0)
    usual = optimizer.param_groups[0]["lr"]
    for step in range(steps):
        optimizer.param_groups[0]["lr"] = usual * rate(step)
        inputs, targets = next(batches)
        optimizer.zero_grad()
        nn.functional.cross_entropy(net(inputs), targets).backward()
        optimizer.step()


def test_its_own_step_and_optimizer_are_what_trains_it(train: Any) -> None:
    theirs = module()
    bare(theirs, 40, partial(torch.optim.SGD, lr=0.01), lambda step: 1.0)
    fitted = train(net=module())
    assert fitted.steps == 40
    for name, value in theirs.state_dict().items():
        assert torch.allclose(fitted.net.state_dict()[name], value, atol=1e-6), name


def test_without_an_optimizer_it_has_the_trials_with_its_schedule(train: Any) -> None:
    sgd = partial(torch.optim.SGD, lr=0.1)
    theirs = module()
    bare(theirs, 40, sgd, lambda step: 1.0 - (step + 0.5) / 40)
    fitted = train(net=module(own_nets.Borrowing), optimizer=sgd, scheduler=lambda share: 1.0 - share)
    for name, value in theirs.state_dict().items():
        assert torch.allclose(fitted.net.state_dict()[name], value, atol=1e-6), name


def test_a_schedule_goes_by_the_seconds_of_the_budget_too(train: Any, clock: Any) -> None:
    rates: list[float] = []

    class Watched(own_nets.Borrowing):
        def training_step(self, batch: tuple[torch.Tensor, torch.Tensor], batch_idx: int) -> torch.Tensor:
            rates.append(self.optimizers().param_groups[0]["lr"])
            clock.work(0.01, held_up=1.0)
            return super().training_step(batch, batch_idx)

    sgd = partial(torch.optim.SGD, lr=0.1)
    train(None, net=module(Watched), optimizer=sgd, scheduler=lambda share: 1.0 - share, seconds=0.1)
    assert rates[0] == 0.1 and rates == sorted(rates, reverse=True) and rates[-1] < 0.06


def test_averaged_weights_of_its_optimizer_are_scored_and_stay(train: Any) -> None:
    from models.optim.schedule_free import ScheduleFreeAdamW

    make = partial(ScheduleFreeAdamW, lr=0.05)
    theirs, batches = module(), Batches(blobs().train, 32, 0)
    optimizer = make(theirs.parameters())
    for _ in range(20):
        inputs, targets = next(batches)
        optimizer.zero_grad()
        nn.functional.cross_entropy(theirs(inputs), targets).backward()
        optimizer.step()
    optimizer.eval()
    fitted = train(20, net=module(own_nets.Borrowing), optimizer=make, scheduler=lambda share: 1.0)
    for name, value in theirs.state_dict().items():
        assert torch.allclose(fitted.net.state_dict()[name], value, atol=1e-5), name
    held = blobs().val
    loss = nn.functional.cross_entropy(theirs(held.inputs), held.targets)
    assert fitted.curve[-1]["val/loss"] == pytest.approx(loss.item(), abs=1e-5)


def test_an_optimizer_that_wants_a_curvature_is_refused_for_its_step(train: Any) -> None:
    from models.optim.sophia import Sophia

    with pytest.raises(Refusal, match="nobody takes the curvature that Sophia wants"):
        train(net=module(own_nets.Borrowing), optimizer=partial(Sophia, lr=0.01))


class Normalised(own_nets.Lightning):
    """Keeps what it was given, and has a normalisation that is held."""

    def __init__(self) -> None:
        super().__init__(12, 4)
        self.norm, self.given = nn.BatchNorm1d(12).requires_grad_(False), list[torch.Tensor]()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return super().forward(self.norm(x))

    def training_step(self, batch: tuple[torch.Tensor, torch.Tensor], batch_idx: int) -> torch.Tensor:
        self.given.append(batch[1])
        return nn.functional.cross_entropy(self(batch[0]), batch[1])


def test_its_batches_are_changed_as_asked_and_what_is_held_rests(train: Any) -> None:
    net = Normalised()
    train(4, net=net, data=replace(blobs(), augment=("mixup",)))
    mixed = net.given[0]
    assert (
        mixed.shape == (32, 4)
        and torch.allclose(mixed.sum(1), torch.ones(32))
        and mixed.max(1).values.min() < 1
    )
    assert net.norm.num_batches_tracked == 0 and torch.equal(net.norm.running_mean, torch.zeros(12))
    assert net.net.training


def test_it_is_measured_like_any_training(train: Any) -> None:
    began = time.monotonic()
    fitted = train(net=module())
    whole_s = time.monotonic() - began
    figures = fitted.metrics
    assert figures.keys() >= {"train/seconds", "train/cpu_seconds", "train/energy_j", "harness/seconds"}
    # Of 10 W. No more of it can be asked: a busy machine may hold it up between counter and clock.
    assert 0 < figures["train/energy_j"] <= 10 * whole_s - figures["harness/energy_j"]
    assert figures["train/steps_per_second"] == pytest.approx(40 / figures["train/seconds"])
    assert [row["step"] for row in fitted.curve] == list(range(4, 41, 4))
    assert {"train/loss", "val/accuracy", "val/loss"} <= fitted.curve[-1].keys()
    (note,) = fitted.facts["notes"]
    assert "run as it is" in note and "begins anew" in note
    assert fitted.net.epochs == 7 and fitted.net._trainer is None


def test_its_own_step_has_columns_as_its_forward_pass_has_them(train: Any) -> None:
    table = blobs()
    train_part, val, test = (
        replace(part, inputs=part.inputs[..., None]) for part in (table.train, table.val, table.test)
    )
    theirs = module()
    bare(theirs, 40, partial(torch.optim.SGD, lr=0.01), lambda step: 1.0)
    torch.manual_seed(0)
    net = build(own_nets.OfColumns, shape=(12, 1), classes=4, task="classification")
    fitted = train(net=net, data=Dataset(train_part, val, test, "classification", (12, 1), 4, 32))
    for name, value in theirs.state_dict().items():
        assert torch.allclose(fitted.net.state_dict()[name], value, atol=1e-6), name


def test_a_budget_of_seconds_and_a_target_end_it(train: Any) -> None:
    assert train(steps=None, seconds=0.05, net=module()).steps > 1
    ended = train(steps=400, target="val/accuracy >= 0.4", net=module(lr=0.1))
    assert ended.steps < 400 and ended.curve[-1]["val/accuracy"] >= 0.4


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"accumulate_grad_batches": 2}, "cuts no batch and clips no gradient"),
        ({"gradient_clip_val": 1.0}, "cuts no batch and clips no gradient"),
        ({"precision": "auto"}, r"a trainer\.precision by its name"),
        ({"ckpt_path": "x"}, "which ckpt_path cannot go on"),
        ({"callbacks": {"gradual": None}}, "in which gradual can have no part"),
        ({"loss": TrainingObjective(lambda x, logits, y: logits.sum())}, "a distillation can have no part"),
    ],
)
def test_what_only_the_labs_own_step_has_is_refused(train: Any, changes: dict[str, Any], said: str) -> None:
    with pytest.raises(Refusal, match=said):
        train(net=module(), **changes)


@pytest.mark.slow
def test_a_trial_of_one_has_all_figures(resolve: Callable[..., Any]) -> None:
    lab.construct.trust({}, ["model.target=own_nets.Lightning"])
    config = resolve("model=own", "model.target=own_nets.Lightning", "model.args.lr=0.1", "budget.steps=60")
    answer = lab.trial(config, overrides=[])
    figures = answer["metrics"]
    assert figures["test/accuracy"] > 0.5 and figures["infer/latency_s_p50"] > 0
    assert figures["compute/flops_train"] == 2 * 2 * 64 * 10
    assert any("run as it is" in note for note in answer["facts"]["notes"])
