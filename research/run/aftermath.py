"""What a process that died could not write itself: the reason, in the row that it left running."""

from collections.abc import Mapping
from typing import Any

import sqlalchemy as sa

from research.run import teachers
from research.space.signature import signature
from research.store import episodes, lease
from research.store.claims import same
from research.store.schema import clock, trial
from research.store.store import Store


def record(config: Mapping[str, Any], reason: str) -> int | None:
    """Mark the rows of `config` as failed whose process is gone; returns the newest one's id, if any.

    A row that lives, here or on another host, is left alone. The fencing token grows, as with any new owner.
    """
    key = teachers.key(config, signature(dict(config)))
    store = Store(config["store"]["url"])
    columns = (trial.c.id, trial.c.owner, trial.c.token)
    try:
        with store.write() as connection:
            rows = sa.select(*columns).where(same(key), trial.c.status == "running").with_for_update()
            left = [row for row in connection.execute(rows.order_by(trial.c.id)) if lease.dead(row.owner)]
            for row in left:
                values = {"status": "failed", "reason": reason, "token": row.token + 1, "finished": clock()}
                connection.execute(sa.update(trial).where(trial.c.id == row.id).values(**values))
                episodes.of_trial(connection, row.id)
    finally:
        store.close()
    return left[-1].id if left else None
