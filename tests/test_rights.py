"""What the lab writes is for its user alone, however wide the umask; what a user made keeps its rights."""

import os
import stat
import sys
import textwrap
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

import refusal
from models import trial
from models.compress import artefact
from research.page import put
from research.run.row import claimed
from research.run.runner import Job, Runner
from research.store.store import Store
from research.tasks.export import _whole

ROOT = Path(__file__).parent.parent


@pytest.fixture(autouse=True)
def wide() -> Iterator[None]:
    """As on a machine where everybody may write everybody's files."""
    before = os.umask(0)
    yield
    os.umask(before)


def rights(folder: Path) -> dict[str, str]:
    """Whatever lies under a folder that others may read or write, with its rights."""
    modes = {str(path.relative_to(folder)): stat.S_IMODE(path.stat().st_mode) for path in folder.rglob("*")}
    assert modes, "nothing was written"
    return {name: oct(mode) for name, mode in modes.items() if mode & 0o077}


def test_a_database_and_its_journal(tmp_path: Path) -> None:
    store = Store(f"sqlite:///{tmp_path}/lab.db")
    with store.write() as connection:
        connection.exec_driver_sql(
            "INSERT INTO sprint (created, goal, objective, status, facts) VALUES (1, '', '1', '', '{}')"
        )
        assert len(list(tmp_path.iterdir())) > 1, "no journal to look at"
        assert rights(tmp_path) == {}
    store.close()
    assert rights(tmp_path) == {}


def test_a_database_that_a_user_shares_stays_shared_with_its_journal(tmp_path: Path) -> None:
    (tmp_path / "lab.db").touch(0o664)
    store = Store(f"sqlite:///{tmp_path}/lab.db")
    with store.write() as connection:
        connection.exec_driver_sql(
            "INSERT INTO sprint (created, goal, objective, status, facts) VALUES (1, '', '1', '', '{}')"
        )
        assert set(rights(tmp_path).values()) == {"0o664"}
    store.close()


def test_a_trials_folder_its_weights_and_checkpoints(
    resolve: Callable[..., dict[str, Any]], tmp_path: Path
) -> None:
    with claimed(resolve(), overrides=[], sweep=None, source="person") as row:
        trial.prepare(row.folder, 0, None)
        artefact.save(torch.nn.Linear(1, 1), row.folder / "weights.pt")
        row.finish({}, {}, [])
    assert rights(row.folder.parent) == {}


def test_logs_of_trials_and_what_trials_write(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    place = tmp_path / "work"
    place.mkdir()
    (tmp_path / "errand.py").write_text(
        textwrap.dedent("""
        def trial(config, **about):
            print("said")
            open(config["place"] + "/by the trial", "w").close()
            raise ValueError
        """)
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    with Runner(1, 1, task="errand:trial", preload=(), logs=place / "logs") as runner:
        list(runner.run([Job({"place": str(place)}, [])]))
        assert {"logs", "logs/forkserver.log", "by the trial"} < {
            str(path.relative_to(place)) for path in place.rglob("*")
        }
        assert rights(place) == {}


def test_reports_and_exports_keep_the_rights_that_somebody_gave_them(tmp_path: Path) -> None:
    for again, expected in ((False, {}), (True, {"report.md": "0o644", "out.json": "0o640"})):
        if again:
            (tmp_path / "folder" / "report.md").chmod(0o644)
            (tmp_path / "folder" / "out.json").chmod(0o640)
        put("text", tmp_path / "folder")
        _whole(tmp_path / "folder" / "out.json", lambda path: path.write_text("{}"))
        assert rights(tmp_path / "folder") == expected
    assert stat.S_IMODE((tmp_path / "folder").stat().st_mode) == 0o700


def test_a_command_writes_for_its_user_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", ["train.py"])
    refusal.command(lambda: (tmp_path / "written").write_text(""))()
    assert rights(tmp_path) == {}
    assert os.umask(0) == 0, "left as it was"
