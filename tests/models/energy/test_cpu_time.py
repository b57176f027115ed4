import os
import resource
import signal
import subprocess
import sys
import threading
import time

import pytest
from forked import alone

from models.energy.cpu_time import CpuTime, descendants
from models.energy.estimate import Estimate, memory_watts
from models.energy.meter import Meter
from power.processor import Processor

BUSY = """
import sys, time
end = time.process_time() + float(sys.argv[1])
while time.process_time() < end:
    pass
print(time.process_time(), flush=True)
sys.stdin.read()
"""
CORE_W = 4.375


def metered():
    """By CPU seconds alone, with no look at neighbours."""
    rated = Estimate(Processor("AMD EPYC 7763 64-Core Processor", 256, 64))
    meter = Meter(counters=lambda device: ([rated], {}))
    meter.start("cpu")
    return meter


def work(seconds, burnt=None):
    began = time.thread_time()
    while time.thread_time() < began + seconds:
        pass
    if burnt is not None:
        burnt.append(time.thread_time() - began)


def busy(seconds):
    """A child that works, says how long it did, and lives until its input ends."""
    return subprocess.Popen(
        [sys.executable, "-S", "-c", BUSY, str(seconds)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )


def everything():
    """CPU seconds of this process and of all children that it has waited for, by another call."""
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(one.ru_utime + one.ru_stime for one in used)


SLACK_S = 0.001
"""the two parts of `everything` are each cut to a microsecond, and read one after the other"""


@alone
def test_all_threads_count_those_that_ended_too():
    clock, burnt, first = CpuTime(), [], everything()
    before = clock.read()
    threads = [threading.Thread(target=work, args=(0.05, burnt)) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    took = clock.read() - before
    assert len(burnt) == 3 and sum(burnt) <= took <= everything() - first + SLACK_S


@pytest.mark.slow
@alone
def test_a_child_counts_while_it_lives_and_once_when_it_has_ended():
    clock, first = CpuTime(), everything()
    before = clock.read()
    child = busy(0.3)
    told = float(child.stdout.readline())
    living = clock.read() - before
    child.communicate()
    ended = clock.read() - before
    assert told <= living <= ended <= everything() - first + SLACK_S
    assert clock.children == []
    # Twice the child's would be more than all there was.
    assert everything() - first < 2 * told


@pytest.mark.slow
@alone
def test_a_grandchild_counts_too():
    clock, first = CpuTime(), everything()
    before = clock.read()
    code = (
        "import subprocess, sys, time\n"
        "print(time.process_time(), flush=True)\n"
        "subprocess.run([sys.executable, '-S', '-c', sys.argv[1], '0.3'], stdin=sys.stdin)"
    )
    child = subprocess.Popen(
        [sys.executable, "-S", "-c", code, BUSY], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    told = [float(child.stdout.readline()) for _ in ("child", "grandchild")]
    assert len(list(descendants(os.getpid()))) == 2
    living = clock.read() - before
    child.communicate()
    assert sum(told) <= living <= everything() - first + SLACK_S


@pytest.mark.slow
@alone
def test_a_sleeping_process_is_not_charged_for_its_neighbours_work():
    # An orphan, since what children do is ours; it ends by itself.
    work_on = [sys.executable, "-S", "-c", "import time\nwhile time.process_time() < 30: pass"]
    start = f"import subprocess; one = subprocess.Popen({work_on}, stdout=-3, stderr=-3); print(one.pid)"
    pid = int(subprocess.run([sys.executable, "-c", start], check=True, capture_output=True).stdout)
    its_clock = ~pid << 3 | 2
    meter = metered()
    first, neighbours = everything(), time.clock_gettime(its_clock)
    with meter.window() as window:
        while time.clock_gettime(its_clock) < neighbours + 0.3:
            time.sleep(0.1)
    own = everything() - first + SLACK_S
    meter.stop()
    os.kill(pid, signal.SIGKILL)
    assert window.energy.cpu_seconds <= own < 0.3
    assert window.energy.joules == pytest.approx(CORE_W * window.energy.cpu_seconds)
    # What the memory draws meanwhile is in the standing draw.
    assert window.energy.standing_j == pytest.approx(memory_watts() * window.energy.seconds)


@pytest.mark.parametrize("seconds", [0.0005, 0.005, 0.05])
@alone
def test_a_window_of_any_length_has_its_cpu_seconds_and_joules(seconds):
    meter, burnt = metered(), []
    before = time.process_time()
    with meter.window() as window:
        work(seconds, burnt)
    after = time.process_time()
    meter.stop()
    assert burnt[0] <= window.energy.cpu_seconds <= after - before
    assert window.energy.valid
    assert window.energy.joules == pytest.approx(CORE_W * window.energy.cpu_seconds)


def test_a_look_around_is_in_no_window(clock):
    """It takes longer than the shortest windows do."""

    class Look:
        def read(self, children):
            clock.work(7.0)
            return {}

    meter = Meter(watch=Look)
    meter.start("cpu")
    with meter.window() as window:
        clock.work(0.001)
    meter.stop()
    assert window.energy.cpu_seconds == pytest.approx(0.001)
