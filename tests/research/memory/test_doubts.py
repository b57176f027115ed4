"""The predictor of failures: silent where it cannot promise, right where there is something to learn."""

import math
import random

import pytest

from research.memory.doubts import Columns, Failures, flat, identity


def cases(count: int, seed: int = 0) -> tuple[list[dict], list[bool]]:
    rng = random.Random(seed)
    made = [
        {
            "width": int(8 * 64 ** rng.random()),
            "batch": int(8 * 64 ** rng.random()),
            "net": rng.choice("ab"),
            "lr": 0.1,
        }
        for _ in range(count)
    ]
    return made, [one["width"] * one["batch"] > 20_000 for one in made]


def test_it_is_silent_until_it_can_promise() -> None:
    made, failed = cases(400)
    few = Failures(least=10)
    few.learn(made[:60], failed[:60])
    assert few.threshold is None and few.chances(made[:2]) == [0.0, 0.0] and few.refuses(made[0]) is None
    few.learn(made, [False] * 391 + [True] * 9)
    assert few.threshold is None
    few.learn([made[0]] * 500, [True] * 500)
    assert few.threshold is None, "one configuration, however often it ran, is one case"


@pytest.mark.slow
def test_it_learns_that_a_product_of_two_knobs_fails() -> None:
    known = Failures()
    known.learn(*cases(400))
    made, failed = cases(300, seed=1)
    refused = [known.refuses(one) is not None for one in made]
    right = sum(r and f for r, f in zip(refused, failed, strict=True))
    wrong = sum(r and not f for r, f in zip(refused, failed, strict=True))
    assert right >= 0.8 * sum(failed) and wrong <= 0.02 * (300 - sum(failed))
    again = Failures()
    again.learn(*cases(400))
    assert again.chances(made[:20]) == known.chances(made[:20])


@pytest.mark.slow
def test_columns_are_logarithms_products_and_choices() -> None:
    seen = [{"a": 1, "b": 0.0, "c": "x", "same": 3}, {"a": 100, "b": 5.0, "c": None}, {"a": -1.0, "d": True}]
    columns = Columns(seen, [False, True, True])
    assert columns.numbers == ["a", "b", "same"] and columns.floors == {"a": None, "b": 5.0, "same": 3}
    rows = columns.rows([{"a": 7, "b": 5.0, "c": "x"}, {"c": "new", "b": 1e9}]).tolist()
    assert columns.choices == [("c", "None"), ("c", "x"), ("d", "True")]
    assert columns.paired == columns.missing == ["b", "same"]
    low, high = math.log(5), math.log(1e9)
    three = math.log(3)
    assert rows[0] == [7, low, three, low + three, 0, 1, 0, 0, 1]
    assert rows[1] == [1, high, three, high + three, 0, 0, 0, 0, 1]


def test_a_nested_config_is_flat_and_whole_floats_are_integers() -> None:
    config = {"model": {"width": 4, "names": ["a"]}, "seed": 1, "store": {"url": "x"}, "betas": [0.9, 1]}
    found = flat(config, ("seed", "store"))
    assert found == {"model.width": 4, "model.names": "['a']", "betas.0": 0.9, "betas.1": 1}
    assert identity({"a": 1.0}) == identity({"a": 1}) != identity({"a": 1.5})


@pytest.mark.parametrize(
    ("successes", "allowed"), [(50, -1), (98, -1), (99, 0), (198, 0), (199, 1), (999, 9)]
)
def test_the_promise_holds_for_the_next_success_too(successes: int, allowed: int) -> None:
    assert Failures()._allowed(successes) == allowed
