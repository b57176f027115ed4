"""The front holds what nothing beats; the probability of dominance is that of the arms' own intervals."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from research.stats.front import better, dominance, front
from research.stats.intervals import compare

FEW = settings(max_examples=15)
WAYS = {"test/accuracy": "max", "train/energy_j": "min", "size/bytes": "min"}
VALUE = st.sampled_from([0.0, 1.0, 2.0, 3.0, math.nan, math.inf, -math.inf])
POINTS = st.lists(st.dictionaries(st.sampled_from(list(WAYS)), VALUE), max_size=12)


def whole(point: dict[str, float]) -> bool:
    return all(math.isfinite(point.get(metric, math.nan)) for metric in WAYS)


def dominates(one: dict[str, float], other: dict[str, float]) -> bool:
    """Whether it is at least as good on every metric, and better on one."""
    if not (whole(one) and whole(other)):
        return False
    gains = [(one[key] - other[key]) * (1 if way == "max" else -1) for key, way in WAYS.items()]
    return min(gains) >= 0 < max(gains)


@FEW
@given(POINTS)
def test_the_front_is_what_no_other_point_dominates(points: list[dict[str, float]]) -> None:
    expected = [
        place
        for place, point in enumerate(points)
        if whole(point) and not any(dominates(other, point) for other in points)
    ]
    assert front(points, WAYS) == expected
    assert bool(expected) == any(map(whole, points))


@FEW
@given(POINTS, st.randoms())
def test_the_front_does_not_know_the_order_and_what_is_off_it_does_not_matter(points, lot) -> None:
    kept = [points[place] for place in front(points, WAYS)]
    assert front(kept, WAYS) == list(range(len(kept)))
    mixed = points.copy()
    lot.shuffle(mixed)
    after = [mixed[place] for place in front(mixed, WAYS)]
    assert sorted(map(repr, map(sorted, (one.items() for one in after)))) == sorted(
        map(repr, map(sorted, (one.items() for one in kept)))
    )


def test_a_small_front() -> None:
    points = [
        {"test/accuracy": 0.9, "train/energy_j": 10.0},
        {"test/accuracy": 0.8, "train/energy_j": 5.0},
        {"test/accuracy": 0.8, "train/energy_j": 6.0},
        {"test/accuracy": 0.99, "train/energy_j": math.nan},
        {"test/accuracy": 0.9, "train/energy_j": 10.0},
    ]
    ways = better(("test/accuracy", "train/energy_j"))
    assert ways == {"test/accuracy": "max", "train/energy_j": "min"}
    assert front(points, ways) == [0, 1, 4] and front([], ways) == []
    assert better(("val/accuracy",)) == {"val/accuracy": "max"}
    with pytest.raises(KeyError):
        better(("nonsense",))


def arm(values: list[float]) -> dict[int, float]:
    return dict(enumerate(values))


ONE = {"test/accuracy": arm([0.91, 0.93, 0.92, 0.95]), "train/energy_j": arm([5.0, 6.0, 5.5, 5.2])}
OTHER = {"test/accuracy": arm([0.90, 0.91, 0.93, 0.92]), "train/energy_j": arm([8.0, 9.5, 8.1, 9.9])}
TWO = {"test/accuracy": "max", "train/energy_j": "min"}


def test_of_one_metric_it_is_the_one_sided_t() -> None:
    found = dominance(ONE, OTHER, {"test/accuracy": "max"})
    p = compare(OTHER["test/accuracy"], ONE["test/accuracy"], "m").p_value
    assert found.probability == pytest.approx(1 - p / 2, abs=0.01) and found.n == 4
    opposite = dominance(OTHER, ONE, {"test/accuracy": "max"})
    assert opposite.probability == pytest.approx(p / 2, abs=0.01)


def test_of_several_it_is_no_more_than_of_each_and_the_same_every_time() -> None:
    found = dominance(ONE, OTHER, TWO)
    each = [dominance(ONE, OTHER, {metric: way}).probability for metric, way in TWO.items()]
    assert sum(each) - 1 - 0.01 <= found.probability <= min(each) + 0.01
    assert dominance(ONE, OTHER, TWO) == found != dominance(ONE, OTHER, TWO, seed=1)
    back = dominance(OTHER, ONE, TWO).probability
    assert back >= 0 and found.probability + back <= 1


def test_what_a_seed_does_to_both_metrics_is_kept() -> None:
    """Gains that come and go together dominate more often than gains that take turns."""
    zero = arm([0.0] * 4)
    gains = [0.1, 0.4, -0.2, 0.3]
    base = {"val/a": zero, "val/b": zero}
    together = dominance({"val/a": arm(gains), "val/b": arm(gains)}, base, {"val/a": "max", "val/b": "max"})
    turned = {"val/a": arm(gains), "val/b": arm([0.3, -0.2, 0.4, 0.1])}
    apart = dominance(turned, base, {"val/a": "max", "val/b": "max"})
    assert together.probability > apart.probability + 0.1


def test_exact_metrics_decide_by_themselves() -> None:
    small, large = {"size/bytes": arm([10.0] * 3)}, {"size/bytes": arm([20.0] * 3)}
    ways = {"size/bytes": "min"}
    assert dominance(small, large, ways).probability == 1.0
    assert dominance(large, small, ways).probability == 0.0
    assert dominance(small, small, ways).probability == 0.0
    with_size = {**TWO, "size/bytes": "min"}
    plain = dominance(ONE, OTHER, TWO)
    smaller = dominance(
        ONE | {"size/bytes": arm([1.0] * 4)}, OTHER | {"size/bytes": arm([2.0] * 4)}, with_size
    )
    assert smaller.probability == plain.probability
    larger = dominance(
        ONE | {"size/bytes": arm([3.0] * 4)}, OTHER | {"size/bytes": arm([2.0] * 4)}, with_size
    )
    assert larger.probability == 0.0


def test_it_says_why_it_cannot_tell() -> None:
    few = dominance(ONE, OTHER | {"train/energy_j": {0: 8.0, 1: 9.0, 2: math.nan, 3: 0.0}}, TWO)
    assert (few.probability, few.n) == (None, 2) and "2 of the 3 pairs" in few.reason
    assert dominance({}, OTHER, TWO).n == 0
    shifted = {"test/accuracy": {seed: value + 0.01 for seed, value in OTHER["test/accuracy"].items()}}
    same = dominance(shifted, OTHER, {"test/accuracy": "max"})
    assert same.probability is None and "equal" in same.reason


def test_it_covers_as_often_as_it_says() -> None:
    """Of true and false dominations by lot, those told with 90 % or more are true in most cases."""
    rng, told, true = np.random.default_rng(0), 0, 0
    zero = arm([0.0] * 5)
    for _ in range(200):
        shift = rng.normal(0, 1, 2)
        drawn = rng.normal(shift[:, None], 1.0, (2, 5))
        one = {"val/a": arm(drawn[0].tolist()), "val/b": arm(drawn[1].tolist())}
        ways = {"val/a": "max", "val/b": "max"}
        found = dominance(one, {"val/a": zero, "val/b": zero}, ways, draws=1000)
        if found.probability >= 0.9:
            told, true = told + 1, true + bool((shift > 0).all())
    assert told > 10 and true / told >= 0.9
