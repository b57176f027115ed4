"""A real MariaDB server for tests: Debian's `mariadb-server`, in a folder and on a port of its own."""

import os
import pwd
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

MISSING = 'no MariaDB server: apt install mariadb-server, and pip install -e ".[mariadb]"'


def is_there() -> bool:
    try:
        import pymysql  # noqa: F401
    except ModuleNotFoundError:
        return False
    return shutil.which("mariadbd", path=_PATH) is not None


_PATH = f"{os.environ.get('PATH', '')}:/usr/sbin:/usr/local/sbin"


class MariaServer:
    """One server; `url(name)` makes a fresh database."""

    def __init__(self, folder: Path) -> None:
        names = {entry.pw_name for entry in pwd.getpwall()}
        user = next((name for name in ("mysql", "nobody") if name in names), "root")
        self._as = [f"--user={user}"] if os.geteuid() == 0 else []
        self.folder, self.data = folder, folder / "data"
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        self.data.mkdir()
        if self._as:
            folder.chmod(0o755)
            shutil.chown(self.data, user)
        install = shutil.which("mariadb-install-db", path=_PATH)
        options = [f"--datadir={self.data}", "--auth-root-authentication-method=normal", "--skip-test-db"]
        done = subprocess.run(
            [str(install), "--no-defaults", *options, *self._as], capture_output=True, text=True
        )
        assert done.returncode == 0, done.stdout + done.stderr

    def start(self) -> None:
        options = [f"--datadir={self.data}", f"--port={self.port}", "--bind-address=127.0.0.1"]
        options += [f"--socket={self.data}/own.sock", f"--pid-file={self.data}/own.pid", *self._as]
        # What is flushed survives a crash of the machine, which no test is about.
        options += [
            "--innodb-flush-log-at-trx-commit=0",
            "--innodb-buffer-pool-size=32M",
            "--skip-name-resolve",
        ]
        program = str(shutil.which("mariadbd", path=_PATH))
        with (self.folder / "log").open("ab") as log:
            # Nobody's child: what a server does is not the work of the tests' process.
            command = ["setsid", "--fork", program, "--no-defaults", *options]
            subprocess.run(command, stdout=log, stderr=log, stdin=subprocess.DEVNULL, check=True)
        end = time.monotonic() + 60
        while True:
            try:
                self.query("SELECT 1")
                return
            except Exception:
                assert time.monotonic() < end, (self.folder / "log").read_text()
                time.sleep(0.1)

    def stop(self) -> None:
        """End it as a crash would."""
        own = self.data / "own.pid"
        if not own.exists():
            return
        pid = int(own.read_text())
        own.unlink()
        os.kill(pid, signal.SIGKILL)
        while Path(f"/proc/{pid}").exists():
            time.sleep(0.02)

    def query(self, statement: str, database: str | None = None) -> list[tuple[object, ...]]:
        import pymysql

        where = {"host": "127.0.0.1", "port": self.port, "user": "root", "database": database}
        with pymysql.connect(**where, autocommit=True) as connection, connection.cursor() as cursor:
            cursor.execute(statement)
            return list(cursor.fetchall())

    def url(self, name: str) -> str:
        self.query(f"CREATE DATABASE {name}")
        return f"mariadb://root@127.0.0.1:{self.port}/{name}"


@contextmanager
def running() -> Iterator[MariaServer]:
    folder = Path(tempfile.mkdtemp(prefix="joulelab-mariadb-"))
    try:
        server = MariaServer(folder)
        try:
            server.start()
            yield server
        finally:
            server.stop()
    finally:
        shutil.rmtree(folder)
