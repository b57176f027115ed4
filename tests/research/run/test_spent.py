"""What killed trainings spent is counted, so that killing a command and typing it again passes no budget."""

import textwrap
from pathlib import Path
from typing import Any

import pytest

import pulse
from research.campaign.budget import Spend
from research.run.runner import Job, Runner
from research.store.store import Store
from research.types import Key

TASK = """
    import os, signal
    from pathlib import Path
    import pulse
    from research.run.row import claimed

    def trial(config, *, overrides, sweep, source, threads, leased=None):
        pulse._EVERY_S = 0.0
        tries = Path(config["root"]) / "tries"
        with claimed(config, overrides=overrides, sweep=sweep, source=source, leased=leased) as row:
            row.folder.mkdir(parents=True, exist_ok=True)
            begun = tries.read_text().count("x") if tries.exists() else 0
            tries.write_text("x" * (begun + 1))
            for step in range(1, 9):
                row.heart.beat(step, lambda: {"joules": 3.0 * step, "seconds": 0.1 * step})
            if begun < 5:
                os.kill(os.getpid(), signal.SIGKILL)
            row.heart.beat(None, lambda: {"joules": 30.0, "seconds": 1.0})
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
        from research.store import queries

        assert queries.trained(connection, "one") == (1, pytest.approx(150.0))
    store.close()


def test_what_an_attempt_spent_is_its_own(tmp_path: Path) -> None:
    first, second = pulse.Spending(tmp_path, "a"), pulse.Spending(tmp_path, "b")
    assert pulse.left(tmp_path, "a") == {}
    first.write(lambda: {"joules": 2.5})
    first.write(lambda: {"joules": 99.0})  # too soon to look again
    assert pulse.left(tmp_path, "a") == {"joules": 2.5} and pulse.left(tmp_path, "b") == {}
    first.write(lambda: {"joules": 4.0}, last=True)
    assert pulse.left(tmp_path, "a") == {"joules": 4.0}
    second.write(lambda: {"joules": 1.0})
    assert pulse.left(tmp_path, "a") == {} and pulse.left(tmp_path, "b") == {"joules": 1.0}
    for one in (first, second):
        one.close()
    for text in ("", "[]", "{}", '{"attempt": "b", "joules": null}'):
        (tmp_path / pulse.FILE).write_text(text)
        assert pulse.left(tmp_path, "b") == {}


def test_a_budget_counts_every_attempt_once() -> None:
    spend, key = Spend(joules=100.0), Key("s", "c", "d", "h")
    spend.pay(key, None, 40.0)  # it was killed, and waits
    assert (spend.trials, spend.joules) == (0, 40.0)
    spend.pay(key, 3.0, 65.0)  # it went on, and ended
    assert (spend.trials, spend.joules) == (1, 65.0)
    spend.pay(key._replace(signature="t"), 3.0, 30.0)
    assert spend.joules == 95.0 and spend.short(spend.usual(1)) is not None
