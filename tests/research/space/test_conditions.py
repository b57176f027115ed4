"""Constraints read keys of the config, apply where these exist, and can do nothing else."""

from pathlib import Path
from typing import Any

import pytest

from campaign_lab import Scripted, energy, opened
from cases import each
from refusal import Refusal
from research.compose.compose import Resolved
from research.compose.override import keys_of
from research.compose.trees import text_of
from research.propose.proposer import State, claim
from research.space.conditions import condition, constraint
from research.space.gate import Space
from research.space.knobs import load
from research.team.review import Facts, by_facts, shortened
from research.types import Objective, Proposal

CONFIG = {"model": {"width": 100, "heads": 7, "kind": "gpt", "sizes": [1, 2, 3], "none": None}, "seed": 0}
POINT = Resolved(CONFIG, {"model": "transformer", "callbacks": ("a", "b"), "optimizer": "lion_digits"})


@each(
    "kept",
    [
        "model.width == 100 and model.heads == 7",
        "model.width % model.heads == 2 or False",
        "1 < model.heads <= 7",
        "not model.width < 0",
        "model.kind in ['gpt', 'gru'] and model.kind not in ('mlp',)",
        "chosen(model) == 'transformer'",
        "'a' in chosen(callbacks) and family(model) == 'transformer' and family(optimizer) == 'lion'",
        "has(model.width) and not has(model.depth)",
        "len(model.sizes) == 3 and min(model.sizes) == 1 and max(2, model.heads) == 7 and abs(-1) == 1",
        "model.none == None",
        "model.sizes[0] == 1 and model.sizes[-1] == 3",
        "(model.width + 5) * 2 / 7 - 30 == 0 and model.width // 3 == 33",
    ],
)
def test_what_holds_is_no_complaint(kept: str) -> None:
    assert constraint({"require": kept, "say": "x"}).complaint(POINT) is None


def test_the_complaint_names_the_values() -> None:
    rule = constraint({"require": "model.width % model.heads == 0", "say": "heads must divide width."})
    assert rule.complaint(POINT) == "heads must divide width (here model.width=100, model.heads=7)."


def test_it_applies_where_its_keys_exist_and_when_it_says_so() -> None:
    absent = constraint({"require": "model.depth == 1", "say": "x"})
    elsewhere = constraint({"require": "model.width == 1", "when": "chosen(model) == 'mlp'", "say": "x"})
    here = constraint({"require": "model.width == 1", "when": "chosen(model) == 'transformer'", "say": "x"})
    assert absent.complaint(POINT) is None and elsewhere.complaint(POINT) is None
    assert here.complaint(POINT) is not None


@pytest.mark.parametrize(
    "undecided", ["model.width % 0 == 0", "model.none > 1", "model.kind < 1", "model.sizes[9] == 1"]
)
def test_what_cannot_be_judged_has_not_passed(undecided: str) -> None:
    assert constraint({"require": undecided, "say": "x"}).complaint(POINT) is not None


@each(
    "text",
    [
        "__import__('os').system('id')", "open('x')", "model.width ** 9", "[x for x in model.sizes]",
        "lambda: 1", "a := 1",
        "f'{seed}'", "(1).real", "len(*model.sizes)", "max(1, key=abs)", "has(1)", "1 +",
        "", "b'x'",
        "model.sizes[0:1]", "seed if seed else 1", "{1: 2}", "1 << 9999999999", "...",
    ],
)  # fmt: skip
def test_the_language_has_nothing_else(text: str) -> None:
    with pytest.raises(Refusal):
        constraint({"require": text, "say": "x"})


def test_an_entry_has_require_and_say() -> None:
    with pytest.raises(Refusal, match="require, say"):
        constraint({"require": "True"})
    with pytest.raises(Refusal, match="require, say"):
        constraint({"require": "True", "say": "x", "help": "y"})


