"""Every option under conf/optimizer and conf/scheduler, as it is, through the engine that trains."""

import math
from functools import partial
from pathlib import Path

import pytest
import torch
import yaml
from hydra.utils import get_object
from torch import nn

from cases import each
from models.data import digits
from models.nets.mlp import MLP
from models.optim.footprint import state_bytes
from models.optim.groups import optimizer_for
from models.training.callbacks.checkpoint import Checkpoint
from models.training.evaluate import evaluate
from models.training.fit import fit
from trainings import parts, weights

CONF = Path(__file__).parents[3] / "conf"
OPTIMIZERS = sorted(path.stem for path in (CONF / "optimizer").glob("*.yaml"))
SCHEDULERS = sorted(path.stem for path in (CONF / "scheduler").glob("*.yaml"))
DECAYING = [name for name in OPTIMIZERS if name not in ("adam", "adafactor")]


def option(group, name):
    values = yaml.safe_load((CONF / group / f"{name}.yaml").read_text())
    target = get_object(values.pop("_target_"))
    assert values.pop("_partial_")
    return partial(target, **values)


@pytest.fixture(scope="module")
def images():
    return digits.load(batch_size=64)


def network(images):
    torch.manual_seed(1)
    return MLP(images.shape, images.classes, width=24, dropout=0.1)


def trained(tmp_path, images, optimizer, steps=40, **changes):
    changes = {
        "net": network(images),
        "data": images,
        "optimizer": option("optimizer", optimizer),
        "val_every": 20,
        "callbacks": {"checkpoint": Checkpoint(None, every_steps=21)},
        **changes,
    }
    return fit(**parts(tmp_path, steps, **changes))


def everything(path):
    """Weights and optimizer states of a checkpoint, in order."""
    saved = torch.load(path, weights_only=True)
    states = saved["optimizer_states"][0]["state"]
    return [*saved["state_dict"].values(), *leaves(states)]


def leaves(value):
    if isinstance(value, dict):
        return [leaf for item in value.values() for leaf in leaves(item)]
    if isinstance(value, list | tuple):
        return [leaf for item in value for leaf in leaves(item)]
    return [torch.as_tensor(value)]


@pytest.mark.slow
@pytest.mark.parametrize("name", OPTIMIZERS)
def test_an_optimizer_lowers_the_loss_and_resumes_as_if_never_stopped(name, images, tmp_path, one_thread):
    net = network(images)
    before, _ = evaluate(net, images.val, "classification", 500, 10)
    whole = trained(tmp_path, images, name, net=net, folder=tmp_path / "whole")
    after, _ = evaluate(whole.net, images.val, "classification", 500, 10)
    assert after["loss"] < 0.9 * before["loss"] and after["accuracy"] > before["accuracy"]
    assert after["loss"] == pytest.approx(whole.curve[-1]["val/loss"]), (
        "what was validated is what is returned"
    )
    named = tmp_path / "whole" / "checkpoints" / "step_21.ckpt"
    resumed = trained(tmp_path, images, name, folder=tmp_path / "resumed", ckpt_path=named)
    assert resumed.facts["resumed"]["step"] == 21
    assert torch.equal(weights(whole.net), weights(resumed.net))
    ends = [everything(tmp_path / way / "checkpoints" / "step_40.ckpt") for way in ("whole", "resumed")]
    assert len(ends[0]) == len(ends[1]) > 4
    assert all(torch.equal(left, right) for left, right in zip(*ends, strict=True))


@pytest.mark.slow
@pytest.mark.parametrize("name", OPTIMIZERS)
def test_under_bf16_and_clipping_weights_and_states_stay_float32(name, images, tmp_path, one_thread):
    fitted = trained(tmp_path, images, name, steps=2, precision="bf16-mixed", gradient_clip_val=0.5)
    kept = everything(tmp_path / "trial" / "checkpoints" / "step_2.ckpt")
    assert {tensor.dtype for tensor in kept if tensor.dim()} == {torch.float32}
    assert math.isfinite(fitted.curve[-1]["val/loss"])


@pytest.mark.parametrize("name", DECAYING)
def test_only_matrices_decay(name):
    net = nn.Sequential(nn.Linear(6, 5), nn.LayerNorm(5), nn.Linear(5, 5), nn.ReLU(), nn.Linear(5, 3))
    make = option("optimizer", name)
    optimizer = optimizer_for(partial(make.func, **{**make.keywords, "weight_decay": 0.3}), net)
    for group in optimizer.param_groups:
        assert group["initial_lr"] == group["lr"] > 0
        for parameter in group["params"]:
            assert group["weight_decay"] == (0.3 if parameter.ndim >= 2 else 0.0)
    assert sum(len(group["params"]) for group in optimizer.param_groups) == len(list(net.parameters()))


def test_state_bytes_are_what_each_optimizer_is_chosen_for():
    found = {}
    for name in OPTIMIZERS:
        net = nn.Sequential(nn.Linear(64, 64), nn.ReLU(), nn.Linear(64, 64), nn.ReLU(), nn.Linear(64, 8))
        optimizer = optimizer_for(option("optimizer", name), net)
        assert state_bytes(optimizer) == 0
        x = torch.randn(16, 64)
        if hasattr(optimizer, "curvature"):
            optimizer.curvature(lambda net=net, x=x: net(x))
        net(x).square().mean().backward()
        optimizer.step()
        found[name] = state_bytes(optimizer)
    weight_bytes = 4 * (2 * (64 * 64 + 64) + 64 * 8 + 8)
    assert found["adamw"] == found["adam"] == 2 * weight_bytes + 6 * 4, "two states and a count of steps"
    assert found["sgd"] == found["lion"] == weight_bytes
    assert found["sophia"] == found["schedulefree"] == 2 * weight_bytes
    assert found["adafactor"] < 0.1 * weight_bytes
    assert weight_bytes < found["muon"] < 1.2 * weight_bytes
    assert found["soap"] > 2 * found["adamw"]


@each("name", SCHEDULERS)
@each("warmup", [None, 0.01, 0.3, 0.5])
def test_a_schedule_lies_between_0_and_1_and_does_not_jump(name, warmup):
    schedule, ahead = option("scheduler", name), 1e-6
    schedule = schedule if warmup is None else partial(schedule, warmup=warmup)
    for place in range(1001):
        here, there = schedule(place / 1000), schedule(min(1.0, place / 1000 + ahead))
        assert 0.0 <= here <= 1.0 + 1e-12
        # A fifth of the training is the shortest decay by a root, whose slope has no bound where it begins.
        assert abs(here - there) <= 100 * ahead + math.sqrt(ahead / 0.2) + 1e-9


@pytest.mark.parametrize("name", SCHEDULERS)
def test_a_schedule_ends_where_it_says(name):
    schedule = option("scheduler", name)
    ends = {"constant": 1.0, "rsqrt": math.sqrt(schedule.keywords["warmup"])}
    assert schedule(1.0) == pytest.approx(ends.get(name, schedule.keywords.get("floor")), abs=1e-9)
    assert max(schedule(step / 1000) for step in range(1001)) == pytest.approx(1.0)
