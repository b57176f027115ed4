"""Trials that take turns in one process: each as if it were alone, and none after one that left something."""

import json
import os
import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from research.run import turns
from research.run.runner import Job, Outcome, Runner

TASK = """
    import atexit, gc, logging, os, random, signal, subprocess, sys, threading, time, warnings, weakref

    TURNS = "errand:more"
    LEVEL = {"own": 1}
    SEEN = []

    class Knot:
        def __init__(self):
            self.me = self

    def more():
        return {"level": LEVEL["own"]}

    def trial(config, *, overrides, spent_s=0.0, **named):
        import errand
        do = config.get("do", "")
        print("said by", config["name"]) if do == "print" else None
        burnt, end = time.process_time(), time.process_time() + config.get("burn", 0.0)
        while time.process_time() < end:
            pass
        if do == "killed":
            os.kill(os.getpid(), signal.SIGKILL)
        if do == "exit":
            os._exit(3)
        if do == "raise":
            raise ValueError("no")
        if do == "memory":
            raise MemoryError("no more")
        if do == "sleep":
            open(config["pids"], "a").write(f"{os.getpid()}\\n")
            time.sleep(config.get("seconds", 300))
        left = {
            "environment": lambda: os.environ.__setitem__("LEFT", "1"),
            "folder": lambda: os.chdir("/"),
            "thread": lambda: threading.Thread(target=time.sleep, args=(300,), daemon=True).start(),
            "process": lambda: subprocess.Popen(["sleep", "300"]),
            "signal": lambda: signal.signal(signal.SIGTERM, signal.SIG_IGN),
            "exit function": lambda: atexit.register(print),
            "logging": lambda: logging.disable(logging.ERROR),
            "path": lambda: sys.path.append("/nowhere"),
            "file": lambda: SEEN.append(open("/dev/null")),
            "own": lambda: LEVEL.update(own=2),
            "collector": lambda: gc.disable(),
            "limit": lambda: sys.setrecursionlimit(4321),
            "memory grows": lambda: SEEN.append(bytearray(300 * 2**20)),
            "filter": lambda: warnings.simplefilter("error"),
            "garbage": lambda: SEEN.append(weakref.ref(Knot())),
            "past": lambda: SEEN.append(1),
        }
        if do in left:
            left[do]()
        if do == "wait":
            while not os.path.exists(config["flag"]):
                time.sleep(0.01)
        if do == "let go":
            open(config["flag"], "w").close()
        facts = {"pid": os.getpid(), "argv": sys.argv[1:], "spent": spent_s}
        facts |= {"began": burnt, "seen": len(SEEN), "filters": len(warnings.filters)}
        facts["garbage"] = [one() is None for one in SEEN if callable(one)]
        return {"status": "done", "trial_id": 1, "facts": facts}
"""

ALIKE = {"trainer": {"accelerator": "cpu", "devices": 1}}
Ran = Callable[..., list[Outcome]]


@pytest.fixture
def ran(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Ran]:
    """Runs jobs, by what they do, one at a time in one runner."""
    (tmp_path / "errand.py").write_text(textwrap.dedent(TASK))
    monkeypatch.syspath_prepend(str(tmp_path))
    with ExitStack() as closing:
        made: list[Runner] = []

        def run(*jobs: Job, **settings: object) -> list[Outcome]:
            if not made or settings:
                own = {"jobs": 1, "threads": 1, "task": "errand:trial", "preload": ()}
                runner = Runner(**{**own, "logs": tmp_path / "logs", **settings})  # type: ignore[arg-type]
                made.append(closing.enter_context(runner))
            return list(made[-1].run(list(jobs)))

        yield run


def job(do: str = "", **more: object) -> Job:
    name = str(more.pop("name", do))
    return Job({**ALIKE, "do": do, "name": name, **more}, [f"name={name}"])


def pids(outcomes: list[Outcome]) -> list[int]:
    assert all(one.status == "done" for one in outcomes), [one.reason for one in outcomes]
    return [one.facts["pid"] for one in outcomes]


def test_trials_of_one_kin_take_turns_and_each_is_told_apart(ran: Ran, tmp_path: Path) -> None:
    jobs = [job("print", name=name, burn=burn) for name, burn in (("a", 0.3), ("b", 0.1), ("c", 0.2))]
    assert len(set(pids(ends := ran(*jobs)))) == 1
    assert [one.facts["argv"] for one in ends] == [["name=a"], ["name=b"], ["name=c"]]
    logs = sorted((tmp_path / "logs").glob("000*"))
    assert [log.read_text() for log in logs] == ["said by a\n", "said by b\n", "said by c\n"]


