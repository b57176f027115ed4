"""A domain narrows what samplers draw from and what the gate takes; one that has nothing left is refused."""

from pathlib import Path

import pytest
import yaml

from refusal import Refusal
from research.propose.dimensions import Dimensions
from research.space.domain import Domain, Scope, names, read
from research.space.gate import Space
from research.space.vocabulary import narrowed

CONF = Path(__file__).parents[3] / "conf"


@pytest.fixture(scope="module")
def space() -> Space:
    return Space(CONF, CONF / "space.yaml")


@pytest.fixture(scope="module")
def digits(space: Space) -> dict:
    return narrowed(space, ("data=digits",))


def domain(name: str, focus: str | None = None) -> Domain:
    return read(yaml.safe_load((CONF / "domain" / f"{name}.yaml").read_text())).focused(focus)


def turned(vocabulary: dict, fixed: tuple[str, ...]) -> set[str]:
    return {one.key for one, _ in Dimensions(vocabulary, fixed).default()}


@pytest.mark.slow
def test_without_a_domain_the_whole_space_is_open(digits: dict) -> None:
    assert Scope(None).narrowed(digits) == digits and Scope(None).outside(["data=x", "y=1"]) == []


@pytest.mark.slow
@pytest.mark.parametrize("name", [one for one in names(CONF) if one != "moe_architecture"])
def test_each_domain_has_something_to_turn_on_the_default_data(name: str, digits: dict) -> None:
    found = turned(Scope(domain(name)).narrowed(digits, ("data=digits",)), ("data=digits",))
    assert found and Scope(domain(name)).outside([f"{key}=1" for key in found if "." in key]) == []


@pytest.mark.slow
def test_a_group_that_belongs_elsewhere_keeps_its_default(digits: dict) -> None:
    fixed = ("data=digits",)
    assert turned(Scope(domain("optimization", "rates")).narrowed(digits, fixed), fixed) == {
        "optimizer.lr",
        "optimizer.weight_decay",
    }


@pytest.mark.slow
def test_options_of_a_group_can_belong_alone(digits: dict) -> None:
    found = Scope(domain("compression", "pruning")).narrowed(digits)["groups"]["compress"]["options"]
    assert set(found) <= {"prune30", "prune50", "prune70", "gradual", "structured"} and "prune50" in found


@pytest.mark.slow
def test_experts_are_turned_on_text_with_a_network_of_experts(space: Space) -> None:
    found = domain("moe_architecture", "gating and routing")
    vocabulary = narrowed(space, found.base)
    assert turned(Scope(found).narrowed(vocabulary, found.base), found.base) == {
        "model.chosen",
        "model.capacity",
        "model.score",
    }


@pytest.mark.slow
def test_a_domain_without_an_option_is_refused(digits: dict) -> None:
    with pytest.raises(Refusal, match=r"moe_architecture .* has no option in the space under data=digits"):
        Scope(domain("moe_architecture", "balancing")).narrowed(digits, ("data=digits",))


@pytest.mark.parametrize(
    ("override", "within"),
    [
        ("compress=[prune50]", True),
        ("compress=[prune50,gradual]", True),
        ("compress=[int8_static]", False),
        ("compress.gradual.sparsity=0.9", True),
        ("compress.low_rank.share=0.5", False),
        ("optimizer.lr=0.1", False),
        ("optimizer=lion", False),
    ],
)
def test_what_belongs_to_another_field_gets_a_sentence(override: str, within: bool) -> None:
    said = Scope(domain("compression", "pruning")).outside([override])
    assert (said == []) is within
    assert within or override in said[0]
