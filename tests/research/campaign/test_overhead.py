"""What a sweep and a campaign say of the share of their CPU seconds that trained."""

import pytest

from research.report.cost import harness, steps_share
from research.run.runner import Job, Outcome
from research.run.sweep import overhead
from research.types import Result


def outcome(status: str = "done", **metrics: float) -> Outcome:
    named = {key.replace("__", "/"): value for key, value in metrics.items()}
    return Outcome(Job({}, []), status, metrics=named)  # type: ignore[arg-type]


def test_overhead_is_cpu_seconds_over_cpu_seconds_of_the_steps() -> None:
    # 2 s by the clock of which it ran 0.5: a busy machine makes no sweep look leaner.
    done = [
        outcome(train__cpu_seconds=0.5, train__seconds=2.0),
        outcome(train__cpu_seconds=1.5, train__seconds=9.0),
    ]
    known = outcome("known", train__cpu_seconds=7.0, train__seconds=7.0)
    (told,) = overhead([*done, known], 8.0)
    assert told.startswith("orchestration overhead 4.00: 8.0 CPU s in all for 2.00 CPU s of training steps")
    assert "2 trials, steps 25% of it" in told
    assert overhead([known], 8.0) == []


def test_the_share_of_steps_is_of_those_that_tell_both() -> None:
    def result(**metrics: float) -> Result:
        return Result(
            trial_id=1, metrics={key.replace("__", "/"): value for key, value in metrics.items()}, facts={}
        )

    old = result(train__cpu_seconds=100.0)
    new = [
        result(train__cpu_seconds=0.2, trial__cpu_seconds=0.5),
        result(train__cpu_seconds=0.1, trial__cpu_seconds=0.5),
    ]
    assert steps_share([old, *new]) == pytest.approx(0.3)
    assert steps_share([old]) is None


def test_a_report_tells_it() -> None:
    told = "- steps 30% of the CPU seconds of its trials' processes; the rest is their harness"
    assert harness(0.3) == [told] and harness(None) == []
