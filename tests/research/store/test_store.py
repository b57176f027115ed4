"""What the store promises on both databases: nothing doubled, nothing lost, nothing half-written."""

import math
from concurrent.futures import ThreadPoolExecutor

import pytest
import sqlalchemy as sa

from claiming import KEY, ask, elsewhere, end_lease, keys, mine
from refusal import Refusal
from research.store import schema
from research.store.schema import metric, trial
from research.store.store import Busy, Known, Lost, Store, TrialClaim


def test_a_trial_runs_once_and_its_figures_come_back_as_they_were(store: Store) -> None:
    claim = mine(ask(store, name="n\0ame", sweep="w", source="agent", folder="runs/1"))
    assert isinstance(ask(store), Busy)
    metrics = {"test/accuracy": 0.5, "bad": math.nan, "huge": math.inf, "count": 2**53}
    facts = {"per_class": [0.25, math.nan, -math.inf], "text": "a\0b\ud800", "nested": {"none": None}}
    store.finish(claim, metrics, facts)
    known = ask(store)
    assert isinstance(known, Known)
    found = dict(known.result.metrics)
    assert math.isnan(found.pop("bad")) and found == {"test/accuracy": 0.5, "huge": math.inf, "count": 2**53}
    assert repr(known.result.facts) == repr(facts)
    row = known.trial
    assert (row.name, row.sweep, row.source, row.folder) == ("n\ufffdame", "w", "agent", "runs/1")
    assert (row.key, row.replicate, row.seed, row.status, row.reason) == (KEY, 0, 1, "done", None)
    assert row.overrides == ("seed=1",) and row.config == {"seed": 1}
    assert row.finished is not None and row.started <= row.finished
    assert store.known([KEY, KEY._replace(data="other")]).keys() == {KEY}
    assert repr(store.known([KEY])[KEY]) == repr(store.results([row.id])[row.id]) == repr(known.result)


def test_every_part_of_the_key_makes_another_trial(store: Store) -> None:
    others = [KEY._replace(**{part: "other"}) for part in KEY._fields]
    assert len({mine(ask(store, key)).trial_id for key in [KEY, *others]}) == 5


def test_a_learning_curve_comes_back_in_order_with_gaps_as_nan(store: Store) -> None:
    claim = mine(ask(store))
    points = [
        {"step": 10, "second": 0.5, "joule": None, "val/accuracy": 0.1, "train/loss": math.nan},
        {"step": 20, "second": 1.5, "val/accuracy": 0.2},
    ]
    store.finish(claim, {"val/accuracy": 0.3}, {}, points)
    first, second = store.curve(claim.trial_id)
    assert (
        math.isnan(first.pop("joule"))
        and math.isnan(first.pop("train/loss"))
        and math.isnan(second.pop("joule"))
    )
    assert first == {"step": 10, "second": 0.5, "val/accuracy": 0.1}
    assert second == {"step": 20, "second": 1.5, "val/accuracy": 0.2}
    assert store.results([claim.trial_id])[claim.trial_id].metrics == {"val/accuracy": 0.3}


def test_a_failed_trial_keeps_its_reason_and_is_run_again_when_asked_for(store: Store) -> None:
    store.fail(mine(ask(store)), "diverged: loss is \0 nan")
    (row,) = store.trials(status="failed")
    assert row.reason == "diverged: loss is \ufffd nan" and store.results([row.id]) == {}
    again = mine(ask(store, sweep="second"))
    assert again.trial_id == row.id
    (row,) = store.trials(status="running")
    assert row.reason is None and row.sweep == "second"


def test_a_paused_owner_whose_lease_was_taken_cannot_write(store: Store) -> None:
    paused = mine(ask(store))
    elsewhere(store, paused.trial_id)
    assert isinstance(ask(store), Busy)
    end_lease(store, paused.trial_id)
    taken = mine(ask(store))
    assert taken.trial_id == paused.trial_id and taken.token != paused.token
    for write in (
        store.beat,
        store.wanted,
        lambda c: store.finish(c, {"a": 1}),
        lambda c: store.fail(c, "late"),
    ):
        with pytest.raises(Lost):
            write(paused)
    assert store.trials()[0].status == "running"
    store.finish(taken, {"a": 2.0})
    with pytest.raises(Lost):
        store.finish(paused, {"a": 1.0})
    assert store.known([KEY])[KEY].metrics == {"a": 2.0}


