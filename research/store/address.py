"""The URL of a database: read, refused with a sentence, shown without its password."""

import re
from pathlib import Path
from typing import Any

from sqlalchemy import exc
from sqlalchemy.engine import URL, make_url

import redact
from refusal import Refusal

_DRIVERS = {
    "postgresql": "postgresql+psycopg",
    "mariadb": "mariadb+pymysql",
    "mysql": "mariadb+pymysql",
}
"""servers, and the driver that their extra installs"""


def exists(url: str) -> bool:
    """Whether there is a database to read; a server is taken to be there until it is asked.

    Raises `Refusal` for what is no URL of a database, and for one whose folder is not there.
    """
    found = parsed(url)
    return found.get_backend_name() != "sqlite" or Path(str(found.database)).is_file()


def is_there(url: str) -> bool:
    """Whether there is a database to read; True where only opening it tells, or says what is wrong."""
    try:
        found = make_url(url)
    except (exc.ArgumentError, ValueError):
        return True
    if found.get_backend_name() != "sqlite" or found.database in (None, "", ":memory:"):
        return True
    return Path(str(found.database)).expanduser().exists()


def shown(url: str) -> str:
    """The URL without its password. Raises `Refusal` where nobody knows what the password is."""
    _refuse_ambiguous(url)
    return told(make_url(url))


def told(url: URL) -> str:
    """A file's name stays as it was typed: SQLAlchemy would spell an ä as %C3%A4."""
    if url.get_backend_name() == "sqlite":
        return f"{url.drivername}:///{url.database or ''}"
    # SQLAlchemy hides the password before the host, and none among the parameters.
    return redact.url(url.render_as_string(hide_password=True))


def parsed(url: str) -> URL:
    """The URL read; what is wrong with one is told without it, for it may hold a password."""
    _refuse_ambiguous(url)
    try:
        found = make_url(url)
    except (exc.ArgumentError, ValueError, TypeError):
        raise Refusal(
            "store.url is no database URL: write sqlite:///joulelab.db, or postgresql://USER@HOST:5432/NAME."
        ) from None
    kind = found.get_backend_name()
    if kind not in ("sqlite", *_DRIVERS):
        raise Refusal(f"store.url names '{kind}': the store runs on sqlite, postgresql or mariadb.")
    if kind == "sqlite":
        return _file(found)
    return found.set(drivername=_DRIVERS[kind]) if kind != "postgresql" or found.drivername == kind else found


def _refuse_ambiguous(url: Any) -> None:
    """Raise `Refusal` for a server's URL whose password ends nobody knows where, as in `u:p@ss/w@host/db`."""
    scheme, _, rest = str(url).partition("://")
    if scheme.startswith("sqlite"):
        return
    authority = re.split(r"[/?#]", rest, maxsplit=1)[0]
    if rest.count("@") != authority.count("@") or authority.count("@") > 1 or re.search(r"\s", authority):
        raise Refusal(
            "store.url holds a sign in its user or password that a URL reads otherwise: write %40 for @, %2F "
            "for /, %3F for ?, %23 for # and %20 for a blank, or leave the password out and set PGPASSWORD."
        )


def _file(url: URL) -> URL:
    if url.database in (None, "", ":memory:"):
        raise Refusal("A database in memory is lost with its process: use a file, sqlite:///joulelab.db.")
    path = Path(str(url.database)).expanduser().absolute()
    if not path.parent.is_dir():
        raise Refusal(
            f"The folder {path.parent} of store.url does not exist: create it, or correct store.url."
        )
    if path.is_dir():
        raise Refusal(f"store.url names the folder {path}: name a file, for example {path}/joulelab.db.")
    return url.set(database=str(path))


def file_of(url: URL) -> tuple[int, int] | None:
    """Device and number of the file that a database is, zeros where it is gone; None for a server."""
    if url.get_backend_name() != "sqlite":
        return None
    try:
        about = Path(str(url.database)).stat()
    except OSError:
        return 0, 0
    return about.st_dev, about.st_ino
