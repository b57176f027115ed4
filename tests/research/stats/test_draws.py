"""Which test set a seed is judged on: who draws it anew, who may not, and what is said of it."""

import math
from pathlib import Path

import numpy as np
import pytest
import yaml
from hydra.utils import instantiate
from hypothesis import given
from hypothesis import strategies as st

import own_data
from refusal import Refusal
from research.space.gate import Space
from research.space.signature import signature
from research.stats.comparable import comparable
from research.stats.decide import critical
from research.stats.draws import (
    OWN_SPLIT,
    configuration,
    crossed,
    drawn_anew,
    has_own_split,
    outcomes,
    over,
    own_split,
    shared,
    spread,
    unlike,
)
from research.types import Key, Result, Trial

CONF = Path(__file__).parents[3] / "conf"
SPACE = Space(CONF, CONF / "space.yaml")
NAMED = {path.stem: yaml.safe_load(path.read_text()) for path in sorted((CONF / "data").glob("*.yaml"))}
CARDS = [name for name, card in NAMED.items() if "source" not in card]
"""one's own data says it of itself"""
HERE = [name for name in CARDS if "hub" not in NAMED[name]]


def trial(seed: int, *overrides: str, number: int = 0) -> Trial:
    typed = (*overrides, f"seed={seed}")
    return Trial(
        id=number or seed,
        key=Key("s", "c", "d", "h"),
        replicate=0,
        seed=seed,
        overrides=typed,
        config=SPACE.resolve(typed),
        status="done",
        reason=None,
        name=None,
        sweep=None,
        source="agent",
        folder=None,
        started=0.0,
        finished=1.0,
    )


@pytest.mark.parametrize("name", CARDS)
def test_every_card_says_whether_its_test_set_can_be_drawn_anew(name: str) -> None:
    assert NAMED[name]["drawn"] in ("anew", "fixed")
    assert drawn_anew(SPACE.resolve([f"data={name}"])) == (name in HERE)


@pytest.mark.parametrize("name", HERE)
def test_another_split_seed_draws_every_part_anew_and_the_same_one_does_not(name: str) -> None:
    group = NAMED[name]
    first, again, other = (instantiate(group | {"split_seed": seed}) for seed in (1000, 1000, 1001))
    for part in ("train", "val", "test"):
        one, same, new = (getattr(data, part).inputs for data in (first, again, other))
        assert one.equal(same) and not (one.shape == new.shape and one.equal(new)), part


@pytest.mark.parametrize("name", own_data.MADE)
def test_own_data_are_drawn_anew_unless_they_have_a_test_part(name: str, tmp_path: Path) -> None:
    made = own_data.line(name, tmp_path)
    first, again, other = (SPACE.resolve([*made, f"data.split_seed={seed}"])["data"] for seed in (0, 0, 1))
    assert drawn_anew({"data": first}) == (name != "idx")
    parts = [instantiate(data) for data in (first, again, other)]
    for part in ("val", "test"):
        splits = [getattr(data, part) for data in parts]
        one, same, new = (
            split.inputs[split.rows] for split in splits
        )  # before the scale of each training part
        fixed = part == "test" and name == "idx"
        assert one.equal(same) and (one.shape == new.shape and one.equal(new)) == fixed, part


def test_the_split_goes_with_the_seed_where_data_can_be_drawn_and_nobody_says_otherwise() -> None:
    config = SPACE.resolve(["data=digits"])
    assert own_split(config, ["data=digits"]) == (OWN_SPLIT,)
    assert own_split(config, ["data=digits", "data.split_seed=3"]) == ()
    assert own_split(SPACE.resolve(["data=mnist"]), ["data=mnist"]) == ()
    assert own_split({"data": {}}, []) == own_split({}, []) == ()
    assert SPACE.resolve(["data=mnist1d", OWN_SPLIT, "seed=1003"])["data"]["split_seed"] == 1003
    with pytest.raises(Refusal, match=r"data\.drawn=often is unknown: write anew or fixed"):
        drawn_anew({"data": {"drawn": "often"}})


def test_an_agent_may_set_neither_the_split_nor_whether_it_is_drawn() -> None:
    for text in ("data.split_seed=1000", OWN_SPLIT, "data.drawn=fixed"):
        assert SPACE.check([text]), text


def test_whether_it_can_be_drawn_changes_no_result_and_the_split_does() -> None:
    config = SPACE.resolve([])
    drawn = config | {"data": config["data"] | {"drawn": "fixed"}}
    assert signature(config) == signature(drawn)
    assert signature(config) != signature(config | {"data": config["data"] | {"split_seed": 1}})


def test_trials_are_siblings_over_their_own_splits_and_over_one_split_but_not_over_both() -> None:
    fixed, other = trial(0), trial(1)
    own, next_one = trial(1000, OWN_SPLIT), trial(1001, OWN_SPLIT)
    named = [configuration(one.config, has_own_split(one)) for one in (fixed, other, own, next_one)]
    assert named[0] == named[1] != named[2] == named[3]
    # Seed 0 on split 0 is the default, no split of its own.
    assert not has_own_split(trial(0)) and has_own_split(trial(5, "data.split_seed=5"))
    assert not has_own_split(trial(5, "data.split_seed=4"))
    assert shared([own, next_one]) == (OWN_SPLIT,) and shared([fixed, own]) == shared([]) == ()


def test_what_a_mean_is_over_is_read_from_the_trials() -> None:
    anew = [trial(seed, OWN_SPLIT) for seed in (1000, 1001, 1002)]
    one_split = [trial(seed) for seed in (0, 1, 2)]
    published = [trial(seed, "data=mnist", f"data.split_seed={seed}") for seed in (0, 1)]
    assert over("test/accuracy", [*anew, *anew]) == over("val/accuracy", anew) == "splits"
    assert over("test/accuracy", one_split) == over("test/f1", published) == "examples"
    assert over("test/accuracy", [*anew[:1], *one_split]) == "seeds"
    assert over("train/energy_j", anew) is over("size/bytes", one_split) is None


def test_a_seed_that_was_tested_on_two_splits_is_no_pair() -> None:
    pair = [trial(1000, OWN_SPLIT), trial(1000, number=2)]
    assert unlike("test/accuracy", pair) == (
        "test/accuracy of seed 1000 was taken on two splits: run both with one data.split_seed."
    )
    assert comparable("test/accuracy", pair, {}) == unlike("test/accuracy", pair)
    assert unlike("train/energy_j", pair) is None
    assert unlike("test/accuracy", [trial(1000, OWN_SPLIT, number=one) for one in (1, 2)]) is None


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
    found = spread("test/accuracy", control, treatment)
    assert found == crossed([[0, 1, 0, -1], [0, 1, 0, 0]])
    assert spread("test/accuracy", treatment) == crossed([[1, 1, 1, 0], [1, 1, 0, 1]])


def test_without_outcomes_there_is_no_spread() -> None:
    bare = Result(trial_id=1, metrics={}, facts={})
    full = {0: result(1, [1, 0]), 1: result(2, [1, 1])}
    assert spread("test/accuracy", {**full, 2: bare}) is None
    assert spread("test/accuracy", full, {**full, 1: bare}) is None
    assert spread("test/accuracy", full, {0: result(1, [1, 0]), 1: result(2, [1, 1, 1])}) is None
    assert outcomes("test/f1", full[0]) is None
