"""Energy of CPU packages and memory by the RAPL counters of Intel and AMD, through Linux's powercap."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, final

from models.counter import Unreadable

POWERCAP = Path("/sys/class/powercap")


@final
@dataclass
class _Domain:
    folder: Path
    range_uj: int
    last_uj: int
    joules: float = 0.0

    def read(self) -> float:
        now = _number(self.folder / "energy_uj")
        # The counter starts again at 0 after its range, about an hour at 70 W: read it more often than that.
        self.joules += (now - self.last_uj + (self.range_uj if now < self.last_uj else 0)) / 1e6
        self.last_uj = now
        return self.joules


@final
class Rapl:
    """Cumulative joules of all packages, and of the memory where it has a counter of its own.

    Packages include cores, caches and memory controllers, and everything that runs on them. `psys`, which
    contains the packages, and the parts of a package are left out. Raises `Unreadable` when there is no
    package, or no right to read one (since 2020 Linux gives it to root only).
    """

    method = "rapl"
    tick_s = 0.01
    shared = True

    def __init__(self, root: Path = POWERCAP) -> None:
        self._domains = {"cpu": _domains(root, "package"), "ram": _domains(root, "dram")}
        if not self._domains["cpu"]:
            raise Unreadable("no RAPL package")
        self.components = tuple(name for name, found in self._domains.items() if found)

    def read(self, exact: bool = True) -> dict[str, float]:
        """Joules since it was opened, per component; 20 us for each domain."""
        return {name: sum(domain.read() for domain in self._domains[name]) for name in self.components}

    def mark(self) -> None:
        """Nothing is observed beside the joules."""

    def doubts(self, seconds: float) -> list[str]:
        """None: the counter is updated every millisecond."""
        return []

    def hardware(self) -> dict[str, Any]:
        """How many packages are counted."""
        return {"cpu_packages": len(self._domains["cpu"])}

    def stop(self) -> None:
        """Nothing is held open."""


def _domains(root: Path, kind: str) -> list[_Domain]:
    found = []
    for folder in sorted(root.glob("intel-rapl:*")):
        if _text(folder / "name").startswith(kind):
            top = _number(folder / "max_energy_range_uj")
            found.append(_Domain(folder, top, _number(folder / "energy_uj")))
    return _without_mirrors(found)


def _without_mirrors(domains: list[_Domain]) -> list[_Domain]:
    """Drop domains that repeat another: AMD's multi-die processors show one counter once for each die.

    Two packages of their own hold the same microjoules by no chance; two readings of one counter are taken
    within a millisecond, so at most a joule apart.
    """
    kept: list[_Domain] = []
    for domain in domains:
        if domain.last_uj == 0 or all(abs(domain.last_uj - other.last_uj) > 1_000_000 for other in kept):
            kept.append(domain)
    return kept


def _text(path: Path) -> str:
    try:
        return path.read_text().strip()
    except OSError as error:
        raise Unreadable(f"RAPL cannot be read: {error.strerror} ({path})") from error


def _number(path: Path) -> int:
    return int(_text(path))
