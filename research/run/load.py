"""Keeps cores busy with the arithmetic of a training, for as long as a machine is looked at."""

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

# Products of matrices, as in a training: a loop of plain Python takes half the power. It ends by itself when
# its parent is gone, and says when it has begun.
_SPIN = """
import os, time, numpy
a = numpy.random.default_rng(0).random((256, 256), dtype=numpy.float32)
a @ a
print("on", flush=True)
until, parent = time.monotonic() + {seconds}, os.getppid()
while time.monotonic() < until and os.getppid() == parent:
    a @ a
"""
_LIBRARIES = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")


@contextmanager
def busy(cores: int, seconds: float) -> Iterator[list[int]]:
    """Process ids of `cores` busy processes, for at most `seconds`; they have begun and end with the body."""
    one_thread = os.environ | dict.fromkeys(_LIBRARIES, "1")
    command = [sys.executable, "-c", _SPIN.format(seconds=seconds)]
    spinning = [
        subprocess.Popen(command, env=one_thread, stdout=subprocess.PIPE, stdin=subprocess.DEVNULL)
        for _ in range(cores)
    ]
    try:
        for one in spinning:
            assert one.stdout is not None
            one.stdout.readline()
        yield [one.pid for one in spinning]
    finally:
        for one in spinning:
            one.kill()
            one.wait()
            if one.stdout is not None:
                one.stdout.close()


def worked(proc: Path = Path("/proc")) -> float:
    """CPU seconds of everything on this machine, in ticks of 10 ms. Raises `OSError` without /proc/stat."""
    user, nice, system, _, _, irq, soft = map(int, (proc / "stat").read_text().split()[1:8])
    return (user + nice + system + irq + soft) / os.sysconf("SC_CLK_TCK")
