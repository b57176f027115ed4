"""A sweep of two real trainings through the launcher's own runner: the shortest that ends in rows."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from research.run.runner import Job
from research.run.sweep import run
from research.store.store import Store


@pytest.mark.slow
def test_both_trials_of_a_sweep_are_trained_and_told(
    resolve: Callable[..., dict[str, Any]], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    jobs = []
    for seed in (0, 1):
        typed = [f"seed={seed}", "budget.steps=5"]
        jobs.append(Job(resolve(*typed), typed, "seed-12345678", "person"))
    first, second = run(jobs)
    assert [first.status, second.status] == ["done", "done"], (first.reason, second.reason)
    store = Store(f"sqlite:///{tmp_path}/lab.db")
    rows = store.trials()
    assert [(row.seed, row.status) for row in sorted(rows, key=lambda row: row.seed)] == [
        (0, "done"),
        (1, "done"),
    ]
    results = store.results([row.id for row in rows])
    store.close()
    for outcome in (first, second):
        assert outcome.trial_id is not None
        assert outcome.score == results[outcome.trial_id].metrics[outcome.job.config["score"]]
    told = capsys.readouterr().out
    assert "2/2" in told and "orchestration overhead" in told
    assert [one.status for one in run(jobs)] == ["known", "known"]
