"""Joules and carbon of a trial, each component by the best source that this machine lets us read.

GPU: NVML's energy counter. CPU: RAPL where it can be read, else CodeCarbon's estimate. Memory: RAPL where it
has a counter of its own, else CodeCarbon's estimate. Carbon: joules times the grid's intensity. A figure that
could not be taken is None with a note, never 0; one that is there but cannot be trusted is not `valid`.
"""

import math
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, field
from typing import Any, final

import torch

from grid import Grid, grid
from models.counter import Counter, Unreadable
from models.estimate import Estimate
from models.nvml import Nvml, uuid_of
from models.rapl import Rapl
from refusal import Refusal

_ORDER = ("nvml", "rapl", "estimated")
# How long a window must be for its joules to mean something, by its slowest counter.
_WINDOW_S = {"nvml": 2.0, "rapl": 0.2, "estimated": 0.08}


@final
@dataclass(frozen=True)
class Reading:
    """What was used since the meter started. None where a component could not be read."""

    joules: float | None
    seconds: float
    co2_kg: float | None
    components: dict[str, float]


@final
@dataclass(frozen=True)
class Energy:
    """The energy of one window, with all that a reader needs to judge it.

    `method` names the source of each component (nvml, rapl or estimated). Figures whose `label` or `hardware`
    differ are not comparable. `valid` is False, with a `note`, when the window was too short for a counter,
    counted its neighbours, saw an idle device, or lacks a component.
    """

    joules: float | None
    co2_kg: float | None
    seconds: float
    method: dict[str, str]
    valid: bool
    note: str | None
    hardware: dict[str, Any]
    sampling_s: float
    grid_g_per_kwh: float
    grid_source: str
    components: dict[str, float] = field(default_factory=dict)
    concurrent: int = 1

    @property
    def label(self) -> str:
        """How it was measured, in a word: `estimated`, `nvml+estimated`, `rapl`, or `none`."""
        return "+".join(name for name in _ORDER if name in self.method.values()) or "none"

    def facts(self) -> dict[str, Any]:
        """All of it as plain values."""
        return asdict(self) | {"label": self.label}


@final
class Window:
    """A stretch of a meter's time; `energy` is there once it has ended."""

    energy: Energy