def test_what_a_trial_used_is_never_in_the_figures_of_another(ran: Ran) -> None:
    ends = ran(*(job(burn=burn) for burn in (0.3, 0.1, 0.2)))
    assert len(set(pids(ends))) == 1
    for one, burn in zip(ends, (0.3, 0.1, 0.2), strict=True):
        assert burn <= one.cpu_s < burn + 0.2
    told = [one.facts["spent"] for one in ends]
    assert told[0] == 0.0
    # By the child's own clock: all that came before, and nothing of what follows.
    assert told[1:] == pytest.approx([sum(one.cpu_s for one in ends[:end]) for end in (1, 2)], abs=0.05)
    assert all(one.facts["began"] >= one.facts["spent"] for one in ends)


LEFT = [
    *("environment", "folder", "thread", "process", "signal", "exit function", "logging", "path", "file"),
    *("own", "collector", "limit", "memory grows"),
]


@pytest.mark.slow
@pytest.mark.parametrize("do", LEFT)
def test_a_process_in_which_something_is_left_takes_no_other_trial(ran: Ran, do: str) -> None:
    first, second, third = pids(ran(job(do), job(), job()))
    assert first != second == third


def test_filters_of_warnings_and_garbage_are_gone_before_the_next_trial(ran: Ran) -> None:
    ends = ran(job("garbage"), job("filter"), job())
    assert len(set(pids(ends))) == 1
    assert ends[2].facts["garbage"] == [True]
    assert ends[2].facts["filters"] == ends[0].facts["filters"]


@pytest.mark.parametrize(
    ("do", "status"), [("killed", "died"), ("exit", "died"), ("raise", "failed"), ("memory", "failed")]
)
def test_what_ends_badly_ends_alone(ran: Ran, do: str, status: str) -> None:
    before, bad, *after = ran(job("past"), job(do), job(), job())
    assert bad.status == status and bad.trial_id is None, "not the answer of the trial before it"
    assert pids([before])[0] not in pids(after) and len(set(pids(after))) == 1
    assert [one.facts["seen"] for one in after] == [0, 0]


def test_a_process_takes_so_many_turns_and_no_more(ran: Ran) -> None:
    found = pids(ran(*(job() for _ in range(7)), turns=3))
    assert [found.count(pid) for pid in dict.fromkeys(found)] == [3, 3, 1]
    assert len(set(pids(ran(job(), job(), turns=1)))) == 2


@pytest.mark.slow
@pytest.mark.parametrize(
    "more",
    [
        {"trainer": {"accelerator": "gpu", "devices": 1}},
        {"trainer": {"accelerator": "cpu", "devices": 2}},
        {"compress": {"half": {}}},
        {"model": {"_target_": "errand.Knot"}},
        {"callbacks": {"a": {"_target_": "models_of_mine.Callback"}}},
    ],
)
def test_what_may_keep_more_than_can_be_seen_has_its_process_to_itself(
    ran: Ran, more: dict[str, object]
) -> None:
    found = pids(ran(job(**more), job(**more)))
    assert found[0] != found[1]


def test_kin_have_the_same_places_and_threads() -> None:
    config = ALIKE | {"model": {"_target_": "models.nets.mlp.MLP"}}
    targets = ["models.nets.mlp.MLP", "torch.optim.AdamW"]
    usual = turns.kin(config, targets, {}, 1)
    assert usual is not None and usual == turns.kin(config | {"seed": 7}, targets, {}, 1)
    assert usual != turns.kin(config, targets, {}, 2)
    assert usual != turns.kin(config, targets, {"CUDA_VISIBLE_DEVICES": "1"}, 1)
    assert turns.kin(config, [*targets, "torch.hub.load"], {}, 1) is None
    assert turns.kin({}, targets, {}, 1) is None


def test_two_at_a_time_the_process_that_is_free_takes_what_waits(ran: Ran, tmp_path: Path) -> None:
    flag = {"flag": str(tmp_path / "flag")}
    ends = ran(job("wait", **flag), *(job() for _ in range(5)), job("let go", **flag), jobs=2)
    held = [one.facts["pid"] for one in ends if one.job.config["do"] == "wait"]
    others = [one.facts["pid"] for one in ends if one.job.config["do"] != "wait"]
    assert len(others) == 6 and len(set(others)) == 1 and set(others).isdisjoint(held)


def test_a_later_run_of_the_same_runner_finds_the_process_again(ran: Ran) -> None:
    assert len(set(pids(ran(job())) + pids(ran(job())))) == 1


