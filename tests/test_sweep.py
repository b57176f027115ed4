"""Sweeps as a person types them: complete rows, no trial twice, none lost, whatever is killed on the way."""

import re
import signal
import sqlite3
import subprocess
import sys
import time
from pathlib import Path

import pytest
from hydra.core.utils import JobStatus
from test_train import KEYS

from research.store.store import Store

ROOT = Path(__file__).parent.parent
SMALL = ("budget.steps=20", "budget.epochs=null", "logger=csv")
pytestmark = pytest.mark.slow


def start(*arguments: str, cwd: Path) -> subprocess.Popen[str]:
    line = [sys.executable, str(ROOT / "train.py"), "-m", *arguments]
    return subprocess.Popen(line, cwd=cwd, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def sweep(*arguments: str, cwd: Path) -> tuple[int, str, str]:
    process = start(*arguments, cwd=cwd)
    out, err = process.communicate(timeout=1200)
    return process.returncode, out, err


def rows(folder: Path) -> list[tuple[int, str, int]]:
    """(seed, status, replicate) of every row, without holding the database."""
    database = sqlite3.connect(f"file:{folder / 'joulelab.db'}?mode=ro", uri=True)
    try:
        return sorted(database.execute("select seed, status, replicate from trial").fetchall())
    except sqlite3.OperationalError:
        return []
    finally:
        database.close()


def wait_for(folder: Path, status: str, count: int, within_s: float = 600) -> None:
    end = time.monotonic() + within_s
    while not (folder / "joulelab.db").exists() or sum(row[1] == status for row in rows(folder)) < count:
        assert time.monotonic() < end
        time.sleep(0.02)


def in_session(folder: Path) -> list[int]:
    """Living processes whose working directory is the folder."""
    found = []
    for link in Path("/proc").glob("[0-9]*/cwd"):
        try:
            state = (link.parent / "stat").read_text().rpartition(")")[2].split()[0]
            if state not in "ZX" and link.readlink() == folder:
                found.append(int(link.parent.name))
        except OSError:
            continue
    return found


def test_nine_rows_with_every_key_and_typed_again_nothing_is_trained(tmp_path: Path) -> None:
    line = ("optimizer=adam,adamw,lion", "seed=0,1,2", *SMALL, "budget.steps=200")
    code, out, err = sweep(*line, cwd=tmp_path)
    assert code == 0, err
    assert "9/9  done" in out and "±" in out and "estimated" in out and "orchestration overhead" in out
    assert out.count("* optimizer=") == 1
    store = Store(f"sqlite:///{tmp_path}/joulelab.db")
    trials = store.trials()
    results = store.results([trial.id for trial in trials])
    assert len(trials) == 9 and all(results[trial.id].metrics.keys() >= KEYS for trial in trials)
    (group,) = {trial.sweep for trial in trials}
    assert group is not None and group.startswith("optimizer-seed-")
    code, out, err = sweep(*line, cwd=tmp_path)
    assert code == 0, err
    assert out.count("known") == 9 and "overhead" not in out
    assert [trial.finished for trial in store.trials()] == [trial.finished for trial in trials]
    code, out, err = sweep("optimizer=adam,sgd", "seed=0,5", *line[2:], "dry_run=true", cwd=tmp_path)
    assert code == 0, err
    assert "known: trial" in out and "4 trials: 1 known, 3 to run" in out and "about" in out
    assert len(store.trials()) == 9
    store.close()


def test_a_sweep_killed_with_sigkill_and_typed_again_loses_and_doubles_nothing(tmp_path: Path) -> None:
    line = ("optimizer=adam,adamw", "seed=0,1,2", *SMALL, "budget.steps=150")
    process = start(*line, cwd=tmp_path)
    wait_for(tmp_path, "done", 2)
    wait_for(tmp_path, "running", 1)
    process.kill()
    process.communicate()
    end = time.monotonic() + 60
    while in_session(tmp_path) and time.monotonic() < end:
        time.sleep(0.02)
    assert in_session(tmp_path) == []
    store = Store(f"sqlite:///{tmp_path}/joulelab.db")
    before = {trial.id: trial.finished for trial in store.trials(status="done")}
    assert 2 <= len(before) < 6
    code, out, err = sweep(*line, cwd=tmp_path)
    assert code == 0, err
    assert out.count("known") == len(before)
    after = store.trials()
    assert [trial.status for trial in after] == ["done"] * 6
    assert len({(trial.config["optimizer"]["_target_"], trial.seed) for trial in after}) == 6
    assert {trial.id: trial.finished for trial in after if trial.id in before} == before
    store.close()


def test_a_failing_trial_leaves_its_siblings_and_the_exit_code_is_1(tmp_path: Path) -> None:
    code, out, err = sweep("optimizer=sgd", "optimizer.lr=0.1,1e30", "seed=0", *SMALL, cwd=tmp_path)
    assert code == 1 and "Traceback" not in err
    assert "diverged" in out.lower() and "printed:" in out
    assert sorted(row[1] for row in rows(tmp_path)) == ["done", "failed"]


def test_ctrl_c_stops_cleanly_and_the_command_finishes_it(tmp_path: Path) -> None:
    line = ("seed=0,1,2", *SMALL, "budget.steps=300")
    process = start(*line, "launcher.jobs=1", cwd=tmp_path)
    wait_for(tmp_path, "done", 1)
    wait_for(tmp_path, "running", 1)
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=1200)
    assert process.returncode == 130, err
    assert "Traceback" not in err and "interrupted" in out and "typed again" in out
    assert in_session(tmp_path) == []
    assert all(status in ("done", "failed") for _, status, _ in rows(tmp_path))
    code, out, err = sweep(*line, cwd=tmp_path)
    assert code == 0, err
    assert rows(tmp_path) == [(seed, "done", 0) for seed in range(3)]


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("optimizer=adam,nonesuch", "seed=0,1"), "nonesuch"),
        (("optimizer=adam,lion", "model.nonesuch=1"), "nonesuch"),
        (("seed=0,1", "score=val/nonesuch"), "val/loss"),
        (("seed=0,1", "launcher.jobs=0"), "launcher.jobs"),
        (("seed=0,1", "data=pytext", "model=gpt", "data.path=nonesuch"), "data.path"),
    ],
)
def test_what_no_trial_could_run_with_is_refused_before_any_starts(
    tmp_path: Path, arguments: tuple[str, ...], says: str
) -> None:
    code, out, err = sweep(*arguments, *SMALL, cwd=tmp_path)
    assert code == 2 and says in err and "Traceback" not in err and out == ""
    assert not (tmp_path / "joulelab.db").exists() or rows(tmp_path) == []


