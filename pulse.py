"""A trial's sign of life and what it has spent so far, where both outlast its process.

Whoever watches a process reads its steps from memory that the two share (`watched`). What it has spent lies
in a file of the trial's folder (`spending`), written as it goes: a process that is killed cannot tell, and
those joules are paid all the same. Below both wings; standard library only.
"""

import json
import os
import struct
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from mmap import mmap
from pathlib import Path
from typing import NamedTuple, final

SIZE = 1024
"""bytes of the shared memory, and of the file"""
FILE = "spent.json"
_EVERY_S = 0.5
"""between two looks at a meter: one at a GPU's takes a millisecond"""
_RECORD = struct.Struct("=QqddB63s")
_memory: mmap | None = None
_ledgers: list["_Ledger"] = []
_hearing: list[Callable[[int | None], None]] = []

Figures = dict[str, float]


class Life(NamedTuple):
    """What the watcher reads; all is zero before the first sign."""

    beats: int = 0
    step: int = 0
    first: float = 0.0
    """when training began, by `time.monotonic`"""
    last: float = 0.0
    training: bool = False
    doing: str = ""

    @property
    def usual_s(self) -> float:
        """Seconds between two signs so far; 0 before there are two."""
        return (self.last - self.first) / (self.beats - 1) if self.beats > 1 else 0.0


def memory() -> mmap:
    """Memory that a process and those forked from it share."""
    return mmap(-1, SIZE)


def read(shared: mmap) -> Life:
    """The last sign of a process that writes there."""
    beats, step, first, last, training, doing = _RECORD.unpack_from(shared)
    return Life(beats, step, first, last, bool(training), doing.rstrip(b"\0").decode(errors="replace"))


def watched(shared: mmap | None) -> None:
    """From now on this process gives its signs there, from zero."""
    global _memory
    _memory = shared
    if shared is not None:
        shared[:SIZE] = bytes(SIZE)


def is_watched() -> bool:
    """Whether somebody watches this process: one that waits may then wait for long."""
    return _memory is not None


@contextmanager
def heard(by: Callable[[int | None], None]) -> Iterator[None]:
    """Each sign meanwhile calls `by` with its step as well, which may raise what is to end the training."""
    _hearing.append(by)
    try:
        yield
    finally:
        _hearing.remove(by)


def beat(doing: str, step: int | None = None) -> None:
    """One sign of life: a step of a training, or what is done beside one; 2 us."""
    for hear in _hearing:
        hear(step)
    if _memory is None:
        return
    now, life = time.monotonic(), read(_memory)
    training = step is not None
    # The first steps and what lies between two trainings are slower than a step.
    count, first = (life.beats + 1, life.first) if training and life.training else (1, now)
    _RECORD.pack_into(_memory, 0, count, step or 0, first, now, training, doing.encode()[:63])


@final
class _Ledger:
    """The figures of one attempt, without those that its checkpoint has from earlier ones."""

    def __init__(self, folder: Path, name: str) -> None:
        self._path, self._name, self._looked, self._file = folder / FILE, name, 0.0, -1
        self._base: Figures = {}
        self._earlier: Figures | None = None
        """what the checkpoint had that the first training went on from"""
        self.own: Figures = {}

    def count(self, used: Callable[[], Mapping[str, float]], first: bool, last: bool) -> None:
        now = time.monotonic()
        if not (first or last) and now - self._looked < _EVERY_S:
            return
        self._looked, figures = now, dict(used())
        if first:
            # A training within the trial, as a fine-tuning, counts on from what there is.
            self._base = {key: figures.get(key, 0.0) - self.own.get(key, 0.0) for key in figures | self.own}
            self._earlier = self._base if self._earlier is None else self._earlier
        self._write({key: value - self._base.get(key, 0.0) for key, value in figures.items()})

    def settle(self, whole: Mapping[str, float]) -> None:
        self._write({key: value - (self._earlier or {}).get(key, 0.0) for key, value in whole.items()})

    def _write(self, own: Figures) -> None:
        self.own |= own
        # What is handed to the kernel survives the process; a disk that is full ends no training here.
        with suppress(OSError):
            if self._file < 0:
                self._file = os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
            text = json.dumps({"attempt": self._name, **self.own})
            os.pwrite(self._file, text.ljust(SIZE).encode(), 0)

    def close(self) -> None:
        if self._file >= 0:
            os.close(self._file)


@contextmanager
def spending(folder: Path, name: str) -> Iterator[None]:
    """What is `spent` meanwhile is this attempt's, kept in its folder under its name."""
    ledger = _Ledger(folder, name)
    _ledgers.append(ledger)
    try:
        yield
    finally:
        _ledgers.remove(ledger)
        ledger.close()


def spent(used: Callable[[], Mapping[str, float]], *, first: bool = False, last: bool = False) -> None:
    """Write down what the training has used by now: seconds, joules, twice a second at most.

    With `first` it is what its checkpoint had: an earlier attempt has written that down. The `last` time it
    is written in any case.
    """
    if _ledgers:
        _ledgers[-1].count(used, first, last)


def settled(whole: Mapping[str, float]) -> None:
    """Write down what the trial used in all by its result: a compression is work that no training counts."""
    if _ledgers:
        _ledgers[-1].settle(whole)


def own() -> Figures:
    """What this attempt has spent by its last look; empty where nobody counts."""
    return dict(_ledgers[-1].own) if _ledgers else {}


def left(folder: Path, name: str) -> Figures:
    """What an attempt had spent, also one that was killed; empty where that is not known."""
    try:
        figures = json.loads((folder / FILE).read_bytes())
        if figures.pop("attempt") != name:
            return {}
        return {str(key): float(value) for key, value in figures.items()}
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return {}
