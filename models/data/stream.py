"""Rows of an array on the disk, read as they are asked for: for data that is larger than the memory.

A mapped file is read page by page, each fault waits for the disk, and what was touched counts as resident
until the machine runs short. Here threads read whole rows into memory of their own, while others are learnt.
"""

import os
import weakref
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any, final

import numpy as np
import torch
from torch import Tensor

_MEMINFO = Path("/proc/meminfo")


@final
class Stream:
    """The array in an `.npy` file, (N, *shape), by `workers` threads."""

    def __init__(self, mapped: np.memmap, workers: int) -> None:
        self._name = str(mapped.filename)
        self._file = os.open(self._name, os.O_RDONLY)
        weakref.finalize(self, os.close, self._file)
        self._start, self._size = int(mapped.offset), mapped[:1].nbytes
        self.shape, self._dtype, self.workers = mapped.shape[1:], mapped.dtype, max(1, workers)
        self._threads: ThreadPoolExecutor | None = None

    def __len__(self) -> int:
        return (os.fstat(self._file).st_size - self._start) // self._size

    def read(self, places: Tensor) -> Tensor:
        """(n, *shape) of the rows at (n,) `places`."""
        return self.ask(places)()

    def ask(self, places: Tensor) -> Callable[[], Tensor]:
        """Begin to read the rows at (n,) `places`; what is returned waits for them."""
        rows = np.empty((len(places), *self.shape), self._dtype)
        flat = memoryview(rows.reshape(-1).view(np.uint8).data)
        wanted = places.tolist()
        share = -(-len(wanted) // self.workers)
        parts = [range(start, min(start + share, len(wanted))) for start in range(0, len(wanted), share)]
        reads = [self._pool().submit(self._fill, flat, wanted, part) for part in parts]
        return lambda: _whole(reads, rows)

    def _fill(self, flat: memoryview, wanted: list[int], part: range) -> None:
        file, size = self._file, self._size
        at = part.start
        while at < part.stop:
            # Neighbours in the file, as of an evaluation in order, are one read.
            end = at + 1
            while end < part.stop and wanted[end] == wanted[end - 1] + 1:
                end += 1
            into = flat[at * size : end * size]
            done, offset = 0, self._start + wanted[at] * size
            while done < len(into):
                read = os.preadv(file, [into[done:]], offset + done)
                if not read:
                    raise OSError(f"{self._name} is shorter than it was")
                done += read
            at = end

    def _pool(self) -> ThreadPoolExecutor:
        if self._threads is None:
            self._threads = ThreadPoolExecutor(self.workers, thread_name_prefix="rows")
        return self._threads


def _whole(reads: list[Future[None]], rows: Any) -> Tensor:
    for read in reads:
        read.result()
    return torch.from_numpy(rows)


def room() -> float:
    """Bytes that decoded inputs may take before they are streamed: half of what is free, else no bound."""
    if not _MEMINFO.is_file():
        return float("inf")
    lines = dict(line.split(":", 1) for line in _MEMINFO.read_text().splitlines())
    return 1024 * int(lines["MemAvailable"].split()[0]) / 2
