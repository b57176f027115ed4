"""CodeCarbon's estimate of what the CPU and the memory use, for machines whose counters cannot be read.

CodeCarbon's offline tracker runs in process mode: the CPU's rated power times the share of its time that this
process took, so that of several trials at once each is charged for its own work (machine mode would charge
every one for all). Memory in process mode is at least 10 W for every process; here its sum over the declared
concurrent jobs is held to CodeCarbon's figure for the whole machine. It is arithmetic on CPU time and wall
time, not a measurement: errors of 40 % are reported on real hardware.
"""

import logging
import time
from importlib.metadata import version
from typing import Any, final

from grid import Grid
from models.counter import Unreadable

# CodeCarbon measures by itself in a thread that shares no lock with `flush`: the two can count an interval
# twice. With an interval that never ends only our readings measure.
_NEVER_S = 365 * 86400.0
# `flush` measures anew only when the last measurement is older than this.
_STALE_S = 0.05
# A flush walks /proc (3 ms here): between two of them, readings go on from the last.
_FRESH_S = 1.0
_J_PER_KWH = 3.6e6


@final
class Estimate:
    """Cumulative joules of CPU and memory by CodeCarbon's `OfflineEmissionsTracker`.

    A reading within a second of the last one goes on from it: CPU by this process's CPU time, memory by wall
    time. An exact reading asks the tracker. Raises `Unreadable` when the tracker gives no figure.
    """

    method = "estimated"
    tick_s = _STALE_S
    shared = False

    def __init__(self, grid: Grid, components: tuple[str, ...] = ("cpu", "ram"), concurrent: int = 1) -> None:
        self.components = components
        try:
            self._sink, self._tracker = _tracker(grid)
            self._tracker.start()
            self._found = self._tracker.get_detected_hardware()
            self._ram_cap_w = _machine_ram_watts() / concurrent
        except Exception as error:
            raise Unreadable(f"CodeCarbon failed: {error!r}") from error
        self._opened = self._sampled = time.perf_counter()
        self._opened_cpu = self._sampled_cpu = time.process_time()
        self._joules = {"cpu": 0.0, "ram": 0.0}
        self._last = dict.fromkeys(components, 0.0)
        self._flush()

    def read(self, exact: bool) -> dict[str, float]:
        """Joules since the start, never fewer than at the last reading. Costs 3 ms if exact, else 5 us."""
        age = time.perf_counter() - self._sampled
        if age >= (_FRESH_S if any(self._joules.values()) and not exact else _STALE_S):
            self._sample()
        now = self._extrapolated()
        self._last = {name: max(self._last[name], now[name]) for name in self.components}
        return dict(self._last)

    def mark(self) -> None:
        """Nothing is observed beside the joules."""

    def doubts(self, seconds: float) -> list[str]:
        """None that the word `estimated` does not say."""
        return []

    def hardware(self) -> dict[str, Any]:
        """CPU model, cores and memory, as CodeCarbon detected them."""
        return {
            "cpu": self._found.get("cpu_model"),
            "cpu_count": self._found.get("cpu_count"),
            "ram_gb": round(self._found.get("ram_total_size") or 0.0, 2),
            "estimator": f"CodeCarbon {version('codecarbon')}, process mode",
        }

    def stop(self) -> None:
        """End the tracker's threads."""
        self._tracker.stop()

    def _flush(self) -> Any:
        # The tracker swallows its exceptions; only what reaches the sink tells that it works.
        self._sink.total = None
        self._tracker.flush()
        if self._sink.total is None:
            raise Unreadable("CodeCarbon's tracker gave no figure")
        return self._sink.total

    def _sample(self) -> None:
        total = self._flush()
        now, cpu_now = time.perf_counter(), time.process_time()
        measured = {"cpu": total.cpu_energy * _J_PER_KWH, "ram": total.ram_energy * _J_PER_KWH}
        moved = {name for name in measured if measured[name] > self._joules[name]}
        # A component that stands still while time and work go on is one that CodeCarbon cannot see.
        if now - self._sampled > _FRESH_S:
            still = {"ram"} | ({"cpu"} if cpu_now - self._sampled_cpu > _FRESH_S / 2 else set())
            if lost := sorted(still & set(self.components) - moved):
                raise Unreadable(f"CodeCarbon counted nothing for {' and '.join(lost)}")
        if moved:
            self._joules, self._sampled, self._sampled_cpu = measured, now, cpu_now

    def _extrapolated(self) -> dict[str, float]:
        elapsed, worked = self._sampled - self._opened, self._sampled_cpu - self._opened_cpu
        cpu_since, since = time.process_time() - self._sampled_cpu, time.perf_counter() - self._sampled
        cpu, ram = self._joules["cpu"], self._joules["ram"]
        cpu += cpu / worked * cpu_since if worked > 0 else 0.0
        ram += ram / elapsed * since if elapsed > 0 else 0.0
        return {"cpu": cpu, "ram": min(ram, self._ram_cap_w * (elapsed + since))}


def preload() -> None:
    """Detect the hardware and load CodeCarbon's tables, once for all processes forked from this one.

    The first tracker of a process costs 2 to 4 s (pandas, the CPU's rated power by name, requests), one after
    this 15 ms. It starts no thread that would outlive it.
    """
    import codecarbon.core.emissions
    import codecarbon.external.geography  # noqa: F401

    from grid import grid

    _tracker(grid())[1].get_detected_hardware()


def _tracker(grid: Grid) -> tuple[Any, Any]:
    """A sink for the figures and a tracker that fills it, deaf to configuration files and the network."""
    logging.getLogger("codecarbon").setLevel(logging.CRITICAL)
    from codecarbon import OfflineEmissionsTracker
    from codecarbon.output_methods.base_output import BaseOutput

    @final
    class Sink(BaseOutput):
        total: Any = None

        def out(self, total: Any, delta: Any) -> None:
            self.total = total

    sink = Sink()
    # Each setting that a user's ~/.codecarbon.config or CODECARBON_* could turn into an upload, a file or
    # another figure is given here; the token is empty and not None, which would look the old name up.
    tracker = OfflineEmissionsTracker(
        country_iso_code=grid.country,
        force_carbon_intensity_g_co2e_kwh=grid.g_per_kwh,
        region=None,
        cloud_provider=None,
        cloud_region=None,
        electricitymaps_api_token="",
        emissions_endpoint=None,
        output_methods=[],
        output_handlers=[sink],
        output_dir=".",
        api_call_interval=-1,
        measure_power_secs=_NEVER_S,
        tracking_mode="process",
        log_level="critical",
        logger_preamble="",
        force_cpu_power=None,
        force_ram_power=None,
        force_mode_cpu_load=False,
        pue=1.0,
        wue=0.0,
        allow_multiple_runs=True,
    )
    return sink, tracker


def _machine_ram_watts() -> float:
    from codecarbon.external.ram import RAM

    return float(RAM(tracking_mode="machine").total_power().W)