@final
class Meter:
    """Counts one trial's joules, cumulatively since `start`.

    Args:
        country: ISO 3166 three-letter code of the grid; None is the world's average.
        grid_g_per_kwh: the grid's intensity, if better known than by its country.
        sampling_s: how often the counters are read in between, so that none wraps and idleness is seen.
        min_window_s: the shortest window worth measuring; None chooses by method (0.08 s to 2 s).
        concurrent: jobs that run on this machine at a time, this one included.
        concurrent_gpu: those of them that run on this job's GPU.
        counters: opens the counters of a device; for machines that need other ones, and for tests.

    Raises `Refusal` for values out of range or an unknown country.
    """

    def __init__(
        self,
        country: str | None = None,
        grid_g_per_kwh: float | None = None,
        sampling_s: float = 5.0,
        min_window_s: float | None = None,
        concurrent: int = 1,
        concurrent_gpu: int = 1,
        counters: Callable[[str, Grid, int], tuple[list[Counter], dict[str, str]]] | None = None,
    ) -> None:
        if (
            sampling_s <= 0
            or min(concurrent, concurrent_gpu) < 1
            or (min_window_s is not None and min_window_s < 0)
        ):
            raise Refusal(
                "meter.sampling_s must be above 0, meter.concurrent at least 1, min_window_s not negative."
            )
        self.grid = grid(country, grid_g_per_kwh)
        self.sampling_s, self.concurrent, self.concurrent_gpu = sampling_s, concurrent, concurrent_gpu
        self._min_window_s, self._open = min_window_s, counters or open_counters
        self._counters: Sequence[Counter] = ()
        self._missing: dict[str, str] = {}
        self._device, self._lock, self._ended = "cpu", threading.Lock(), threading.Event()
        self._started: float | None = None

    @property
    def started(self) -> bool:
        """Whether it counts."""
        return self._started is not None

    @property
    def window_s(self) -> float:
        """Seconds that a window should last at least, on what is being measured."""
        if self._min_window_s is not None:
            return self._min_window_s
        return max((_WINDOW_S[counter.method] for counter in self._counters), default=0.08)

    def start(self, device: str) -> None:
        """Begin at zero on a torch device such as `cpu` or `cuda:0`. 15 ms once CodeCarbon is preloaded."""
        self.stop()
        self._device = str(device)
        self._counters, self._missing = self._open(self._device, self.grid, self.concurrent)
        self._ended = threading.Event()
        self._started = time.perf_counter()
        threading.Thread(target=self._poll, args=(self._ended,), name="meter", daemon=True).start()

    def stop(self) -> None:
        """Release the counters and their threads; what was counted is gone."""
        self._ended.set()
        with self._lock:
            for counter in self._counters:
                counter.stop()
            self._counters, self._started = (), None

    def read(self, exact: bool = False) -> Reading:
        """Used since `start`; microseconds on a machine whose CPU is estimated, under 1 ms on a GPU.

        Between the estimate's samples (1 s) a reading that is not exact goes on at the last rates. Raises
        `RuntimeError` before `start`.
        """
        with self._lock:
            if self._started is None:
                raise RuntimeError("the meter was not started")
            components: dict[str, float] = {}
            for counter in self._counters:
                components |= self._components(counter, exact)
            joules = None if self._missing else sum(components.values())
            seconds = time.perf_counter() - self._started
        return Reading(joules, seconds, self._co2(joules), components)

    @contextmanager
    def window(self) -> Iterator[Window]:
        """Measure what runs inside, with the device synchronised at both ends. Start the meter before."""
        window = Window()
        before = self._edge()
        for counter in self._counters:
            counter.mark()
        yield window
        window.energy = self._energy(before, self._edge())

    def _edge(self) -> Reading:
        if self._device.startswith("cuda") and torch.cuda.is_available():
            torch.cuda.synchronize(self._device)
        return self.read(exact=True)

    def _components(self, counter: Counter, exact: bool) -> dict[str, float]:
        if any(name in self._missing for name in counter.components):
            return {}
        try:
            return counter.read(exact)
        except Unreadable as reason:
            self._missing |= dict.fromkeys(counter.components, str(reason))
            return {}

    def _poll(self, ended: threading.Event) -> None:
        while not ended.wait(self.sampling_s):
            if self.started:
                self.read(exact=True)

    def _energy(self, before: Reading, after: Reading) -> Energy:
        seconds = after.seconds - before.seconds
        used = {name: after.components[name] - before.components.get(name, 0.0) for name in after.components}
        notes = [f"no figure for {name}: {reason}" for name, reason in self._missing.items()]
        notes += [f"{name} counted {joules} J" for name, joules in used.items() if not _sound(joules)]
        joules = None if notes else sum(used.values())
        if joules == 0:
            joules, notes = None, ["nothing was counted"]
        notes += self._doubts(seconds)
        return Energy(
            joules=joules,
            co2_kg=self._co2(joules),
            seconds=seconds,
            method={name: counter.method for counter in self._counters for name in counter.components},
            valid=not notes,
            note="; ".join(notes) or None,
            hardware=self._hardware(),
            sampling_s=self.sampling_s,
            grid_g_per_kwh=self.grid.g_per_kwh,
            grid_source=self.grid.source,
            components={name: joules for name, joules in used.items() if _sound(joules)},
            concurrent=self.concurrent,
        )

    def _doubts(self, seconds: float) -> list[str]:
        found = []
        for counter in self._counters:
            if seconds < counter.tick_s:
                found.append(
                    f"{seconds:.3f} s is shorter than the {counter.tick_s} s tick of {counter.method}"
                )
            beside = (self.concurrent_gpu if "gpu" in counter.components else self.concurrent) - 1
            if counter.shared and beside:
                found.append(f"{counter.method} also counted {beside} other job(s): use launcher.jobs=1")
            found += counter.doubts(seconds)
        return found

    def _hardware(self) -> dict[str, Any]:
        found: dict[str, Any] = {"device": self._device}
        for counter in self._counters:
            found |= counter.hardware()
        return found

    def _co2(self, joules: float | None) -> float | None:
        return None if joules is None else self.grid.co2_kg(joules)


def open_counters(device: str, grid: Grid, concurrent: int) -> tuple[list[Counter], dict[str, str]]:
    """The counters for a torch device, and what has none: component -> why.

    RAPL that cannot be read is no gap but the ordinary case: then CodeCarbon estimates.
    """
    counters: list[Counter] = []
    missing: dict[str, str] = {}
    if device != "cpu":
        try:
            counters.append(_gpu(device))
        except Unreadable as reason:
            missing["gpu"] = str(reason)
    with suppress(Unreadable):
        counters.append(Rapl())
    counted = {name for counter in counters for name in counter.components}
    rest = tuple(name for name in ("cpu", "ram") if name not in counted)
    try:
        if rest:
            counters.append(Estimate(grid, rest, concurrent))
    except Unreadable as reason:
        missing |= dict.fromkeys(rest, str(reason))
    return counters, missing


def _gpu(device: str) -> Counter:
    if not device.startswith("cuda"):
        raise Unreadable(f"no energy counter is known for {device}")
    return Nvml(uuid_of(device))


def _sound(joules: float) -> bool:
    return math.isfinite(joules) and joules >= 0
