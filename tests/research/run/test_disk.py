"""A disk that is nearly full takes no new trial and ends none: told once, and gone on with later."""

import subprocess
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path

import pytest

from refusal import Refusal
from research.run import machine
from research.run.machine import Floor, written_folders
from research.run.runner import Job, Runner

TASK = """
    import time
    from pathlib import Path

    def trial(config, **named):
        root = Path(config["root"])
        if config["do"] == "fill":
            (root / "filling").write_bytes(bytes(3 * 2**20))
            time.sleep(1.0)
            (root / "told").write_text("what runs goes on")
        files = sorted(path.name for path in root.iterdir())
        if config["do"] in ("say", "raise"):
            print("a line of a log " * 1000)
        if config["do"] == "raise":
            raise ValueError("said " * 100)
        return {"status": "done", "trial_id": 1, "facts": {"files": files}}
"""


def test_it_is_told_once_and_once_again_when_there_is_room(capsys: pytest.CaptureFixture[str]) -> None:
    left = iter([5, 1, 1, 1, 5, 5])
    floor = Floor(2.0, free=lambda folder: int(next(left) * 2**30))
    assert [floor.holds([Path("x")]) for _ in range(6)] == [True, False, False, False, True, True]
    first, second = capsys.readouterr().err.splitlines()
    assert first.startswith("the disk of x has 1.00 GiB left and launcher.disk_floor_gib keeps 2 free")
    assert second == "there is room on the disk again: trials are started"


def test_no_floor_is_none_and_nonsense_is_refused() -> None:
    assert Floor(0, free=lambda folder: 0).holds([Path("x")]) and Floor(None).holds([Path("x")])
    for wrong in (-1.0, float("nan"), 1e10):
        with pytest.raises(Refusal, match="disk_floor_gib"):
            Floor(wrong)


def test_a_trial_writes_to_its_root_and_to_its_database() -> None:
    config = {"root": "runs", "store": {"url": "sqlite:////data/lab.db"}}
    assert written_folders(config) == [Path("runs"), Path("/data")]
    assert written_folders({"store": {"url": "postgresql://h/lab"}}) == []


@pytest.fixture
def small(tmp_path: Path) -> Iterator[Path]:
    """A disk of 4 MiB of the test's own."""
    folder = tmp_path / "small"
    folder.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=4m", "tmpfs", folder], capture_output=True)
    if mounted.returncode:
        pytest.skip("only root mounts a small disk here; the floor itself is tested without one")
    yield folder
    subprocess.run(["umount", "-l", folder], check=True)


@pytest.mark.slow
def test_trials_wait_for_room_and_what_runs_is_kept(
    small: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "filling.py").write_text(textwrap.dedent(TASK))
    monkeypatch.syspath_prepend(str(tmp_path))
    settings = {"jobs": 1, "threads": 1, "disk_floor_gib": 2 / 1024}
    jobs = [Job({"do": do, "root": str(small)}, [do]) for do in ("fill", "next")]
    freeing = (
        f"import os, time\nwhile not os.path.exists({str(small / 'told')!r}):\n    time.sleep(0.05)\n"
        f"time.sleep(3)\nos.unlink({str(small / 'filling')!r})"
    )
    with Runner(**settings, task="filling:trial", preload=(), logs=small / "logs") as runner:
        freed = subprocess.Popen([sys.executable, "-c", freeing])
        first, second = runner.run(jobs)
        freed.wait()
    assert (first.status, second.status) == ("done", "done")
    assert (small / "told").exists() and "filling" not in second.facts["files"], (
        "it began before there was room"
    )
    said = capfd.readouterr().err
    assert said.count("no trial is started until there is room") == 1
    assert said.count("there is room on the disk again") == 1


@pytest.mark.slow
def test_what_nobody_frees_ends_in_a_sentence(
    small: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "filling.py").write_text(textwrap.dedent(TASK))
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setattr(machine, "PATIENCE_S", 0.5)
    with Runner(1, 1, disk_floor_gib=1.0, task="filling:trial", preload=(), logs=tmp_path / "logs") as runner:
        (end,) = runner.run([Job({"do": "next", "root": str(small)}, ["next"])])
    assert end.status == "interrupted" and "the same command runs it" in str(end.reason)


@pytest.mark.slow
def test_a_trial_whose_log_finds_no_room_has_its_result_or_its_reason_all_the_same(
    small: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Seven of ten trials "exited with code 1 and no result" on a full disk."""
    (tmp_path / "filling.py").write_text(textwrap.dedent(TASK))
    monkeypatch.syspath_prepend(str(tmp_path))
    with Runner(1, 1, task="filling:trial", preload=(), logs=small / "logs") as runner:
        for number in range(3):
            if number == 1:
                with (
                    pytest.raises(OSError, match="No space"),
                    (small / "all").open("wb", buffering=0) as file,
                ):
                    while True:
                        file.write(bytes(1024))
            jobs = [Job({"do": do, "root": str(small)}, [do]) for do in ("say", "raise")]
            told, failed = runner.run(jobs)
            assert told.status == "done" and failed.status == "failed"
            assert str(failed.reason).startswith("ValueError: said")
