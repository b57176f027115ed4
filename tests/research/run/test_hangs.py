"""Seven kinds of hang are ended and say where; what computes, waits for its turn or trains slowly is none."""

import os
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

import pulse
from research.run import forks, silence
from research.run.runner import Job, Outcome, Runner
from research.run.silence import Silence

pytestmark = pytest.mark.slow
TASK = """
    import ctypes, multiprocessing, os, signal, subprocess, sys, time
    import pulse

    def steps(count):
        for step in range(count):
            pulse.beat("training", step)

    def sleeping_in_a_step():
        steps(5)
        time.sleep(300)

    def locked_in_c():
        steps(5)
        c = ctypes.PyDLL(None)  # it does not give the interpreter away
        lock = ctypes.create_string_buffer(64)
        c.pthread_mutex_lock(lock)
        c.pthread_mutex_lock(lock)

    def asleep_in_c():
        steps(5)
        ctypes.PyDLL(None).sleep(300)  # until a signal comes
        pulse.beat("measuring")
        time.sleep(300)

    def stopped():
        steps(5)
        os.kill(os.getpid(), signal.SIGSTOP)
        time.sleep(300)

    def loading():
        steps(5)
        queue = multiprocessing.get_context("fork").Queue()
        worker = multiprocessing.get_context("fork").Process(target=time.sleep, args=(300,), daemon=True)
        worker.start()
        queue.get()

    def stuck_in_set_up():
        time.sleep(300)

    def server_stopped():
        steps(5)
        open("pids", "w").write(f"{os.getpid()} {subprocess.Popen(['sleep', '300']).pid}\\n")
        os.kill(os.getppid(), signal.SIGSTOP)
        time.sleep(300)

    def computing_before_the_first_step():
        end = time.monotonic() + 4
        while time.monotonic() < end:
            sum(range(1000))

    def waiting_in_turn():
        for _ in range(16):
            pulse.beat("a wait for another process")
            time.sleep(0.25)

    def slow():
        for _ in range(4):
            pulse.beat("a wait for another process")
            time.sleep(1)

    def quick():
        steps(5)

    def trial(config, **named):
        os.chdir(config["root"])
        globals()[config["do"]]()
        return {"status": "done", "trial_id": 1}
"""


@pytest.fixture
def ends(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., dict[str, Outcome]]:
    (tmp_path / "hanging.py").write_text(textwrap.dedent(TASK))
    monkeypatch.syspath_prepend(str(tmp_path))

    def run(*ways: str, stall_s: float | None = 2.5, jobs: int = 8) -> dict[str, Outcome]:
        settings = {"jobs": jobs, "threads": 1, "stall_s": stall_s, "timeout_s": 60.0}
        with Runner(**settings, task="hanging:trial", preload=(), logs=tmp_path / "logs") as runner:
            told = list(runner.run([Job({"do": do, "root": str(tmp_path)}, [do]) for do in ways]))
        return {one.job.config["do"]: one for one in told}

    return run


def log_of(end: Outcome) -> str:
    return Path(str(end.reason).partition("[printed: ")[2].rstrip("]")).read_text()


def test_what_hangs_is_ended_with_its_stacks_and_what_lives_is_not(ends) -> None:
    hangs = ("sleeping_in_a_step", "locked_in_c", "asleep_in_c", "stopped", "loading", "stuck_in_set_up")
    lives = ("computing_before_the_first_step", "waiting_in_turn", "quick")
    told = ends(*hangs, *lives)
    assert {do: told[do].status for do in hangs} == dict.fromkeys(hangs, "hung")
    assert {do: told[do].status for do in lives} == dict.fromkeys(lives, "done")
    for do in hangs:
        assert "no sign of life for" in str(told[do].reason)
        assert f"in {do}" in log_of(told[do]), f"{do} does not say where it hung"
    for do in ("sleeping_in_a_step", "asleep_in_c"):
        assert "after step 4 of training" in str(told[do].reason)
    assert "after set-up" in str(told["stuck_in_set_up"].reason)


