"""The most memory that a stretch of work held at once, by the process and by tensors."""

import contextlib
import ctypes
import resource
import sys
import weakref
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, final

import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode

from models.training.untouched import untouched

_RESET_PEAK = "5"  # proc(5), clear_refs: sets VmHWM back to the present resident size


@final
class PeakMemory:
    """Peak bytes above what was held at `start`, with `method` saying how they were counted.

    - CUDA: `cuda allocator`, the most that torch's allocator had handed out, weights included (not above
      the start: they are on the device already), per device.
    - Linux: `resident above start`, the peak resident size of the process less that at the start, and less
      the pages of files that it has mapped since, which are the code of its libraries.
    - Elsewhere, or where /proc forbids the reset: `resident peak of process`, since the process began.
    """

    def __init__(self, device: str) -> None:
        self._device = torch.device(device)
        self._before = self._files = 0
        self.method = "cuda allocator" if self._device.type == "cuda" else "resident peak of process"

    def start(self, *, trimmed: bool = False) -> None:
        """Begin above what is held now; `trimmed`, above what is used of it."""
        if trimmed:
            _give_back()
        self.forget()
        if self.method == "resident above start":
            self._before, self._files = _status_bytes("VmRSS"), _status_bytes("RssFile")

    def forget(self) -> None:
        """Leave out the peak so far; what was held at `start` stays what it is told above."""
        if self._device.type == "cuda":
            torch.cuda.reset_peak_memory_stats(self._device)
        elif _reset_peak():
            self.method = "resident above start"

    def read(self) -> int:
        """Peak bytes since `start`."""
        if self._device.type == "cuda":
            return torch.cuda.max_memory_allocated(self._device)
        if self.method == "resident above start":
            read_since = _status_bytes("RssFile") - self._files
            return max(0, _status_bytes("VmHWM") - self._before - max(0, read_since))
        # Kilobytes on Linux, bytes on macOS.
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)


def _give_back() -> None:
    """Return what was freed to the system: a process that rises into it again would not be seen to rise.

    Its pages have to be had anew, which took 3 ms of a small training: nothing for inside of a window.
    """
    if sys.platform == "linux":
        with contextlib.suppress(OSError, AttributeError):  # another C library than glibc
            ctypes.CDLL(None).malloc_trim(0)


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


@final
class LiveBytes(TorchDispatchMode):
    """Counts bytes of the tensors that operations inside make, from when they are made until they are gone.

    `peak` is the most that lived at once. Tensors from before (weights, the batch, gradients that are there)
    do not count, nor does what a kernel needs only while it runs. A view counts once, with its storage. It
    says the same on every device; each operation costs some 20 us more inside.
    """

    def __init__(self) -> None:
        super().__init__()
        self.now = self.peak = 0
        self._alive: dict[int, weakref.ref[torch.UntypedStorage]] = {}

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        out = func(*args, **(kwargs or {}))
        given: set[int] | None = None
        for storage in _storages(out):
            if storage._cdata in self._alive:
                continue
            # A view of a weight, or an operation in place, makes no bytes.
            given = {used._cdata for used in _storages((args, kwargs))} if given is None else given
            if storage._cdata not in given:
                self._count(storage)
        return out

    def _count(self, storage: torch.UntypedStorage) -> None:
        key, size = storage._cdata, storage.nbytes()

        def gone(_: Any) -> None:
            self.now -= size
            del self._alive[key]

        self._alive[key] = weakref.ref(storage, gone)
        self.now += size
        self.peak = max(self.peak, self.now)


def _storages(tree: Any) -> Iterator[torch.UntypedStorage]:
    """The storages of all tensors in nested tuples, lists and dictionaries."""
    if isinstance(tree, Tensor):
        yield tree.untyped_storage()
    elif isinstance(tree, tuple | list):
        for branch in tree:
            yield from _storages(branch)
    elif isinstance(tree, dict):
        yield from _storages(tuple(tree.values()))


def activation_bytes(net: nn.Module, step: Callable[[], Tensor]) -> int:
    """Peak bytes that a training step of `net` makes and holds at once, besides weights and their gradients.

    `step` runs a forward pass and returns its loss, whose gradient is taken here. What counts are the tensors
    kept for the gradient, those in passing, and of the gradients of weights only the one being added;
    what a checkpoint computes again counts while it is there, so the figure tells what recomputing saves.
    With mixed precision the cast copies of weights count. See `LiveBytes`; the network is left untouched.
    """
    with untouched(net), torch.enable_grad():
        for weight in net.parameters():
            if weight.requires_grad:
                # A gradient that is there is added to in place: its memory is the weights', not the batch's.
                weight.grad = torch.zeros_like(weight)
        with LiveBytes() as live:
            step().backward()
    return live.peak
