"""Pattern search shortens what costs in strides from the best so far, never twice the same, then silent."""

from pathlib import Path

import pytest

from campaign_lab import Lab, Scripted, energy, opened
from research.propose.direct import Pattern
from research.propose.proposer import Seen, State
from research.types import Objective

VOCABULARY = {
    "groups": {},
    "keys": {
        "budget.steps": {"type": "int", "low": 20, "high": 2000, "scale": "log", "default": 400},
        "model.width": {"type": "enum", "of": [16, 32, 48, 64, 128], "default": 64},
        "optimizer.lr": {"type": "float", "low": 1e-5, "high": 0.1, "scale": "log", "default": 0.001},
        "model.dropout": {"type": "float", "low": 0, "high": 0.5, "scale": "linear", "default": 0.0},
    },
}
for entry in VOCABULARY["keys"].values():
    entry |= {"group": None, "per": {}, "nullable": False}


def state(*seen: Seen, incumbent: tuple[str, ...] = (), objective: Objective | None = None) -> State:
    kept = {"train/energy_j": 9.0, "test/accuracy": 0.95, "val/accuracy": 0.95}
    best = Seen(overrides=incumbent, proposer="x", status="done", metrics=kept)
    asked = objective or energy(0.9)
    return State(goal="g", objective=asked, fixed=(), control=None, incumbent=best, seen=seen)


def asked(pattern: Pattern, now: State) -> list[tuple[str, ...]]:
    found = []
    while (proposal := pattern.ask(now)) is not None:
        found.append(proposal.overrides)
        assert len(found) < 100
    return found


def test_a_cost_shrinks_its_steps_first_by_every_stride_alone_and_with_a_higher_rate() -> None:
    moves = asked(Pattern(VOCABULARY, ()), state())
    assert moves[:4] == [
        ("budget.steps=100",),
        ("budget.steps=100", "optimizer.lr=0.004"),
        ("budget.steps=100", "optimizer.lr=0.016"),
        ("budget.steps=200",),
    ]
    assert all(move[0].startswith("budget.steps=") for move in moves) and len(moves) == 9
    assert not any("steps=1600" in line for move in moves for line in move)
    assert len(moves) == len(set(moves)), "width, dropout and rates alone are left to local search"


def test_what_misses_its_bound_trains_longer_and_never_shorter() -> None:
    """It shrank sizes while the incumbent missed its bound, and so went away from it."""
    now = state(objective=energy(0.99))
    assert asked(Pattern(VOCABULARY, ()), now) == [
        ("budget.steps=1600",),
        ("budget.steps=800",),
        ("budget.steps=560",),
    ]


def test_it_goes_on_from_the_best_so_far_with_the_longest_stride() -> None:
    pattern = Pattern(VOCABULARY, ())
    assert pattern.ask(state()).overrides == ("budget.steps=100",)
    assert pattern.ask(state(incumbent=("budget.steps=100",))).overrides == ("budget.steps=25",)


def test_what_anybody_tried_is_left_out() -> None:
    tried = Seen(overrides=("budget.steps=100",), proposer="tpe", status="failed")
    assert Pattern(VOCABULARY, ()).ask(state(tried)).overrides == ("budget.steps=100", "optimizer.lr=0.004")


def test_a_score_may_train_longer_or_shorter() -> None:
    moves = asked(Pattern(VOCABULARY, ()), state(objective=Objective(metric="val/accuracy", direction="max")))
    assert ("budget.steps=1600",) in moves and ("budget.steps=100",) in moves and len(moves) == 6


def test_nothing_to_move_is_silent() -> None:
    assert Pattern(VOCABULARY | {"keys": {}}, ()).ask(state()) is None


@pytest.mark.slow
@pytest.mark.parametrize("seed", [0, 1])
def test_it_finds_a_cheaper_training_in_a_few_turns(tmp_path: Path, seed: int) -> None:
    with opened(tmp_path) as lab:
        found = campaign(lab, seed)
    assert found.insights[-1].verdict.word == "supported"
    assert found.insights[-1].verdict.comparison.difference < -60  # percent of the control's joules


def campaign(lab: Lab, seed: int):
    charter = lab.charter(energy(0.9), seed=seed)
    charter = charter.model_copy(update={"shares": {"pattern": 1.0}})
    return lab.campaign(charter, [Pattern(lab.space.vocabulary(), charter.fixed), Scripted()])