CONF = Path(__file__).parents[3] / "conf"
OBJECTIVE = Objective(metric="train/energy_j", direction="min")


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("{a.x: {type: bool, when: a.y}, a.y: {type: bool}}", "write a.y above it"),
        ("{a.x: {type: bool, when: a.x}}", "write a.x above it"),
        ("{a.x: {type: bool, when: b.q}, a.y: {type: bool, when: a.x}}", "does not always act itself"),
        ("{a.x: {type: bool, when: '1 > 0'}}", "name a key"),
        ("{a.x: {type: bool, when: chosen(a) == 'b'}}", "which option was chosen"),
        ("{a.x: {type: bool, when: open(a)}}", "calls open"),
    ],
)
def test_a_condition_that_cannot_be_is_refused(tmp_path: Path, text: str, says: str) -> None:
    path = tmp_path / "space.yaml"
    path.write_text(f"{{root: r, groups: {{}}, keys: {text}}}")
    with pytest.raises(Refusal, match=says):
        load(path)


def test_a_condition_on_a_key_that_does_not_exist_is_refused(tmp_path: Path) -> None:
    text = text_of(CONF / "space.yaml").replace("when: model.linear ==", "when: model.linaer ==")
    (tmp_path / "space.yaml").write_text(text)
    with pytest.raises(Refusal, match=r"model\.linear_share act by model\.linaer"):
        Space(CONF, tmp_path / "space.yaml")


def test_what_is_not_known_acts() -> None:
    one = condition("a.b == 1 and a.c > 2")
    assert one.acts(Resolved({}, {})) and one.acts(Resolved({"a": {"b": 1}}, {}))
    assert not one.acts(Resolved({"a": {"b": 2}}, {})), "whatever a.c is"
    assert one.acts(Resolved({"a": {"b": 1, "c": "x"}}, {})), "what cannot be judged is not taken for equal"


MORE = {
    "model/mlp.yaml": "width: 128\nlinear: dense\nblocks: 4\n",
    "space.yaml": """root: train
groups: {optimizer: {}}
keys:
  model.width: {type: int, low: 4, high: 512, scale: log}
  model.linear: {type: enum, of: [dense, grouped]}
  model.blocks: {type: enum, of: [2, 4, 8], when: model.linear == 'grouped'}
inert: [store, root, callbacks.halving]
""",
}


@pytest.fixture
def lab(tmp_path: Path):
    with opened(tmp_path) as made:
        for name, content in MORE.items():
            (made.folder / "conf" / name).write_text(content)
        made.space = Space(made.folder / "conf", made.folder / "conf" / "space.yaml")
        yield made


@pytest.mark.slow
def test_the_gate_takes_an_idle_override_says_so_and_runs_it_once(lab: Any) -> None:
    lines = (
        "model.width=64 model.blocks=2",
        "model.width=64 model.blocks=8",
        "model.width=64",
        "model.blocks=2",
    )
    scripted = Scripted(*lines)
    found = lab.campaign(lab.charter(energy(None)), [scripted])
    status = {" ".join(one.overrides): one.status for one in scripted.told}
    assert status == dict(zip(lines, ("done", "repeat", "repeat", "repeat"), strict=True))
    (first, *_) = [row["content"]["facts"] for row in found.reviews]
    assert first["idle"] == ["model.blocks has no effect with model.linear=dense"]


def test_a_stand_in_does_not_improve_by_leaving_something_without_effect(lab: Any) -> None:
    state = State(goal="g", objective=OBJECTIVE, fixed=(), control=None, incumbent=None)
    overrides = ("model.linear=grouped", "model.blocks=2", "model.width=64", "optimizer=lion", "seed=1")
    proposal = claim(overrides, state, "x")

    def facts(one: Proposal) -> Facts:
        given = keys_of(one.overrides)
        told = lab.space.idle(lab.space.resolve(one.overrides))
        idle = tuple(said for key, said in told.items() if key in given)
        return Facts(cost_ratio=2.0 ** len(one.overrides), idle=idle)

    better = shortened(proposal, by_facts(proposal, facts(proposal)), facts)
    assert better is not None and "model.linear=grouped" in better.proposal.overrides