def test_a_renewed_lease_holds_and_is_counted_by_the_database(store: Store) -> None:
    claim = mine(ask(store, lease_s=0.0))
    assert store.beat(claim, lease_s=60)
    assert isinstance(ask(store), Busy)
    with store.read() as connection:
        left = connection.execute(sa.select(trial.c.lease_until - schema.clock())).scalar()
    assert left is not None and 50 < left <= 60


def test_finishing_twice_under_one_claim_is_finishing_once(store: Store) -> None:
    claim = mine(ask(store))
    store.finish(claim, {"a": 1.0})
    store.finish(claim, {"a": 1.0})
    assert store.known([KEY])[KEY].metrics == {"a": 1.0}
    with pytest.raises(Lost):
        store.fail(claim, "no")


def test_a_trial_that_cannot_be_written_whole_is_not_written_at_all(store: Store) -> None:
    claim = mine(ask(store))
    with pytest.raises(sa.exc.StatementError):
        store.finish(claim, {"a": 1.0}, {"open file": object()})
    with pytest.raises(Refusal, match="no 'step'"):
        store.finish(claim, {"a": 1.0}, {}, [{"val/accuracy": 0.5}])
    with pytest.raises((ValueError, TypeError)):
        store.finish(claim, {"a": "fast"})  # type: ignore[dict-item]
    with store.read() as connection:
        assert connection.execute(sa.select(sa.func.count()).select_from(metric)).scalar() == 0
    assert store.trials()[0].status == "running"
    store.fail(claim, "said so")


def test_force_runs_a_declared_replicate_beside_what_is_there(store: Store) -> None:
    store.finish(mine(ask(store)), {"a": 1.0})
    second = mine(ask(store, force=True))
    third = mine(ask(store, force=True))
    assert [row.replicate for row in store.trials()] == [0, 1, 2]
    store.fail(second, "killed")
    assert mine(ask(store, force=True)).trial_id == second.trial_id  # what failed is finished first
    store.finish(third, {"a": 3.0})
    assert store.known([KEY])[KEY].metrics == {"a": 1.0}


def test_trials_are_found_by_what_they_are(store: Store) -> None:
    for at, key in enumerate(keys(4)):
        claim = mine(
            ask(store, key, sweep="even" if at % 2 == 0 else "odd", source="agent" if at else "person")
        )
        if at < 2:
            store.finish(claim, {})
    ids = [row.id for row in store.trials()]
    assert ids == sorted(ids) and len(ids) == 4
    assert [row.id for row in store.trials(sweep="even")] == [ids[0], ids[2]]
    assert [row.id for row in store.trials(status="done", source="agent")] == [ids[1]]
    assert [row.id for row in store.trials(limit=2)] == ids[2:]
    assert [row.id for row in store.trials(ids=[ids[3], ids[0], ids[0], 99])] == [ids[0], ids[3]]
    assert [row.id for row in store.trials(ids=ids, limit=1)] == [ids[3]]
    assert store.trials(ids=[]) == [] == store.trials(limit=0)


def test_more_keys_than_a_statement_may_carry_are_looked_up(store: Store) -> None:
    some = keys(3)
    for key in some:
        store.finish(mine(ask(store, key)), {"a": 1.0})
    assert store.known([*some, *(KEY._replace(signature=f"x{i}") for i in range(40_000))]).keys() == set(some)


@pytest.mark.slow
def test_many_threads_claim_each_trial_once(store: Store) -> None:
    wanted = keys(30)

    def work(worker: int) -> list[int]:
        got = [ask(store, key) for key in (wanted if worker % 2 else reversed(wanted))]
        return [claim.trial_id for claim in got if isinstance(claim, TrialClaim)]

    with ThreadPoolExecutor(6) as pool:
        claimed = [number for numbers in pool.map(work, range(6)) for number in numbers]
    assert len(claimed) == len(set(claimed)) == 30
