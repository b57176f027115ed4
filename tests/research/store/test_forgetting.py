"""What was forgotten is gone, and nothing that stays names it; trials go only when asked for."""

from typing import Any

import pytest
import sqlalchemy as sa

from claiming import KEY, ask, mine
from past import insight, proposed, sprint, trial
from refusal import Refusal
from research.memory.memory import opened
from research.memory.retrieval import Query
from research.store import leases, schema
from research.store.claims import wanted
from research.store.forgetting import Forget, Forgotten, forget
from research.store.store import Store


def forgotten(store: Store, *, dry_run: bool = False, **asked: Any) -> Forgotten:
    return forget(store, Forget(**asked), dry_run=dry_run)


def test_forgetting_leaves_nothing_that_names_what_went(store: Store) -> None:
    first, second = sprint(store), sprint(store, goal="smaller", campaign="two")
    ids = [trial(store, ["a=1"], {"val/accuracy": 0.9}, seed=seed) for seed in range(3)]
    one = proposed(store, first, ["a=1"], "gone", screened=ids)
    cites = (f"trial {ids[2]}", f"proposal {one}", f"experiment {one}")
    two = proposed(store, second, ["b=1"], "stays", screened=ids[:1], parent=one, cites=cites)
    insight(store, first, one, ids[1:2])
    store.add_review(one, role="reviewer", score=1.0)
    store.add_interaction(role="r", model="m", prompt="p", reply=None, outcome="lost", sprint_id=first)
    would = forgotten(store, campaign="one", trials=True, dry_run=True)
    assert len(store.proposals()) == 2 and would.dry_run
    gone = forgotten(store, goal="fewer joules", trials=True)
    assert gone == would.model_copy(update={"dry_run": False})
    assert (gone.sprints, gone.proposals, gone.insights) == ((first,), (one,), (1,))
    assert (gone.reviews, gone.interactions, gone.cut) == ((1,), (1,), (f"proposal {two}",))
    assert (gone.trials, gone.kept) == (tuple(ids[1:]), (ids[0],))
    (left,) = store.proposals()
    assert left["proposal"].parent is None and left["proposal"].cites == ()
    assert opened({"mode": "on"}, store).recall(Query(words="gone")) == ()
    with store.read() as connection:
        rows = connection.execute(sa.select(schema.episode)).all()
    assert {(row.trial_id, row.proposal_id) for row in rows} == {(ids[0], None), (None, two)}


def test_a_teacher_of_what_stays_and_what_has_not_ended_are_kept(store: Store) -> None:
    one = sprint(store)
    learns = {"compress": {"distill": {"teacher": {"run": 1}}}}
    first, second, third, alone = (trial(store, [word], {"a": 1.0}) for word in "abcd")
    assert first == 1
    trial(store, ["failed"], None, config=learns)
    taught = mine(ask(store, KEY))
    store.finish(taught, {"a": 1.0}, {"teacher": {"trial": third}})
    with store.write() as connection:  # one that stays was taught by one that goes but for it, and that too
        told = sa.update(schema.trial).where(schema.trial.c.id == third)
        connection.execute(told.values(facts={"teacher": {"trial": second}}))
    (waits,) = store.enqueue([wanted(KEY._replace(signature="w"), config={})])
    proposed(store, one, ["a=1"], screened=[first, second, third, alone, waits])
    gone = forgotten(store, campaign="one", trials=True)
    assert (gone.trials, gone.kept) == ((alone,), (first, second, third, waits))


def test_a_campaign_that_goes_whole_takes_its_trials_with_it(store: Store) -> None:
    one, two = sprint(store), sprint(store)
    ids = []
    for name in ("one", "two"):
        claim = mine(ask(store, KEY._replace(signature=name), sweep="one", folder=f"runs/{name}"))
        store.finish(claim, {"a": 1.0})
        ids.append(claim.trial_id)
    proposed(store, two, ["a=1"], screened=ids[:1])
    assert forgotten(store, ids=(one,), trials=True).trials == (), "the other sprint is of the campaign too"
    gone = forgotten(store, campaign="one", trials=True)
    assert gone.trials == tuple(ids) and gone.folders == ("runs/one", "runs/two")


def test_forgetting_everything_old_keeps_trials_unless_asked_and_refuses_what_runs(store: Store) -> None:
    old = trial(store, [], {"a": 1.0})
    proposed(store, None, ["b=1"])
    with pytest.raises(Refusal, match="Say what to forget"):
        forgotten(store, trials=True)
    assert forgotten(store, before=1.0).proposals == () and forgotten(store, campaign="none").sprints == ()
    assert forgotten(store, before=1e11).trials == () and store.proposals() == []
    assert forgotten(store, before=1e11, trials=True).trials == (old,) and store.trials() == []
    running = store.add_sprint("now", facts={"campaign": "c"})
    with store.write() as connection:
        leases.take(connection, "campaign c")
    with pytest.raises(Refusal, match="running"):
        forgotten(store, ids=(running,))
    with store.write() as connection:
        connection.execute(sa.update(schema.lease).values(until=0))
    assert forgotten(store, ids=(running,)).sprints == (running,), "its process is gone"
