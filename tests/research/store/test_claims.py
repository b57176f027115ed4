"""The store against a model of what it should be, under every order of claims, ends and late writers."""

import re
from dataclasses import dataclass, field
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

from refusal import Refusal
from research.store import attempts, connection, promises, turns
from research.store.claims import wanted
from research.store.schema import attempt, episode, metric, trial
from research.store.store import Busy, Known, Lost, Store, TrialClaim
from research.types import Key

KEYS = [Key("s", "c", "d", "h"), Key("s2", "c", "d", "h"), Key("s", "c", "d2", "h")]
HELD, AGAIN = ("leased", "running"), ("failed", "cancelled", "dead")
OWN, OTHERS = ("configuration", "hung", "timeout"), ("lost", "infrastructure")


@dataclass
class Row:
    """What one row of the trial table should say."""

    key: Key
    status: str = "queued"
    token: str | None = None
    over: bool = False
    """whether its lease has ended"""
    cancel: bool = False
    ends: list[str] = field(default_factory=list)
    """how its attempts ended"""
    value: float | None = None

    def count(self, outcomes: tuple[str, ...]) -> int:
        return sum(end in outcomes for end in self.ends)

    def end(self, outcome: str) -> None:
        self.ends.append(outcome)
        if outcome in OTHERS:
            self.status = "queued" if self.count(OTHERS) < attempts.MOST_OTHERS else "dead"
        elif outcome in ("done", "cancelled"):
            self.status = outcome
        else:
            dead = outcome in OWN and self.count(OWN) >= attempts.MOST_OWN
            self.status = "dead" if dead else "failed"
        self.token = None

    def recover(self) -> None:
        if self.status in HELD and self.over:
            self.end("lost")
            self.status = "cancelled" if self.cancel else self.status

    def hold(self, claim: TrialClaim, status: str) -> None:
        self.status, self.token, self.over, self.cancel = status, claim.token, False, False


class Model(RuleBasedStateMachine):
    """Claims from anywhere, kept for ever, so that each of them may write long after it lost its right."""

    def __init__(self, store: Store) -> None:
        super().__init__()
        self.store = store
        self.rows: dict[int, Row] = {}
        self.claims: list[TrialClaim] = []
        self.highest = 0
        with self.store.write() as opened:
            for table in (metric, episode, attempt, trial):
                opened.execute(sa.delete(table))

    def of(self, key: Key) -> dict[int, Row]:
        for row in self.rows.values():
            if row.key.signature == key.signature:
                row.recover()
        return {number: row for number, row in self.rows.items() if row.key == key}

    def added(self, number: int, key: Key) -> Row:
        assert number not in self.rows and number > self.highest, "an id was used again"
        self.highest = number
        self.rows[number] = Row(key)
        return self.rows[number]

    def stands(self, rows: dict[int, Row], force: bool) -> tuple[int | None, int | None]:
        """The row that stands in the way, and the one that may be run."""
        done = [number for number, row in rows.items() if row.status == "done"]
        if done and not force:
            return done[0], None
        may = {"queued", *AGAIN} - (set() if force else {"dead"})
        free = [number for number, row in rows.items() if row.status in may]
        if free:
            return None, free[0]
        return (next(iter(rows)) if rows and not force else None), None

    @rule(key=st.sampled_from(KEYS), force=st.booleans())
    def claim(self, key: Key, force: bool) -> None:
        standing, free = self.stands(self.of(key), force)
        if standing is not None and self.rows[standing].status == "dead":
            with pytest.raises(Refusal, match="force=true"):
                self.store.claim(key, config={}, force=force)
            return
        got = self.store.claim(key, config={}, force=force)
        if standing is None:
            assert isinstance(got, TrialClaim)
            row = self.rows[free] if free is not None else self.added(got.trial_id, key)
            assert got.trial_id == (free or got.trial_id)
            row.hold(got, "running")
            self.claims.append(got)
        elif self.rows[standing].status == "done":
            assert isinstance(got, Known) and got.trial.id == standing
            assert got.result.metrics == {"value": self.rows[standing].value}
        else:
            assert isinstance(got, Busy) and got.trial.id == standing and self.rows[standing].status in HELD

    @rule(keys=st.lists(st.sampled_from(KEYS), max_size=4), force=st.booleans())
    def enqueue(self, keys: list[Key], force: bool) -> None:
        for key in keys:
            self.of(key)
        numbers = self.store.enqueue([wanted(key, config={}, force=force) for key in keys])
        assert len(numbers) == len(keys)
        used: list[int] = []
        for key, number in zip(keys, numbers, strict=True):
            rows = {at: row for at, row in self.of(key).items() if not force or at not in used}
            standing, free = self.stands(rows, force)
            if standing is None and free is None:
                self.added(number, key)
            else:
                assert number == (standing or free)
            if free is not None:
                self.rows[free].status, self.rows[free].cancel = "queued", False
            used.append(number)

    @rule(most=st.integers(1, 3))
    def take(self, most: int) -> None:
        got = self.store.take(most=most)
        queued = [number for number, row in sorted(self.rows.items()) if row.status == "queued"]
        if not queued:
            for row in self.rows.values():
                row.recover()
            queued = [number for number, row in sorted(self.rows.items()) if row.status == "queued"]
        assert [claim.trial_id for claim in got] == queued[:most]
        for claim in got:
            self.rows[claim.trial_id].hold(claim, "leased")
        self.claims += got

    def attempt(self, which: int, verb: Any, *arguments: Any, **named: Any) -> Row | None:
        """Call a verb; the row that it may change, None when the claim was lost and the store said so."""
        claim = self.claims[which % len(self.claims)]
        row = self.rows.get(claim.trial_id)
        if row is not None and row.token == claim.token:
            self.answer = verb(claim, *arguments, **named)
            return row
        if verb == self.store.finish and row is not None and claim.token == getattr(row, "won", None):
            verb(claim, *arguments)
            return None
        with pytest.raises(Lost):
            verb(claim, *arguments, **named)
        return None

    @precondition(lambda self: self.claims)
    @rule(which=st.integers(0, 99), value=st.floats(allow_nan=False))
    def finish(self, which: int, value: float) -> None:
        if row := self.attempt(which, self.store.finish, {"value": value}):
            row.won = row.token  # type: ignore[attr-defined]
            row.value = value
            row.end("done")

    @precondition(lambda self: self.claims)
    @rule(which=st.integers(0, 99), outcome=st.sampled_from([*OWN, *OTHERS, "interrupted", "cancelled"]))
    def fail(self, which: int, outcome: Any) -> None:
        if row := self.attempt(which, self.store.fail, "why", outcome=outcome):
            row.end(outcome)
            with self.store.write() as opened:  # nobody waits for a machine that mends itself
                opened.execute(sa.update(trial).values(not_before=0))

    @precondition(lambda self: self.claims)
    @rule(which=st.integers(0, 99))
    def beat(self, which: int) -> None:
        if row := self.attempt(which, self.store.beat):
            row.over = False
            assert self.answer is not row.cancel

    @precondition(lambda self: self.claims)
    @rule(which=st.integers(0, 99))
    def sleep(self, which: int) -> None:
        number = self.claims[which % len(self.claims)].trial_id
        with self.store.write() as opened:
            opened.execute(sa.update(trial).where(trial.c.id == number).values(lease_until=0))
        if number in self.rows:
            self.rows[number].over = True

    @precondition(lambda self: self.rows)
    @rule(which=st.integers(0, 99))
    def cancel(self, which: int) -> None:
        number = sorted(self.rows)[which % len(self.rows)]
        row = self.rows[number]
        row.recover()
        self.store.cancel([number], "why")
        if row.status == "queued":
            row.status = "cancelled"
        elif row.status in HELD:
            row.cancel = True

    @rule()
    def withdraw(self) -> None:
        queued = [number for number, row in self.rows.items() if row.status == "queued"]
        self.store.withdraw(queued)
        for number in queued:
            if self.rows[number].ends:
                self.rows[number].status = "failed"
            else:
                del self.rows[number]

    @invariant()
    def agrees(self) -> None:
        assert {row.id: row.status for row in self.store.trials()} == {
            number: row.status for number, row in self.rows.items()
        }
        values = {n: {"value": row.value} for n, row in self.rows.items() if row.status == "done"}
        assert {n: result.metrics for n, result in self.store.results(list(self.rows)).items()} == values
        with self.store.read() as opened:
            assert promises.broken(opened) == []
            a = attempt.c
            ended = opened.execute(sa.select(a.trial_id, a.outcome).where(a.ended.is_not(None)).order_by(a.n))
            told: dict[int, list[str]] = {}
            for number, outcome in ended:
                told.setdefault(number, []).append(outcome)
        assert told == {number: row.ends for number, row in self.rows.items() if row.ends}