def test_a_timeout_is_a_reason_in_the_row(tmp_path: Path) -> None:
    line = ("seed=0", *SMALL, "budget.steps=1000000", "launcher.timeout_s=4")
    code, out, err = sweep(*line, cwd=tmp_path)
    assert code == 1, err
    assert "timeout_s=4" in out
    store = Store(f"sqlite:///{tmp_path}/joulelab.db")
    (trial,) = store.trials()
    assert trial.status == "failed" and trial.reason is not None and trial.reason.startswith("timeout: ")
    store.close()


@pytest.mark.parametrize("launcher", ["basic", "joblib", "submitit_local"])
def test_sweeps_of_other_launchers_end_as_ours_do(tmp_path: Path, launcher: str) -> None:
    own = {"joblib": ("hydra.launcher.n_jobs=2",)}.get(launcher, ())
    # Each of the others imports all anew.
    arms = ("adam", "lion") if launcher == "basic" else ("lion",)
    line = (f"optimizer={','.join(arms)}", "seed=0,1", *SMALL, f"hydra/launcher={launcher}", *own)
    code, out, err = sweep(*line, cwd=tmp_path)
    assert code == 0, err
    assert rows(tmp_path) == sorted((seed, "done", 0) for seed in (0, 1) for _ in arms)
    many = 2 * len(arms)
    assert f"{many}/{many}  done" in out and "t-interval over seeds" in out
    assert launcher != "basic" or out.count("* optimizer=") == 1
    store = Store(f"sqlite:///{tmp_path}/joulelab.db")
    trials = store.trials()
    at_a_time = {"basic": 1, "joblib": 2, "submitit_local": many}[launcher]
    told = store.results([trial.id for trial in trials])
    for trial in trials:
        energy = told[trial.id].facts["energy"]
        assert trial.config["meter"]["concurrent"] == at_a_time
        standing_w = energy["hardware"].get("standing_w")
        if standing_w is not None:  # what the machine draws in any case is shared by those that run on it
            metrics = told[trial.id].metrics
            assert metrics["train/energy_standing_j"] == pytest.approx(
                standing_w * metrics["train/seconds"] / at_a_time, rel=0.01
            )
    assert {trial.sweep for trial in trials} == {trials[0].sweep}
    assert str(trials[0].sweep).startswith("optimizer-seed-" if launcher == "basic" else "seed-")
    code, out, err = sweep(*line, cwd=tmp_path)
    assert code == 0 and out.count("  known ") == many, err
    store.close()


