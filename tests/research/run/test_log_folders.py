"""Folders of logs in the system's temporary folder do not pile up where commands are killed."""

import os
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from refusal import Refusal
from research.run.job import Job
from research.run.machine import log_folder
from research.run.runner import Runner

KILLED = (
    "import os; from research.run import machine; print(machine.log_folder()[0], flush=True); os.kill({})"
)


def test_a_folder_that_cannot_be_made_is_a_sentence_before_anything_is_started(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").touch()
    jobs = [Job({"do": "ok"}, [], "group", "test")]
    for logs in (tmp_path / "file" / "logs", None):
        monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "file"))
        runner = Runner(1, task="run_targets:run", preload=(), logs=logs)
        with pytest.raises(Refusal, match=r"file.* cannot be written \(Not a directory\): choose"):
            next(runner.run(jobs))
        assert runner._started == 0


def test_what_a_killed_command_left_empty_is_cleared_and_nothing_else_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    code = KILLED.format(f"os.getpid(), {int(signal.SIGKILL)}")
    root = Path(__file__).parents[3]
    ended = subprocess.run(
        [sys.executable, "-c", code], cwd=root, env=os.environ | {"TMPDIR": str(tmp_path)},
        capture_output=True, text=True,
    )  # fmt: skip
    left = Path(ended.stdout.strip())
    (left / "server.log").touch()
    told, linked, elsewhere = (tmp_path / f"joulelab-logs-{name}" for name in ("told", "linked", "x"))
    told.mkdir()
    (told / "server.log").touch(), (told / "1.log").write_text("why it failed")
    mine, theirs = tmp_path / "mine", tmp_path / "joulelab-postgres-1"
    mine.mkdir(), theirs.mkdir(), linked.symlink_to(mine)
    (mine / "empty").touch()
    folder, lock = log_folder()
    elsewhere, other = log_folder()  # beside one that is in use
    try:
        assert not left.exists() and folder.is_dir() and elsewhere != folder
        assert (told / "server.log").exists() and (mine / "empty").exists() and theirs.is_dir()
    finally:
        os.close(lock), os.close(other)
    assert log_folder()[0].is_dir() and not folder.exists() and not elsewhere.exists()
