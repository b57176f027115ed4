"""Writers of one SQLite file have their turn one after another, and nobody keeps it who is gone."""

import os
import signal
import stat
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest
import sqlalchemy as sa

from research.store.schema import trial
from research.store.store import Store
from research.store.writers import Writers

LONG_S, PATIENCE_S = 30.0, 600.0


@pytest.fixture
def database(tmp_path: Path) -> Path:
    return tmp_path / "lab.db"


@contextmanager
def forked(do: Callable[[], None]) -> Iterator[int]:
    """A process that does something, and then nothing for as long as it is needed."""
    told, tell = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            do()
            os.write(tell, b"x")
            signal.pause()
        finally:
            os._exit(0)
    assert os.read(told, 1) == b"x"
    try:
        yield pid
    finally:
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)


def wait_for(database: Path, had: list[str], patience_s: float = PATIENCE_S) -> threading.Thread:
    """Somebody who waits for a turn, and says so when it has come."""

    def wait() -> None:
        with Writers(database, patience_s).turn():
            had.append("a turn")

    thread = threading.Thread(target=wait, daemon=True)
    thread.start()
    return thread


def test_a_turn_is_waited_for_until_its_holder_lets_go(database: Path) -> None:
    had: list[str] = []
    with Writers(database, PATIENCE_S).turn():
        thread = wait_for(database, had)
        time.sleep(0.1)
        assert had == []
    thread.join(LONG_S)
    assert had == ["a turn"]
    assert stat.S_IMODE(Path(f"{database}-turn").stat().st_mode) == 0o600


@pytest.mark.parametrize("leaves_a_child", [False, True])
def test_a_holder_that_is_killed_lets_go(database: Path, leaves_a_child: bool) -> None:
    """Also where a child of its own lives on, which has inherited all that was open."""
    had: list[str] = []
    tell, told = os.pipe()

    def hold() -> None:
        stack.enter_context(Writers(database, PATIENCE_S).turn())
        if leaves_a_child and (child := os.fork()) == 0:
            signal.pause()
        os.write(told, f"{child if leaves_a_child else 0}\n".encode())

    with ExitStack() as stack, ExitStack() as last:
        with forked(hold):
            if child := int(os.read(tell, 20)):
                last.callback(os.kill, child, signal.SIGKILL)
            thread = wait_for(database, had)
            time.sleep(0.1)
            assert had == []
        thread.join(LONG_S)
        assert had == ["a turn"]


def test_who_has_waited_in_vain_goes_on(database: Path) -> None:
    had: list[str] = []
    with Writers(database, PATIENCE_S).turn():
        wait_for(database, had, patience_s=0.05).join(LONG_S)
        assert had == ["a turn"], "SQLite has the last word"


def test_without_a_folder_of_ours_it_is_sqlites_own_order(tmp_path: Path) -> None:
    with Writers(tmp_path / "missing" / "lab.db", PATIENCE_S).turn():
        assert list(tmp_path.iterdir()) == []


def test_what_writes_has_its_turn_and_what_reads_takes_none(database: Path) -> None:
    store, had = Store(f"sqlite:///{database}"), list[str]()
    with Writers(database, PATIENCE_S).turn():
        with store.read() as connection:
            assert connection.execute(sa.select(sa.func.count()).select_from(trial)).scalar_one() == 0

        def write() -> None:
            with store.write():
                had.append("written")

        thread = threading.Thread(target=write, daemon=True)
        thread.start()
        time.sleep(0.1)
        assert had == []
    thread.join(LONG_S)
    store.close()
    assert had == ["written"]
