"""A clock that stands still unless somebody works: a figure is then what was worked, on any machine."""

import time
from collections.abc import Iterator
from typing import Any

from own_children import children
from pytest import approx
from torch import nn

import trainings
from models.energy import cpu_time, meter
from models.energy.cpu_time import descendants
from models.energy.disturbance import Watch
from models.energy.estimate import Estimate
from models.energy.meter import Meter
from models.measure import latency
from models.training import lit, warmup
from power.processor import Processor

HELD_UP = 3.0
"""seconds that a CPU second takes: others are at work too"""
CORE_W = 4.375
"""of 280 W over 64 cores"""
STEP_S, LOOK_S = 0.01, 0.02
"""CPU seconds of `Slow`"""


class MadeUpClock:
    """Stands in for the module `time` where a trial's CPU seconds and seconds are read."""

    def __init__(self) -> None:
        self.cpu_s = self.now_s = 100.0
        self.serving = False
        """whether a child process, if there is any, works all the time"""

    def __deepcopy__(self, memo: Any) -> "MadeUpClock":
        return self

    def work(self, cpu_s: float, held_up: float = HELD_UP) -> None:
        """Let so many CPU seconds pass, and `held_up` times as many seconds."""
        self.cpu_s += cpu_s
        self.now_s += cpu_s * held_up

    def sleep(self, seconds: float) -> None:
        """Let seconds pass that nobody works in."""
        self.now_s += seconds

    def perf_counter(self) -> float:
        """As in `time`."""
        return self.now_s

    def process_time(self) -> float:
        """As in `time`."""
        return self.cpu_s

    def clock_gettime(self, clock: int) -> float:
        """The CPU seconds of a child, if it lives."""
        time.clock_gettime(clock)
        return self.now_s if self.serving else 0.0

    def rules(self, monkeypatch: Any) -> None:
        """From now on, until the test ends."""
        others = children()
        monkeypatch.setattr(cpu_time, "descendants", lambda pid: _descendants(pid, others))
        for module in (cpu_time, meter, latency, lit, warmup, trainings):
            monkeypatch.setattr(module, "time", self)


def metered(folder: Any, **settings: Any) -> Meter:
    """A meter that estimates, on a machine that tells nothing of neighbours (`folder` has no such place)."""
    rated = Processor("AMD EPYC 7763 64-Core Processor", 256, 64)
    return Meter(
        counters=lambda device: ([Estimate(rated)], {}), watch=lambda: Watch(folder / "no proc"), **settings
    )


def _descendants(pid: int | str, others: set[int]) -> Iterator[int]:
    """Those of the tests before, if there are any, work by the real clock."""
    for child in children() - others if pid == "self" else ():
        yield child
        yield from descendants(child)


class Slow(nn.Module):
    """Takes 10 ms of the clock's CPU time for a step, and 20 ms for each look at it."""

    def __init__(self, clock):
        super().__init__()
        self.inner, self.clock, self.calls = trainings.network(), clock, Calls()

    def forward(self, x):
        self.calls.append(self.training)
        self.clock.work(STEP_S if self.training else LOOK_S)
        return self.inner(x)


class Calls(list):
    """Of each call whether it was a step. Not undone where what a step leaves in the network is."""

    def __deepcopy__(self, memo):
        return self

    def warm_up_s(self, steps):
        """What steps before the clock took; one more comes after the training, to count its bytes."""
        return (self.count(True) - steps - 1) * STEP_S


def holds(metrics, window, cpu_s):
    """Whether all figures of a window are of so much work, by the made-up clock and meter."""
    expected = {"cpu_seconds": cpu_s, "seconds": HELD_UP * cpu_s, "energy_j": CORE_W * cpu_s}
    assert {name: metrics[f"{window}/{name}"] for name in expected} == approx(expected)
