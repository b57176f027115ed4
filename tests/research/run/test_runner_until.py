"""Trials that have an end: what runs is interrupted at it, what has not begun never begins."""

import time
from pathlib import Path

import pytest

from research.run.runner import Job, Runner

TASK = """
import time

def trial(config, **named):
    time.sleep(config["seconds"])
    return {"status": "done", "trial_id": 1}
"""


@pytest.mark.slow
def test_a_trial_ends_with_the_time_that_it_was_given(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "sleeping.py").write_text(TASK)
    monkeypatch.syspath_prepend(str(tmp_path))
    with Runner(jobs=1, task="sleeping:trial", preload=(), logs=tmp_path / "logs") as runner:
        assert [one.status for one in runner.run([Job({"seconds": 0}, ["a"])])] == ["done"]
        until = time.monotonic() + 1.0
        jobs = [Job({"seconds": 600}, ["b"], until=until), Job({"seconds": 0}, ["c"], until=until)]
        ended = {one.job.overrides[0]: one for one in runner.run(jobs)}
        assert time.monotonic() < until + 60, "nobody waited for the ten minutes that it would have slept"
    assert {one.status for one in ended.values()} == {"interrupted"}
    assert "the time for it was over" in str(ended["b"].reason) and ended["c"].wall_s == 0.0
