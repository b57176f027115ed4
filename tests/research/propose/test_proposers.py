"""Proposers: what they draw passes the gate, repeats by its seed, and holds what a sampler can say."""

import math
import random
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from research.compose.override import values_of
from research.propose.dimensions import Dimensions, typed
from research.propose.direct import Neighbour, Random, Uniform
from research.propose.forest import Forest
from research.propose.portfolio import Recipes, plain
from research.propose.proposer import Proposer, Seen, State
from research.propose.sampler import Tpe
from research.space.gate import Space
from research.types import Objective, Proposal

GATE = Path(__file__).parents[2] / "gate"
FIXED = ("data=digits", "seed=0", "name=x", "scheduler=cosine", "scheduler.warmup=0")


@pytest.fixture(scope="module")
def space() -> Space:
    return Space(GATE / "conf", GATE / "space.yaml")


@pytest.fixture(scope="module")
def vocabulary(space: Space) -> dict:
    return space.vocabulary()


def state(control: float = 9.0, fixed: tuple[str, ...] = FIXED) -> State:
    objective = Objective(metric="cost", direction="min", constraints=())
    seen = Seen(overrides=(), proposer="control", status="done", metrics={"cost": control})
    return State(goal="less cost", objective=objective, fixed=fixed, control=seen, incumbent=seen)


@settings(max_examples=120, deadline=None)
@given(seed=st.integers(0, 10_000))
def test_a_draw_is_accepted_by_the_gate_and_reads_back(space: Space, vocabulary: dict, seed: int) -> None:
    dimensions = Dimensions(vocabulary, FIXED)
    overrides = typed(dimensions.vary(random.Random(seed)))
    complaints = space.check(list(overrides), given=[one for one in FIXED if not one.startswith("name")])
    assert all("must divide" in one or "8 GiB" in one for one in complaints)
    read = dimensions.read(overrides)
    assert read is not None and typed(read) == overrides


def test_defaults_are_not_spelled_out_and_fixed_keys_are_not_turned(vocabulary: dict) -> None:
    dimensions = Dimensions(vocabulary, FIXED)
    assert typed(dimensions.default()) == ()
    names = {one.key for one, _ in dimensions.default()}
    assert not names & {"data", "seed", "scheduler", "scheduler.warmup"} and "optimizer.lr" in names


def test_a_key_exists_only_under_the_options_that_have_it(vocabulary: dict) -> None:
    dimensions = Dimensions(vocabulary, FIXED)
    drawn = dimensions.walk(lambda one: "transformer" if one.key == "model" else one.default)
    assert {one.name for one, _ in drawn} >= {"model.heads @transformer", "model.width @transformer"}
    assert "model.heads @mlp" not in {one.name for one, _ in dimensions.default()}


def test_a_key_that_may_be_null_is_turned_off_and_on(vocabulary: dict) -> None:
    dimensions = Dimensions(vocabulary, FIXED)
    on = dimensions.walk(lambda one: "on" if one.toggle else one.default)
    clip = [one for one in typed(on) if one.startswith("trainer.gradient_clip_val=")]
    assert len(clip) == 1 and clip[0] != "trainer.gradient_clip_val=null"
    assert dimensions.read(("trainer.gradient_clip_val=null",)) is not None


@pytest.mark.parametrize("foreign", ["model.width=99999", "model=resnet", "nobody.knows=1", "optimizer.lr=x"])
def test_what_a_sampler_could_not_draw_is_not_told_to_it(vocabulary: dict, foreign: str) -> None:
    assert Dimensions(vocabulary, FIXED).read((foreign,)) is None


def test_uniform_turns_every_dimension_and_random_a_few_of_many(vocabulary: dict) -> None:
    def turned(kind: type) -> list[int]:
        dimensions = Dimensions(vocabulary, FIXED)
        drawn = [dimensions.read(kind(vocabulary, FIXED, seed).ask(state()).overrides) for seed in range(30)]
        usual = {axis.name: text for axis, text in dimensions.default()}
        return [sum(usual.get(axis.name) not in (None, text) for axis, text in draw) for draw in drawn]

    assert max(turned(Random)) <= 4 < sum(turned(Uniform)) / 30


@pytest.mark.parametrize("kind", [Random, Uniform, Tpe])
def test_the_same_seed_proposes_the_same(kind: type, vocabulary: dict) -> None:
    def lines(seed: int) -> list[tuple[str, ...]]:
        return [proposal.overrides for proposal, _ in searched(kind(vocabulary, FIXED, seed), 12)]

    assert lines(3) == lines(3) != lines(4)


def bowl(overrides: tuple[str, ...]) -> float:
    """A cost with its minimum of 0 at lr=1e-2 and width=16; other knobs do not matter."""
    values = values_of(overrides)
    lr, width = float(values.get("optimizer.lr", 1e-5)), float(values.get("model.width", 1024))
    return (math.log10(lr) + 2) ** 2 + math.log2(width / 16) ** 2 / 4


def searched(proposer: Proposer, turns: int) -> list[tuple[Proposal, float]]:
    found: list[tuple[Proposal, float]] = []
    now = state(bowl(()))
    for _ in range(turns):
        proposal = proposer.ask(now)
        assert proposal is not None and proposal.proposer == proposer.name
        cost = bowl(proposal.overrides)
        seen = Seen(overrides=proposal.overrides, proposer="x", status="done", metrics={"cost": cost})
        proposer.tell(proposal, seen)
        found.append((proposal, cost))
        if cost < now.incumbent.metrics["cost"]:
            now = now.model_copy(update={"incumbent": seen})
    return found


