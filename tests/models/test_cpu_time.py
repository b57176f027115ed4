import os
import resource
import subprocess
import sys
import threading
import time

import pytest

from models.cpu_time import CpuTime, descendants
from models.energy import Meter

BUSY = """
import sys, time
end = time.process_time() + float(sys.argv[1])
while time.process_time() < end:
    pass
print(time.process_time(), flush=True)
sys.stdin.read()
"""


def work(seconds):
    end = time.thread_time() + seconds
    while time.thread_time() < end:
        pass


def busy(seconds):
    """A child that works, says how long it did, and lives until its input ends."""
    return subprocess.Popen(
        [sys.executable, "-c", BUSY, str(seconds)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )


def test_all_threads_count_those_that_ended_too():
    clock = CpuTime()
    before = clock.read()
    threads = [threading.Thread(target=work, args=(0.05,)) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert clock.read() - before == pytest.approx(0.15, rel=0.1)


def test_a_child_counts_while_it_lives_and_once_when_it_has_ended():
    clock = CpuTime()
    before = clock.read()
    child = busy(0.1)
    told = float(child.stdout.readline())
    living = clock.read() - before
    child.communicate()
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    ended = clock.read() - before
    assert told <= living <= ended <= told + 0.05
    assert clock.children == []
    assert used.ru_utime + used.ru_stime >= told


def test_a_grandchild_counts_too():
    clock = CpuTime()
    before = clock.read()
    code = (
        "import subprocess, sys\nsubprocess.run([sys.executable, '-c', sys.argv[1], '0.1'], stdin=sys.stdin)"
    )
    child = subprocess.Popen(
        [sys.executable, "-c", code, BUSY], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    told = float(child.stdout.readline())
    assert len(list(descendants(os.getpid()))) == 2
    assert told + 0.01 < clock.read() - before < told + 0.2
    child.communicate()


def test_a_sleeping_process_is_not_charged_for_its_neighbours_work():
    # An orphan, since what children do is ours; it ends by itself.
    work_on = [sys.executable, "-c", "import time\nwhile time.process_time() < 1.5: pass"]
    start = f"import subprocess; subprocess.Popen({work_on}, stdout=subprocess.DEVNULL)"
    subprocess.run([sys.executable, "-c", start], check=True)
    meter = Meter()
    meter.start("cpu")
    with meter.window() as window:
        time.sleep(0.5)
    meter.stop()
    assert window.energy.cpu_seconds < 0.01
    if window.energy.label == "estimated":
        # Today's 15.7 J for 1.5 s were the memory's; those are in the standing draw.
        assert window.energy.joules < 0.05
    assert window.energy.standing_j > 1.0


@pytest.mark.parametrize("seconds", [0.0005, 0.005, 0.05])
def test_a_window_of_any_length_has_its_cpu_seconds_and_joules(seconds):
    meter = Meter()
    meter.start("cpu")
    with meter.window() as window:
        work(seconds)
    meter.stop()
    assert window.energy.cpu_seconds == pytest.approx(seconds, rel=0.1, abs=2e-4)
    if window.energy.label == "estimated":
        assert window.energy.valid and window.energy.joules > 0
