"""What a process that died could not write itself: the reason, in the row that it left running."""

from collections.abc import Mapping
from typing import Any

from research.run import teachers
from research.space.signature import signature
from research.store import claims
from research.store.store import Store


def record(config: Mapping[str, Any], reason: str) -> int | None:
    """Mark the rows of `config` as failed whose process is gone; returns the newest one's id, if any."""
    key = teachers.key(config, signature(dict(config)))
    store = Store(config["store"]["url"])
    try:
        with store.write() as connection:
            return next(reversed(claims.buried(connection, key, reason)), None)
    finally:
        store.close()