@pytest.mark.slow
def test_each_turn_has_its_own_deadline(ran: Ran, tmp_path: Path) -> None:
    names = {"pids": str(tmp_path / "pids")}
    short = [job("sleep", seconds=1.0, **names) for _ in range(4)]
    *good, late, last = ran(*short, job("sleep", **names), job(), timeout_s=3.5)
    assert len(set(pids(good))) == 1, "4 s in all, and none of them late"
    assert late.status == "timeout" and 3.4 < late.wall_s < 100
    assert pids([last])[0] != pids(good)[0]


@pytest.mark.slow
def test_a_stop_between_turns_holds_for_what_has_not_begun(ran: Ran, tmp_path: Path) -> None:
    ran(job())  # the server is there when the clock starts
    asleep = ALIKE | {"do": "sleep", "seconds": 2.2, "pids": str(tmp_path / "pids")}
    jobs = [Job(asleep, [number], until=time.monotonic() + 4.0) for number in "0123"]
    words = {one.job.overrides[0]: one.status for one in ran(*jobs)}
    assert words == {"0": "done"} | dict.fromkeys("123", "interrupted")


@pytest.mark.slow
def test_ctrl_c_ends_the_trial_at_hand_and_the_processes_that_rest(tmp_path: Path) -> None:
    (tmp_path / "errand.py").write_text(textwrap.dedent(TASK))
    code = f"""
        import sys, time
        sys.path[:0] = [{str(tmp_path)!r}, {str(Path.cwd())!r}]
        from pathlib import Path
        from research.run.runner import Job, Runner
        told, pids, logs = [], {str(tmp_path / "pids")!r}, Path({str(tmp_path / "logs")!r})
        usual = {{"trainer": {{"accelerator": "cpu", "devices": 1}}, "name": "", "pids": pids}}
        try:
            with Runner(2, 1, task="errand:trial", preload=(), logs=logs) as runner:
                both = [Job(usual | {{"do": do, "flag": pids + "?"}}, []) for do in ("wait", "let go")]
                said = [str(one.facts["pid"]) for one in runner.run(both)]
                open(pids, "a").write(" ".join(said) + " ")
                for one in runner.run([Job(usual | {{"do": "sleep"}}, [])]):
                    told.append(one.status)
        except KeyboardInterrupt:
            print(told)
    """
    process = subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(code)], stdout=subprocess.PIPE, text=True
    )
    end, pids = time.monotonic() + 300, []
    while len(pids) < 3:
        assert time.monotonic() < end
        time.sleep(0.05)
        pids = (tmp_path / "pids").read_text().split() if (tmp_path / "pids").exists() else []
    process.send_signal(signal.SIGINT)
    out, _ = process.communicate(timeout=120)
    assert out.strip() == "['interrupted']" and process.returncode == 0
    assert len(set(pids)) == 2, "the third trial took a turn, and the other process rested"
    assert not any(Path(f"/proc/{pid}").exists() for pid in pids)


@pytest.mark.slow
def test_a_process_that_was_killed_while_it_rested_is_replaced(ran: Ran) -> None:
    (first,) = pids(ran(job()))
    time.sleep(0.3)
    os.kill(first, signal.SIGKILL)
    time.sleep(0.3)
    (second,) = pids(ran(job()))
    assert second != first


@pytest.mark.slow
def test_nothing_that_rests_outlives_its_runner(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "errand.py").write_text(textwrap.dedent(TASK))
    monkeypatch.syspath_prepend(str(tmp_path))
    with Runner(1, 1, task="errand:trial", preload=(), logs=tmp_path / "logs") as runner:
        (pid,) = pids(list(runner.run([job()])))
        assert Path(f"/proc/{pid}").exists()
    assert not Path(f"/proc/{pid}").exists()


def test_a_thread_may_end_while_it_is_looked_at(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "alive").mkdir(), (tmp_path / "gone").mkdir()
    (tmp_path / "alive" / "children").write_text("34 12 ")
    monkeypatch.setattr(turns, "Path", lambda place: tmp_path)
    assert turns._children() == ["12", "34"]


def test_what_is_not_as_it_was_has_a_name() -> None:
    before = turns.state()
    assert turns.changed(before, turns.state()) == []
    os.environ["JOULELAB_LEFT"] = "1"
    try:
        assert turns.changed(before, turns.state()) == ["environment"]
    finally:
        del os.environ["JOULELAB_LEFT"]
    json.dumps(turns.changed(before, turns.state()))
