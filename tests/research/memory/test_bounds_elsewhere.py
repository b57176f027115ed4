"""A bound relative to the control, on other tasks: each task's own default is what it is relative to."""

from research.memory.memory import configured
from research.memory.reading import PastTrial
from research.types import Constraint, Objective

NEAR = Constraint(metric="val/accuracy", op=">=", bound=-0.02, of_control="difference")
CHEAP = Objective(metric="train/energy_j", direction="min", constraints=(NEAR,))


def ran(number: int, task: str, line: str, joules: float, accuracy: float) -> PastTrial:
    figures = {"train/energy_j": joules, "val/accuracy": accuracy}
    return PastTrial(number, task, tuple(line.split()), 0, False, figures, "cpu")


def test_what_keeps_the_bound_there_is_good_however_hard_the_task() -> None:
    easy = [ran(1, "easy", "", 10, 0.97), ran(2, "easy", "a=1", 5, 0.96), ran(3, "easy", "a=2", 4, 0.90)]
    hard = [ran(4, "hard", "", 10, 0.60), ran(5, "hard", "a=2", 4, 0.59), ran(6, "hard", "a=3", 3, 0.50)]
    good = configured([*easy, *hard], CHEAP)
    assert [(one.task, one.overrides) for one in good] == [
        ("easy", ("a=1",)),
        ("easy", ()),
        ("hard", ("a=2",)),
        ("hard", ()),
    ]


def test_without_its_default_nothing_is_known_to_keep_it() -> None:
    assert configured([ran(1, "easy", "a=1", 5, 0.96), ran(2, "easy", "a=2", 4, 0.97)], CHEAP) == []