def test_tpe_ignores_what_it_cannot_say(vocabulary: dict) -> None:
    tpe = Tpe(vocabulary, FIXED, 0)
    tpe.ask(state())
    foreign = Proposal(hypothesis="h", overrides=("optimizer.betas=[0.8,0.9]",))
    tpe.tell(foreign, Seen(overrides=foreign.overrides, proposer="llm", status="done", metrics={"cost": 0.0}))
    assert tpe.ask(state()) is not None


def test_nothing_left_to_turn_ends_the_sampler() -> None:
    empty = {"groups": {}, "keys": {}}
    assert Random(empty, (), 0).ask(state()) is None
    assert Tpe(empty, (), 0).ask(state()) is None


def test_recipes_that_fit_are_written_out_as_plain_overrides(tmp_path: Path, vocabulary: dict) -> None:
    folder = tmp_path / "experiment"
    folder.mkdir()
    (folder / "none.yaml").write_text("# @package _global_\n")
    (folder / "lion.yaml").write_text(
        "# @package _global_\ndefaults:\n  - override /optimizer: lion\nquestion: does lion help?\nseed: 3\n"
        "trainer: {precision: bf16-mixed, gradient_clip_val: null}\n"
    )
    (folder / "other.yaml").write_text("defaults:\n  - override /data: mnist\n  - override /model: cnn\n")
    assert plain(folder / "lion.yaml") == {
        "optimizer": "lion",
        "trainer.precision": "bf16-mixed",
        "trainer.gradient_clip_val": "null",
    }
    recipes = Recipes(tmp_path, vocabulary, ("data=digits",), lambda overrides: ())
    proposal = recipes.ask(state())
    assert proposal.overrides == (
        "optimizer=lion",
        "trainer.precision=bf16-mixed",
        "trainer.gradient_clip_val=null",
    )
    assert recipes.ask(state()) is None
    assert Recipes(tmp_path, vocabulary, ("data=mnist", "optimizer=lion"), lambda overrides: ()).ask(
        state()
    ).overrides == (
        "trainer.precision=bf16-mixed",
        "trainer.gradient_clip_val=null",
    )
    closed = Recipes(
        tmp_path, vocabulary, ("data=digits",), lambda overrides: [f"{overrides[0]} may not be turned"]
    )
    assert closed.ask(state()) is None


def test_a_recipe_trains_as_long_as_the_stopped_control_unless_it_says(
    tmp_path: Path, vocabulary: dict
) -> None:
    folder = tmp_path / "experiment"
    folder.mkdir()
    (folder / "a.yaml").write_text("defaults:\n  - override /optimizer: lion\n")
    (folder / "b.yaml").write_text("defaults:\n  - override /optimizer: lion\nbudget: {steps: 40}\n")
    held = Seen(overrides=("budget.steps=90",), proposer="control", status="done", metrics={"cost": 3.0})
    beside = state().model_copy(update={"stopped": held})
    recipes = Recipes(tmp_path, vocabulary, ("data=digits",), lambda overrides: ())
    found = [recipes.ask(beside).overrides for _ in range(2)]
    assert found == [("optimizer=lion", "budget.steps=90"), ("optimizer=lion", "budget.steps=40")]


def test_draws_stand_beside_the_stopped_control_where_there_is_one(vocabulary: dict) -> None:
    """With the control's own length no other change is cheaper, so the rest is as that one has it."""
    width = next(one for one, _ in Dimensions(vocabulary, FIXED).default() if one.is_size)
    held = f"{width.key}={width.text(width.low)}"
    stopped = Seen(overrides=(held,), proposer="control", status="done", metrics={"cost": 3.0})
    proposer = Random(vocabulary, FIXED, 0)
    beside = state().model_copy(update={"stopped": stopped})
    drawn = [proposal.overrides for _ in range(40) if (proposal := proposer.ask(beside))]
    own = [overrides for overrides in drawn if held in overrides]
    other = [overrides for overrides in drawn if any(one.startswith("model=") for one in overrides)]
    assert len(own) >= 0.5 * (len(drawn) - len(other)) > 0
    plain = Random(vocabulary, FIXED, 0)
    assert not [one for _ in range(10) if (one := plain.ask(state())) and held in one.overrides]


def test_a_target_in_words_goes_with_every_draw_from_where_it_stands(vocabulary: dict) -> None:
    words = {**vocabulary["keys"], "budget.target": {"type": "text", "group": None, "per": {}}}
    told = {**vocabulary, "keys": words}
    aimed = "budget.target='val/accuracy>=0.9'"
    dimensions = Dimensions(told, FIXED)
    assert dimensions.read((aimed,)) == dimensions.default() and dimensions.carried((aimed,)) == (aimed,)
    stopped = Seen(overrides=(aimed,), proposer="control", status="done", metrics={"cost": 3.0})
    beside = state().model_copy(update={"stopped": stopped, "incumbent": stopped})
    for proposer in (
        Random(told, FIXED, 0),
        Tpe(told, FIXED, 0),
        Neighbour(told, FIXED, 0),
        Forest(told, FIXED, 0),
    ):
        asked = 0
        while asked < 14 and (proposal := proposer.ask(beside)):
            asked += 1
            assert aimed in proposal.overrides and len(proposal.overrides) > 1
            seen = Seen(overrides=proposal.overrides, proposer="x", status="done", metrics={"cost": 5.0})
            proposer.tell(proposal, seen)
        assert asked
