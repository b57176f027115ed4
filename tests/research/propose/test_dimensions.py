"""A knob without effect is no part of a trial's name, is not drawn, and is said; test_idle_knobs trains."""

import random
from collections.abc import Callable
from functools import cache
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from research.compose.override import keys_of, override, scalar, values_of
from research.compose.trees import parsed, text_of
from research.metrics import rank
from research.propose.dimensions import Dimensions, typed
from research.propose.direct import Pattern, Random
from research.propose.idle import Idle
from research.propose.portfolio import Portfolio, Recipes
from research.propose.proposer import Proposer, Seen, State
from research.propose.sampler import Cmaes, Tpe
from research.space.domain import Scope, read
from research.space.gate import Space
from research.space.signature import INERT, signature
from research.space.vocabulary import narrowed
from research.types import Objective

CONF = Path(__file__).parents[3] / "conf"
SPACE = Space(CONF, CONF / "space.yaml")
GIVEN = (
    ("data=digits",),
    ("data=mnist1d",),
    ("data=mnist1d", "model=convnext"),
    ("data=pytext", "model=gpt"),
    ("data=mqar", "model=gru"),
    ("data=mnist1d", "scheduler=onecycle", "scheduler.warmup=0"),
    ("data=pytext", "model=gpt", "trainer.recompute=[blocks.*]"),
)


@cache
def offered(fixed: tuple[str, ...]) -> dict[str, Any]:
    """What an agent may turn where these are fixed."""
    return narrowed(SPACE, fixed)


@cache
def blind(fixed: tuple[str, ...]) -> dict[str, Any]:
    """The same as if every knob always acted."""
    whole = offered(fixed)
    return {**whole, "keys": {key: {**entry, "when": ""} for key, entry in whole["keys"].items()}}


ACTS: dict[str, Callable[[dict], bool]] = {
    "model.growth": lambda c: c["model"]["depth"] > 1,
    "model.readout": lambda c: c["data"]["task"] == "classification",
    "model.expansion": lambda c: c["model"].get("block") != "separable",
    "model.linear_share": lambda c: c["model"]["linear"] == "low_rank",
    "model.linear_blocks": lambda c: c["model"]["linear"] in ("grouped", "monarch"),
    "model.window": lambda c: "window" in c["model"]["pattern"],
    "model.shared_blocks": lambda c: c["model"]["sharing"] == "cycle",
    "model.delta_rank": lambda c: c["model"]["sharing"] == "relaxed",
    "scheduler.start": lambda c: c["scheduler"]["warmup"] > 0,
    "trainer.recompute_keep": lambda c: bool(c["trainer"]["recompute"]),
}
"""the conditions once more, in another language"""


def drawn(fixed: tuple[str, ...], seed: int) -> tuple[str, ...]:
    """Overrides with idle ones among them: half of the dimensions at random, the others as the control's."""
    rng = random.Random(seed)
    dimensions = Dimensions(blind(fixed), fixed)
    return typed(dimensions.walk(lambda one: one.draw(rng) if rng.random() < 0.5 else one.default))


def flat(tree: Any, path: str = "") -> dict[str, Any]:
    if not isinstance(tree, dict):
        return {path: tree}
    return {key: value for name, one in tree.items() for key, value in flat(one, f"{path}.{name}").items()}


def active(config: dict) -> dict[str, Any]:
    """The config without what has no effect, by `ACTS`."""
    idle = {f".{key}" for key, acts in ACTS.items() if f".{key}" in flat(config) and not acts(config)}
    return {key: value for key, value in flat(config).items() if key not in idle}


@pytest.mark.slow
@settings(max_examples=60, deadline=None)
@given(fixed=st.sampled_from(GIVEN), seed=st.integers(0, 10**6))
def test_dropping_idle_overrides_changes_no_signature(fixed: tuple[str, ...], seed: int) -> None:
    line = drawn(fixed, seed)
    config = SPACE.resolve([*fixed, *line])
    idle = SPACE.idle(config)
    kept = tuple(one for one in line if override(one).key not in idle)
    assert Idle(offered(fixed), values_of(fixed)).without(line) == kept
    assert SPACE.signature(SPACE.resolve([*fixed, *kept])) == SPACE.signature(config) == signature(config)


