"""A campaign whose defaults break a bound: first what keeps it, then less of what the goal asks for."""

from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from campaign_lab import Lab, energy, opened
from research.campaign.charter import Charter, Screen, Sprints
from research.campaign.recipe import Study
from research.metrics import compares
from research.report.analysis import text as analysis
from research.report.findings import Findings, of_campaign
from research.report.summary import text as summary
from team_lab import series

pytestmark = pytest.mark.slow
ENERGY = "train/energy_j"


def charter(lab: Lab, count: int) -> Charter:
    """150 steps of the defaults reach 0.75; all that may be turned can bring it above 0.9."""
    agreed = lab.charter(energy(0.9), sprint=Sprints(count=count), screen=Screen(turns=12))
    return agreed.model_copy(update={"fixed": ("data=digits", "budget.steps=150")})


@pytest.fixture(scope="module")
def recipes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("recipes")


@pytest.fixture(scope="module")
def ended(tmp_path_factory: pytest.TempPathFactory, recipes: Path) -> Iterator[tuple[Lab, Findings, Path]]:
    """One campaign, for tests that only read it."""
    with opened(tmp_path_factory.mktemp("ended")) as lab:
        agreed = charter(lab, 6)
        report = series(lab, agreed, discovered=recipes)
        yield lab, of_campaign(lab.store, agreed.name), report


def test_what_keeps_the_bound_is_the_control_of_the_cost(ended: tuple[Lab, Findings, Path]) -> None:
    _, found, _ = ended
    first, last = found.found[0], found.found[-1]
    assert first["word"] == "supported" and compares(first["insight"].verdict, "test/accuracy")
    assert last["word"] == "supported" and compares(last["insight"].verdict, ENERGY)
    assert found.facts["ended"].startswith("the target is reached")
    held = found.arm_of(first)
    control = found.control_of(last)
    assert held is not None and control is not None and control.overrides == held.overrides
    assert f"against `{' '.join(held.overrides)}`" in last["insight"].claim
    won = found.arm_of(last)
    assert won is not None and won.of(ENERGY).mean < control.of(ENERGY).mean
    assert won.of("test/accuracy").mean >= 0.9


def test_the_cost_is_compared_on_seeds_that_the_bound_has_not_used(
    ended: tuple[Lab, Findings, Path],
) -> None:
    lab, found, _ = ended
    seeds = {}
    for row in found.found:
        trials = lab.store.trials(ids=list(row["insight"].verdict.trial_ids))
        seeds.setdefault(compares(row["insight"].verdict, ENERGY), set()).update(one.seed for one in trials)
    assert seeds[True] and seeds[False] and not seeds[True] & seeds[False]


def test_each_finding_is_told_beside_its_own_control(ended: tuple[Lab, Findings, Path]) -> None:
    _, found, report = ended
    controls = [arm for arm in found.arms("confirmed") if arm.control]
    assert [bool(arm.overrides) for arm in controls] == [False, True]
    assert found.control_of(found.found[0]) is controls[0]
    own = " ".join(controls[1].overrides)
    assert f"since sprint {found.baseline['sprint']}" in report.read_text() and own in report.read_text()
    pairs = [line for line in analysis(found).splitlines() if line.startswith("- pairs, seed by seed")]
    assert len(pairs) == len(found.found)
    assert "was not compared" not in summary(found)


def test_the_recipe_has_the_confirmed_control(ended: tuple[Lab, Findings, Path]) -> None:
    _, found, _ = ended
    control = found.control_of(found.found[-1])
    recipe = yaml.safe_load(Path(found.found[-1]["facts"]["recipe"]).read_text())
    assert control is not None and control.overrides
    assert {*control.overrides} <= {*Study.model_validate(recipe["study"]).control.split()}


def test_with_one_sprint_the_report_says_that_the_cost_is_open(lab: Lab) -> None:
    agreed = charter(lab, 1)
    report = series(lab, agreed)
    found = of_campaign(lab.store, agreed.name)
    assert compares(found.found[-1]["insight"].verdict, "test/accuracy") and not found.baseline
    for said in (report.read_text(), summary(found)):
        assert "training energy was not compared" in said


def test_typed_again_it_trains_nothing(ended: tuple[Lab, Findings, Path], recipes: Path) -> None:
    lab, _, report = ended
    ran, said = len(lab.ran), report.read_text()
    assert series(lab, charter(lab, 6), discovered=recipes).read_text() == said and len(lab.ran) == ran


def test_killed_at_any_trial_it_comes_to_the_same(tmp_path: Path) -> None:
    with opened(tmp_path) as whole:
        series(whole, charter(whole, 6))
        claims = [row["insight"].claim for row in whole.store.insights()]
        total = len(whole.ran)
    for after in range(0, total, 37):
        with opened(tmp_path) as lab:
            lab.interrupt_after = after
            with pytest.raises(KeyboardInterrupt):
                series(lab, charter(lab, 6))
            lab.interrupt_after = None
            series(lab, charter(lab, 6))
            assert [row["insight"].claim for row in lab.store.insights()] == claims
            assert len(lab.ran) == len({*lab.ran}) == total


def test_the_summary_repeats_both_sides_of_the_last_comparison(ended: tuple[Lab, Findings, Path]) -> None:
    _, found, _ = ended
    control = found.control_of(found.found[-1])
    assert control is not None
    seeds = ",".join(map(str, control.seeds))
    line = f"python train.py -m {' '.join([*found.fixed, *control.overrides])} seed={seeds}"
    assert line in summary(found).splitlines()
