"""What CodeCarbon itself would say of a window, kept as a fact for readers who compare with its figures.

Its tracker in process mode multiplies the processor's rated power by the share of all its time that the
process took, and adds the memory by a table, at least 10 W for as long as the process lives. That is
arithmetic, done here without a tracker: one costs 15 ms and two threads a trial, and pandas once.
"""

import math
from pathlib import Path

from power.processor import DEFAULT_W, Processor, tdp

_PAGE_GB = 4096 / 2**30
_DIMM_W = 5.0
_ARM_DIMM_W = 1.5


def joules(seconds: float, cpu_s: float, processor: Processor) -> float:
    """Of CPU and memory, for this process as large as it is now."""
    return cpu_s * watts_per_cpu_second(processor) + seconds * ram_watts(resident_gb())


def watts_per_cpu_second(processor: Processor) -> float:
    """CodeCarbon divides by the CPUs that it sees, so in a virtual machine by too few."""
    watts = tdp(processor.model)
    return DEFAULT_W if watts is None else watts / processor.cpus


def ram_watts(gigabytes: float, arm: bool = False) -> float:
    """Watts of so much memory: 5 W for each module that it usually comes in, less for each further one.

    CodeCarbon's `RAM._calculate_ram_power`; on x86 never less than 10 W, on ARM than 3 W.
    """
    each, least = (_ARM_DIMM_W, 3.0) if arm else (_DIMM_W, 10.0)
    modules = _modules(gigabytes)
    full, good, fair = min(modules, 4), min(max(modules - 4, 0), 4), min(max(modules - 8, 0), 8)
    return max(least, each * (full + 0.9 * good + 0.8 * fair + 0.7 * max(modules - 16, 0)))


def resident_gb() -> float:
    """GiB that this process holds; 0 where /proc does not tell."""
    try:
        return int(Path("/proc/self/statm").read_text().split()[1]) * _PAGE_GB
    except OSError:
        return 0.0


def _modules(gigabytes: float) -> int:
    for most, modules in ((2, 1), (16, 2), (64, 4), (128, 8)):
        if gigabytes <= most:
            return modules
    size = next(size for size in (128, 64, 32, 16) if size <= gigabytes / 8)
    return min(math.ceil(gigabytes / size), 32)
