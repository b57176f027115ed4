"""Launchers that are not ours: how many trials they run at a time, and what is told when they break off."""

from collections.abc import Callable, Sequence
from typing import Any

import pytest
from hydra.core.utils import JobReturn, JobStatus

from hydra_plugins.hydra_joulelab_launcher.launched import Answering, launched, shared, width
from refusal import Ended, Refusal
from research.run.runner import Job


def launcher(kind: str, **about: Any) -> Any:
    return type(kind, (), about)()


@pytest.mark.parametrize(
    ("kind", "about", "count", "at_a_time"),
    [
        ("BasicLauncher", {}, 5, 1),
        ("JoblibLauncher", {"joblib": {"n_jobs": 3}}, 5, 3),
        ("JoblibLauncher", {"joblib": {"n_jobs": 3}}, 2, 2),
        ("LocalLauncher", {}, 5, 5),
        ("SlurmLauncher", {}, 5, 1),
        ("RayLauncher", {}, 5, None),
    ],
)
def test_a_launcher_is_known_by_how_many_it_runs_at_a_time(
    kind: str, about: dict[str, Any], count: int, at_a_time: int | None
) -> None:
    assert width(launcher(kind, **about), count) == at_a_time


def test_a_trial_knows_how_many_share_its_machine() -> None:
    told = shared({"meter": {"concurrent": 1, "concurrent_gpu": 1, "country": None}, "seed": 0}, 3)
    assert told == {"meter": {"concurrent": 3, "concurrent_gpu": 3, "country": None}, "seed": 0}
    assert shared({"meter": {"concurrent": 8}}, 3)["meter"] == {"concurrent": 8, "concurrent_gpu": 3}
    assert shared({"meter": None}, 3) == {"meter": None}


def outcomes(jobs: list[Job], launch: Callable[[Sequence[Sequence[str]], int], Any]) -> list[Any]:
    run = launched(
        launcher("BasicLauncher", launch=lambda self, *a: launch(*a)), Answering("train"), TYPED, 0
    )
    return list(run(jobs))


TYPED = [["seed=0"], ["seed=1", "store.url=postgresql://me:p@zz/w0rd@h/db"]]


@pytest.fixture
def jobs(resolve: Callable[..., dict[str, Any]]) -> list[Job]:
    shown = [["seed=0"], ["seed=1", "store.url=postgresql://me:***@h/db"]]
    return [Job(resolve(texts[0], "budget.steps=5"), texts, "a-sweep") for texts in shown]


def test_each_answer_and_each_error_is_an_outcome(jobs: list[Job]) -> None:
    answer = {"status": "done", "trial_id": 3, "score": 0.9, "metrics": {"val/accuracy": 0.9}, "facts": {}}
    asked: list[Any] = []

    def launch(overrides: Sequence[Sequence[str]], first: int) -> list[JobReturn]:
        asked.extend(overrides)
        ended = [JobReturn(status=JobStatus.COMPLETED), JobReturn(status=JobStatus.FAILED)]
        ended[0].return_value = answer | {"wall_s": 2.0, "folder": "x"}
        ended[1].return_value = Ended("diverged: the loss is nan")
        return ended

    done, failed = outcomes(jobs, launch)
    assert asked == TYPED  # with the password, which nobody is told
    assert (done.status, done.score, done.trial_id, done.wall_s) == ("done", 0.9, 3, 2.0)
    assert (failed.status, failed.reason) == ("failed", "diverged: the loss is nan")


def test_a_refusal_is_its_sentence(jobs: list[Job]) -> None:
    def launch(overrides: Sequence[Sequence[str]], first: int) -> list[JobReturn]:
        ended = JobReturn(status=JobStatus.FAILED)
        ended.return_value = Refusal("choose another root=FOLDER.")
        return [ended, ended]

    assert [one.reason for one in outcomes(jobs, launch)] == ["choose another root=FOLDER."] * 2


def test_a_launcher_that_breaks_off_is_a_reason_for_what_has_no_numbers(jobs: list[Job]) -> None:
    def launch(overrides: Sequence[Sequence[str]], first: int) -> list[JobReturn]:
        raise RuntimeError("a worker was killed")

    assert [(one.status, one.reason) for one in outcomes(jobs, launch)] == [
        ("died", "RuntimeError: a worker was killed")
    ] * 2


def test_ctrl_c_goes_on_after_all_are_told(jobs: list[Job]) -> None:
    def launch(overrides: Sequence[Sequence[str]], first: int) -> list[JobReturn]:
        raise KeyboardInterrupt

    told = launched(
        launcher("BasicLauncher", launch=lambda self, *a: launch(*a)), Answering("train"), TYPED, 0
    )(jobs)
    assert [next(told).status, next(told).status] == ["interrupted", "interrupted"]
    with pytest.raises(KeyboardInterrupt):
        next(told)
