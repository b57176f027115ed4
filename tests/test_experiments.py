"""Experiments and profiles as people type them: a recipe is its arms over its seeds, and runs to a report."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from research.campaign.recipe import names, recipe

ROOT = Path(__file__).parent.parent
pytestmark = pytest.mark.slow


def command(script: str, *arguments: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    line = [sys.executable, str(ROOT / script), *arguments]
    return subprocess.run(line, cwd=cwd, capture_output=True, text=True, check=False)


def test_a_recipe_is_listed_and_planned_with_all_arms_and_seeds(tmp_path: Path) -> None:
    listed = command("agent.py", "task=list", "what=experiments", cwd=tmp_path)
    assert listed.returncode == 0, listed.stderr
    studied = [name for name in names(ROOT / "conf") if recipe(ROOT / "conf", name).study]
    assert all(f"python agent.py experiment={name}" in listed.stdout for name in studied)
    assert command("agent.py", "task=list", "what=models", cwd=tmp_path).returncode == 2
    plan = command("train.py", "-m", "experiment=efficient_optimizer", "dry_run=true", cwd=tmp_path)
    assert "30 trials: 0 known, 30 to run" in plan.stdout, plan.stderr
    assert all(plan.stdout.count(f"optimizer={one} ") == 10 for one in ("adam", "adamw", "sgd"))
    both = ("-m", "experiment=none,efficient_optimizer", "seed=0", "dry_run=true")
    assert "4 trials" in command("train.py", *both, cwd=tmp_path).stdout
    own = ("-m", "experiment=efficient_optimizer", "optimizer=lion", "dry_run=true")
    assert "10 trials" in command("train.py", *own, cwd=tmp_path).stdout


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("budget=t4", "data.batch_size=4096"), "budget=t4 allows data.batch_size up to 256: 4096 is more"),
        (("-m", "budget=laptop", "data.batch_size=64,512"), "budget=laptop allows data.batch_size up to 256"),
        (
            ("budget=cpu", "model.width=90000", "model.depth=3", "dry_run=true"),
            "budget=cpu allows 5.59 GiB of",
        ),
    ],
)
def test_a_person_is_refused_before_training_what_exceeds_a_profile(
    arguments: tuple[str, ...], says: str, tmp_path: Path
) -> None:
    done = command("train.py", *arguments, cwd=tmp_path)
    assert done.returncode == 2 and says in done.stderr and "Traceback" not in done.stderr
    assert not (tmp_path / "runs").exists() or not list((tmp_path / "runs").rglob("*.ckpt"))


def test_an_experiment_runs_to_its_report_and_takes_what_is_known(tmp_path: Path) -> None:
    small = ("budget.steps=20", "trainer.val_every=10")
    by_hand = ("-m", "experiment=efficient_optimizer", *small, "seed=2000,2001", "logger=csv")
    assert command("train.py", *by_hand, cwd=tmp_path).returncode == 0
    line = ("experiment=efficient_optimizer", f"base=[{','.join(small)}]")
    done = command("agent.py", *line, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("(known)") == 6
    (path,) = (tmp_path / "runs" / "experiments").rglob("report.md")
    text = path.read_text()
    assert "| control | nothing (`optimizer=adam`) |" in text and "| control | 10 |" in text
    assert re.search(r"optimizer_bytes -(49\.9\d*|50(\.0\d*)?) %", text), "half of the state"
    again = command("agent.py", *line, cwd=tmp_path)
    assert again.stdout.count("(known)") == 30
    reports = [text, path.read_text()]
    if any("disturbed" in report for report in reports):
        # What a neighbour disturbed is run again whenever it is typed, and told.
        reports = [report[report.index("## Arms") : report.index("## Figures")] for report in reports]
    assert reports[0] == reports[1]
