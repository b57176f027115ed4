"""Energy of CPU packages and memory by the RAPL counters of Intel and AMD, through Linux's powercap.

The counters know of no processes. What they counted, less what the machine draws idle, is shared out by CPU
time, as Scaphandre and Kepler do: a process gets the share that its CPU seconds have in those of the whole
machine.
"""

from pathlib import Path
from typing import Any, final

from models.energy import estimate
from models.energy.counter import Unreadable
from models.energy.figures import Tally
from power.energy_profile import Profile
from power.powercap import POWERCAP, RaplDomain, domains


@final
class Rapl:
    """Cumulative joules of all packages, and of the memory where it has a counter of its own.

    Packages include cores, caches and memory controllers, and everything that runs on them. `psys`, which
    contains the packages, and the parts of a package are left out. Without a profile that was
    calibrated by these counters the idle draw is not known, so it is shared out with the rest. Raises
    `Unreadable` when there is no package, or no right to read one (since 2020 Linux gives it to root only).
    """

    method = "rapl"
    # /proc/stat, which tells the machine's CPU time, moves every 10 ms.
    tick_s = 0.05
    shared = False

    def __init__(
        self, profile: Profile | None = None, note: str | None = None, root: Path = POWERCAP
    ) -> None:
        known = profile is not None and profile.source == "rapl"
        self._note = note
        self._idle_w = profile.idle_w if profile is not None and known else 0.0
        self._domains = _domains(root)
        if not self._domains["cpu"]:
            raise Unreadable("no RAPL package")
        self.components = tuple(name for name, found in self._domains.items() if found)
        less = f"less {self._idle_w:.3g} W idle" if known else "idle draw included"
        self.basis = f"RAPL {less}, by share of CPU time"
        memory_w = 0.0 if "ram" in self.components else estimate.memory_watts()
        self.standing_w = self._idle_w if known else memory_w

    def read(self, exact: bool = True) -> dict[str, float]:
        """Joules since it was opened, per component; 20 us for each domain."""
        try:
            return {name: sum(domain.read() for domain in self._domains[name]) for name in self.components}
        except OSError as error:
            raise _unreadable(error) from error

    def own(self, used: Tally) -> dict[str, float]:
        """What was counted less the idle draw, times this process's share of the machine's CPU time.

        The idle draw is taken off each component in proportion to what it counted. A process has at most all
        of the machine's CPU time, and has all of it where /proc/stat cannot be read.
        """
        counted = {name: used.counted.get(name, 0.0) for name in self.components}
        total = sum(counted.values())
        active = (total - self._idle_w * used.seconds) / total if total > 0 else 1.0
        busy = used.watched.get("busy", 0.0)
        share = min(1.0, used.watched["cpu"] / busy) if busy > 0 else 1.0
        return {name: joules * max(0.0, active) * share for name, joules in counted.items()}

    def mark(self) -> None:
        """Nothing is observed beside the joules."""

    def doubts(self, seconds: float) -> list[str]:
        """None: the counter moves every millisecond."""
        return []

    def hardware(self) -> dict[str, Any]:
        """How many packages are counted, and the draw beside the joules."""
        return {
            "cpu_packages": len(self._domains["cpu"]),
            "standing_w": self.standing_w,
            "calibration": self._note,
        }

    def stop(self) -> None:
        """Nothing is held open."""


def _domains(root: Path) -> dict[str, list[RaplDomain]]:
    try:
        return {"cpu": domains(root, "package"), "ram": domains(root, "dram")}
    except OSError as error:
        raise _unreadable(error) from error


def _unreadable(error: OSError) -> Unreadable:
    return Unreadable(f"RAPL cannot be read: {error.strerror} ({error.filename})")
