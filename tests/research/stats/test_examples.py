"""The variance that examples add to a mean over seeds, against an analysis of variance and a simulation."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from research.stats.decide import critical
from research.stats.draws import crossed, difference_spread, mean_spread, outcomes
from research.types import Result

Table = list[list[float]]


def table(n: int, m: int, seeds: float, examples: float, rest: float, rng: np.random.Generator) -> Table:
    drawn = rng.normal(0, 1, (n, 1)) * seeds + rng.normal(0, 1, (1, m)) * examples
    return (drawn + rng.normal(0, 1, (n, m)) * rest).tolist()


def by_components(rows: Table) -> float:
    """Variance components by mean squares, their estimates added up."""
    x = np.array(rows)
    n, m = x.shape
    of_seeds = m * x.mean(1).var(ddof=1)
    of_examples = n * x.mean(0).var(ddof=1)
    left = x - x.mean(1, keepdims=True) - x.mean(0, keepdims=True) + x.mean()
    of_rest = (left**2).sum() / ((n - 1) * (m - 1))
    seeds, examples = (of_seeds - of_rest) / m, (of_examples - of_rest) / n
    return seeds / n + examples / m + of_rest / (n * m)


@given(st.integers(2, 6), st.integers(2, 40), st.integers(0, 2**32 - 1))
def test_the_variance_is_the_sum_of_its_components(n: int, m: int, seed: int) -> None:
    rows = table(n, m, 1.0, 2.0, 0.5, np.random.default_rng(seed))
    found = crossed(rows)
    assert found is not None
    x = np.array(rows)
    least = max(x.mean(1).var(ddof=1) / n, x.mean(0).var(ddof=1) / m)
    assert found.variance == pytest.approx(max(by_components(rows), least), rel=1e-9)
    assert found.freedom >= n - 1


def test_by_hand() -> None:
    # Means of the seeds 1, 3, of the examples 0, 2, 4; nothing is left: A = 2 / 2, B = 4 / 3, C = 0.
    found = crossed([[-1.0, 1.0, 3.0], [1.0, 3.0, 5.0]])
    assert found is not None and found.variance == pytest.approx(1 + 4 / 3)
    assert found.freedom == pytest.approx((7 / 3) ** 2 / (1 / 1 + (4 / 3) ** 2 / 2))


def test_examples_that_are_alike_leave_students_t() -> None:
    found = crossed([[0.1] * 50, [0.3] * 50, [0.2] * 50])
    assert found is not None
    assert found.variance == pytest.approx(0.01 / 3) and found.freedom == pytest.approx(2)


def test_equal_seeds_leave_the_examples() -> None:
    rows = [[1.0, 0.0, 1.0, 1.0]] * 3
    found = crossed(rows)
    assert found is not None
    assert found.variance == pytest.approx(np.var(rows[0], ddof=1) / 4) and found.freedom == pytest.approx(3)


@pytest.mark.parametrize(
    "rows", [[], [[1.0, 2.0]], [[1.0], [2.0]], [[1.0, 2.0], [1.0]], [[math.nan, 1.0]] * 2]
)
def test_what_is_too_little_or_does_not_fit_has_no_spread(rows: Table) -> None:
    assert crossed(rows) is None


@pytest.mark.parametrize(
    ("seeds", "examples", "rest", "most"),
    [(1, 0, 5, 1.0), (0.2, 4, 4, 0.85), (0.5, 5, 10, 0.93), (0, 3, 1, 0.6)],
)
def test_nominal_intervals_cover_where_examples_are_drawn_too(
    seeds: float, examples: float, rest: float, most: float
) -> None:
    rng = np.random.default_rng(7)
    times, n, m = 500, 4, 60
    covered = alone = 0
    for _ in range(times):
        rows = table(n, m, seeds, examples, rest, rng)
        found = crossed(rows)
        assert found is not None
        of_seeds = np.mean(rows, axis=1)
        off = abs(of_seeds.mean())
        # An interval of 95 % covers where a test at 5 % does not reject: no critical t is searched for.
        covered += off / math.sqrt(found.variance) <= critical(0.025, found.freedom)
        alone += off <= critical(0.025, n - 1) * of_seeds.std(ddof=1) / math.sqrt(n)
    assert 0.925 <= covered / times <= 0.985
    assert alone / times <= most, "Student's t over seeds alone knows nothing of the examples"


def result(number: int, bits: list[int]) -> Result:
    import base64

    kept = base64.b64encode(np.packbits(np.array(bits, dtype=bool)).tobytes()).decode()
    accuracy = {"bits": kept, "count": len(bits)}
    return Result(trial_id=number, metrics={}, facts={"examples": {"accuracy": accuracy}})


def test_arms_are_paired_by_seed_and_by_example() -> None:
    control = {0: result(1, [1, 0, 1, 1]), 1: result(2, [1, 0, 0, 1]), 9: result(5, [0, 0, 0, 0])}
    treatment = {0: result(3, [1, 1, 1, 0]), 1: result(4, [1, 1, 0, 1])}
    found = difference_spread("test/accuracy", control, treatment)
    assert found == crossed([[0, 1, 0, -1], [0, 1, 0, 0]])
    assert mean_spread("test/accuracy", treatment) == crossed([[1, 1, 1, 0], [1, 1, 0, 1]])


def test_without_outcomes_there_is_no_spread() -> None:
    bare = Result(trial_id=1, metrics={}, facts={})
    full = {0: result(1, [1, 0]), 1: result(2, [1, 1])}
    assert mean_spread("test/accuracy", {**full, 2: bare}) is None
    assert difference_spread("test/accuracy", full, {**full, 1: bare}) is None
    assert difference_spread("test/accuracy", full, {0: result(1, [1, 0]), 1: result(2, [1, 1, 1])}) is None
    assert outcomes("test/f1", full[0]) is None