@pytest.mark.slow
@settings(max_examples=60, deadline=None)
@given(fixed=st.sampled_from(GIVEN), seed=st.integers(0, 10**6), turned=st.integers(0, 2))
def test_two_points_have_one_signature_exactly_when_what_acts_is_equal(
    fixed: tuple[str, ...], seed: int, turned: int
) -> None:
    rng, dimensions = random.Random(seed), Dimensions(blind(fixed), fixed)
    one = dimensions.read(drawn(fixed, seed))
    assert one is not None
    texts = {dimension.name: text for dimension, text in one}
    again = set(rng.sample(list(texts), min(turned, len(texts))))
    other = dimensions.walk(
        lambda each: each.draw(rng) if each.name in again else texts.get(each.name, each.default)
    )
    points = [SPACE.resolve([*fixed, *typed(line)]) for line in (one, other)]
    first, second = map(active, points)
    assert (SPACE.signature(points[0]) == SPACE.signature(points[1])) == (first == second)


def test_the_conditions_are_those_of_the_space_file() -> None:
    assert ACTS.keys() == SPACE.file.conditions.keys()


def test_a_value_out_of_range_stays_in_the_name_for_whoever_refuses_it() -> None:
    usual, wrong = (SPACE.resolve(["model.linear_blocks=2"]), SPACE.resolve(["model.linear_blocks=3"]))
    assert SPACE.signature(usual) == SPACE.signature(SPACE.resolve([])) != SPACE.signature(wrong)


OBJECTIVE = Objective(metric="train/energy_j", direction="min")


def outcome(overrides: tuple[str, ...]) -> Seen:
    """Joules that wander, so that the incumbent and its options change."""
    cost = random.Random(repr(sorted(overrides))).uniform(1, 2)
    return Seen(overrides=overrides, proposer="x", status="done", metrics={"train/energy_j": cost})


IDLE = {
    "digits": ("model.linear_blocks=2", "trainer.recompute_keep=matmuls", "optimizer.lr=0.004"),
    "mnist1d": ("model=transformer", "model.window=8", "model.linear_share=0.2", "optimizer.lr=0.004"),
    "pytext": ("model.delta_rank=8", "model.pattern=gated", "model.window=16", "optimizer.lr=0.004"),
}
"""what an agent may have found"""


def write_recipe(folder: Path, overrides: tuple[str, ...]) -> None:
    """One recipe with these overrides in a config folder."""
    tree: dict[str, Any] = {"defaults": []}
    for key, value in values_of(overrides).items():
        group, _, last = key.partition(".")
        if last:
            tree.setdefault(group, {})[last] = scalar(value)
        else:
            tree["defaults"].append({f"override /{key}": value})
    (folder / "experiment").mkdir()
    (folder / "experiment" / "found.yaml").write_text(yaml.safe_dump(tree))


def made(kind: str, fixed: tuple[str, ...], folder: Path) -> Proposer:
    vocabulary = offered(fixed)
    if kind == "pattern":
        return Pattern(vocabulary, fixed)
    if kind == "recipes":
        write_recipe(folder, IDLE[fixed[0][5:]])
        return Recipes(folder, vocabulary, fixed, lambda overrides: SPACE.check(overrides, given=fixed))
    if kind == "portfolio":
        known = [SimpleNamespace(task="cifar10", overrides=IDLE[fixed[0][5:]], value=1.0)]
        known.append(SimpleNamespace(task="cifar10", overrides=("model.dropout=0.1",), value=2.0))
        return Portfolio(SimpleNamespace(elsewhere=lambda objective, data: known), vocabulary, fixed)
    return {"random": Random, "tpe": Tpe, "cmaes": Cmaes}[kind](vocabulary, fixed, 0)