def test_a_failing_trial_of_another_launcher_is_told_beside_the_others(tmp_path: Path) -> None:
    line = ("optimizer=sgd", "optimizer.lr=0.1,1e30", *SMALL, "hydra/launcher=basic")
    code, out, err = sweep(*line, cwd=tmp_path)
    assert code == 1 and "Traceback" not in err
    assert "2/2  failed  optimizer.lr=1e+30  diverged: " in out and "1 of 2 trials have no numbers" in out
    assert sorted(row[1] for row in rows(tmp_path)) == ["done", "failed"]


def test_what_workers_of_an_engine_have_run_is_told_as_theirs(tmp_path: Path) -> None:
    line = ("seed=0,1", "runner=slurm", "runner.cluster=local", "runner.workers=1", "runner.jobs=1", *SMALL)
    code, out, err = sweep(*line, cwd=tmp_path)
    assert code == 0, err
    assert len(re.findall(r"\d/2  done  +seed=\d .* s by slurm on \S+  ", out)) == 2
    assert rows(tmp_path) == [(0, "done", 0), (1, "done", 0)] and "overhead" not in out


def test_another_config_folder_is_composed_by_hydra(tmp_path: Path) -> None:
    (tmp_path / "more" / "optimizer").mkdir(parents=True)
    adam = (ROOT / "conf" / "optimizer" / "adam.yaml").read_text()
    (tmp_path / "more" / "optimizer" / "mine.yaml").write_text(adam.replace("lr: 0.003", "lr: 0.0123"))
    code, _, err = sweep("optimizer=mine", "seed=0,1", *SMALL, "--config-dir", "more", cwd=tmp_path)
    assert code == 0, err
    store = Store(f"sqlite:///{tmp_path}/joulelab.db")
    assert [trial.config["optimizer"]["lr"] for trial in store.trials()] == [0.0123, 0.0123]
    store.close()


def test_a_failed_job_is_told_as_hydra_tells_it() -> None:
    from hydra_plugins.hydra_joulelab_launcher.processes import JobEnded, TrialFailed

    ended = JobEnded(overrides=["seed=0"], status=JobStatus.FAILED)
    ended.return_value = TrialFailed("why")
    with pytest.raises(TrialFailed, match="why"):
        _ = ended.return_value
    ended = JobEnded(overrides=["seed=0"], status=JobStatus.COMPLETED)
    ended.return_value = 0.5
    assert ended.return_value == 0.5


def test_the_name_of_a_sweep_is_of_what_is_run_not_how() -> None:
    from research.run.sweep import name

    typed = ["optimizer=adam,lion", "seed=0,1"]
    first = name(typed, ["optimizer", "seed"])
    assert first == name([*reversed(typed), "launcher.jobs=1", "logger=csv"], ["optimizer", "seed"])
    assert first.startswith("optimizer-seed-") and len(first) == len("optimizer-seed-") + 8
    assert first != name(["optimizer=adam,lion", "seed=0,2"], ["optimizer", "seed"])
    assert name(["name=my run", "model.width=1,2"], ["model.width"]).startswith("my-run-")
    assert name(["name='mein läuft'", "seed=1,2"], ["seed"]).startswith("mein-läuft-")


def test_a_split_that_goes_with_the_seed_is_told_as_it_was_typed(tmp_path: Path) -> None:
    code, _, err = sweep(
        "data.split_seed=${seed}", "seed=1000,1001", "budget.steps=5", "logger=csv", cwd=tmp_path
    )
    assert code == 0, err
    trials = Store(f"sqlite:///{tmp_path}/joulelab.db").trials()
    assert [one.config["data"]["split_seed"] for one in trials] == [one.seed for one in trials]
    assert sorted(one.seed for one in trials) == [1000, 1001]
    assert all("data.split_seed=${seed}" in one.overrides for one in trials)
