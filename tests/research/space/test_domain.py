"""Each field of conf/domain names real groups, options and keys, and a focus is understood."""

import random
from pathlib import Path

import pytest
import yaml

from refusal import Refusal
from research.goal.goal import read as goal
from research.propose.dimensions import Dimensions, typed
from research.space.domain import Domain, applied, chosen, names, read, taken_up
from research.space.gate import Space
from research.space.knobs import load
from research.space.vocabulary import narrowed

CONF = Path(__file__).parents[3] / "conf"
NAMES = names(CONF)
USUAL = "90 % accuracy for fewer joules"


def content(name: str) -> dict:
    return yaml.safe_load((CONF / "domain" / f"{name}.yaml").read_text())


def config(name: str, **asked) -> dict:
    return {"domain": content(name), "focus": None, "goal": USUAL, "base": [], **asked}


def small(**changed) -> Domain:
    areas = {"rates": {"keys": ["optimizer.lr"], "words": ["speed"]}, "size": {"keys": ["model.width"]}}
    return read({"name": "small", "areas": areas, **changed})


def test_the_domains_of_the_lab_are_there() -> None:
    assert {
        "compression",
        "architecture",
        "optimization",
        "evaluation",
        "efficiency",
        "moe_architecture",
        "given",
    } == set(NAMES)


@pytest.mark.parametrize("name", NAMES)
def test_each_area_names_groups_options_and_keys_of_the_space(name: str) -> None:
    file = load(CONF / "space.yaml")
    domain = read(content(name))
    assert domain.name == name
    for area, found in domain.areas.items():
        assert found.keys or found.groups, area
        assert set(found.keys) <= set(file.keys), area
        for group, options in found.groups.items():
            assert group in file.groups, area
            existing = {path.stem for path in (CONF / group).glob("*.yaml")}
            assert set(options or ()) <= existing - set(file.groups[group].without), area


@pytest.mark.parametrize("name", NAMES)
def test_what_a_domain_fixes_and_asks_by_itself_is_understood(name: str) -> None:
    domain = read(content(name))
    assert domain.goal and goal(domain.goal, CONF, fixed=domain.base).text == domain.goal
    Space(CONF, CONF / "space.yaml").resolve(domain.base)


@pytest.mark.parametrize(("focus", "areas"), [("rates", ["rates"]), ("more Speed", ["rates"]), (None, None)])
def test_a_focus_is_a_name_or_words(focus: str | None, areas: list[str] | None) -> None:
    assert list(small().focused(focus).areas) == (areas or ["rates", "size"])


def test_an_unknown_focus_is_refused_with_the_areas_there_are() -> None:
    with pytest.raises(Refusal, match=r"'taste': choose one of rates, size\."):
        small().focused("taste")


@pytest.mark.parametrize(
    ("base", "domain"),
    [
        (["model.weights=a.pt"], "given"),
        (["model.weights=a.pt", "budget.finetune=10"], "given"),
        (["model.weights=a.pt", "budget.steps=10"], None),
        (["model.weights=a.pt", "budget=default"], None),
        (["model.width=8"], None),
    ],
)
def test_weights_in_base_are_compressed_and_not_trained_unless_that_is_asked(base, domain) -> None:
    config = taken_up({"base": base, "goal": USUAL, "domain": {"name": None}, "focus": None}, CONF)
    assert config["domain"]["name"] == domain
    asked = applied(config, USUAL)
    assert ("budget=given" in asked["base"]) == (domain == "given")
    other = {"base": base, "goal": USUAL, "domain": content("efficiency"), "focus": None}
    assert taken_up(other, CONF)["domain"]["name"] == "efficiency"


def test_a_focus_without_a_domain_is_refused() -> None:
    with pytest.raises(Refusal, match="needs a domain"):
        chosen({"domain": {"name": None}, "focus": "rates"})
    assert chosen({"domain": {"name": None}, "focus": None}) is None


@pytest.mark.parametrize(
    ("wrong", "where"),
    [({"areas": {}}, "areas"), ({"colour": 1}, "colour"), ({"areas": {"a": 3}}, "areas.a")],
)
def test_a_file_that_is_no_domain_is_refused_by_its_key(wrong: dict, where: str) -> None:
    with pytest.raises(Refusal, match=f"domain=small is wrong at '{where}"):
        small(**wrong)


def test_a_domain_fixes_what_its_trials_need_and_the_person_wins() -> None:
    plain = applied(config("moe_architecture"), USUAL)
    assert plain["base"] == ["data=pytext", "model=moe_gpt", "budget.steps=300"]
    assert plain["goal"] == "fewer bits per byte"
    own = applied(config("moe_architecture", base=["model=moe_gpt_top1"], goal="fewer joules"), USUAL)
    assert own["base"] == ["data=pytext", "budget.steps=300", "model=moe_gpt_top1"]
    assert own["goal"] == "fewer joules"
    without = {"domain": {"name": None}, "focus": None, "goal": USUAL, "base": ["a=1"]}
    assert applied(without, USUAL) == without


ROOT = Path(__file__).parents[3]


@pytest.fixture(scope="module")
def space() -> Space:
    return Space(ROOT / "conf", ROOT / "conf" / "space.yaml")


@pytest.mark.parametrize(
    "fixed", [["data=digits"], ["data=mnist1d", "model=cnn"], ["data=pytext", "model=gpt"]]
)
def test_most_draws_pass_the_gate(space: Space, fixed: list[str]) -> None:
    dimensions, rng = Dimensions(narrowed(space, fixed), fixed), random.Random(0)
    lines = [typed(dimensions.vary(rng)) for _ in range(100)]
    refused = [line for line in lines if space.check(list(line), given=fixed)]
    assert len(refused) <= 5, refused


def test_what_cannot_be_is_not_offered(space: Space) -> None:
    images, text = narrowed(space, ["data=digits"]), narrowed(space, ["data=pytext", "model=gpt"])
    assert "gpt" not in images["groups"]["model"]["options"] and "data" not in images["groups"]
    assert images["keys"]["trainer.precision"]["of"] == ["32-true", "bf16-mixed", "auto"]
    assert not images["keys"]["budget.steps"]["nullable"]
    assert "gpt" in text["groups"]["model"]["options"]


@pytest.mark.slow
def test_defaults_are_the_controls(space: Space) -> None:
    found = narrowed(space, ["data=digits", "data.batch_size=64", "budget=smoke"])
    control = space.resolve(["data=digits", "data.batch_size=64", "budget=smoke"])
    assert found["keys"]["data.batch_size"]["default"] == 64
    assert found["keys"]["budget.steps"]["default"] == control["budget"]["steps"]
