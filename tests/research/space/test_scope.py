"""A domain narrows what samplers draw from and what the gate takes; one that has nothing left is refused."""

import random
from pathlib import Path

import pytest
import yaml

from refusal import Refusal
from research.propose.dimensions import Dimensions
from research.space.bounds import Bounds, parted
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


CNN = ("data=digits", "model=cnn", "optimizer=adamw")
OPEN = ("model.width=16,32,64", "optimizer.lr=0.001..0.01")


def test_base_fixes_one_value_and_leaves_several_open() -> None:
    typed = ["data=digits", "model=cnn", "model.width=16", 32, 64, "optimizer.lr=0.001..0.01"]
    assert parted(typed) == (("data=digits", "model=cnn"), OPEN)
    assert parted(["compress=[prune50,int8_static]", "name='a..b'"])[1] == ()
    said = Scope(None, OPEN).outside(["model.width=48", "optimizer.lr=0.002"])
    assert said == ["model.width=48 lies outside of what the person leaves open, model.width=16,32,64."]
    assert Scope(None, OPEN).outside(["model.width=64", "optimizer.lr=1e-2", "data=x"]) == []
    assert len(Scope(None, OPEN).outside(["optimizer.lr=0.02", "model.width=null"])) == 2
    with pytest.raises(Refusal, match="base cannot hold 'seed=0,1'"):
        parted(["seed=0", 1])


@pytest.fixture(scope="module")
def cnn(space: Space) -> dict:
    return narrowed(space, CNN)


@pytest.mark.slow
def test_what_is_drawn_lies_within_what_base_leaves_open(cnn: dict) -> None:
    offered = Scope(None, (*OPEN, "scheduler=cosine,linear")).narrowed(cnn, CNN)
    rng, drawn = random.Random(0), {"model.width": set(), "optimizer.lr": set(), "scheduler": set()}
    for _ in range(200):
        for axis, text in Dimensions(offered, CNN).walk(lambda axis: axis.draw(rng)):
            if axis.key in drawn:
                drawn[axis.key].add(text)
    assert drawn["model.width"] == {"16", "32", "64"} and drawn["scheduler"] == {"cosine", "linear"}
    assert 0.001 <= min(map(float, drawn["optimizer.lr"])) < max(map(float, drawn["optimizer.lr"])) <= 0.01


@pytest.mark.slow
def test_a_key_of_an_option_that_is_not_fixed_cannot_be_left_open(digits: dict) -> None:
    with pytest.raises(Refusal, match=r"leaves model\.width open and not model, of which it is: fix it"):
        Scope(None, OPEN).narrowed(digits, ("data=digits",))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("model.width=16,64", "leaves out 32, which the control has"),
        ("model.width=32..40000000", "the space does not take"),
        ("data=digits,mnist1d", "may not be turned: give it one value"),
        ("scheduler=cosine,zigzag", "scheduler=zigzag open, which is none of"),
    ],
)
def test_what_cannot_be_left_open_is_refused(line: str, said: str, cnn: dict) -> None:
    with pytest.raises(Refusal, match=said):
        Scope(None, (line,)).narrowed(cnn, CNN)


@pytest.mark.parametrize(
    "line",
    [
        "model.width=-1",
        "model.width=0",
        "model.width=1.5",
        "model.width=wide",
        "optimizer.lr=-0.1",
        "model.depth=nan",
    ],
)
def test_a_number_that_none_can_be_is_refused_before_a_campaign(space: Space, line: str) -> None:
    with pytest.raises(Refusal, match=f"base cannot hold {line}: of agents it takes a"):
        narrowed(space, ("data=digits", "model=cnn", line))


def test_people_may_go_beyond_what_agents_may(space: Space) -> None:
    for key, value in (
        ("model.width", 2000),
        ("model.width", 1),
        ("optimizer.lr", 0),
        ("optimizer.weight_decay", 9),
    ):
        assert space.file.keys[key].possible(value)
    assert not space.file.keys["model.width"].takes(2000) and not space.file.keys["model.width"].takes(1)


def test_nothing_of_a_group_is_within_what_is_listed_of_it() -> None:
    assert Scope(domain("compression", "pruning")).outside(["compress=[]"]) == []


def test_what_a_person_leaves_open_may_be_quoted() -> None:
    bounds = Bounds(["optimizer=lion,adamw", "model.width=range(16,65)"])
    assert bounds.outside(["optimizer='lion'", "model.width=64"]) == []
    assert len(bounds.outside(["optimizer='adam'", "model.width=65"])) == 2
