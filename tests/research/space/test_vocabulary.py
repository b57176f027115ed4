"""The vocabulary of a campaign: what its fixed overrides make impossible is not offered, the rest passes."""

import random
from pathlib import Path

import pytest

from research.propose.dimensions import Dimensions, typed
from research.space.domain import narrowed
from research.space.gate import Space

ROOT = Path(__file__).parents[3]


@pytest.fixture(scope="module")
def space() -> Space:
    return Space(ROOT / "conf", ROOT / "conf" / "space.yaml")


@pytest.mark.parametrize(
    "fixed", [["data=digits"], ["data=mnist1d", "model=cnn"], ["data=pytext", "model=gpt"]]
)
def test_most_draws_pass_the_gate(space: Space, fixed: list[str]) -> None:
    dimensions, rng = Dimensions(narrowed(space, fixed), fixed), random.Random(0)
    lines = [typed(dimensions.vary(rng, rng.randint(1, 4))) for _ in range(100)]
    refused = [line for line in lines if space.check(list(line), given=fixed)]
    assert len(refused) <= 5, refused


def test_what_cannot_be_is_not_offered(space: Space) -> None:
    images, text = narrowed(space, ["data=digits"]), narrowed(space, ["data=pytext", "model=gpt"])
    assert "gpt" not in images["groups"]["model"]["options"] and "data" not in images["groups"]
    assert images["keys"]["trainer.precision"]["of"] == ["32-true", "bf16-mixed", "auto"]
    assert not images["keys"]["budget.steps"]["nullable"]
    assert "gpt" in text["groups"]["model"]["options"]


def test_defaults_are_the_controls(space: Space) -> None:
    found = narrowed(space, ["data=digits", "data.batch_size=64", "budget=smoke"])
    control = space.resolve(["data=digits", "data.batch_size=64", "budget=smoke"])
    assert found["keys"]["data.batch_size"]["default"] == 64
    assert found["keys"]["budget.steps"]["default"] == control["budget"]["steps"]
