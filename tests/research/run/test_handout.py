"""Who asks for the same trials shares them: none is begun twice, and what others end is told as theirs."""

import socket
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import sqlalchemy as sa

from empty_stores import laid
from refusal import Refusal
from research.run import handout, lookup
from research.run.drain import _job, drain
from research.run.handout import Handout
from research.run.job import Job, Outcome
from research.run.lines import line
from research.store import promises
from research.store.schema import trial
from research.store.store import Store, TrialClaim


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(handout, "_WAIT_S", 0.0)


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    opened = Store(laid(tmp_path / "lab.db"))
    yield opened
    with opened.read() as connection:
        assert promises.broken(connection) == []
    opened.close()


def taken(work: Handout, most: int = 1) -> list[tuple[int, TrialClaim]]:
    return [(job.config["seed"], claim) for job, claim in work.take(most) if claim is not None]


def seeds(outcomes: Iterator[Outcome]) -> dict[int, str]:
    return {one.job.config["seed"]: one.status for one in outcomes}


def barred(job: Job) -> Job:
    """The job with a bar that ends it early, as a campaign asks for it."""
    callbacks = job.config["callbacks"] | {"halving": {"cap": 1.0}}
    return replace(job, config=job.config | {"callbacks": callbacks})


def test_two_that_ask_for_the_same_trials_share_them(jobs: list[Job], store: Store) -> None:
    one, other = Handout(jobs), Handout(jobs)
    mine, theirs = taken(one, 2), taken(other, 9)
    assert [seed for seed, _ in mine] == [0, 1] and [seed for seed, _ in theirs] == [2, 3]
    assert one.take(9) == [] == other.take(9)
    for seed, claim in [*mine, *theirs]:
        store.finish(claim, {"val/accuracy": seed / 10})
    assert seeds(one.elsewhere()) == {2: "done", 3: "done"} and len(one) == 0
    told = list(other.elsewhere())
    assert {outcome.by for outcome in told} == {f"another process on {socket.gethostname()}"}
    assert "s by another process on" in line(told[0], 1, 2)
    assert [outcome.metrics for outcome in told] == [{"val/accuracy": 0.0}, {"val/accuracy": 0.1}]
    one.close(), other.close()
    assert [row.status for row in store.trials()] == ["done"] * 4


def test_what_was_not_begun_leaves_no_row_and_another_queues_it_again(jobs: list[Job], store: Store) -> None:
    one, other = Handout(jobs), Handout(jobs)
    ((_, claim),) = taken(one)
    one.close()
    assert [row.status for row in store.trials()] == ["leased"]
    assert list(other.elsewhere()) == []
    assert [seed for seed, _ in taken(other, 9)] == [1, 2, 3]
    store.finish(claim, {})
    other.close()


def test_what_failed_elsewhere_is_told_and_what_was_lost_waits(jobs: list[Job], store: Store) -> None:
    one, other = Handout(jobs[:2]), Handout(jobs[:2])
    (_, bad), (_, gone) = (claim for claim in taken(other, 2))
    store.fail(bad, "diverged: the loss is nan")
    with store.write() as connection:
        connection.execute(sa.update(trial).where(trial.c.id == gone.trial_id).values(lease_until=0))
    assert seeds(one.elsewhere()) == {0: "failed"}
    ((seed, again),) = taken(one)
    assert (seed, again.trial_id) == (1, gone.trial_id) and again.token != gone.token
    assert other.failed(gone, "late", "lost", {}) == "" and other.again(jobs[1], gone)
    store.finish(again, {})
    assert seeds(other.elsewhere()) == {1: "done"}
    one.close(), other.close()


def test_what_another_sweep_has_run_is_known_and_costs_this_one_nothing(
    jobs: list[Job], store: Store
) -> None:
    own = Handout(jobs[:1])
    theirs = Handout([replace(jobs[0], sweep="another")])
    ((_, claim),) = taken(own)
    store.finish(claim, {"val/accuracy": 0.5})
    (outcome,) = theirs.elsewhere()
    assert (outcome.status, outcome.by, outcome.wall_s) == ("known", None, 0.0)
    own.close(), theirs.close()


def test_a_trial_that_is_apart_is_offered_to_no_worker_not_even_when_it_was_lost(
    jobs: list[Job], store: Store
) -> None:
    work = Handout([replace(jobs[0], apart=True), jobs[1]])
    assert [row.seed for row in store.offered(["cpu", "gpu"], 9)] == [1]
    mine = dict(taken(work, 2))
    wanted = lookup.wanted_of(jobs[0])  # as the process that trains begins it
    assert isinstance(store.begin(mine[0], wanted), TrialClaim)
    with store.write() as connection:
        connection.execute(sa.update(trial).values(lease_until=0))
    assert [row.seed for row in store.offered(["cpu", "gpu"], 9)] == [1]
    assert [row.status for row in store.trials()] == ["queued", "queued"]
    work.close()


