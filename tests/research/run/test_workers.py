"""Workers and helpers run what waits of a sweep or campaign, for as long as somebody asks for more."""

import itertools
import socket
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, nullcontext
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import sqlalchemy as sa

from empty_stores import laid
from refusal import Refusal
from research.campaign.trials import Sharing, alone, shares, unshared
from research.run import drain, engines, handout
from research.run.handout import Handout
from research.run.job import Job, Outcome
from research.store import leases, schema
from research.store.attempts import TrialClaim
from research.store.store import Store
from research.tasks import execute

LAUNCHER = {"jobs": 1, "threads": 1, "timeout_s": 60.0, "stall_s": None, "disk_floor_gib": 0.25}


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(handout, "_WAIT_S", 0.0)
    monkeypatch.setattr(drain, "POLL_S", 0.02)
    monkeypatch.setattr("research.campaign.trials.POLL_S", 0.02)


@pytest.fixture
def jobs(resolve: Callable[..., dict[str, Any]]) -> list[Job]:
    seeds = [f"seed={seed}" for seed in range(4)]
    return [Job(resolve(seed, "budget.epochs=1"), [seed], "c", "agent") for seed in seeds]


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with closing(Store(laid(tmp_path / "lab.db"))) as opened:
        yield opened


class Here:
    """Runs jobs in this process, as `Runner` does in others: what is handed out is done."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def run(self, jobs: Sequence[Job], work: Handout) -> Iterator[Outcome]:
        while len(work):
            for job, claim in work.take(9):
                assert claim is not None
                self._store.finish(claim, {"val/accuracy": 0.5})
                yield Outcome(job, "done", trial_id=claim.trial_id)
        work.close()


class Scripted(engines.Engine):
    """Notes what it is asked to start."""

    def __init__(self) -> None:
        super().__init__(workers=3)
        self.asked: list[dict[str, Any]] = []
        self.stopped = False

    def start(self, n: int, needs: Sequence[str], url: str, **more: Any) -> None:
        self.asked.append({"n": n, "needs": needs, **more})

    def alive(self) -> int:
        return 0

    def stop(self) -> None:
        self.stopped = True


def statuses(store: Store) -> dict[int, str]:
    return {row.seed: row.status for row in store.trials()}


def test_a_helper_runs_what_its_campaign_shares_and_what_comes_later(jobs: list[Job], store: Store) -> None:
    Handout([jobs[0], replace(jobs[1], apart=True), replace(jobs[2], sweep="another")])
    looks = iter([True, False])

    def stays() -> bool:
        Handout([jobs[3]])  # as its next batch
        return next(looks)

    said: list[str] = []
    count = drain.serve(Here(store), store._url, ("cpu",), sweep="c", stays=stays, say=said.append)
    assert count == 2 and len(said) == 2
    assert statuses(store) == {0: "done", 1: "queued", 2: "queued", 3: "done"}


def test_a_campaigns_trials_are_for_its_kind_of_machine_and_a_sweeps_for_any(
    jobs: list[Job], store: Store, capsys: pytest.CaptureFixture[str]
) -> None:
    Handout([jobs[0], replace(jobs[1], source="person")])
    with store.write() as connection:
        connection.execute(sa.update(schema.trial).values(hardware="cpu:another x64"))
    assert drain.serve(Here(store), store._url, ("cpu",)) == 1
    assert statuses(store) == {0: "queued", 1: "done"}
    assert "trial 1 is left to others: its hardware differ" in capsys.readouterr().err


def test_a_worker_stays_as_long_as_the_lease_of_its_campaign(store: Store) -> None:
    with store.write() as connection:
        leases.take(connection, "campaign c")
    ended = threading.Event()

    def work() -> None:
        drain.drain(store._url, jobs=1, threads=1, lease="campaign c", sweep="c")
        ended.set()

    worker = threading.Thread(target=work)
    worker.start()
    assert not ended.wait(0.3)
    with store.write() as connection:
        connection.execute(sa.update(schema.lease).values(until=0))
    worker.join(20)
    assert ended.is_set()


def test_workers_are_started_for_what_may_be_shared_and_know_whose_it_is(
    jobs: list[Job], monkeypatch: pytest.MonkeyPatch
) -> None:
    engine, ran = Scripted(), list[Job]()
    monkeypatch.setattr(engines, "of", lambda config: engine)
    runner = SimpleNamespace(run=lambda some: iter(ran.extend(some) or ()))
    with engines.beside(runner, {}, "campaign c", "c") as run:
        list(run([replace(jobs[0], apart=True)]))
        assert engine.asked == []
        for job in (*jobs, *jobs):
            list(run([job]))
        assert (
            engine.asked
            == [{"n": 3, "needs": ["cpu"], "lease": "campaign c", "sweep": "c", "threads": None}] * 3
        )
        assert len(ran) == 9 and not engine.stopped
    assert engine.stopped
    with engines.beside(runner, {}, None, "c") as run:
        assert run is runner.run


def test_clocks_that_are_held_against_each_other_are_of_one_machine(jobs: list[Job]) -> None:
    metrics = ("train/cpu_seconds", "size/parameters", "train/energy_j")
    timed, exact, joules = (Sharing(LAUNCHER, ["val/accuracy", metric]) for metric in metrics)
    job = jobs[0]
    shared = timed.of(job, alone=False, held=False)
    assert not shared.apart and shared.config["launcher"] == LAUNCHER and shared.config["seed"] == 0
    assert timed.of(job, alone=False, held=True).apart and timed.of(job, alone=True, held=False).apart
    assert not exact.of(job, alone=False, held=True).apart
    seconds = replace(job, config=job.config | {"budget": job.config["budget"] | {"seconds": 5}})
    assert exact.of(seconds, alone=False, held=False).apart, "its machine decides how far it comes"
    assert joules.of(job, alone=False, held=False).apart, "another machine may have another counter"
    assert Sharing(None).of(job, alone=False, held=False).apart


def test_workers_have_as_many_threads_as_the_campaign_itself(jobs: list[Job]) -> None:
    usual = Sharing(LAUNCHER | {"jobs": 10_000, "threads": None})
    assert usual.of(jobs[0], alone=False, held=False).config["launcher"]["threads"] == 1


@pytest.mark.slow
@pytest.mark.parametrize(
    ("boot", "launcher", "said"),
    [
        ("another-boot", LAUNCHER | {"jobs": None}, "are run here too"),
        ("another-boot", None, "waiting for its end"),
        (None, LAUNCHER | {"jobs": None}, "waiting for its end"),
        (None, LAUNCHER, "are run here too"),
    ],
)
def test_who_waits_for_a_campaign_helps_it_unless_its_machine_is_the_same(
    store: Store, tmp_path: Path, boot: str | None, launcher: dict[str, Any] | None, said: str
) -> None:
    told: list[str] = []
    campaign: Any = SimpleNamespace(
        store=store,
        config={"store": {"url": store._url}},
        lines=SimpleNamespace(say=lambda text, style="": told.append(text)),
    )
    with store.write() as connection:
        leases.take(connection, "campaign c")
        lease = schema.lease.c
        owner = connection.execute(sa.select(lease.owner)).scalar_one().split(" ")
        owner[1] = boot or owner[1]
        soon = {"owner": " ".join(owner), "until": schema.clock() + 0.5}
        connection.execute(sa.update(schema.lease).values(**soon))
    began = time.monotonic()
    with alone(campaign, "campaign c", tmp_path / "c", launcher):
        assert time.monotonic() - began >= 0.4
    assert len(told) == 1 and said in told[0]


def test_workers_that_nothing_may_be_shared_with_are_none_and_that_is_said() -> None:
    told: list[str] = []
    asked = {"_target_": "research.run.engines.Local", "workers": 2}
    campaign: Any = SimpleNamespace(
        config={"runner": asked},
        given_run=None,
        lines=SimpleNamespace(say=lambda text, style: told.append(text)),
    )
    assert shares(campaign, unshared(["val/accuracy", "train/seconds"])) and not told
    assert not shares(campaign, unshared(["val/accuracy", "train/co2_kg"]))
    assert not shares(campaign, unshared(["train/seconds"], alone=True))
    assert [text.partition(":")[0] for text in told] == ["workers    none"] * 2
    assert "train/co2_kg by another counter" in told[0] and "timed beside each other" in told[1]
    campaign.config["runner"]["workers"] = None
    assert not shares(campaign, "why") and len(told) == 2, "nobody has asked for any"


def test_a_daemon_runs_what_others_have_queued_where_cores_were_shared_out(
    jobs: list[Job], store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    Handout([*jobs[:2], replace(jobs[2], sweep="another"), replace(jobs[3], apart=True)])
    monkeypatch.setattr("research.campaign.trials.Runner", lambda **own: nullcontext(Here(store)))
    said: list[str] = []

    def stopped(seconds: float) -> None:
        raise KeyboardInterrupt

    def daemon(jobs: int | None) -> None:
        config = {"store": {"url": store._url}, "launcher": LAUNCHER | {"jobs": jobs}}
        lines = SimpleNamespace(say=said.append)
        campaign: Any = SimpleNamespace(known=store, given_run=None, config=config, lines=lines)
        assert execute._all(campaign) == []

    monkeypatch.setattr("time.sleep", stopped)
    daemon(None)
    assert set(statuses(store).values()) == {"queued"} and "queued are run" not in said.pop()
    daemon(1)
    assert statuses(store) == {0: "done", 1: "done", 2: "done", 3: "queued"}
    assert said[0].startswith("waiting for proposals, while trials that others have queued are run")


def test_a_worker_that_died_is_replaced_while_work_gets_done(
    resolve: Callable[..., dict[str, Any]], store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each does a trial between two looks; one of three dies at once, and two last trials want no third."""
    monkeypatch.setattr(engines, "_LOOK_S", 0.0)
    engine, held, looks = Scripted(), list[TrialClaim](), itertools.count()

    def alive() -> int:
        while held:
            store.finish(held.pop(), {"val/accuracy": 0.5})
        living = sum(asked["n"] for asked in engine.asked) - (next(looks) > 0)
        held.extend(store.take(most=living) if living else [])
        return living

    monkeypatch.setattr(engine, "alive", alive)
    monkeypatch.setattr(engine, "see_out", lambda: None)
    eight = [Job(resolve(f"seed={seed}"), [f"seed={seed}"], "c", "person") for seed in range(8)]
    assert [outcome.status for outcome in engines.launched(engine, eight)] == ["done"] * 8
    assert [asked["n"] for asked in engine.asked] == [3, 1]


