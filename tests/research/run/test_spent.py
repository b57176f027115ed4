"""What killed trainings spent is counted, so that killing a command and typing it again passes no budget."""

import textwrap
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

import pulse
from claiming import KEY, ask, keys, mine
from research.campaign.budget import Spend
from research.run.runner import Job, Runner
from research.store import owners, queries, spending
from research.store.schema import trial
from research.store.store import Store
from research.types import Key

TASK = """
    import os, signal
    from pathlib import Path
    import pulse
    from research.run.row import claimed

    def trial(config, *, overrides, sweep, source, threads, leased=None):
        pulse._EVERY_S = 0.0
        used = {}
        tries = Path(config["root"]) / "tries"
        with claimed(config, overrides=overrides, sweep=sweep, source=source, leased=leased) as row:
            row.folder.mkdir(parents=True, exist_ok=True)
            begun = tries.read_text().count("x") if tries.exists() else 0
            tries.write_text("x" * (begun + 1))
            used["train/energy_j"] = 100.0  # of the checkpoint that it goes on from
            pulse.spent(lambda: used, first=True)
            for step in range(1, 9):
                used["train/energy_j"] = 100.0 + 3.0 * step
                pulse.beat("training", step)
                pulse.spent(lambda: used)
            if begun < 5:
                os.kill(os.getpid(), signal.SIGKILL)
            used["train/energy_j"] = 130.0
            pulse.spent(lambda: used, last=True)
            pulse.beat("the training")
            row.finish({"train/energy_j": 31.0, "val/accuracy": 0.9}, {}, [])
        return row.answer("val/accuracy")
"""


