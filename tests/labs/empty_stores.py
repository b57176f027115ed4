"""Empty databases as copies of one: making the tables takes ten times as long, and its own tests do that."""

import tempfile
from functools import cache
from pathlib import Path

from research.store.store import Store


@cache
def _empty() -> bytes:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "empty.db"
        Store(f"sqlite:///{path}").close()
        return path.read_bytes()


def laid(path: Path) -> str:
    """The URL of a database without rows, as `Store` has made it in this session."""
    path.touch(0o600)
    path.write_bytes(_empty())
    return f"sqlite:///{path}"
