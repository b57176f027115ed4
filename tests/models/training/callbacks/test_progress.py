"""The line of a training on a terminal: steps, score, pace and the time left; nothing where there is none."""

from types import SimpleNamespace
from typing import Any

import pytest

from models.training.budget import Budget
from models.training.callbacks import progress
from models.training.callbacks.progress import ProgressLine, duration


@pytest.mark.parametrize(
    ("seconds", "told"),
    [
        (0.4, "0 s"),
        (59.6, "1 min"),
        (72, "1 min 12 s"),
        (3600, "1 h"),
        (7500, "2 h 5 min"),
        (90000, "1 d 1 h"),
        (3599.9, "1 h"),
    ],
)
def test_a_duration_has_two_units(seconds: float, told: str) -> None:
    assert duration(seconds) == told


def lit(curve: list[dict[str, float]], total: int | None = 5000, **budget: Any) -> Any:
    limits = Budget(**({"steps": total} | budget))
    return SimpleNamespace(total=total, record=SimpleNamespace(curve=curve), budget=limits)


def test_the_line_tells_steps_score_pace_and_time_left() -> None:
    line = ProgressLine("val/accuracy")
    half = lit([{"step": 1000, "val/loss": 0.2, "val/accuracy": 0.97221}])
    # 1,200 steps took 1,538 s, so the other 3,800 take 4,872 s.
    assert line.line(1200, 0.24, half, 1200 / 0.78) == (
        "step 1,200 of 5,000 (24 %)   val/accuracy 0.9722   0.78 steps/s   1 h 21 min left"
    )
    assert line.line(0, 0.0, lit([]), 0.0) == "step 0 of 5,000 (0 %)"


def test_a_resumed_training_tells_the_pace_of_its_own_session() -> None:
    line = ProgressLine("val/accuracy")
    line._step, line._share = 4000, 0.8
    told = line.line(4500, 0.9, lit([{"step": 4500, "val/bits_per_byte": 2.5}]), 5.0)
    assert told == "step 4,500 of 5,000 (90 %)   val/bits_per_byte 2.5   100 steps/s   5 s left"


def test_a_training_that_ends_at_a_target_ends_no_later() -> None:
    told = ProgressLine("x").line(10, 0.5, lit([], None, steps=None, seconds=20.0, target=0.9), 10.0)
    assert told == "step 10 (50 %)   1 steps/s   at most 10 s left"


def test_a_narrow_terminal_has_the_beginning_of_the_line(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "20")
    progress._write("step 1,200 of 5,000 (24 %)")
    assert capsys.readouterr().err == "\r\x1b[2Kstep 1,200 of 5,000"
