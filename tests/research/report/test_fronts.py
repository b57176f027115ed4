"""How sure it is that an arm is better than the control in a score and its costs."""

from research.report.arms import ArmNames
from research.report.pictures import fronts
from research.stats.arms import Arm
from research.types import Result
from statistics_rows import trial as row

TOLD = {"energy_method": "estimated", "energy_basis": "CPU seconds x 4 W a core", "threads": 1}
SCORES = (0.90, 0.91, 0.90, 0.91, 0.90)
HELD = {"infer": "15 rounds of calls spread by 18%"}


def arm(line: str, changes: tuple[float, ...], joules: float) -> Arm:
    """Five seeds; the latency of the last two was disturbed."""
    results = tuple(
        Result(
            trial_id=len(line) * 100 + seed,
            metrics={
                "test/accuracy": SCORES[seed] + change,
                "train/energy_j": joules + seed / 10,
                "infer/latency_s_p50": (joules + seed / 7) / 1e5,
            },
            facts={**TOLD, "disturbed": HELD if seed > 2 else {}},
        )
        for seed, change in enumerate(changes)
    )
    rows = tuple(row(one.trial_id, seed=seed) for seed, one in enumerate(results))
    return Arm((line,) if line else (), status="ran" if line else "control", results=results, rows=rows)


def test_better_in_all_is_no_likelier_than_in_two_of_them() -> None:
    """On the three seeds whose latency is sound it looks better; on all five it is not."""
    control = arm("", (0.0,) * 5, 20.0)
    other = arm("x=1", (0.004, 0.005, 0.003, -0.03, -0.032), 10.0)
    told = fronts([control, other], ["train/energy_j", "test/accuracy"], ArmNames([control, other]))
    cells = [cell for line in told if line.startswith("| A |") for cell in line.split("|")[2:-1]]
    energy, latency, whole = (float(one.strip(" <>%")) for one in cells if "%" in one)
    assert energy < 50 < latency and whole == energy
