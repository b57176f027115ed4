"""What is claimed of a contender, how much tighter it is screened, and whether a cheaper one is as good."""

import random
from pathlib import Path

import pytest

from campaign_lab import Lab, Scripted, energy, learning, opened
from research.campaign.bench import Arm
from research.campaign.charter import Confirm, Sprints
from research.campaign.confirmation import Confirmation, claim
from research.campaign.control import Room, missed, tightened
from research.stats.alpha import rate
from research.types import Constraint, Objective

ROOM = Room(360, 1, ((10, 0.01),))
"""ten fresh splits of 360 examples decide on what one split has chosen"""


@pytest.mark.parametrize("room", [ROOM, Room(360, 4, ((5, 0.02),)), Room(1, 2000, ((2000, 0.01),))])
def test_what_just_keeps_a_screened_bound_is_settled_by_four_of_five_confirmations(room: Room) -> None:
    """By drawing, and by scipy's own test."""
    import numpy as np
    from scipy.stats import ttest_1samp

    lot, bound, draws = np.random.default_rng(0), 0.9, 4000
    screened, spread = bound + room.inside(bound), (bound * (1 - bound) / room.examples) ** 0.5
    # Without a prior, what is true lies about what was screened as that lies about what is true.
    true = lot.normal(screened, spread / room.seen**0.5, (draws, 1))
    ((fresh, tail),) = room.looks
    shares = lot.normal(true, spread, (draws, fresh))
    settled = ttest_1samp(shares, bound, axis=1, alternative="greater").pvalue < tail
    assert settled.mean() == pytest.approx(0.8, abs=0.025)


def test_a_default_campaign_settles_it_by_either_look_where_one_standard_error_was_a_coin() -> None:
    """95 % on splits of 359 digits; `docs/figures.md` tells both shares, which `-s` prints."""
    import numpy as np
    from scipy.stats import ttest_1samp

    lot, bound, spread = np.random.default_rng(0), 0.95, (0.95 * 0.05 / 359) ** 0.5
    tails = [rate(0.05, 1).at(counts, 2).tails[0] for counts in ([5], [5, 10])]
    room = Room(359, 1, ((5, tails[0]), (10, tails[1]))).inside(bound)

    def settled(screened: float) -> float:
        shares = lot.normal(lot.normal(screened, spread, (20_000, 1)), spread, (20_000, 10))
        looks = (ttest_1samp(own, bound, axis=1, alternative="greater") for own in (shares[:, :5], shares))
        first, second = (look.pvalue < tail for look, tail in zip(looks, tails, strict=True))
        return float((first | second).mean())

    now, before = settled(bound + room), settled(bound + spread)
    print(f"{bound + room:.4f}: {now:.1%}, {bound + spread:.4f}: {before:.1%}")
    assert now == pytest.approx(0.82, abs=0.015) and before == pytest.approx(0.525, abs=0.015)


def test_bounds_on_shares_are_screened_as_much_tighter_as_fresh_seeds_need_to_settle_them() -> None:
    tight = tightened(energy(0.9), ROOM).constraints[0].bound
    assert tight == pytest.approx(0.9 + ROOM.inside(0.9), abs=5e-5)
    assert ROOM.inside(0.9) > ROOM._replace(examples=3600).inside(0.9) > 0
    assert ROOM.inside(0.9) > ROOM._replace(seen=4).inside(0.9)
    more = ROOM._replace(looks=((10, 0.01), (20, 0.01)))
    assert ROOM.inside(0.9) > more.inside(0.9) == ROOM._replace(looks=((20, 0.01),)).inside(0.9)
    assert tightened(energy(0.999), ROOM).constraints[0].bound == pytest.approx(0.9995), (
        "half of what is left"
    )
    assert tightened(energy(1.0), ROOM).constraints[0].bound == 1.0
    assert tightened(energy(0.9), ROOM._replace(examples=0)) == energy(0.9)
    exact = Objective(
        metric="test/accuracy",
        direction="max",
        constraints=(Constraint(metric="size/parameters", op="<=", bound=5.0),),
    )
    assert tightened(exact, ROOM) == exact


def test_the_claim_is_the_objective_where_the_control_keeps_its_bounds() -> None:
    found = claim(energy(0.9), 0.2, {"val/accuracy": 0.95, "train/energy_j": 10.0})
    assert [part.words for part in found.all] == ["train/energy_j less by 20 %", "test/accuracy at least 0.9"]
    assert found.because is None and found.timed


def test_the_claim_is_the_bound_that_the_control_breaks() -> None:
    found = claim(energy(0.9), 0.2, {"val/accuracy": 0.85, "train/energy_j": 10.0})
    assert [part.words for part in found.all] == ["test/accuracy more", "test/accuracy at least 0.9"]
    assert "control" in found.because and not found.timed


def test_by_lot_each_arm_has_each_place_equally_often() -> None:
    for seed in range(20):
        confirmation = Confirmation(None, Confirm(), None, seed)  # type: ignore[arg-type]
        arms = [Arm((f"optimizer.lr={number}",), "scripted", number) for number in range(3)]
        for some in (arms[:2], arms):
            pairs = confirmation._interleaved(some, range(12))
            orders = [[arm for arm, own in pairs if own == number] for number in range(12)]
            for place in range(len(some)):
                assert [sum(order[place] is arm for order in orders) for arm in some] == [
                    12 // len(some)
                ] * len(some)


