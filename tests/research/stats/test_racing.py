"""A race pools the spread of seeds, tells honest chances of keeping a bound, trains who may be the pick."""

import math
import random

import pytest

from research.metrics import rank
from research.stats.racing import SURE, Belief, Race, beliefs, inside
from research.types import Constraint, Objective

BOUND = Constraint(metric="val/accuracy", op=">=", bound=0.9)
CHEAP = Objective(metric="train/energy_j", direction="min", constraints=(BOUND,))


def test_beliefs_by_hand() -> None:
    """One pair that differs by 2: variance 2 at one degree, halved by a guess of none that counts for one,
    and as wide as Student's t of two degrees: 4."""
    told = beliefs([[1.0, 3.0], [2.0], [4.0], [4.0]], guess=0.0)
    # Means 2, 2, 4, 4 lie apart by 4/3, less than the 14/4 of chance: the pull to 3 is a third.
    assert [belief.mean for belief in told] == pytest.approx([7 / 3, 7 / 3, 11 / 3, 11 / 3])
    variances = [variance * (1 - 3 / 4 / 3) + 2 / 9 for variance in (2, 4, 4, 4)]
    assert [belief.sd for belief in told] == pytest.approx(list(map(math.sqrt, variances)))
    assert beliefs([[1.0, 3.0], [2.0], [4.0]], guess=0.0)[2] == Belief(4.0, 2.0), (
        "three say nothing of a prior"
    )


def test_arms_without_any_spread_are_what_they_are() -> None:
    assert [(told.mean, told.sd) for told in beliefs([[1.0], [1.0, 1.0]], guess=0.0)] == [
        (1.0, 0.0),
        (1.0, 0.0),
    ]


def figures(accuracy: float, joules: float) -> dict[str, float]:
    return {"val/accuracy": accuracy, "train/energy_j": joules}


def field(lot: random.Random, count: int = 8) -> list[tuple[float, float]]:
    """True accuracies around the bound, and joules."""
    return [(lot.gauss(0.9, 0.01), lot.uniform(1, 5)) for _ in range(count)]


def seed_of(lot: random.Random, arm: tuple[float, float]) -> dict[str, float]:
    return figures(arm[0] + lot.gauss(0, 0.01), arm[1])


def test_chances_come_true_as_often_as_they_say() -> None:
    lot, told, kept = random.Random(0), [], []
    for _ in range(200):
        arms = field(lot)
        race = Race(
            CHEAP, [[seed_of(lot, arm) for _ in range(1 + place % 3)] for place, arm in enumerate(arms)]
        )
        told += [race.keeps(place) for place in range(len(arms))]
        kept += [arm[0] >= 0.9 for arm in arms]
    for low in (0.0, 0.25, 0.5, 0.75):
        within = [
            place for place, chance in enumerate(told) if low <= chance < low + 0.25 or chance == low + 0.25
        ]
        share = sum(kept[place] for place in within) / len(within)
        assert sum(told[place] for place in within) / len(within) == pytest.approx(share, abs=0.06)


def test_the_pick_of_a_race_keeps_its_bound_more_often_than_that_of_one_seed() -> None:
    lot, kept, chances = random.Random(1), {"seed": 0, "race": 0}, []
    for _ in range(40):
        arms = field(lot)
        ran = [[seed_of(lot, arm)] for arm in arms]
        first = min(range(8), key=lambda place: (ran[place][0]["val/accuracy"] < 0.9, arms[place][1]))
        kept["seed"] += arms[first][0] >= 0.9
        for _ in range(12):
            place = Race(CHEAP, ran).next(range(8))
            ran[place].append(seed_of(lot, arms[place]))
        race = Race(CHEAP, ran)
        pick = race.order()[0]
        chances.append(race.keeps(pick))
        kept["race"] += arms[pick][0] >= 0.9
    assert kept["race"] > 1.2 * kept["seed"]
    assert sum(chances) / 40 == pytest.approx(kept["race"] / 40, abs=0.1)


def test_who_cannot_be_the_pick_is_not_trained_again() -> None:
    ran = [
        [figures(0.93, 2.0), figures(0.94, 2.0)],
        [figures(0.92, 3.0)],
        [figures(0.5, 1.0)],
        [figures(0.93, 90.0)],
    ]
    race = Race(CHEAP, ran)
    assert race.order()[0] == 0 and race.keeps(0) > SURE
    assert race.next(range(4)) in (0, 1) and race.next([2, 3]) in (2, 3)


def test_without_a_bound_the_best_by_its_figure_is_the_pick() -> None:
    best = Objective(metric="val/accuracy", direction="max")
    race = Race(best, [[figures(0.9, 1)], [figures(0.95, 1), figures(0.96, 1)], [figures(0.8, 1)]])
    assert race.order() == [1, 0, 2] and race.keeps(2) == 1.0


def test_beside_a_bound_the_best_that_more_likely_than_not_keeps_it_is_trained_next() -> None:
    """Two arms keep the bound by far, the cheapest misses it by far: the cheaper of the two is next."""
    ran = [[figures(0.95, 3.0)] * 2, [figures(0.95, 2.0)] * 2, [figures(0.80, 1.0)] * 2]
    race = Race(CHEAP, ran)
    assert [round(race.keeps(place)) for place in range(3)] == [1, 1, 0]
    assert race.next(range(3)) == 1 and race.next([0, 2]) == 0 and race.next([2]) == 2
    # Nobody is likely to keep it: who is the nearest to it.
    assert (
        Race(CHEAP, [[figures(0.80, 1.0)] * 2, [figures(0.85, 9.0), figures(0.86, 9.0)]]).next(range(2)) == 1
    )


def test_who_races_keeps_bounds_of_scores_with_a_margin_and_of_costs_without() -> None:
    small = Constraint(metric="size/parameters", op="<=", bound=50_000)
    loss = Constraint(metric="val/loss", op="<=", bound=0.5)
    asked = CHEAP.model_copy(update={"constraints": (BOUND, small, loss)})
    assert [bound.bound for bound in inside(asked, 0.01).constraints] == pytest.approx([0.91, 50_000, 0.49])
    assert inside(asked, 0.0) == asked


def test_a_field_with_a_margin_has_more_picks_that_keep_the_bound() -> None:
    """Forty arms around the bound, of which eight race for twelve trials after one seed each."""
    lot, kept = random.Random(2), {0.0: 0, 0.01: 0}
    for _ in range(40):
        arms = field(lot, 40)
        first = [seed_of(lot, arm) for arm in arms]
        for margin in kept:
            asked = inside(CHEAP, margin)
            cells = sorted(range(40), key=lambda place: rank(asked, first[place]))[:8]
            ran = [[first[place]] for place in cells]
            for _ in range(12):
                place = Race(CHEAP, ran).next(range(8))
                ran[place].append(seed_of(lot, arms[cells[place]]))
            kept[margin] += arms[cells[Race(CHEAP, ran).order()[0]]][0] >= 0.9
    assert kept[0.01] > kept[0.0] and kept[0.01] >= 30
