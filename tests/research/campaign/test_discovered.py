"""From a confirmed arm to a recipe, and from the recipe to the campaign's own trials and verdict."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from campaign_lab import Lab, Scripted, energy, opened
from research.campaign.conclusions import UNWRITTEN
from research.campaign.discovery import write_recipe
from research.campaign.recipe import recipe
from research.report.findings import Findings
from research.run.runner import Job
from research.space.gate import Space
from research.stats.claims import Claim
from research.stats.rubric import RubricFacts, rating
from research.stats.verdicts import judge
from research.types import Constraint, Insight

FLOOR = Constraint(metric="test/accuracy", op=">=", bound=0.9)
RATED = rating(RubricFacts(ran=True, pairs=5, word="supported", fresh=True, new=True))


@pytest.fixture
def lab(tmp_path: Path) -> Iterator[Lab]:
    with opened(tmp_path) as made:
        folder = made.folder / "conf"
        first, rest = (folder / "train.yaml").read_text().split("\n", 1)
        launcher = "launcher: {jobs: null, threads: null, timeout_s: null}\n"
        (folder / "train.yaml").write_text(
            f"{first.replace('[', '[_self_, ').replace(']', ', {experiment: none}]')}\n{rest}{launcher}"
        )
        (folder / "experiment").mkdir()
        (folder / "experiment" / "none.yaml").write_text("# @package _global_\n")
        space = (folder / "space.yaml").read_text().replace("inert: [", "inert: [launcher, study, ")
        (folder / "space.yaml").write_text(space)
        made.space = Space(folder, folder / "space.yaml")
        yield made


def ran(lab: Lab, overrides: list[str], metric: str) -> dict[int, float]:
    """What trials of a campaign measured, run as it runs them."""
    jobs = {
        seed: Job(lab.space.resolve(line) | {"root": "elsewhere"}, line)
        for seed in range(1000, 1005)
        for line in [[*overrides, f"seed={seed}"]]
    }
    found = {seed: lab.one(job).trial_id for seed, job in jobs.items()}
    results = lab.store.results(list(found.values()))
    return {seed: results[number].metrics[metric] for seed, number in found.items()}


@pytest.mark.slow
def test_a_folder_that_cannot_be_written_is_one_sentence_and_loses_nothing(lab: Lab) -> None:
    (lab.folder / "taken").write_text("a file")
    agreed = lab.charter(energy())
    scripted = Scripted("optimizer.lr=0.01 budget.steps=120")
    found = lab.campaign(agreed, [scripted], discovered=lab.folder / "taken" / "discovered")
    assert found.winner is not None and found.winner["facts"]["recipe"] is None
    (said,) = [note for note in found.notes() if note.startswith(UNWRITTEN)]
    assert "discovered=FOLDER, or null" in said and "\n" not in said
    assert found.sprint["status"] == "done" and (Path(found.sprint["folder"]) / "report.md").is_file()


@pytest.mark.slow
def test_the_recipe_of_a_campaign_is_judged_on_seeds_that_did_not_choose_it(lab: Lab) -> None:
    fixed, arm = ["data=digits", "budget.steps=300"], ["optimizer.lr=0.01", "model.width=32"]
    metric = "train/energy_j"
    before, after = ran(lab, fixed, metric), ran(lab, [*fixed, *arm], metric)
    verdict = judge(before, after, metric=metric, direction="min", scale="relative", smallest_effect=10)
    assert verdict.word == "supported"
    insight = Insight(claim="c", verdict=verdict, energy_method="estimated", command="x")
    path = write_recipe(
        lab.folder / "conf" / "experiment" / "discovered",
        *(insight, Claim.improvement("train/energy_j", "min", 10, (FLOOR,)), fixed, arm),
        *(list(before), RATED, "c", "2026-11-22"),
        space=lab.space,
    )
    count = len(lab.ran)
    name = f"discovered/{path.stem}"
    report = lab.conduct(name)
    new = {line[-1] for line in lab.ran[count:]}
    assert new == {f"seed={seed}" for seed in range(1005, 1010)} and len(lab.ran) == count + 10
    assert lab.conduct(name) == report and len(lab.ran) == count + 10
    assert "**Supported.**" in report and f"python agent.py experiment=discovered/{path.stem}" in report


@pytest.mark.slow
def test_a_campaign_writes_its_discovery_and_notes_a_file_that_a_person_edited(lab: Lab) -> None:
    folder = lab.folder / "conf" / "experiment" / "discovered"

    def sprint(seed: int) -> tuple[Any, list[str]]:
        charter = lab.charter(energy(), seed=seed)
        one = lab.sprint(charter, discovered=folder)
        one.run([Scripted("budget.steps=150 optimizer.lr=0.01 model.width=64")])
        found = Findings(lab.store, one.id)
        row = lab.store.insights(sprint_id=one.id)[-1]
        return row["facts"], list(found.facts["notes"])

    facts, notes = sprint(0)
    path = Path(facts["recipe"])
    study = recipe(lab.folder / "conf", f"discovered/{path.stem}").study
    assert study is not None and study.claims[0].all[1].words == "test/accuracy at least 0.9"
    assert facts["rating"] >= 7 and facts["equivalent"]["test/accuracy"]["margin"] == 0.01
    assert not [note for note in notes if "recipe" in note]
    path.write_text(path.read_text().replace("# Rating: ", "# Rating, by me: "))
    facts, notes = sprint(1)
    assert facts["recipe"] is None and any("edited by a person" in note for note in notes)
