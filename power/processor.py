"""The processor of this machine: its name, its cores, and the watts of a busy one as far as tables tell.

Both wings ask: the meter for what it counts, the lab for what a known trial's joules are told by.
"""

import csv
import functools
import os
import platform
import re
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import final

from power.grid import table

CPUINFO = Path("/proc/cpuinfo")
_NUMBER = re.compile(r"\d+(\.\d+)?")
DEFAULT_W = 4.0
"""watts of a processor that is in no table, for each CPU second: CodeCarbon's default"""
_CORES = {
    **dict.fromkeys(("EPYC 7302", "EPYC 7313", "Gold 6130"), 16),
    **dict.fromkeys(("Gold 6140", "Gold 6150", "Gold 6240", "E5-2686 v4"), 18),
    **dict.fromkeys(("Gold 6148", "Gold 6230", "Gold 6248", "E5-2673 v4"), 20),
    **dict.fromkeys(("EPYC 7402", "EPYC 7443", "Gold 6248R", "Platinum 8168", "Platinum 8260"), 24),
    **dict.fromkeys(("Platinum 8175M", "Platinum 8259CL", "Platinum 8275CL"), 24),
    **dict.fromkeys(("Platinum 8171M", "Platinum 8272CL"), 26),
    **dict.fromkeys(("Platinum 8180", "Platinum 8280", "Gold 6330", "Gold 6348"), 28),
    **dict.fromkeys(("EPYC 7551", "EPYC 7452", "EPYC 7502", "EPYC 7543", "EPYC 9354", "Gold 6338"), 32),
    **dict.fromkeys(("Platinum 8358", "Platinum 8370C", "Platinum 8375C"), 32),
    **dict.fromkeys(("EPYC 7R13", "EPYC 9454"), 48),
    **dict.fromkeys(("EPYC 7702", "EPYC 7713", "EPYC 7742", "EPYC 7763", "EPYC 7B12", "EPYC 9554"), 64),
    **dict.fromkeys(("E5-2676 v3", "E5-2680 v3", "E5-2690 v3"), 12),
    **dict.fromkeys(("E5-2680 v4", "E5-2690 v4"), 14),
    "E5-2699 v4": 22,
    "Platinum 8380": 40,
    "Platinum 8480": 56,
    "EPYC 9654": 96,
}
"""physical cores of server models that are let as virtual machines, by their data sheets"""


@final
@dataclass(frozen=True)
class Processor:
    """What the operating system says of the processor."""

    model: str
    """such as `AMD EPYC 7763 64-Core Processor`"""
    cpus: int
    """that this machine has, hardware threads included"""
    cores: int | None
    """physical ones of a package; None in a virtual machine, which shows its own share"""

    def core_watts(self) -> tuple[float, str]:
        """Watts that a busy core takes, and what they are made of.

        The rated power of the model by CodeCarbon's table over its cores, which on real hardware the
        operating system counts; a virtual machine shows its share only, so there the model's data sheet is
        asked (`_CORES`). Rated power is that of all cores at work: one alone may turn faster and take up to
        twice as much, and two hardware threads of one core take less than two cores. A model that is
        unknown, or whose name is hidden, takes CodeCarbon's default; data sheets of servers have 3 to 10 W.
        """
        watts = tdp(self.model)
        cores = self.cores or _on_sheet(self.model)
        if watts is None or cores is None:
            named = (
                f"{self.model} is in no table" if watts is None else f"the cores of {self.model} are unknown"
            )
            return DEFAULT_W, f"CodeCarbon's default, as {named}"
        return watts / cores, f"TDP {watts:g} W / {cores}, CodeCarbon's table"


@functools.cache
def processor(cpuinfo: Path = CPUINFO) -> Processor:
    """That of this machine."""
    cpus = os.cpu_count() or 1
    try:
        text = cpuinfo.read_text()
    except OSError:
        return Processor(_named_otherwise(), cpus, None)
    model, cores = _field(text, "model name"), _field(text, "cpu cores")
    virtual = "hypervisor" in (_field(text, "flags") or "").split()
    return Processor(model or _named_otherwise(), cpus, None if virtual or cores is None else int(cores))


@functools.cache
def tdp(model: str) -> float | None:
    """Rated watts of a processor by CodeCarbon's table and its way to match a name; None if it knows none.

    Its way: the same name, with and without what Intel adds to it; else the one entry whose words are all in
    the name, or the other way round. Several such entries are none.
    """
    rated = _rated()
    short = re.sub(r" @\s*\d+\.\d+GHz", "", model.replace("(R)", "").split(" CPU @ ")[0].replace(" CPU", ""))
    for name in (model, short):
        if name.lower() in rated:
            return rated[name.lower()]
    words = _words(short)
    fits = [name for name in rated if (own := _words(name)) and (own <= words or words <= own)]
    return rated[fits[0]] if len(fits) == 1 else None


def _on_sheet(model: str) -> int | None:
    words = _words(model)
    return next((cores for name, cores in _CORES.items() if _words(name) <= words), None)


@functools.cache
def _rated() -> dict[str, float]:
    with table("hardware/cpu_power.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    # The first of several rows with the same name counts; one row of CodeCarbon 3.3 is no number ("33.34.8").
    return {row["Name"].lower(): float(row["TDP"]) for row in reversed(rows) if _NUMBER.fullmatch(row["TDP"])}


@functools.cache
def _words(text: str) -> frozenset[str]:
    return frozenset(re.sub(r"[\W_]+", " ", text.lower()).split())


def _field(text: str, name: str) -> str | None:
    match = re.search(rf"^{name}\s*:\s*(.*?)\s*$", text, re.MULTILINE)
    return match[1] if match and match[1] else None


def _named_otherwise() -> str:
    """Where there is no /proc/cpuinfo, or it has no name (macOS, ARM)."""
    if platform.system() == "Darwin":
        asked = ["sysctl", "-n", "machdep.cpu.brand_string"]
        told = subprocess.run(asked, capture_output=True, text=True, check=False).stdout.strip()
        if told:
            return told
    return platform.processor() or platform.machine() or "unknown"