@pytest.mark.parametrize(
    "kind",
    ["random", "tpe", pytest.param("cmaes", marks=pytest.mark.slow), "pattern", "portfolio", "recipes"],
)
@pytest.mark.parametrize("fixed", [GIVEN[0], GIVEN[1], GIVEN[3]], ids=lambda fixed: fixed[0])
def test_no_proposer_draws_what_has_no_effect(kind: str, fixed: tuple[str, ...], tmp_path: Path) -> None:
    proposer, agents = made(kind, fixed, tmp_path), outcome(IDLE[fixed[0][5:]])
    control = outcome(())
    seen, best = [agents], agents
    for _ in range(16):
        now = State(goal="g", objective=OBJECTIVE, fixed=fixed, control=control, incumbent=best)
        proposal = proposer.ask(now.model_copy(update={"seen": tuple(seen)}))
        if proposal is None:
            break
        keys = keys_of(proposal.overrides)
        assert not keys & SPACE.idle(SPACE.resolve([*fixed, *proposal.overrides])).keys(), proposal.overrides
        seen.append(outcome(proposal.overrides))
        proposer.tell(proposal, seen[-1])
        best = min((best, seen[-1]), key=lambda one: rank(OBJECTIVE, one.metrics))
    assert len(seen) > 1


@pytest.mark.slow
def test_a_knob_is_drawn_once_it_acts() -> None:
    fixed, best = ("data=digits",), outcome(("model.linear=grouped", "model.width=64"))
    tpe, state = Tpe(offered(fixed), fixed, 0), None
    for number in range(60):
        control = outcome(())
        state = State(goal="g", objective=OBJECTIVE, fixed=fixed, control=control, incumbent=best)
        proposal = tpe.ask(state)
        assert proposal is not None
        if any(one.startswith("model.linear_blocks") for one in proposal.overrides):
            assert number > 5
            return
        tpe.tell(proposal, outcome(proposal.overrides))
    pytest.fail("model.linear_blocks was never turned beside model.linear=grouped")


def test_an_agents_idle_override_keeps_the_rest_of_its_result() -> None:
    fixed = ("data=digits",)
    dimensions = Dimensions(offered(fixed), fixed)
    drawn = dimensions.read(IDLE["digits"])
    assert drawn is not None and typed(drawn) == ("optimizer.lr=0.004",)
    now = State(goal="g", objective=OBJECTIVE, fixed=fixed, control=None, incumbent=None)
    first = Pattern(offered(fixed), fixed).ask(now)
    assert first is not None
    tried = outcome((*first.overrides, "model.linear_blocks=2"))
    second = Pattern(offered(fixed), fixed).ask(now.model_copy(update={"seen": (tried,)}))
    assert second is not None and second.overrides != first.overrides


@pytest.mark.parametrize("name", ["efficiency", "compression"])
def test_a_field_that_turns_only_one_of_two_knobs_knows_the_other(name: str) -> None:
    fixed = ("data=mnist1d",)
    field = Scope(read(parsed(text_of(CONF / "domain" / f"{name}.yaml"), CONF)))
    for net, acts in (("mobilenet", True), ("mobilenet_micro", False)):
        both = (*fixed, f"model={net}")
        vocabulary = field.narrowed(offered(fixed), both)
        assert "model.block" not in vocabulary["keys"]
        open_ = {one.key for one, _ in Dimensions(vocabulary, both).default()}
        assert ("model.expansion" in open_) == acts
        block = (*both, "model.block=" + ("separable" if acts else "inverted"))
        open_ = {one.key for one, _ in Dimensions(vocabulary, block).default()}
        assert ("model.expansion" in open_) != acts


def test_the_vocabulary_says_when_a_knob_acts() -> None:
    keys = offered(("data=digits",))["keys"]
    assert keys["model.linear_share"]["when"] == "model.linear == 'low_rank'"
    assert "when" not in keys["model.width"]


def test_two_inert_lists_do_not_hide_what_is_idle() -> None:
    config = SPACE.resolve(["model.linear_share=0.3"])
    assert signature(config, INERT, ()) != signature(config) == signature(SPACE.resolve([]))
