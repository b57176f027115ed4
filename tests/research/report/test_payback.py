"""After how many uses a search is paid back."""

from pathlib import Path

from research.report.cost import payback
from research.report.findings import Findings
from rows_lab import WINNER, opened


def test_a_saving_that_is_not_settled_pays_nothing_back(tmp_path: Path) -> None:
    with opened(tmp_path) as lab:
        sprint = lab.sprint(1)
        control = lab.arm((), range(1000, 1005), 20.0)
        ids = lab.arm(WINNER, range(1000, 1005), 19.9)
        lab.experiment(sprint, (), "control", confirmed=control)
        won = lab.experiment(sprint, WINNER, "supported", confirmed=ids)
        lab.finding(sprint, won, control, ids, word="supported")
        told = payback(Findings(lab.store, sprint), 100.0)
    assert len(told) == 2
    assert all("is not settled" in line and "paid back" not in line for line in told)


def test_it_is_told_by_the_seeds_that_did_not_decide(tmp_path: Path) -> None:
    """What decided saved 10 J a training and was chosen for it; on other seeds it saves 4."""
    with opened(tmp_path) as lab:
        sprint = lab.sprint(1)
        control = lab.arm((), range(1000, 1005), 20.0)
        ids = lab.arm(WINNER, range(1000, 1005), 10.0)
        others = [*lab.arm((), range(1005, 1010), 20.0), *lab.arm(WINNER, range(1005, 1010), 16.0)]
        lab.experiment(sprint, (), "control", confirmed=control)
        won = lab.experiment(sprint, WINNER, "supported", confirmed=ids)
        seeds = list(range(1005, 1010))
        lab.finding(sprint, won, control, ids, word="supported", estimated={"seeds": seeds, "trials": others})
        told = payback(Findings(lab.store, sprint), 100.0)
        saved = lab.mean(others[:5], "train/energy_j") - lab.mean(others[5:], "train/energy_j")
    assert told[0].startswith(f"- paid back after {100 / saved:.0f} trainings")
    assert told[0].endswith("(n = 5 pairs that did not decide)") and 20 < 100 / saved < 30
