"""A bound relative to the control: a figure for the search, non-inferiority by pairs for the confirmation."""

import random
from pathlib import Path

import pytest

from campaign_lab import Lab, Scripted, energy, learning, opened
from refusal import Refusal
from research.campaign.charter import Confirm, with_margins
from research.campaign.confirmation import claim
from research.campaign.control import Room, rebased, tightened
from research.goal.goal import Goal
from research.metrics import screening_objective
from research.report import analysis
from research.types import Constraint, Objective


def relative(metric: str, op: str, number: float, of: str = "difference") -> Constraint:
    return Constraint(metric=metric, op=op, bound=number, of_control=of)  # type: ignore[arg-type]


def cheaper(*bounds: Constraint) -> Objective:
    return Objective(metric="train/energy_j", direction="min", constraints=bounds)


def splits(examples: float) -> Room:
    """Of ten fresh splits of so many examples, chosen by one."""
    return Room(examples, 1, ((5, 0.02), (10, 0.01)))


NEAR = relative("test/accuracy", ">=", -0.02)


def test_a_search_holds_it_to_the_controls_own_figure_and_takes_half_of_the_margin_at_most() -> None:
    control = {"val/accuracy": 0.95, "train/seconds": 10.0}
    asked = screening_objective(cheaper(NEAR, relative("train/seconds", "<=", 1.1, "ratio")))
    near, quick = tightened(asked, splits(1e6), None, control).constraints
    assert near.bound == pytest.approx(0.93 + splits(1e6).inside(0.93), abs=5e-5) and near.of_control is None
    assert quick.bound == pytest.approx(11.0)
    assert tightened(asked, splits(100), None, control).constraints[0].bound == pytest.approx(0.94)
    missing = {"test/accuracy": 0.004, "train/seconds": 0.5}
    told = tightened(asked, splits(1e12), missing, control).constraints
    assert [one.bound for one in told] == pytest.approx([0.934, 10.5])
    unsettled = tightened(asked, splits(100), {"test/accuracy": 0.015}, control).constraints[0].bound
    assert unsettled == pytest.approx(0.955), "what was missing is asked for in whole, beyond the control"
    more = screening_objective(cheaper(relative("test/accuracy", ">=", 0.02)))
    assert tightened(more, splits(1e4), None, {"val/accuracy": 0.8}).constraints[0].bound == pytest.approx(
        0.82 + splits(1e4).inside(0.82), abs=5e-5
    )


def test_over_other_seeds_it_moves_with_the_control_and_a_plain_bound_stays() -> None:
    quick, floor = relative("train/seconds", "<=", 1.1, "ratio"), energy(0.9).constraints[0]
    asked = screening_objective(cheaper(NEAR, quick, floor))
    wanted = tightened(asked, splits(0), None, {"val/accuracy": 0.95, "train/seconds": 10.0})
    before, now = {"val/accuracy": 0.95, "train/seconds": 10.0}, {"val/accuracy": 0.94, "train/seconds": 12.0}
    told = rebased(wanted, asked, before, now).constraints
    assert [one.bound for one in told] == pytest.approx([0.92, 13.2, 0.9])
    assert rebased(wanted, asked, before, {}) == wanted


def test_the_claim_is_the_objective_though_a_control_never_beats_itself() -> None:
    """`control + 0.02` is missed by the control by its very words: no other claim comes first."""
    asked = cheaper(relative("test/accuracy", ">=", 0.02), *energy(0.9).constraints)
    found = claim(asked, 0.2, {"val/accuracy": 0.95, "train/energy_j": 10.0})
    words = [part.words for part in found.all]
    assert words == [
        "train/energy_j less by 20 %",
        "test/accuracy more by 0.02",
        "test/accuracy at least 0.9",
    ]
    assert found.because is None and found.constraints == asked.constraints
    broken = claim(asked, 0.2, {"val/accuracy": 0.85, "train/energy_j": 10.0})
    assert broken.first.words == "test/accuracy more" and broken.because == "the control breaks this bound"


