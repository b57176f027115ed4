"""Contenders race for a few trials over the promotion's seeds; a search ends by what it can still bring."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from campaign_lab import Findings, Lab, Scripted, energy, opened
from research.campaign.charter import Charter, Confirm, Promote, Screen, Search, Sprints
from research.team.review import Thresholds

Ended = tuple[Lab, Charter, Findings]
WIDTHS = [f"model.width={width} optimizer.lr=0.01" for width in (8, 12, 16, 24, 32, 40, 48, 56, 64, 80)]


@pytest.fixture(scope="module")
def ended(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Lab, Charter, Findings]]:
    """A lab whose campaign with a race is over."""
    with opened(tmp_path_factory.mktemp("ended")) as made:
        yield made, *raced(made)


def raced(lab: Lab) -> tuple[Charter, Findings]:
    charter = lab.charter(energy(), promote=Promote(), confirm=Confirm(seeds=3, looks=1, estimate=0))
    return charter, lab.campaign(charter, [Scripted(*WIDTHS)])


def test_eight_contenders_share_twelve_trials_and_the_control_has_each_seed(ended: Ended) -> None:
    _, charter, found = ended
    arms = {
        arm.status if arm.control else arm.overrides: arm for arm in found.arms("promoted") if not arm.stopped
    }
    control = arms.pop("control")
    ran = [seed for arm in arms.values() for seed in arm.seeds]
    assert 4 <= len(arms) <= 8 and len(ran) == charter.promote.trials
    assert {*ran} == {*control.seeds} <= {*charter.promote.seeds}
    most = max(len(arm.seeds) for arm in arms.values())
    pick = next(arm for arm in found.arms("confirmed") if not arm.control and not arm.stopped)
    assert len(arms[pick.overrides].seeds) == most, "who may be the pick is trained most"


def test_the_chance_that_the_pick_keeps_its_bound_is_told(ended: Ended) -> None:
    _, _, found = ended
    pick = next(arm for arm in found.arms("confirmed") if not arm.control and not arm.stopped)
    note = next(note for note in found.facts["notes"] if "with a chance of" in note)
    assert " ".join(pick.overrides) in note and "keeps val/accuracy >= 0.9" in note
    assert 0.8 <= float(note.partition("with a chance of ")[2].split()[0]) <= 1.0


def test_a_race_typed_again_trains_nothing_and_comes_to_the_same(ended: Ended) -> None:
    lab, charter, first = ended
    ran = len(lab.ran)
    again = lab.campaign(charter, [Scripted(*WIDTHS)])
    assert len(lab.ran) == ran and again.facts["notes"] == first.facts["notes"]


@pytest.mark.slow
def test_a_race_killed_in_between_comes_to_the_same(ended: Ended, tmp_path: Path) -> None:
    whole, _, found = ended
    expected, total = [insight.claim for insight in found.insights], len(whole.ran)
    for after in (total - 14, total - 11):
        with opened(tmp_path) as lab:
            lab.interrupt_after = after
            with pytest.raises(KeyboardInterrupt):
                raced(lab)
            lab.interrupt_after = None
            _, again = raced(lab)
            assert [insight.claim for insight in again.insights] == expected
            assert len(lab.ran) == len({*lab.ran}) == total


def priced(lab: Lab, worth: float | None) -> tuple[list[dict], Scripted]:
    """A campaign whose proposals gain a little once, and nothing after: too little to be confirmed."""
    lines = ["budget.steps=390", *(f"optimizer.lr=0.00{place}" for place in range(11, 40))]
    stages = {
        "screen": Screen(turns=20),
        "search": Search(worth=worth),
        "sprint": Sprints(count=2),
        "review": Thresholds(accept=1, improve=1),
    }
    charter = lab.charter(energy(), promote=Promote(arms=1, seeds=(1,)), ladder=None, **stages)
    goal = charter.goal.model_copy(update={"smallest_effect": 0.9})
    known = {"goal": goal, "fixed": ("data=digits", "noise=0.0")}
    charter, source = charter.model_copy(update=known), Scripted(*lines)
    series_of(lab, charter, source)
    return lab.store.sprints(), source


def series_of(lab: Lab, charter, source: Scripted) -> None:
    from research.campaign.run import sprints

    sprints(lab.open(charter), lab.run, lambda number, model: [source] if model else [])


@pytest.mark.slow
def test_a_search_ends_where_nothing_is_worth_its_trials_and_says_so(lab: Lab) -> None:
    rows, source = priced(lab, 0.9)
    assert len(rows) == 1 and "search.worth=0.9" in rows[0]["facts"]["ended"]
    assert any("search.worth=0.9" in note for note in rows[0]["facts"]["notes"])
    assert len(source.left) == 30 - 12, "twelve turns tell of those to come"


@pytest.mark.slow
def test_without_a_price_the_search_goes_on(lab: Lab) -> None:
    rows, source = priced(lab, None)
    assert len(source.left) < 30 - 12 and "worth" not in str(rows[-1]["facts"].get("ended"))


def test_a_score_has_twice_the_price_of_a_cost_and_a_loss_a_tenth() -> None:
    assert Search(worth=0.1).price("train/energy_j") == pytest.approx(0.1)
    assert Search(worth=0.1).price("val/accuracy") == pytest.approx(0.2)
    for loss in ("val/loss", "test/rmse", "val/bits_per_byte", "test/own_error"):
        assert Search(worth=0.1).price(loss) == pytest.approx(0.01), loss
    assert Search(worth=None).price("val/accuracy") is None
