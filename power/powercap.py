"""The RAPL counters of Intel and AMD as Linux's powercap shows them: joules of packages and of memory.

Both wings read them: the meter for a training, the lab for the calibration of a machine.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import final

POWERCAP = Path("/sys/class/powercap")


@final
@dataclass
class RaplDomain:
    """One counter, from its first reading on."""

    folder: Path
    range_uj: int
    last_uj: int
    joules: float = 0.0

    def read(self) -> float:
        """Joules since it was opened. Raises `OSError` where it cannot be read any more."""
        now = _number(self.folder / "energy_uj")
        # The counter starts again at 0 after its range, about an hour at 70 W: read it more often than that.
        self.joules += (now - self.last_uj + (self.range_uj if now < self.last_uj else 0)) / 1e6
        self.last_uj = now
        return self.joules


def domains(root: Path, kind: str) -> list[RaplDomain]:
    """The domains whose name begins with `kind` (`package`, `dram`), each once; none where there are none.

    Raises `OSError` for one that may not be read (since 2020 Linux gives the counters to root only).
    """
    zones = []
    for folder in sorted(root.glob("intel-rapl:*")):
        if (folder / "name").read_text().startswith(kind):
            top = _number(folder / "max_energy_range_uj")
            zones.append(RaplDomain(folder, top, _number(folder / "energy_uj")))
    return _without_mirrors(zones)


def _without_mirrors(zones: list[RaplDomain]) -> list[RaplDomain]:
    """Drop domains that repeat another: AMD's multi-die processors show one counter once for each die.

    Two packages of their own hold the same microjoules by no chance; two readings of one counter are taken
    within a millisecond, so at most a joule apart.
    """
    kept: list[RaplDomain] = []
    for zone in zones:
        if zone.last_uj == 0 or all(abs(zone.last_uj - other.last_uj) > 1_000_000 for other in kept):
            kept.append(zone)
    return kept


def _number(path: Path) -> int:
    return int(path.read_text())
