"""The store against a model of what it should be, under every order of claims, ends and late writers."""

from dataclasses import dataclass
from typing import Any

import pytest
import sqlalchemy as sa
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from research.store import connection
from research.store.schema import episode, metric, trial
from research.store.store import Busy, Known, Lost, Store, TrialClaim
from research.types import Key

KEYS = [Key("s", "c", "d", "h"), Key("s2", "c", "d", "h"), Key("s", "c", "d2", "h")]


@dataclass
class Row:
    """What one row of the trial table should say."""

    status: str = "running"
    token: int = 1
    ended: bool = False
    value: float | None = None

    @property
    def free(self) -> bool:
        return self.status == "failed" or (self.status == "running" and self.ended)


class Model(RuleBasedStateMachine):
    """Claims from anywhere, kept for ever, so that each of them may write long after it lost its right."""

    def __init__(self, store: Store) -> None:
        super().__init__()
        self.store = store
        self.rows: dict[Key, dict[int, Row]] = {key: {} for key in KEYS}
        self.claims: list[tuple[Key, TrialClaim]] = []
        with self.store.write() as opened:
            opened.execute(sa.delete(metric))
            opened.execute(sa.delete(episode))
            opened.execute(sa.delete(trial))

    @rule(key=st.sampled_from(KEYS), force=st.booleans())
    def claim(self, key: Key, force: bool) -> None:
        rows = self.rows[key]
        got = self.store.claim(key, config={}, force=force)
        done = [number for number, row in rows.items() if row.status == "done"]
        free = [number for number, row in rows.items() if row.free]
        if done and not force:
            assert isinstance(got, Known) and got.trial.id == done[0]
            assert got.result.metrics == {"value": rows[done[0]].value}
        elif free:
            row = rows[free[0]]
            assert got == TrialClaim(free[0], row.token + 1)
            rows[free[0]] = Row(token=row.token + 1)
            self.claims.append((key, got))
        elif rows and not force:
            assert isinstance(got, Busy) and rows[got.trial.id].status == "running"
        else:
            assert isinstance(got, TrialClaim) and got.token == 1
            assert all(got.trial_id not in known for known in self.rows.values())
            rows[got.trial_id] = Row()
            self.claims.append((key, got))

    def attempt(self, which: int, verb: Any, *arguments: Any) -> Row | None:
        """Call a verb; the row that it may change, None when the claim was lost and the store said so."""
        key, claim = self.claims[which % len(self.claims)]
        row = self.rows[key][claim.trial_id]
        if (row.token, row.status) == (claim.token, "running"):
            verb(claim, *arguments)
            return row
        if verb == self.store.finish and (row.token, row.status) == (claim.token, "done"):
            verb(claim, *arguments)
            return None
        with pytest.raises(Lost):
            verb(claim, *arguments)
        return None

    @precondition(lambda self: self.claims)
    @rule(which=st.integers(0, 99), value=st.floats(allow_nan=False))
    def finish(self, which: int, value: float) -> None:
        if row := self.attempt(which, self.store.finish, {"value": value}):
            row.status, row.value = "done", value

    @precondition(lambda self: self.claims)
    @rule(which=st.integers(0, 99))
    def fail(self, which: int) -> None:
        if row := self.attempt(which, self.store.fail, "why"):
            row.status = "failed"

    @precondition(lambda self: self.claims)
    @rule(which=st.integers(0, 99))
    def renew(self, which: int) -> None:
        if row := self.attempt(which, self.store.renew, 60):
            row.ended = False

    @precondition(lambda self: self.claims)
    @rule(which=st.integers(0, 99))
    def sleep(self, which: int) -> None:
        key, claim = self.claims[which % len(self.claims)]
        with self.store.write() as opened:
            opened.execute(sa.update(trial).where(trial.c.id == claim.trial_id).values(lease_until=0))
        self.rows[key][claim.trial_id].ended = True

    @invariant()
    def agrees(self) -> None:
        expected = {number: row.status for rows in self.rows.values() for number, row in rows.items()}
        assert {row.id: row.status for row in self.store.trials()} == expected
        values = {
            n: {"value": row.value}
            for rows in self.rows.values()
            for n, row in rows.items()
            if row.status == "done"
        }
        assert {n: result.metrics for n, result in self.store.results(expected).items()} == values


def test_claims_follow_the_model(store_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connection, "_SYNCHRONOUS", "OFF")  # a model needs no power cuts
    store = Store(store_url)
    slow = [HealthCheck.too_slow, HealthCheck.data_too_large]
    few = settings(
        max_examples=8 if store_url.startswith("sqlite") else 25,
        stateful_step_count=25,
        deadline=None,
        suppress_health_check=slow,
        database=None,
    )
    run_state_machine_as_test(lambda: Model(store), settings=few)
    store.close()