def test_a_campaign_that_is_typed_again_queues_its_trial_as_it_is_now(jobs: list[Job], store: Store) -> None:
    Handout([replace(barred(jobs[0]), source="agent")])  # it died
    Handout([jobs[0]])  # another's wish changes nothing
    assert "halving" in store.trials()[0].config["callbacks"]
    work = Handout([replace(jobs[0], source="agent", apart=True)])
    assert "halving" not in store.trials()[0].config["callbacks"]
    assert store.offered(["cpu"], 9) == []
    work.close()


def test_what_a_campaigns_bars_have_ended_is_run_again_for_who_has_none(
    jobs: list[Job], store: Store
) -> None:
    campaign = Handout([replace(barred(jobs[0]), source="agent")])
    person = Handout([replace(jobs[0], sweep="a person's")])
    ((_, claim),) = taken(campaign)
    store.fail(claim, "stopped early: it costs more than the best")
    assert [row.status for row in store.trials()] == ["stopped"]
    assert list(person.elsewhere()) == [] and len(person) == 1
    assert [seed for seed, _ in taken(person)] == [0]
    campaign.close(), person.close()


def test_who_runs_a_trial_whose_time_is_over_is_told_to_end(jobs: list[Job], store: Store) -> None:
    late = replace(jobs[0], until=time.monotonic() - 1)
    work, worker = Handout([late]), Handout(jobs[:1])
    ((_, claim),) = taken(worker)
    assert store.wanted(claim)
    assert work.late() == [late] and not store.wanted(claim)
    work.close(), worker.close()


def test_jobs_whose_time_is_over_wait_no_more(jobs: list[Job], store: Store) -> None:
    late = Job(jobs[0].config, jobs[0].overrides, until=time.monotonic() - 1)
    work = Handout([late, jobs[1]])
    assert work.late() == [late] and [seed for seed, _ in taken(work, 9)] == [1]
    work.close()


def test_what_is_paused_is_not_begun_and_says_how_to_go_on(
    jobs: list[Job], store: Store, capsys: pytest.CaptureFixture[str]
) -> None:
    work = Handout(jobs)
    store.pause("a-sweep", on=True)
    assert work.take(1) == [] and list(work.elsewhere()) == []
    assert "task=queue resume=a-sweep" in capsys.readouterr().out
    store.pause("a-sweep", on=False)
    store.prioritise([3], 5)
    assert [seed for seed, _ in taken(work, 2)] == [2, 0], "the urgent one is first"
    work.close()


def test_a_worker_runs_a_row_only_as_it_was_written(
    jobs: list[Job], store: Store, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    Handout(jobs)  # it died
    url = f"sqlite:///{tmp_path}/lab.db"
    worker = Handout(
        (), lambda own, most: {one.id: _job(one, url) for one in own.offered(["cpu"], most)}, url
    )
    assert sorted(job.config["seed"] for job in worker.jobs()) == [0, 1, 2, 3]
    worker.close()
    assert len(store.trials(status="queued")) == 4, "a worker that leaves takes nothing back"
    with store.write() as connection:
        connection.execute(sa.update(trial).where(trial.c.id == 1).values(config={"seed": 7}))
        connection.execute(sa.update(trial).where(trial.c.id == 2).values(code="other"))
    assert [_job(row, url) for row in store.trials(ids=[1, 2])] == [None, None]
    said = capsys.readouterr().err
    assert "was changed in the database" in said and "its code differ here" in said


def test_three_failures_of_its_own_end_a_trial_and_force_tries_again(jobs: list[Job], store: Store) -> None:
    for _ in range(3):
        work = Handout(jobs[:1])
        ((_, claim),) = taken(work)
        work.failed(claim, "ValueError: x", "configuration", {"cpu_seconds": 1.0})
        work.close()
    work = Handout(jobs[:1])
    (outcome,) = work.elsewhere()
    assert (outcome.status, outcome.reason) == ("failed", "ValueError: x") and work.take(1) == []
    assert [row.word for row in store.trials()] == ["dead"]
    with pytest.raises(Refusal, match="force=true"):
        store.claim(store.trials()[0].key, config={})
    forced = Handout([Job(jobs[0].config | {"force": True}, [])])
    assert [claim.trial_id for _, claim in taken(forced)] == [1]
    work.close(), forced.close()


def test_twenty_losses_end_a_trial_that_nobody_sees_fail(jobs: list[Job], store: Store) -> None:
    work = Handout(jobs[:1])
    for _ in range(20):
        taken(work)
        with store.write() as connection:
            connection.execute(sa.update(trial).values(lease_until=0))
        work._waiting.setdefault(1, [jobs[0]])
    store.take()
    assert store.trials()[0].status == "dead" and "lost 20 times" in str(store.trials()[0].reason)
    assert seeds(work.elsewhere()) == {0: "failed"}
    work.close()


def test_a_worker_finds_relative_paths_where_the_command_was_typed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    typed, begun = tmp_path / "typed", tmp_path / "begun"
    for folder in (begun, typed):
        folder.mkdir()
        monkeypatch.chdir(folder)
    Store("sqlite:///lab.db").close()
    monkeypatch.chdir(begun)
    assert drain("sqlite:///lab.db", jobs=1, threads=1, folder=str(typed)) == 0
    assert Path.cwd() == typed and not (begun / "lab.db").exists()