def plan(histories: int) -> settings:
    """How many orders of verbs are tried; `benchmarks/faults.py histories` tries many more."""
    slow = [HealthCheck.too_slow, HealthCheck.data_too_large]
    return settings(
        max_examples=histories,
        stateful_step_count=25,
        deadline=None,
        suppress_health_check=slow,
        database=None,
    )


@pytest.mark.slow
def test_claims_follow_the_model(store_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connection, "_SYNCHRONOUS", "OFF")  # a model needs no power cuts
    store = Store(store_url)
    few = plan(8 if store_url.startswith("sqlite") else 25)
    run_state_machine_as_test(lambda: Model(store), settings=few)
    store.close()


@pytest.mark.parametrize("second", [{"ended": None}, {"ended": 2.0, "outcome": "done"}])
def test_no_trial_can_have_two_open_attempts_or_two_results(store: Store, second: dict[str, Any]) -> None:
    """Whatever the code does: the database itself refuses it, of each kind."""
    claim = store.claim(KEYS[0], config={})
    assert isinstance(claim, TrialClaim)
    if second["ended"]:
        store.finish(claim, {"a": 1.0})
    row = {"trial_id": claim.trial_id, "n": 2, "token": "other", "owner": "o", "engine": "e"}
    row |= {"started": 1.0, "seen": 1.0}
    with pytest.raises(sa.exc.IntegrityError), store.write() as opened:
        opened.execute(sa.insert(attempt).values(**row, **second))
    with store.write() as opened:  # one that failed may stand beside
        opened.execute(sa.insert(attempt).values(**row, ended=2.0, outcome="lost"))
        opened.execute(
            sa.insert(attempt).values(**row | {"n": 3, "token": "third"}, ended=2.0, outcome="lost")
        )


def test_who_takes_the_next_trial_looks_at_no_other(store: Store) -> None:
    """By the order of an index, whatever waits: to sort fifty thousand took a tenth of a second."""
    store.enqueue([wanted(Key(f"s{at}", "c", "d", "h"), config={}) for at in range(1500)])
    with store.write() as connection:
        query = turns.in_turn(connection.dialect.name).params(most=1)
        asked = query.compile(connection, compile_kwargs={"literal_binds": True})
        how = {"sqlite": "EXPLAIN QUERY PLAN "}.get(connection.dialect.name, "EXPLAIN ")
        plan = " ".join(map(str, connection.exec_driver_sql(how + str(asked).replace("%", "%%"))))
    assert "ix_trial_turn" in plan
    assert not re.search("TEMP B-TREE|Sort|filesort", plan), plan
