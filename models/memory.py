"""The most memory that a stretch of work held at once."""

import resource
import sys
from pathlib import Path
from typing import final

import torch

_RESET_PEAK = "5"  # proc(5), clear_refs: sets VmHWM back to the present resident size


@final
class PeakMemory:
    """Peak bytes above what was held at `start`, with `method` saying how they were counted.

    - CUDA: `cuda allocator`, the most that torch's allocator had handed out, weights included (not above
      the start: they are on the device already), per device.
    - Linux: `resident above start`, the peak resident size of the process less that at the start.
    - Elsewhere, or where /proc forbids the reset: `resident peak of process`, since the process began.
    """

    def __init__(self, device: str) -> None:
        self._device = torch.device(device)
        self._before = 0
        self.method = "cuda allocator" if self._device.type == "cuda" else "resident peak of process"

    def start(self) -> None:
        """Begin."""
        if self._device.type == "cuda":
            torch.cuda.reset_peak_memory_stats(self._device)
        elif _reset_peak():
            self._before, self.method = _status_bytes("VmRSS"), "resident above start"

    def read(self) -> int:
        """Peak bytes since `start`."""
        if self._device.type == "cuda":
            return torch.cuda.max_memory_allocated(self._device)
        if self.method == "resident above start":
            return max(0, _status_bytes("VmHWM") - self._before)
        # Kilobytes on Linux, bytes on macOS.
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)


def _reset_peak() -> bool:
    try:
        Path("/proc/self/clear_refs").write_text(_RESET_PEAK)
    except OSError:
        return False
    return True


def _status_bytes(field: str) -> int:
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith(f"{field}:"):
            return int(line.split()[1]) * 1024
    raise OSError(f"/proc/self/status has no {field}")