def test_a_stopped_fork_server_is_noticed_and_ended_with_all_that_runs(
    ends, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(forks, "_SILENT_S", 2.0)
    told = ends("server_stopped", "quick", jobs=1, stall_s=None)
    assert (told["server_stopped"].status, told["quick"].status) == ("died", "done")
    assert "forks the trials showed no sign of life" in str(told["server_stopped"].reason)
    assert not any(Path(f"/proc/{pid}/fd/0").exists() for pid in (tmp_path / "pids").read_text().split())


def test_a_usual_step_sets_the_limit_and_a_minute_is_the_least() -> None:
    slow = pulse.Life(beats=11, step=10, first=0.0, last=200.0, training=True)
    quick = pulse.Life(beats=11, step=10, first=0.0, last=1.0, training=True)
    assert Silence().limit_s(slow) == 200.0 and Silence().limit_s(quick) == 60.0
    assert Silence(5.0).limit_s(slow) == 5.0


def test_a_process_that_computes_without_a_step_has_ten_times_as_long(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    used = iter(range(1000))
    monkeypatch.setattr(silence, "used_s", lambda group: float(next(used)))
    training = pulse.Life(beats=2, step=1, first=0.0, last=1.0, training=True)
    for life, ends_after in ((training, 50), (training._replace(training=False), None)):
        watched = Silence(5.0)
        looks = [watched.hangs(1, life, 1.0) for _ in range(200)]
        assert (looks.index(True) if any(looks) else None) == ends_after


def test_orphans_end_although_the_server_is_in_the_middle_of_an_import(tmp_path: Path) -> None:
    """The parent is killed while the server imports something that takes long and answers nobody."""
    (tmp_path / "slowly.py").write_text(
        "import os, time\nopen('importing', 'w').write(str(os.getpid()))\nend = time.time() + 60\n"
        "while time.time() < end:\n    sum(range(1000))\n"
    )
    (tmp_path / "holding.py").write_text(
        "import os, subprocess, time\n\ndef trial(config, **named):\n"
        "    child = subprocess.Popen(['sleep', '300'])\n"
        "    open('pids', 'w').write(f'{os.getpid()} {child.pid} {os.getppid()}')\n    time.sleep(300)\n"
    )
    code = f"""
        import sys
        sys.path[:0] = [{str(tmp_path)!r}, {str(Path.cwd())!r}]
        from pathlib import Path
        from research.run.runner import Job, Runner
        runner = Runner(2, 1, task="holding:trial", preload=(), logs=Path("logs"))
        for number, job in enumerate([Job({{}}, ["a"]), Job({{}}, ["b"])]):
            runner._start({{}}, job, None, {{}}, 1)
            if number == 0:
                while not Path("pids").exists():
                    pass
                runner._forks.preload(["slowly"], ())
        import time
        time.sleep(300)
    """
    process = subprocess.Popen([sys.executable, "-c", textwrap.dedent(code)], cwd=tmp_path)
    end = time.monotonic() + 60
    while not ((tmp_path / "importing").exists() and (tmp_path / "importing").read_text()):
        assert time.monotonic() < end
        time.sleep(0.02)
    pids = [int(pid) for pid in (tmp_path / "pids").read_text().split()]
    process.kill()
    process.wait()
    end = time.monotonic() + 20  # the import alone goes on for longer
    while any(lives(pid) for pid in pids) and time.monotonic() < end:
        time.sleep(0.02)
    assert not any(map(lives, pids))


def lives(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except OSError:
        return False


def test_a_tree_that_was_stopped_as_a_whole_takes_nobody_for_hung(
    ends, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """As by a cluster that suspends a job: server, children and parent all lose the same seconds."""
    monkeypatch.setattr(forks, "_SILENT_S", 2.0)
    code = f"""
        import os, signal, time
        from pathlib import Path
        parent = {os.getpid()}
        tree = [parent]
        while len(tree) < 3:  # the server, and its child
            time.sleep(0.1)
            own = [int(pid) for task in Path(f"/proc/{{parent}}/task").iterdir()
                   for pid in (task / "children").read_text().split() if int(pid) != os.getpid()]
            tree = [parent, *own, *(int(pid) for server in own
                    for pid in Path(f"/proc/{{server}}/task/{{server}}/children").read_text().split())]
        time.sleep(1.5)
        for pid in tree[::-1]:
            os.kill(pid, signal.SIGSTOP)
        time.sleep(7.0)
        for pid in tree[1:]:
            os.kill(pid, signal.SIGCONT)
            time.sleep(0.5)  # the server looks before its child can give a sign
        os.kill(parent, signal.SIGCONT)
    """
    stopper = subprocess.Popen([sys.executable, "-c", textwrap.dedent(code)])
    try:
        told = ends("slow", stall_s=6.0)
    finally:
        stopper.wait()
    assert told["slow"].status == "done"


def test_a_thread_that_started_the_server_may_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The kernel's signal for the death of a parent comes when the thread that forked ends, too."""
    (tmp_path / "hanging.py").write_text(textwrap.dedent(TASK))
    monkeypatch.syspath_prepend(str(tmp_path))
    with Runner(1, 1, task="hanging:trial", preload=(), logs=tmp_path / "logs") as runner:
        jobs = [Job({"do": "quick", "root": str(tmp_path)}, [name]) for name in "ab"]
        first: list[Outcome] = []
        thread = threading.Thread(target=lambda: first.extend(runner.run(jobs[:1])))
        thread.start()
        thread.join()
        time.sleep(0.5)
        assert [one.status for one in [*first, *runner.run(jobs[1:])]] == ["done", "done"]