def test_a_bound_that_sprints_left_open_is_screened_tighter_by_what_was_missing() -> None:
    rows = [
        [{"facts": {"unsettled": {"test/accuracy": 0.02}}}, {"facts": {"unsettled": {"test/accuracy": 0.01}}}]
    ]
    assert missed(rows) == {"test/accuracy": 0.01} and missed([*rows, *rows]) == {"test/accuracy": 0.02}
    assert missed([[*rows[0], {"facts": {}}], []]) == {}, "one contender kept it, or fell by something else"
    tight = tightened(energy(0.9), ROOM, missed(rows)).constraints[0].bound
    assert tight == pytest.approx(0.9 + ROOM.inside(0.9) + 0.01, abs=5e-5)
    quick = Objective(
        metric="test/accuracy",
        direction="max",
        constraints=(
            Constraint(metric="infer/latency_s_p50", op="<=", bound=5.0),
            Constraint(metric="train/steps_per_second", op=">=", bound=5.0),
        ),
    )
    told = tightened(quick, ROOM, {"infer/latency_s_p50": 0.5, "train/steps_per_second": 0.5}).constraints
    assert [one.bound for one in told] == [4.5, 5.5]


def at_the_bound(config: dict, rng: random.Random) -> dict[str, float]:
    """Whatever is turned halves the joules, and its accuracy on the test split is just what is asked."""
    turned = config["model"]["width"] != 128
    score = (0.9 if turned else 0.96) + rng.gauss(0, 0.01)
    joules = (5 if turned else 10) * (1 + rng.gauss(0, 0.01))
    return {
        "val/accuracy": score + 0.03,
        "test/accuracy": score,
        "train/energy_j": joules,
        "size/parameters": 1.0,
    }


@pytest.mark.slow
def test_the_sprint_after_one_that_settled_no_bound_asks_for_more(tmp_path: Path) -> None:
    with opened(tmp_path, at_the_bound) as lab:
        lab.scored = 36_000
        agreed = lab.charter(energy(0.9), confirm=Confirm(arms=1, estimate=0), sprint=Sprints(count=2))
        first, second = lab.sprint(agreed), lab.sprint(agreed, number=2)
        first.run([Scripted("model.width=64")])
        (left,) = lab.store.insights(sprint_id=first.id)
        assert left["word"] == "open" and left["facts"]["unsettled"]["test/accuracy"] > 0
        second.run([Scripted("model.width=32")])
        notes = [note for row in lab.store.sprints() for note in row["facts"]["notes"]]
        bounds = [
            float(note.split(">= ")[1].split(",")[0])
            for note in notes
            if note.startswith("screened with val")
        ]
        # A second comparison has a smaller error rate, so that its bound needs more room, too.
        more = bounds[1] - bounds[0] - left["facts"]["unsettled"]["test/accuracy"]
        assert 0 < more < 0.01
        assert any("tighter bound on test/accuracy" in note for note in notes)


def kept(lab: Lab, arm: str, objective: Objective, **changed) -> tuple[dict, list[str]]:
    """The insight's facts of equality, and the words of all comparisons."""
    charter = lab.charter(objective, confirm=Confirm(**changed))
    found = lab.campaign(charter, [Scripted(arm)])
    (row,) = lab.store.insights(sprint_id=found.sprint["id"])
    assert row["word"] == "supported"
    return row["facts"]["equivalent"], list(found.facts["comparisons"])


@pytest.mark.slow
def test_what_loses_more_than_the_margin_is_cheaper_and_not_as_good(lab: Lab) -> None:
    told, words = kept(lab, "budget.steps=20", energy(None))
    (score,) = told.values()
    assert (list(told), score["word"], score["margin"]) == (["test/accuracy"], "refuted", 0.01)
    assert "outside the margin of -0.01" in score["reason"] and words == ["supported", "refuted"]


@pytest.mark.slow
def test_what_keeps_its_score_is_as_good(lab: Lab) -> None:
    told, words = kept(lab, "budget.steps=100 optimizer.lr=0.01", energy(None), margin=0.05)
    assert told["test/accuracy"]["word"] == "supported" and words == ["supported", "supported"]


@pytest.mark.slow
def test_nothing_is_asked_where_the_margin_is_null_or_the_score_is_the_claim(lab: Lab) -> None:
    assert kept(lab, "budget.steps=20", energy(None), margin=None) == ({}, ["supported"])
    score = Objective(metric="test/accuracy", direction="max")
    assert kept(lab, "optimizer.lr=0.01", score) == ({}, ["supported"])


@pytest.mark.slow
def test_the_price_is_asked_of_the_score_that_the_goal_bounds(tmp_path: Path) -> None:
    def bytewise(config: dict, rng) -> dict[str, float]:
        found = learning(config, rng)
        return {
            **found,
            **{f"{split}/bits_per_byte": 3 - found[f"{split}/accuracy"] for split in ("val", "test")},
        }

    bound = Constraint(metric="test/bits_per_byte", op="<=", bound=2.9)
    with opened(tmp_path, bytewise) as made:
        told, _ = kept(
            made, "budget.steps=20", Objective(metric="train/energy_j", direction="min", constraints=(bound,))
        )
    assert list(told) == ["test/bits_per_byte"] and told["test/bits_per_byte"]["word"] == "refuted"
