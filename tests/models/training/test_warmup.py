"""Steps before the clock leave no trace: a training ends bit for bit as without them."""

import random
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

import construct
from made_up_clock import MadeUpClock
from models.energy.meter import Meter
from models.optim.schedules import cosine
from models.training import fit as fitting
from models.training.budget import Budget
from models.training.clock import Clock
from models.training.fit import Fitted, fit
from models.training.objective import CrossEntropy
from models.training.settings import Settings
from models.training.warmup import STEPS
from research.space.gate import Space
from trainings import ADAMW, blobs

CONF = Path(__file__).parents[3] / "conf"
SPACE = Space(CONF, CONF / "space.yaml")
OPTIMIZERS = sorted(path.stem for path in (CONF / "optimizer").glob("*.yaml"))


class Stateful(nn.Module):
    """Has all that a step may leave behind: statistics, noise of three generators, a count, an attribute."""

    def __init__(self, width: int = 16) -> None:
        super().__init__()
        self.hidden, self.norm, self.read = nn.Linear(12, width), nn.BatchNorm1d(width), nn.Linear(width, 4)
        self.register_buffer("seen", torch.zeros((), dtype=torch.int64))
        self.calls = 0

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        if self.training:
            self.seen += len(x)
            self.calls += 1
        noise = 1.0 + 0.01 * (random.random() + float(np.random.rand())) * self.training
        return self.read(nn.functional.dropout(self.norm(self.hidden(x)).relu() * noise, 0.3, self.training))


def trained(
    folder: Path, net: nn.Module, optimizer: Any, monkeypatch: pytest.MonkeyPatch, *, warm: bool
) -> Fitted:
    with monkeypatch.context() as patched:
        if not warm:
            patched.setattr(fitting, "warm", lambda *_: {})
        torch.manual_seed(1)
        random.seed(1)
        np.random.seed(1)
        meter = Meter()
        try:
            return fit(
                net=net,
                data=blobs(),
                loss=CrossEntropy(),
                optimizer=optimizer,
                scheduler=cosine,
                settings=Settings(val_every=5),
                budget=Budget(steps=12),
                callbacks={},
                meter=meter,
                seed=0,
                folder=folder,
                loggers=[],
            )
        finally:
            meter.stop()


def same(one: nn.Module, other: nn.Module) -> bool:
    pairs = zip(one.state_dict().values(), other.state_dict().values(), strict=True)
    return all(torch.equal(left, right) for left, right in pairs)


@pytest.mark.slow
@pytest.mark.parametrize("option", OPTIMIZERS)
def test_a_training_is_the_same_to_the_last_bit(
    option: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = SPACE.resolve([f"optimizer={option}"])["optimizer"]
    torch.manual_seed(0)
    state = Stateful().state_dict()
    ends = {}
    for warm in (True, False):
        net = Stateful()
        net.load_state_dict(state)
        ends[warm] = trained(tmp_path / str(warm), net, construct.build(config), monkeypatch, warm=warm)
    assert same(ends[True].net, ends[False].net)
    assert ends[True].net.calls == ends[False].net.calls >= 12
    curves = [
        [{key: row[key] for key in ("val/loss", "train/loss")} for row in one.curve] for one in ends.values()
    ]
    assert curves[0] == curves[1]
    after = {key: ends[True].metrics[key] for key in ends[True].metrics if key.startswith("stability/")}
    assert after == {key: ends[False].metrics[key] for key in after}


@pytest.mark.parametrize(("cpu_s", "steps"), [(0.001, 1 + STEPS), (0.02, 1 + 2), (5.0, 1)])
def test_they_run_once_and_are_the_harness_s(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, clock: MadeUpClock, cpu_s: float, steps: int
) -> None:
    class Slow(nn.Linear):
        steps = 0

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            if self.training:
                Slow.steps += 1
                clock.work(cpu_s, held_up=1.0)
            return super().forward(x)

    kept: list[dict[str, Any]] = []
    load = Clock.load_state_dict
    monkeypatch.setattr(
        Clock, "load_state_dict", lambda self, state: kept.append(dict(state)) or load(self, state)
    )
    found = trained(tmp_path, Slow(12, 4), ADAMW, monkeypatch, warm=True)
    # One, as there was no such layer yet, and more until 0.03 s are over; one more, afterwards, counts the
    # bytes of a step's activations.
    assert Slow.steps == 12 + steps + 1
    (spent,) = kept
    assert spent["harness_cpu_seconds"] == pytest.approx(steps * cpu_s)
    assert spent["harness_seconds"] == pytest.approx(steps * cpu_s)
    # A look at it takes nothing by this clock.
    assert found.metrics["harness/cpu_seconds"] == pytest.approx(steps * cpu_s)
    assert found.metrics["train/cpu_seconds"] == pytest.approx(12 * cpu_s)
    assert not spent["cpu_seconds"]
