import os
import signal
import subprocess
import sys
import threading
import time

import pytest
import torch
from forked import alone

from cases import each
from models.energy.disturbance import Watch, disturbed
from models.energy.meter import Meter

SPIN = "import time\nend = time.perf_counter() + 60\nwhile time.perf_counter() < end: pass"


def spin(seconds):
    end = time.thread_time() + seconds
    while time.thread_time() < end:
        pass


@pytest.fixture
def crowd():
    """Four processes that want all the time of the one processor that this thread may run on from now.

    They are no children, whose work would be one's own.
    """
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {min(before)})
    code = (
        "import subprocess, sys\n"
        "quiet = {'stdout': subprocess.DEVNULL, 'stderr': subprocess.DEVNULL}\n"
        "for _ in range(4):\n"
        "    print(subprocess.Popen([sys.executable, '-S', '-c', sys.argv[1]], **quiet).pid)"
    )
    told = subprocess.run(
        [sys.executable, "-S", "-c", code, SPIN], check=True, capture_output=True, text=True
    )
    started = [int(pid) for pid in told.stdout.split()]
    yield started
    os.sched_setaffinity(0, before)
    for pid in started:
        os.kill(pid, signal.SIGKILL)


def window_of(work):
    meter = Meter()
    meter.start("cpu")
    with meter.window() as window:
        work()
    meter.stop()
    return window


@pytest.mark.slow
@alone
def test_a_window_beside_busy_processes_is_disturbed_and_says_by_how_much(crowd):
    began, before = time.perf_counter(), time.process_time()
    window = window_of(lambda: spin(0.2))
    seconds, everything = time.perf_counter() - began, time.process_time() - before
    waited, ran = window.tally.watched["waited"], window.tally.watched["ran"]
    # The kernel brings a running thread's figure up to date at its ticks, of 10 ms or less.
    assert 0.2 - 0.01 <= ran <= everything + 0.01
    # It never slept, so it waited whenever it did not run: four turns of five.
    assert 2 * ran < waited <= seconds - 0.2 + 0.01
    assert f"waited {waited:.3g} s for a processor while they ran {ran:.3g} s" in window.energy.disturbed


@pytest.mark.slow
@alone
def test_threads_that_are_gone_are_judged_by_the_machines_pressure(crowd):
    def passing():
        for _ in range(4):
            thread = threading.Thread(target=spin, args=(0.05,))
            thread.start()
            thread.join()

    window = window_of(passing)
    assert window.tally.watched["ran"] < 0.5 * window.tally.cpu_s
    if "pressed" in window.tally.watched:
        assert "threads on this machine waited" in window.energy.disturbed


@pytest.mark.slow
@alone
def test_idle_threads_and_a_sleep_are_no_sign():
    torch.ones(300, 300) @ torch.ones(300, 300)
    event = threading.Event()
    idle = [threading.Thread(target=event.wait) for _ in range(20)]
    for thread in idle:
        thread.start()
    window = window_of(lambda: time.sleep(0.5))
    event.set()
    for thread in idle:
        thread.join()
    # Twenty threads idle for half a second each; waking up once, on a busy machine, takes some of one.
    assert window.tally.watched["waited"] < 0.5 < 20 * 0.5


def task(proc, pid, tid, ran_s, waited_s):
    folder = proc / str(pid) / "task" / str(tid)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "schedstat").write_text(f"{ran_s * 10**9:.0f} {waited_s * 10**9:.0f} 7\n")
    return folder


def gone(folder):
    (folder / "schedstat").unlink()
    folder.rmdir()


def test_waits_add_up_over_threads_that_come_go_and_share_a_name(tmp_path):
    watch = Watch(tmp_path)
    task(tmp_path, "self", 1, 5.0, 1.0)
    dying = task(tmp_path, "self", 2, 3.0, 2.0)
    watch.read([])
    task(tmp_path, "self", 1, 6.0, 1.5)  # 1.0 and 0.5
    task(tmp_path, "self", 2, 3.5, 2.25)  # 0.5 and 0.25
    task(tmp_path, "self", 3, 0.25, 0.125)  # new, from its beginning on
    task(tmp_path, 77, 77, 2.0, 4.0)  # of a child
    assert watch.read([77]) == {"ran": 3.75, "waited": 4.875}
    gone(dying)
    task(tmp_path, "self", 3, 0.5, 0.0)  # another thread with the name of the one that ended
    assert watch.read([77]) == {"ran": 4.25, "waited": 4.875}


def test_the_machines_work_stolen_time_and_pressure_are_read(tmp_path):
    (tmp_path / "pressure").mkdir()
    (tmp_path / "pressure" / "cpu").write_text(
        "some avg10=2.62 avg60=2.16 avg300=0.89 total=6738564\nfull x\n"
    )
    (tmp_path / "stat").write_text("cpu  100 20 300 9999 50 6 7 80 0 0\ncpu0 0\n")
    assert Watch(tmp_path).read([]) == pytest.approx({"busy": 4.33, "stolen": 0.8, "pressed": 6.738564})
    assert Watch(tmp_path / "nothing").read([]) == {}


RAN = {"seconds": 2.0, "cpu": 1.0, "ran": 1.0}


@each(
    ("watched", "said"),
    [
        (RAN | {"waited": 0.09}, None),
        (RAN | {"waited": 0.11}, "its threads waited 0.11 s for a processor while they ran 1 s"),
        # One turn of somebody else in a window of a few steps is no sign.
        ({"seconds": 0.01, "cpu": 0.006, "ran": 0.006, "waited": 0.0039}, None),
        ({"seconds": 0.03, "cpu": 0.006, "ran": 0.006, "waited": 0.012}, "its threads waited 0.012 s"),
        (RAN | {"waited": 0.0, "busy": 1.2, "stolen": 0.1}, None),
        (RAN | {"waited": 0.0, "busy": 1.2, "stolen": 0.2}, "the hypervisor took 0.20 s from 1.20 s of work"),
        # Two ticks of 10 ms are the least that Linux can say.
        ({"seconds": 0.1, "cpu": 0.1, "ran": 0.1, "waited": 0.0, "busy": 0.1, "stolen": 0.02}, None),
        # Where the threads can be asked, what others wait for is their matter.
        (RAN | {"waited": 0.0, "pressed": 2.0}, None),
        ({"seconds": 2.0, "cpu": 1.0, "pressed": 0.1}, None),
        ({"seconds": 2.0, "cpu": 1.0, "pressed": 0.9}, "in 0.9 of its 2 s"),
        (RAN | {"ran": 0.1, "waited": 0.0, "pressed": 0.9}, "in 0.9 of its 2 s"),
        ({"seconds": 2.0, "cpu": 1.0}, None),
    ],
)
def test_a_tenth_of_the_work_is_the_limit(watched, said):
    reason = disturbed(watched)
    assert reason is None if said is None else said in reason
