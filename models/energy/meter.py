"""What a stretch of a trial used: seconds, CPU seconds, joules and carbon, and whether others disturbed it.

GPU: NVML's energy counter. CPU and memory: RAPL where it can be read, by share of CPU time; else CPU seconds
times the watts of a busy core. Beside them, in no claim, what the machine draws whether anything runs or
not. Carbon: both times the grid's intensity. What could not be taken is None with a note, never 0; what is
there but cannot be trusted is not `valid`.
"""

import math
import threading
import time
from collections import ChainMap
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import Any, final

import torch

from models.energy import codecarbon_total
from models.energy.counter import Counter, Unreadable
from models.energy.cpu_time import CpuTime
from models.energy.disturbance import Watch, disturbed
from models.energy.figures import Energy, Reading, Tally, Window
from models.energy.sources import open_counters
from power.grid import grid
from power.processor import processor
from refusal import Refusal

# How long a window of inference should be, by its slowest counter.
_WINDOW_S = {"nvml": 2.0, "rapl": 0.2, "estimated": 0.04}


@final
class Meter:
    """Counts what one trial uses, cumulatively since `start`, and apart from it what is aside.

    Args:
        country: ISO 3166 three-letter code of the grid; None is the world's average.
        grid_g_per_kwh: the grid's intensity, if better known than by its country.
        sampling_s: how often counters are read in between, so that none wraps and idleness is seen.
        min_window_s: the shortest window of inference; None chooses by method (0.04 s to 2 s).
        concurrent: jobs that run on this machine at a time, this one included; they share the standing draw.
        concurrent_gpu: those of them that run on this job's GPU, whose counter cannot tell them apart.
        counters, watch: open the counters of a device, and see disturbances; for other machines, and tests.

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
        counters: Callable[[str], tuple[list[Counter], dict[str, str]]] | None = None,
        watch: Callable[[], Watch] = Watch,
    ) -> None:
        if (
            sampling_s <= 0
            or min(concurrent, concurrent_gpu) < 1
            or (min_window_s is not None and min_window_s < 0)
        ):
            raise Refusal(
                "meter.sampling_s must be above 0, concurrent at least 1, min_window_s not negative."
            )
        self.grid = grid(country, grid_g_per_kwh)
        self.sampling_s, self.concurrent, self.concurrent_gpu = sampling_s, concurrent, concurrent_gpu
        self._min_window_s, self._open, self._make_watch = min_window_s, counters or open_counters, watch
        self._counters: Sequence[Counter] = ()
        self._missing: dict[str, str] = {}
        self._device, self._lock, self._ended = "cpu", threading.Lock(), threading.Event()
        self._started: float | None = None
        self._aside, self._watched, self._zero = Tally(), dict[str, float](), Tally()
        self._since: Tally | None = None
        self.serving: set[int] = set()
        """children that serve the loggers, known before the start: their CPU seconds are aside"""

    @property
    def started(self) -> bool:
        """Whether it counts."""
        return self._started is not None

    @property
    def window_s(self) -> float:
        """Seconds that a window of inference should last at least, on what is being measured."""
        if self._min_window_s is not None:
            return self._min_window_s
        return max((_WINDOW_S[counter.method] for counter in self._counters), default=0.04)

    def start(self, device: str) -> None:
        """Begin at zero on a torch device such as `cpu` or `cuda:0`. A millisecond without a GPU."""
        self.stop()
        self._device = str(device)
        self._counters, self._missing = self._open(self._device)
        self._ended, self._cpu, self._watch = threading.Event(), CpuTime(self.serving), self._make_watch()
        self._aside, self._since, self._watched, self._zero = Tally(), None, {}, Tally()
        self._started = time.perf_counter()
        self._zero = replace(self._now(fresh=True, counters=False), seconds=0.0)
        if any(counter.method != "estimated" for counter in self._counters):
            threading.Thread(target=self._poll, args=(self._ended,), name="meter", daemon=True).start()

    def stop(self) -> None:
        """Release the counters and their thread; what was counted is gone."""
        self._ended.set()
        with self._lock:
            for counter in self._counters:
                counter.stop()
            self._counters, self._started = (), None

    def read(self, exact: bool = False) -> Reading:
        """Used since `start`, but for what was aside; 10 us where the CPU is estimated, 1 ms on a GPU.

        `exact` looks for new children and at the whole machine's CPU time too, by which RAPL is shared out.
        Raises `RuntimeError` before `start`.
        """
        return self.figures(self.tallies(exact)[0])

    def seconds(self, aside: bool = False) -> float:
        """Since `start`, of what is not aside or of what is, without a look at any counter."""
        if self._started is None:
            raise RuntimeError("the meter was not started")
        now, since = time.perf_counter() - self._started, self._since
        beside = self._aside.seconds + (0.0 if since is None else now - since.seconds)
        return beside if aside else now - beside

    def tallies(self, exact: bool = False) -> tuple[Tally, Tally]:
        """The raw figures since `start`: of what was not aside, and of what was."""
        with self._lock:
            now = self._now(exact)
            kept = self._kept(now)
            return kept, now - kept

    def figures(self, used: Tally) -> Reading:
        """What a stretch comes to, without a judgement of whether it can be trusted."""
        components: dict[str, float] = {}
        for counter in self._counters:
            if not any(name in self._missing for name in counter.components):
                components |= counter.own(used)
        joules = None if self._missing else sum(components.values())
        standing = sum(counter.standing_w for counter in self._counters) * used.seconds / self.concurrent
        # CodeCarbon's own arithmetic for CPU and memory, and the GPU's counter.
        gpu = components.get("gpu", 0.0)
        codecarbon = codecarbon_total.joules(used.seconds, used.cpu_s, processor())
        return Reading(
            joules=joules,
            seconds=used.seconds,
            cpu_seconds=used.cpu_s,
            standing_j=standing,
            codecarbon_j=codecarbon + (gpu if _sound(gpu) else 0.0),
            co2_kg=None if joules is None else self.grid.co2_kg(joules + standing),
            components=components,
        )

    def pause(self) -> None:
        """What follows is aside, until `resume`. 5 us, so looks at nothing but clocks and counters."""
        with self._lock:
            if self.started and self._since is None:
                self._since = self._now()

    def resume(self) -> None:
        """What follows counts again."""
        with self._lock:
            if self._since is not None:
                self._aside, self._since = self._aside + (self._now() - self._since), None

    @contextmanager
    def aside(self) -> Iterator[None]:
        """What runs inside is aside, whether the meter is paused or not; disturbances are told apart too."""
        if not self.started:
            yield
            return
        paused = self._since is not None
        self.pause()
        with self._lock:
            # What was watched since the last look is not aside: one looks more seldom than at the clock.
            last, now = self._now(counters=False), self._now(fresh=True, counters=False)
            assert self._since is not None
            self._since += Tally(watched=(now - last).watched)
        try:
            yield
        finally:
            with self._lock:
                self._now(fresh=True, counters=False)
            if not paused:
                self.resume()

    @contextmanager
    def window(self) -> Iterator[Window]:
        """Measure what runs inside, with the device synchronised at both ends. Start the meter before."""
        window = Window()
        for counter in self._counters:
            counter.mark()
        with self._lock:
            # A look around takes longer than the shortest windows: they begin after it.
            self._now(fresh=True, counters=False)
        before = self._edge(fresh=False)
        yield window
        after = self._edge(fresh=True)
        window.tally, window.aside_tally = after[0] - before[0], after[1] - before[1]
        window.energy = self.energy(window.tally)

    def energy(self, used: Tally) -> Energy:
        """The figures of a window, or of several whose tallies were added, the last of which ends now."""
        read = self.figures(used)
        notes = [f"no figure for {name}: {reason}" for name, reason in self._missing.items()]
        sound = {name: joules for name, joules in read.components.items() if _sound(joules)}
        notes += [f"{name} counted {read.components[name]} J" for name in read.components.keys() - sound]
        joules = None if notes else read.joules
        if joules == 0:
            joules, notes = None, ["nothing was counted"]
        notes += self._doubts(used.seconds)
        return Energy(
            joules=joules,
            co2_kg=None if joules is None else read.co2_kg,
            seconds=used.seconds,
            method={name: counter.method for counter in self._counters for name in counter.components},
            valid=not notes,
            note="; ".join(notes) or None,
            hardware=self._hardware(),
            sampling_s=self.sampling_s,
            grid_g_per_kwh=self.grid.g_per_kwh,
            grid_source=self.grid.source,
            components=sound,
            concurrent=self.concurrent,
            cpu_seconds=used.cpu_s,
            standing_j=read.standing_j,
            codecarbon_j=read.codecarbon_j,
            basis=" + ".join(counter.basis for counter in self._counters),
            disturbed=disturbed(used.watched),
            watched=used.watched,
        )

    def _edge(self, fresh: bool) -> tuple[Tally, Tally]:
        if self._device.startswith("cuda") and torch.cuda.is_available():
            torch.cuda.synchronize(self._device)
        return self.tallies(fresh)

    def _now(self, fresh: bool = False, counters: bool = True) -> Tally:
        """Everything since `start`, asides included."""
        if self._started is None:
            raise RuntimeError("the meter was not started")
        seconds = time.perf_counter() - self._started
        cpu_s, served_s = self._cpu.read(fresh), self._cpu.served()
        counted: dict[str, float] = {}
        for counter in self._counters if counters else ():
            counted |= self._counted(counter, fresh)
        if fresh:
            self._watched = self._watch.read(self._cpu.children) | {
                "cpu": cpu_s - served_s,
                "seconds": seconds,
            }
        return Tally(seconds, cpu_s, served_s, counted, self._watched) - self._zero

    def _kept(self, now: Tally) -> Tally:
        aside = self._aside if self._since is None else self._aside + (now - self._since)
        kept = now - aside
        # What serves the loggers works at any time; what it did while the meter was paused is off already.
        return replace(kept, cpu_s=kept.cpu_s - kept.served_s)

    def _counted(self, counter: Counter, exact: bool) -> dict[str, float]:
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
        here = processor()
        own = [counter.hardware() for counter in self._counters]
        return dict(ChainMap({"device": self._device, "cpu": here.model, "cpu_count": here.cpus}, *own))


def _sound(joules: float) -> bool:
    return math.isfinite(joules) and joules >= 0