def test_a_score_that_is_to_be_no_worse_has_the_campaigns_margin_and_says_so(lab: Lab) -> None:
    for bound in (relative("test/accuracy", ">=", 0.0), relative("test/accuracy", ">=", 1.0, "ratio")):
        found = with_margins(lab.charter(cheaper(bound)))
        (kept,) = found.goal.objective.constraints
        assert kept == relative("test/accuracy", ">=", -0.01)
        assert found.notes[0].endswith("it is held to test/accuracy >= control - 0.01 (confirm.margin)")
        with pytest.raises(Refusal, match=r"shows that test/accuracy >= .*confirm\.margin=0\.01"):
            with_margins(lab.charter(cheaper(bound), confirm=Confirm(margin=None)))
    loss = relative("test/loss", "<=", 0.0)
    assert with_margins(lab.charter(cheaper(loss))).goal.objective.constraints[0].bound == 0.01
    exact = lab.charter(cheaper(relative("size/parameters", "<=", 1.0, "ratio"), NEAR))
    assert with_margins(exact) is exact
    with pytest.raises(Refusal, match=r"train/energy_j <= 0 \* control bounds nothing"):
        with_margins(lab.charter(cheaper(relative("train/energy_j", "<=", 0.0, "ratio"))))


@pytest.mark.slow
def test_a_campaign_confirms_it_by_pairs(lab: Lab) -> None:
    charter = lab.charter(cheaper(NEAR))
    scripted = Scripted("budget.steps=100 optimizer.lr=0.01", "budget.steps=20")
    found = lab.campaign(charter, [scripted])
    (row,) = found.found
    seen = scripted.states[0]
    assert seen.objective.constraints[0].of_control is None, "proposers have a figure"
    assert seen.asked == screening_objective(cheaper(NEAR)), "and what it is, for what other tasks know"
    verdict = row["insight"].verdict
    assert row["word"] == "supported" and ", keeping test/accuracy >= control - 0.02" in row["insight"].claim
    assert row["facts"]["equivalent"] == {}, "the goal has a margin of its own"
    assert found.facts["shortest"]["steps"], "the control is stopped at a bound that is relative to it, too"
    screened = next(note for note in found.notes() if note.startswith("screened with val/accuracy >= 0."))
    control = found.arms("screened")[0].means["val/accuracy"]
    assert float(screened.split(">= ")[1].split(",")[0]) == pytest.approx(control - 0.01, abs=6e-6)
    lost = next(arm for arm in found.arms("screened") if arm.overrides == ("budget.steps=20",))
    assert lost.status == "promoted", "over the promotion's seeds it misses the bound, so nothing confirms it"
    told = analysis.text(found)
    assert "- bound: test/accuracy >= control - 0.02: " in told and verdict.by == ("train/energy_j",)


def just_below(config: dict, rng: random.Random) -> dict[str, float]:
    """What is turned halves the joules, and loses on the test split as much as is allowed."""
    turned = config["model"]["width"] != 128
    noise = rng.gauss(0, 0.004)
    return {
        "val/accuracy": 0.95 + noise,
        "test/accuracy": (0.93 if turned else 0.95) + noise,
        "train/energy_j": (5 if turned else 10) * (1 + rng.gauss(0, 0.01)),
        "size/parameters": 1.0,
    }


@pytest.mark.slow
def test_what_is_open_is_the_bound_and_the_next_sprint_is_held_to_more(tmp_path: Path) -> None:
    with opened(tmp_path, just_below) as made:
        found = made.campaign(made.charter(cheaper(NEAR)), [Scripted("model.width=64")])
        (row,) = found.found
    assert row["word"] == "open" and row["insight"].verdict.by == ("test/accuracy >= control - 0.02",)
    said = row["insight"].claim
    assert said.startswith("Whether `model.width=64` keeps test/accuracy >= control - 0.02 is open: -0.0")
    assert "training energy changes by -49.9" in said
    assert 0 < row["facts"]["unsettled"]["test/accuracy"] < 0.02


@pytest.mark.slow
@pytest.mark.parametrize(("effect", "word"), [(0.02, "supported"), (0.2, "refuted")])
def test_a_gain_on_a_score_is_its_own_size(tmp_path: Path, effect: float, word: str) -> None:
    """Two points are 0.02 of accuracy, and never 2 % of the control's."""

    def slow(config: dict, rng: random.Random) -> dict[str, float]:
        gain = 0.06 if config["model"]["width"] > 128 else 0.0
        return learning(config, rng) | {
            f"{split}/accuracy": 0.9 + gain + rng.gauss(0, 0.004) for split in ("val", "test")
        }

    asked = Objective(metric="test/accuracy", direction="max")
    goal = Goal(text="more accuracy", objective=asked, smallest_effect=effect)
    with opened(tmp_path, slow) as made:
        charter = made.charter(asked).model_copy(update={"goal": goal})
        (row,) = made.campaign(charter, [Scripted("model.width=512")]).found
    assert row["word"] == word
    assert row["insight"].verdict.comparison.scale == "absolute"
