"""Trials in processes: every way to end is an Outcome, and nothing outlives the parent."""

import os
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import pytest

import construct
from refusal import Refusal
from research.run.runner import Job, Outcome, Runner

TASK = """
    import os, signal, subprocess, sys, time

    def trial(config, *, overrides, sweep, source, threads):
        from refusal import Refusal
        do = config["do"]
        print("said by", do) if do != "quiet" else None
        if do == "raise":
            raise ValueError("two\\nlines")
        if do == "refuse":
            raise RuntimeError("inside") from Refusal("Give a smaller width.")
        if do == "exit":
            os._exit(3)
        if do == "killed":
            os.kill(os.getpid(), signal.SIGKILL)
        if do == "tensor":
            return {"status": "done", "facts": {"x": object()}}
        if do == "hang":
            child = subprocess.Popen(["sleep", "300"])
            open(config["pids"], "a").write(f"{os.getpid()} {child.pid} {os.getppid()}\\n")
            time.sleep(300)
        facts = {"threads": threads, "argv": sys.argv[1:], "sweep": sweep, "source": source}
        facts |= {"omp": os.environ["OMP_NUM_THREADS"], "stdin": sys.stdin.read() if do == "read" else ""}
        facts["preloaded"] = "colorsys" in sys.modules
        if do == "import":
            import colorsys
        if do == "user":
            import usernet, userpart
            facts["width"] = usernet.WIDTH * userpart.DEPTH
        metrics = {"train/seconds": 0.1}
        return {"status": "done", "trial_id": 7, "score": 0.5, "metrics": metrics, "facts": facts}
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "errand.py").write_text(textwrap.dedent(TASK))
    monkeypatch.syspath_prepend(str(tmp_path))
    return tmp_path


def runner(folder: Path, **settings: object) -> Runner:
    return Runner(**{"task": "errand:trial", "preload": (), "logs": folder / "logs", **settings})  # type: ignore[arg-type]


def job(do: str, **more: object) -> Job:
    return Job({"do": do, **more}, [f"do={do}"], "group-1", "test")


def by_name(outcomes: list[Outcome]) -> dict[str, Outcome]:
    return {one.job.config["do"]: one for one in outcomes}


def alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except FileNotFoundError:
        return False


def gone(pids: list[int], within_s: float = 30.0) -> bool:
    end = time.monotonic() + within_s
    while any(map(alive, pids)) and time.monotonic() < end:
        time.sleep(0.02)
    return not any(map(alive, pids))


def test_every_end_is_an_outcome_and_siblings_go_on(folder: Path) -> None:
    ways = ["quiet", "raise", "refuse", "exit", "killed", "tensor", "read"]
    with runner(folder) as running:
        ends = by_name(list(running.run([job(do) for do in ways])))
    assert {do: one.status for do, one in ends.items()} == {
        "quiet": "done",
        "raise": "failed",
        "refuse": "failed",
        "exit": "died",
        "killed": "died",
        "tensor": "failed",
        "read": "done",
    }
    assert ends["raise"].reason is not None and ends["raise"].reason.startswith("ValueError: two lines")
    assert ends["refuse"].reason is not None and ends["refuse"].reason.startswith("Give a smaller width.")
    assert "code 3" in str(ends["exit"].reason) and "SIGKILL" in str(ends["killed"].reason)
    assert "not JSON serializable" in str(ends["tensor"].reason)
    assert ends["read"].facts["stdin"] == ""
    quiet = ends["quiet"]
    assert (quiet.trial_id, quiet.score, quiet.metrics) == (7, 0.5, {"train/seconds": 0.1})
    assert quiet.facts["argv"] == ["do=quiet"] and quiet.facts["sweep"] == "group-1"
    assert quiet.facts["source"] == "test" and 0 < quiet.cpu_s < 5 and quiet.peak_bytes > 2**20


def test_what_children_print_is_in_a_file_that_the_reason_names(
    folder: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    with runner(folder) as running:
        ends = by_name(list(running.run([job("raise"), job("quiet")])))
    log = Path(str(ends["raise"].reason).partition("[printed: ")[2].rstrip("]"))
    assert "said by raise" in log.read_text() and "Traceback" in log.read_text()
    assert [path.name for path in (folder / "logs").iterdir()] == [log.name]
    assert capfd.readouterr() == ("", "")


def test_threads_are_cores_shared_by_the_jobs(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("research.run.machine.cores", lambda: 8)
    with runner(folder, jobs=3) as running:
        (end,) = running.run([job("quiet")])
    assert end.facts["threads"] == 2 and end.facts["omp"] == "2"


@pytest.mark.slow
def test_modules_of_targets_that_may_be_called_are_imported_before_the_fork(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with runner(folder) as running:
        (row,) = running.run([job("quiet", net={"_target_": "colorsys.rgb_to_hsv"})])
    assert not row.facts["preloaded"], "a row may say anything"
    monkeypatch.setattr(construct, "_trusted", {"colorsys.rgb_to_hsv", "no.such.thing"})
    with runner(folder) as running:
        (plain,) = running.run([job("quiet")])
        (asked,) = running.run(
            [job("quiet", net={"_target_": "colorsys.rgb_to_hsv"}, gone={"_target_": "no.such.thing"})]
        )
    assert (plain.facts["preloaded"], asked.facts["preloaded"]) == (False, True)


def test_what_one_trial_imported_the_next_one_finds(folder: Path) -> None:
    with runner(folder, jobs=1) as running:
        ends = list(running.run([job("import"), job("import")]))
    assert [end.facts["preloaded"] for end in ends] == [False, True]


def test_a_users_module_that_changes_between_two_trials_is_imported_anew(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(construct, "_trusted", {"usernet.WIDTH"})
    (folder / "userpart.py").write_text("DEPTH = 3\n")
    (folder / "usernet.py").write_text("from userpart import DEPTH\nWIDTH = 2 * DEPTH\n")
    widths = []
    with runner(folder, jobs=1) as running:
        for depth in (3, 3, 10):
            (folder / "userpart.py").write_text(f"DEPTH = {depth}\n")
            (end,) = running.run([job("user", net={"_target_": "usernet.WIDTH"})])
            widths.append(end.facts["width"])
    assert widths == [18, 18, 200]


def test_targets_are_found_at_any_depth() -> None:
    config = {
        "a": {"_target_": "x.Y", "b": [{"_target_": "z.w"}, 1]},
        "c": {"_target_": None},
        "d": "_target_",
    }
    assert list(construct.targets(config)) == ["x.Y", "z.w", None]


@pytest.mark.parametrize("settings", [{"jobs": 0}, {"threads": -1}, {"timeout_s": 0}])
def test_nonsense_settings_are_refused(settings: dict[str, float]) -> None:
    with pytest.raises(Refusal, match="launcher"):
        Runner(**settings)  # type: ignore[arg-type]


def hanging(pids: Path, within_s: float = 120.0) -> list[int]:
    """The ids of a hanging child, of what it started and of its server."""
    end = time.monotonic() + within_s
    while not (pids.exists() and pids.read_text().endswith("\n")):
        assert time.monotonic() < end
        time.sleep(0.02)
    return [int(word) for word in pids.read_text().split()]


@pytest.mark.slow
def test_a_timeout_ends_the_child_and_what_it_started(folder: Path) -> None:
    with runner(folder, timeout_s=4.0, jobs=2) as running:
        ends = by_name(list(running.run([job("hang", pids=str(folder / "pids")), job("quiet")])))
        child, started, _ = hanging(folder / "pids")
        assert gone([child, started])
    assert ends["hang"].status == "timeout" and "timeout_s=4" in str(ends["hang"].reason)
    assert ends["quiet"].status == "done"


@pytest.mark.slow
def test_ctrl_c_ends_the_children_and_says_so(folder: Path) -> None:
    code = f"""
        import os, sys
        sys.path[:0] = [{str(folder)!r}, {str(Path.cwd())!r}]
        from pathlib import Path
        from research.run.runner import Job, Runner
        told = []
        try:
            logs = Path({str(folder / "logs")!r})
            with Runner(jobs=2, task="errand:trial", preload=(), logs=logs) as runner:
                ways = ("quiet", "hang", "quiet")
                jobs = [Job({{"do": do, "pids": {str(folder / "pids")!r}}}, [do]) for do in ways]
                for one in runner.run(jobs):
                    told.append(one.status)
                    Path({str(folder / "told")!r}).write_text(" ".join(told))
        except KeyboardInterrupt:
            print(told)
    """
    process = subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(code)], stdout=subprocess.PIPE, text=True
    )
    pids = hanging(folder / "pids")
    told = folder / "told"
    while process.poll() is None and not (told.exists() and " " in told.read_text()):
        time.sleep(0.05)
    process.send_signal(signal.SIGINT)
    out, _ = process.communicate(timeout=120)
    assert out.strip() == "['done', 'done', 'interrupted']" and process.returncode == 0
    assert gone(pids)


@pytest.mark.slow
def test_nothing_outlives_a_killed_parent(folder: Path) -> None:
    code = f"""
        import sys
        sys.path[:0] = [{str(folder)!r}, {str(Path.cwd())!r}]
        from research.run.runner import Job, Runner
        job = Job({{"do": "hang", "pids": {str(folder / "pids")!r}}}, [])
        list(Runner(task="errand:trial", preload=()).run([job]))
    """
    process = subprocess.Popen([sys.executable, "-c", textwrap.dedent(code)])
    child, started, server = hanging(folder / "pids")
    process.kill()
    process.wait()
    assert gone([child, started, server])


@pytest.mark.slow
def test_a_killed_fork_server_costs_the_running_trials_only(folder: Path) -> None:
    with runner(folder, jobs=1) as running:
        ends = []
        outcomes = running.run([job("hang", pids=str(folder / "pids")), job("quiet")])
        child = os.fork()
        if child == 0:
            os.kill(hanging(folder / "pids")[2], signal.SIGKILL)
            os._exit(0)
        ends = list(outcomes)
        os.waitpid(child, 0)
    assert [one.status for one in ends] == ["died", "done"]
    assert "ended, and its children with it" in str(ends[0].reason)
    assert gone(hanging(folder / "pids")[:1])


@pytest.mark.slow
def test_leaving_early_leaves_no_process(folder: Path) -> None:
    with runner(folder, jobs=2) as running:
        for _ in running.run([job("quiet"), job("hang", pids=str(folder / "pids"))]):
            pids = hanging(folder / "pids")
            break
    assert gone(pids)
