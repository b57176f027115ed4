"""Of equal trials in one sweep one is run, and answers the others; where it fails the next tries again."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from research.run import lookup, sweep
from research.run.runner import Job, Outcome
from research.space.gate import Space

ROOT = Path(__file__).parents[3]
TYPED = ["scheduler=onecycle", "scheduler.warmup=0"]


@pytest.fixture(scope="module")
def space() -> Space:
    return Space(ROOT / "conf", ROOT / "conf" / "space.yaml")


def job(space: Space, *more: str) -> Job:
    return Job(space.resolve([*TYPED, *more]), list(more))


class Ends:
    """In place of processes: the jobs that were started, the first `fails` of which fail."""

    def __init__(self, fails: int = 0) -> None:
        self.fails = fails
        self.started: list[list[str]] = []

    def run(self, jobs: Sequence[Job]) -> Iterator[Outcome]:
        for one in jobs:
            self.started.append(one.overrides)
            if len(self.started) <= self.fails:
                yield Outcome(one, "failed", "diverged")
            else:
                metrics = {"val/accuracy": 0.9, "val/loss": 0.5}
                yield Outcome(one, "done", trial_id=len(self.started), score=0.9, metrics=metrics)

    def show(self, outcome: Outcome) -> None:
        """As a sweep's progress does."""


def outcomes(jobs: list[Job], ends: Ends) -> list[Outcome | None]:
    found: list[Outcome | None] = [None] * len(jobs)
    parts: Any = ends
    sweep._run(jobs, found, ends.run, parts)
    return found


def test_equal_trials_are_one_group_and_forced_ones_are_alone(space: Space, tmp_path: Path) -> None:
    jobs = [
        job(space, "scheduler.start=0.1"),
        job(space, "seed=1"),
        job(space, "scheduler.start=0.3"),
        job(space, "scheduler.start=0.3", "force=true"),
        job(space, "scheduler.start=0.3", f"store.url=sqlite:///{tmp_path}/other.db"),
        job(space, "scheduler.start=0.5", "score=val/loss"),
    ]
    assert lookup.twins(jobs, range(6)) == [[0, 2, 5], [1], [3], [4]]
    assert lookup.twins(jobs, [5, 1]) == [[5], [1]]


def test_the_first_answers_the_others_with_their_own_score(space: Space) -> None:
    jobs = [job(space, "scheduler.start=0.1"), job(space, "scheduler.start=0.3", "score=val/loss")]
    ends = Ends()
    first, second = outcomes(jobs, ends)
    assert ends.started == [["scheduler.start=0.1"]]
    assert first and second and (first.status, first.score) == ("done", 0.9)
    assert (second.status, second.score, second.trial_id, second.job) == ("known", 0.5, 1, jobs[1])
    assert second.metrics == first.metrics and second.wall_s == 0


@pytest.mark.parametrize(("fails", "told"), [(1, ["failed", "done", "known"]), (3, ["failed"] * 3)])
def test_where_one_fails_the_next_tries_again(space: Space, fails: int, told: list[str]) -> None:
    jobs = [job(space, f"scheduler.start={start}") for start in (0.1, 0.2, 0.3)]
    assert [one and one.status for one in outcomes(jobs, Ends(fails))] == told
