"""task=compare says nothing of clocks that a neighbour disturbed, or that tell two hours of a machine."""

import pytest
import sqlalchemy as sa

from command_lab import Room
from research.run.runner import Job
from research.store.schema import trial
from research.types import Key

BASIS = {"energy_method": "estimated", "energy_basis": "CPU seconds x 4 W a core", "threads": 1}


def pairs(room: Room, **b: object) -> tuple[list[int], list[int]]:
    """Four seeds of one training, and four of the same under a knob; `b` are facts of the second."""
    a, other = (
        [room.trial(line, seed=seed) for seed in range(4)] for line in ("budget.steps=400", "model.width=64")
    )
    with room.store.write() as sql:
        for number in (*a, *other):
            facts = BASIS | (dict(b) if number in other else {})
            sql.execute(sa.update(trial).where(trial.c.id == number).values(facts=facts))
    return a, other


def compared(room: Room, a: int, b: int) -> dict[str, object]:
    return {row.metric: row for row in room.ask("compare", a=a, b=b).rows}


@pytest.mark.slow
def test_a_disturbed_pair_is_left_out_and_without_any_nothing_is_said(room: Room) -> None:
    why = "its threads waited 2.1 s for a processor while they ran 1 s"
    a, b = pairs(room)
    held = BASIS | {"disturbed": {"train": why}}
    with room.store.write() as sql:
        sql.execute(sa.update(trial).where(trial.c.id == b[0]).values(facts=held))
    one = compared(room, a[0], b[1])["train/energy_j"]
    assert one.comparison.n == 3 and "1 disturbed pairs left out" in one.reason
    with room.store.write() as sql:
        sql.execute(sa.update(trial).where(trial.c.id.in_(b)).values(facts=held))
    rows = compared(room, a[0], b[1])
    assert rows["train/energy_j"].word == "open" and why in rows["train/energy_j"].reason
    assert rows["train/energy_j"].comparison is None and rows["test/accuracy"].comparison.n == 4
    assert rows["infer/latency_s_p50"].comparison.n == 4, "another window"


@pytest.mark.slow
def test_clocks_of_two_hours_are_no_pair_unless_one_sweep_ran_both(room: Room) -> None:
    a, b = pairs(room)
    assert compared(room, a[0], b[0])["train/energy_j"].comparison is not None
    with room.store.write() as sql:
        sql.execute(sa.update(trial).where(trial.c.id.in_(b)).values(started=trial.c.started + 7200))
    rows = compared(room, a[0], b[0])
    assert "120 minutes apart" in rows["train/energy_j"].reason and rows["train/energy_j"].word == "open"
    assert rows["size/parameters"].word == "better"
    with room.store.write() as sql:
        sql.execute(sa.update(trial).values(sweep="one"))
    assert compared(room, a[0], b[0])["train/energy_j"].comparison is not None


@pytest.mark.slow
def test_a_replicate_stands_for_the_disturbed_trial_of_its_seed(room: Room) -> None:
    a, b = pairs(room)
    config = {**room.store.trials(ids=[b[0]])[0].config, "force": True}
    (again,) = room.run([Job(config, ["data=digits", "model.width=64", "seed=0", "force=true"])])
    with room.store.write() as sql:
        sql.execute(sa.update(trial).where(trial.c.id == again.trial_id).values(facts=BASIS))
        held = BASIS | {"disturbed": {"train": "x"}}
        sql.execute(sa.update(trial).where(trial.c.id == b[0]).values(facts=held))
    found = room.ask("compare", a=a[0], b=b[1])
    assert found.b.trials[0] == again.trial_id
    assert {row.metric: row for row in found.rows}["train/energy_j"].comparison.n == 4


def test_status_counts_the_disturbed_of_the_newest(room: Room, monkeypatch: pytest.MonkeyPatch) -> None:
    held = {"disturbed": {"train": "its threads waited"}}
    for at, facts in enumerate((held, held, {"disturbed": {}}, held)):
        claim = room.store.claim(Key(f"s{at}", "c", "d", "h"), config={})
        room.store.finish(claim, {}, facts)
    assert "(3 disturbed)" in room.ask("status").text()
    monkeypatch.setattr("research.tasks.status._NEWEST", 3)
    found = room.ask("status")
    assert found.disturbed == 2 and "(2 disturbed of the newest 3)" in found.text()
