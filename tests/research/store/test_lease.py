"""A trial belongs to a process that lives: killed, paused and other hosts' owners."""

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
from research.store import claims
from research.store.schema import metric, trial
from research.store.store import Busy, Store, TrialClaim

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
        assert other.stdout is not None and other.stdout.readline() == "TrialClaim(trial_id=1, token=1)\n"
        assert isinstance(ask(store), Busy)
        other.kill()
        os.waitid(os.P_PID, other.pid, os.WEXITED | os.WNOWAIT)  # dead, but still a zombie: nobody reaped it
        assert ask(store) == TrialClaim(1, 2)


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

    for seed, life in enumerate((1.2, 1.4, 1.7)):
        victims = [spawn(seed), spawn(seed + 10)]
        threading.Event().wait(life)
        for victim in victims:
            victim.kill()
            victim.wait()
    last = [spawn(20), spawn(21)]
    assert [worker.wait(timeout=60) for worker in last] == [0, 0]
    with store.read() as connection:
        figures = Counter(connection.execute(sa.select(metric.c.trial_id)).scalars())
        rows = connection.execute(sa.select(trial.c.signature, trial.c.status)).all()
    assert sorted(rows) == sorted((f"s{i}", "done") for i in range(40))
    assert set(figures.values()) == {2} and len(figures) == 40


def test_the_lease_is_kept_while_the_body_runs_and_its_loss_is_told(store: Store) -> None:
    claim = mine(ask(store, lease_s=5))

    def until() -> float:
        with store.read() as opened:
            return opened.execute(sa.select(trial.c.lease_until)).scalar_one()

    first, end, others = until(), time.monotonic() + 20, set(threading.enumerate())
    with store.keep(claim, 0.3) as lost:
        while until() == first:
            assert time.monotonic() < end
            time.sleep(0.02)
        assert not lost.is_set()
        with store.write() as opened:
            opened.execute(sa.update(trial).values(token=claim.token + 1))
        assert lost.wait(20)
    assert "lease" not in {thread.name for thread in set(threading.enumerate()) - others}


def test_a_database_out_of_reach_does_not_end_the_lease() -> None:
    tries, enough = [], threading.Event()

    def renew(seconds: float) -> None:
        tries.append(seconds)
        if len(tries) == 3:
            enough.set()
        raise Refusal("no server answers")

    with claims.kept(renew, 0.03) as lost:
        assert enough.wait(20) and not lost.is_set()
    assert set(tries) == {0.03}


def test_owners_of_other_places_are_never_called_dead(monkeypatch: pytest.MonkeyPatch) -> None:
    me = claims.owner()
    assert not claims.dead(me)
    place, process, started = me.rsplit(" ", 2)
    assert claims.dead(f"{place} {process} {int(started) - 1}")  # the id was used again
    assert claims.dead(f"{place} 99999999 1")
    assert not claims.dead(f"{place}x 99999999 1")
    monkeypatch.setattr(claims, "place", lambda: "")
    assert not claims.dead(" 99999999 1")
