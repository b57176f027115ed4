"""What the tests of the store say again and again."""

from typing import Any

import sqlalchemy as sa

from research.store.schema import trial
from research.store.store import Busy, Known, Store, TrialClaim
from research.types import Key

KEY = Key("s", "c", "d", "h")


def keys(n: int) -> list[Key]:
    return [KEY._replace(signature=f"s{i}") for i in range(n)]


def ask(store: Store, key: Key = KEY, **more: Any) -> TrialClaim | Known | Busy:
    return store.claim(key, config={"seed": 1}, overrides=["seed=1"], seed=1, **more)


def mine(got: TrialClaim | Known | Busy) -> TrialClaim:
    assert isinstance(got, TrialClaim)
    return got


def end_lease(store: Store, trial_id: int) -> None:
    with store.write() as connection:
        connection.execute(sa.update(trial).where(trial.c.id == trial_id).values(lease_until=0))


def elsewhere(store: Store, trial_id: int) -> None:
    """Make the row look as if another host's process ran it."""
    with store.write() as connection:
        owner = "otherhost 0-0-0 pid:[1] 4 5"
        connection.execute(sa.update(trial).where(trial.c.id == trial_id).values(owner=owner))
