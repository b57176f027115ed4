"""Options of a person's own: agents turn what the person lists, and our rules are not for them."""

from collections.abc import Callable
from pathlib import Path

import pytest

import construct
from cases import each
from refusal import Refusal
from research.propose.dimensions import Dimensions
from research.space.gate import Space
from research.space.vocabulary import narrowed

CONF = Path(__file__).parents[3] / "conf"
TINY = """defaults: [own]
target: nets.Tiny
args: {width: 32, act: relu, dropout: 0.5}
space: {width: {low: 8, high: 256, scale: log}, act: [relu, gelu]}
"""
PLAIN = """_target_: nets.Deep
width: 30
heads: 4
space: {width: [10, 30, 50]}
"""


@pytest.fixture
def space(tmp_path: Path) -> Callable[..., Space]:
    def made(**files: str) -> Space:
        for name, text in ({"model/tiny": TINY, "model/deep": PLAIN} | files).items():
            path = tmp_path / "options" / f"{name}.yaml"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
        return Space(CONF, CONF / "space.yaml", own=tmp_path / "options")

    return made


TURNED = [
    (["model.args.width=64"], ["model=tiny"], None),
    (["model.args.act=gelu"], ["model=tiny"], None),
    (["model=tiny", "model.args.width=64"], [], None),
    (["model.args.width=512"], ["model=tiny"], "takes a whole number from 8 to 256"),
    (["model.args.act=tanh"], ["model=tiny"], "takes one of relu, gelu"),
    (["model.args.dropout=0.1"], ["model=tiny"], "is not a key or group that may be turned"),
    (["model.target=os.system"], ["model=tiny"], "is not a key or group that may be turned"),
    (["model.args.width=64"], ["model=mlp"], "with model=mlp, which the goal fixes: leave it out."),
    (["model.width=50"], ["model=deep"], None),
    (["model.width=40"], ["model=deep"], "takes one of 10, 30, 50"),
    (["model.heads=2"], ["model=deep"], "of the person's own, whose space does not list it"),
    (["model.width=40"], ["model=mlp"], None),
]


@pytest.mark.slow
@each(("overrides", "fixed", "said"), TURNED)
def test_agents_turn_what_the_person_lists(
    space: Callable[..., Space], overrides: list[str], fixed: list[str], said: str | None
) -> None:
    complaints = space().check(overrides, given=["data=digits", *fixed])
    assert complaints == [] if said is None else said in complaints[0]


def test_what_an_option_says_of_its_ranges_is_no_part_of_a_trial(space: Callable[..., Space]) -> None:
    one, other = space(), space(**{"model/deep": PLAIN.replace("50", "70")})
    configs = [made.resolve(["data=digits", "model=deep"]) for made in (one, other)]
    assert configs[0] == configs[1] and "space" not in configs[0]["model"]


def test_samplers_draw_from_the_persons_range_under_a_fixed_option(space: Callable[..., Space]) -> None:
    fixed = ("data=digits", "model=tiny")
    drawn = {axis.key: axis for axis, _ in Dimensions(narrowed(space(), fixed), fixed).default()}
    width = drawn["model.args.width"]
    assert (width.low, width.high, width.log, width.whole, width.default) == (8, 256, True, True, "32")
    assert drawn["model.args.act"].values == ("relu", "gelu")
    assert not {"model.args.dropout", "model"} & drawn.keys()


def test_an_option_that_only_a_person_chooses_leaves_the_rest_to_be_turned() -> None:
    ours = Space(CONF, CONF / "space.yaml")
    fixed = ("data=digits", "model=transformer_deep")
    keys = {axis.key for axis, _ in Dimensions(narrowed(ours, fixed), fixed).default()}
    assert {"model.width", "model.depth", "model.dropout"} <= keys


DATA = ["data=digits", "data=mqar", "data=mnist1d"]


@pytest.mark.slow
@each("data", DATA)
@each(
    "fixed",
    [["model=deep"], ["model=tiny"], ["model._target_=nets.Net"], ["model=own", "model.target=nets.Net"]],
)
def test_rules_of_our_networks_refuse_no_other(
    space: Callable[..., Space], data: str, fixed: list[str]
) -> None:
    assert space().check(["optimizer.lr=0.01"], given=[data, *fixed]) == []


def test_a_variant_of_ours_is_turned_and_judged_as_ours(space: Callable[..., Space]) -> None:
    made = space(**{"model/vit": "defaults: [transformer]\nwidth: 96\n"})
    given = ["data=digits", "model=vit"]
    assert made.check(["model.depth=3"], given=given) == []
    (said,) = made.check(["model.width=20", "model.heads=8"], given=given)
    assert "model.heads must divide model.width" in said


def test_rules_that_are_not_of_the_network_hold_beside_one_of_the_persons(
    space: Callable[..., Space],
) -> None:
    (said,) = space().check(
        ["optimizer=sgd", "optimizer.momentum=0", "optimizer.nesterov=true"], given=["model=tiny"]
    )
    assert "optimizer.nesterov=true needs optimizer.momentum above 0" in said


def test_a_space_file_of_the_persons_lists_whole_keys_and_rules(space: Callable[..., Space]) -> None:
    own = """keys:
  model.args.width: {low: 8, high: 64}
  model.args.depth: [1, 2]
constraints:
  - {require: model.args.width * model.args.depth <= 64, say: It would not fit our chip}
"""
    made = space(
        **{"model/net": "defaults: [own]\ntarget: nets.Net\nargs: {width: 8, depth: 1}\n", "space": own}
    )
    given = ["data=digits", "model=net"]
    assert made.check(["model.args.width=32"], given=given) == []
    assert "to 64" in made.check(["model.args.width=65"], given=given)[0]
    # A rule of theirs is of their network.
    assert (
        "It would not fit our chip"
        in made.check(["model.args.width=64", "model.args.depth=2"], given=given)[0]
    )


@pytest.mark.parametrize(
    ("name", "text", "said"),
    [
        ("model/bad", "_target_: nets.Net\nspace: {width: [1]}\n", "names width, which has no value there"),
        ("model/bad", "_target_: nets.Net\nwidth: 3\nspace: {width: 7}\n", "space.width is no range"),
        ("model/bad", "_target_: nets.Net\nspace: [width]\n", "names arguments with their ranges"),
        ("model/bad", "_target_: nets.Net\nwide: 3\nspace: {wide: {low: 1}}\n", "int needs low and high"),
        ("model/cnn", "_target_: nets.Net\n", "has the name of an option that is there"),
        ("space", "groups: {}\n", "it takes keys and constraints"),
    ],
)
def test_what_is_wrong_in_a_folder_of_ones_own_is_named(
    space: Callable[..., Space], name: str, text: str, said: str
) -> None:
    with pytest.raises(Refusal, match=said) as refused:
        space(**{name: text})
    assert "options" in str(refused.value) or "space file" in str(refused.value)


def test_a_folder_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(Refusal, match=r"--config-dir=.*nowhere is no folder"):
        Space(CONF, CONF / "space.yaml", own=tmp_path / "nowhere")


def test_nothing_of_the_folder_is_imported_by_the_gate(space: Callable[..., Space]) -> None:
    space().check(["model.args.width=64"], given=["model=tiny"])
    assert not construct.is_trusted("nets.Tiny")
