"""A trial belongs to a process that lives: killed, paused and other hosts' owners."""

import itertools
import multiprocessing
import os
import subprocess
import sys
import threading
import time
from collections import Counter
from pathlib import Path

import pytest
import sqlalchemy as sa

from claiming import ask, mine
from refusal import Refusal
from research.run import silence
from research.run.heart import Cancelled, Heart
from research.store import owners
from research.store.schema import attempt, metric, trial
from research.store.store import Busy, Lost, Store

ROOT = Path(__file__).parents[3]


CLAIM_AND_WAIT = """
import sys
from research.store.store import Store
from research.types import Key
print(Store(sys.argv[1]).claim(Key("s", "c", "d", "h"), config={}), flush=True)
sys.stdin.read()
"""


@pytest.mark.slow
def test_a_trial_whose_process_was_killed_is_taken_over_at_once(store: Store, store_url: str) -> None:
    command = [sys.executable, "-c", CLAIM_AND_WAIT, store_url]
    with subprocess.Popen(
        command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as other:
        assert other.stdout is not None and other.stdout.readline().startswith("TrialClaim(trial_id=1,")
        assert isinstance(ask(store), Busy)
        other.kill()
        os.waitid(os.P_PID, other.pid, os.WEXITED | os.WNOWAIT)  # dead, but still a zombie: nobody reaped it
        assert mine(ask(store)).trial_id == 1


WORK = """
import random, sys, time
from research.store.store import Busy, TrialClaim, Store
from research.types import Key
store, random_ = Store(sys.argv[1]), random.Random(int(sys.argv[2]))
wanted = [Key(f"s{i}", "c", "d", "h") for i in range(40)]
random_.shuffle(wanted)
while wanted:
    got = store.claim(wanted[0], config={})
    if isinstance(got, Busy):
        wanted.append(wanted.pop(0))
        time.sleep(0.005)
        continue
    if isinstance(got, TrialClaim):
        time.sleep(random_.uniform(0, 0.01))
        store.finish(got, {"a": 1.0}, {}, [{"step": 1, "a": 1.0}])
    wanted.pop(0)
"""


@pytest.mark.slow
def test_workers_killed_at_any_moment_double_and_lose_nothing(store: Store, store_url: str) -> None:
    def spawn(seed: int) -> subprocess.Popen[bytes]:
        return subprocess.Popen([sys.executable, "-c", WORK, store_url, str(seed)], cwd=ROOT)

    for seed, life in enumerate((1.2, 1.6)):
        victims = [spawn(seed), spawn(seed + 10)]
        threading.Event().wait(life)
        for victim in victims:
            victim.kill()
            victim.wait()
    last = [spawn(20), spawn(21)]
    assert [worker.wait(timeout=600) for worker in last] == [0, 0]
    with store.read() as connection:
        figures = Counter(connection.execute(sa.select(metric.c.trial_id)).scalars())
        rows = connection.execute(sa.select(trial.c.signature, trial.c.status)).all()
    assert sorted(rows) == sorted((f"s{i}", "done") for i in range(40))
    assert set(figures.values()) == {2} and len(figures) == 40


def until(store: Store) -> float:
    with store.read() as opened:
        return opened.execute(sa.select(trial.c.lease_until)).scalar_one()


@pytest.mark.slow
def test_the_lease_is_kept_while_the_body_runs_and_its_loss_ends_the_training(store: Store) -> None:
    claim = mine(ask(store, lease_s=5))
    first, end, others = until(store), time.monotonic() + 20, set(threading.enumerate())
    heart = Heart(store, claim, 30)
    with heart.beating():
        heart.beat(1)
        while until(store) == first:
            assert time.monotonic() < end
            time.sleep(0.02)
        with store.write() as opened:
            opened.execute(sa.update(trial).values(token="another"))
        with pytest.raises(Lost, match="taken over"):
            steps(heart, end)
    assert "lease" not in {thread.name for thread in set(threading.enumerate()) - others}


def steps(heart: Heart, end: float) -> None:
    for step in itertools.count(2):
        assert time.monotonic() < end
        heart.beat(step)
        time.sleep(0.02)


@pytest.mark.slow
def test_a_cancelled_training_ends_at_its_next_step_and_what_it_spent_is_known(store: Store) -> None:
    claim = mine(ask(store))
    heart, end = Heart(store, claim), time.monotonic() + 20
    with heart.beating(), pytest.raises(Cancelled, match="cancelled"):
        heart.beat(1)
        assert store.cancel([claim.trial_id], "by a person") == (0, 1)
        steps(heart, end)
    store.fail(claim, "cancelled: x", {"spent": {"train/energy_j": 4.0, "train/seconds": 7.5}}, "cancelled")
    with store.read() as opened:
        (row,) = opened.execute(sa.select(attempt)).all()
    assert (row.outcome, row.joules, row.seconds) == ("cancelled", 4.0, 7.5) and row.ended is not None
    assert store.trials()[0].status == "cancelled"


@pytest.mark.slow
def test_without_steps_a_lease_runs_out(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(silence, "LEAST_S", 0.2)
    claim = mine(ask(store, lease_s=30))
    heart = Heart(store, claim, 1.5)
    with heart.beating():
        heart.beat(5)
        time.sleep(0.4)  # it hangs: from now on the lease is left alone
        before = until(store)
        time.sleep(2.0)
        assert until(store) == before
        heart.beat(None)  # the steps are over: what follows has none
        end = time.monotonic() + 20
        while until(store) == before:
            assert time.monotonic() < end
            time.sleep(0.02)


def test_a_database_out_of_reach_does_not_end_the_training(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    tries, enough = [], threading.Event()

    def refuse(*about: object) -> bool:
        tries.append(about)
        if len(tries) == 3:
            enough.set()
        raise Refusal("no server answers")

    claim = mine(ask(store))
    monkeypatch.setattr(Store, "wanted", refuse)
    monkeypatch.setattr(Store, "beat", refuse)
    heart = Heart(store, claim, 0.1)
    with heart.beating():
        assert enough.wait(20)
        heart.beat(1)


def test_owners_of_other_places_are_never_called_dead(monkeypatch: pytest.MonkeyPatch) -> None:
    me = owners.owner()
    assert not owners.dead(me)
    place, process, started = me.rsplit(" ", 2)
    assert owners.dead(f"{place} {process} {int(started) - 1}")  # the id was used again
    assert owners.dead(f"{place} 99999999 1")
    assert not owners.dead(f"{place}x 99999999 1")
    monkeypatch.setattr(owners, "place", lambda: "")
    assert not owners.dead(" 99999999 1")


def test_a_child_is_an_owner_of_its_own() -> None:
    here, there = multiprocessing.Pipe(duplex=False)
    me = owners.owner()
    child = multiprocessing.get_context("fork").Process(target=lambda: there.send(owners.owner()))
    child.start()
    its = here.recv()
    child.join()
    assert its.split(" ")[-2] == str(child.pid)
    assert owners.dead(its)
    assert owners.owner() == me