@pytest.mark.parametrize("address", [None, "auto"])
def test_a_ray_that_does_not_start_is_a_sentence(
    monkeypatch: pytest.MonkeyPatch, address: str | None
) -> None:
    """It raises kinds of its own, Python's, and a bare one where a node is too slow.

    Without an address it would join whatever cluster was last started on this machine.
    """

    def init(where: str | None, **how: Any) -> None:
        assert where == (address or "local")
        raise Exception("The node timed out during startup.\nand much more")

    ray = SimpleNamespace(is_initialized=lambda: False, init=init)
    monkeypatch.setattr(engines, "_needed", lambda *about: ray)
    what = "does not start here" if address is None else f"does not reach a cluster at {address}"
    with pytest.raises(Refusal) as refused:
        engines.Ray(address, workers=1).start(1, ["cpu"], "sqlite:///x")
    assert str(refused.value) == (
        f"Ray {what} (The node timed out during startup.): start one by ray start --head, correct "
        "runner.address, or choose runner=local."
    )


@pytest.mark.parametrize("address", ["127.0.0.1:{}", "ray://127.0.0.1:{}"])
def test_a_cluster_where_nobody_answers_is_a_sentence_at_once(
    monkeypatch: pytest.MonkeyPatch, address: str
) -> None:
    """Ray asked again and again for more than five minutes."""
    monkeypatch.setattr(engines, "_needed", lambda *about: SimpleNamespace(is_initialized=lambda: False))
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        where = address.format(silent.getsockname()[1])
        with pytest.raises(Refusal, match=rf"^Ray does not reach a cluster at {where} \(.*refused"):
            engines.Ray(where, workers=1).start(1, ["cpu"], "sqlite:///x")