@pytest.mark.slow
def test_five_kills_record_what_they_spent(
    resolve: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of 120 to 135 J that five killed trainings had used 32 were recorded."""
    (tmp_path / "spending.py").write_text(textwrap.dedent(TASK))
    monkeypatch.syspath_prepend(str(tmp_path))
    (tmp_path / "runs").mkdir()
    with Runner(1, 1, task="spending:trial", preload=("research.run.row",), logs=tmp_path / "logs") as runner:
        (end,) = runner.run([Job(resolve(), ["seed=0"], sweep="one")])
    assert end.status == "done"
    store = Store(f"sqlite:///{tmp_path}/lab.db")
    assert list(store.joules("one").values()) == [pytest.approx(5 * 24.0 + 30.0)]
    with store.read() as connection:
        assert store.joules("another") == {}
        assert queries.trained(connection, "one") == (1, pytest.approx(150.0))
    store.close()


def test_what_an_attempt_spent_is_its_own(tmp_path: Path) -> None:
    def joules(of: str) -> float | None:
        return pulse.left(tmp_path, of).get("train/energy_j")

    assert pulse.left(tmp_path, "a") == {} == pulse.own()
    with pulse.spending(tmp_path, "a"):
        pulse.spent(lambda: {"train/energy_j": 10.0}, first=True)
        pulse.spent(lambda: {"train/energy_j": 99.0})  # too soon to look again
        assert joules("a") == 0.0
        pulse.spent(lambda: {"train/energy_j": 14.0}, last=True)
        assert joules("a") == 4.0 == pulse.own()["train/energy_j"] and pulse.left(tmp_path, "b") == {}
        # A fine-tuning counts on from there.
        pulse.spent(lambda: {"train/energy_j": 0.0}, first=True)
        pulse.spent(lambda: {"train/energy_j": 1.5}, last=True)
        assert joules("a") == 5.5
        # Of 26 J in all 10 are another attempt's; what is no training, as a compression, is in them.
        pulse.settled({"train/energy_j": 26.0})
        assert joules("a") == 16.0
        with pulse.spending(tmp_path / "teacher", "t"):
            pulse.spent(lambda: {"train/energy_j": 0.0}, first=True)
    with pulse.spending(tmp_path, "b"):
        pulse.spent(lambda: {"train/energy_j": 3.0}, first=True)
    assert joules("a") is None and joules("b") == 0.0
    for text in ("", "[]", "{}", '{"attempt": "b", "joules": null}'):
        (tmp_path / pulse.FILE).write_text(text)
        assert pulse.left(tmp_path, "b") == {}


def test_whoever_takes_a_trial_over_books_what_was_spent_on_it(store: Store, tmp_path: Path) -> None:
    """A command that was killed with all its processes wrote nothing; the next one finds the file."""
    for joules in (7.0, 5.0):
        claim = mine(ask(store, sweep="one", folder=str(tmp_path)))
        with pulse.spending(tmp_path, claim.token):
            pulse.spent(dict, first=True)
            pulse.spent(lambda used=joules: {"train/energy_j": used}, last=True)
        gone = f"{owners.place()} 99999999 1"
        with store.write() as connection:
            connection.execute(sa.update(trial).where(trial.c.id == claim.trial_id).values(owner=gone))
    last = mine(ask(store, sweep="one", folder=str(tmp_path)))
    assert store.joules("one") == {KEY: 12.0}
    store.finish(last, {"train/energy_j": 3.0})  # nobody wrote down what it spent: what it measured counts
    assert store.joules("one") == {KEY: 15.0}


def test_a_budget_counts_every_attempt_once() -> None:
    spend, key = Spend(joules=100.0), Key("s", "c", "d", "h")
    spend.pay(key, None, 40.0)  # it was killed, and waits
    assert (spend.trials, spend.joules) == (0, 40.0)
    spend.pay(key, 3.0, 65.0)  # it went on, and ended
    assert (spend.trials, spend.joules) == (1, 65.0)
    spend.pay(key._replace(signature="t"), 3.0, 30.0)
    assert spend.joules == 95.0 and spend.short(spend.usual(1)) is not None


def test_what_a_campaign_spent_is_the_sum_of_all_attempts(store: Store) -> None:
    """The database adds it up, where each attempt says what it spent: 50,000 rows took `status` a second."""
    told, measured, killed, other = (
        mine(ask(store, key, sweep="other" if at == 3 else "one")) for at, key in enumerate(keys(4))
    )
    for claim, spent in ((told, 2.0), (killed, 4.0), (other, 64.0)):
        store.beat(claim, {"joules": spent})
    store.finish(told, {"train/energy_j": 32.0})
    store.finish(other, {"a": 1.0})
    store.fail(killed, "its process was killed", outcome="lost")
    store.fail(mine(ask(store, keys(3)[2], sweep="one")), "diverged: x")
    for sweep, trials, joules in (("other", 1, 64.0), ("one", 3, 6.0), ("one", 3, 9.0), ("none", 0, 0.0)):
        with store.read() as connection:
            assert queries.trained(connection, sweep) == (trials, joules)
        assert sum(store.joules(sweep).values()) == joules
        if joules == 6.0:
            store.finish(measured, {"train/energy_j": 3.0})


def test_what_is_in_no_result_was_lost_and_what_was_saved_was_not(store: Store, tmp_path: Path) -> None:
    """A killed attempt had used 7 J: of its own checkpoint 5 J are in the result, which tells 25 J."""
    for joules in (7.0, 20.0):
        claim = mine(ask(store, sweep="one", folder=str(tmp_path)))
        with pulse.spending(tmp_path, claim.token):
            pulse.spent(dict, first=True)
            pulse.spent(lambda used=joules: {"train/energy_j": used}, last=True)
        if joules < 20.0:
            store.fail(claim, "gone", outcome="lost")
    with store.read() as connection:
        assert spending.lost_joules(connection, "one") == pytest.approx(7.0), "the second still runs"
    store.finish(claim, {"train/energy_j": 25.0}, {})
    with store.read() as connection:
        assert spending.lost_joules(connection, "one") == pytest.approx(2.0)
        assert spending.lost_joules(connection, "another") == 0.0
