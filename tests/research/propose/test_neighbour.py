"""Local search takes one step of one thing from the best so far, by lot, never twice, then from the next."""

import random

from hypothesis import given
from hypothesis import strategies as st

from research.compose.override import values_of
from research.propose.dimensions import Dimensions
from research.propose.direct import STEPS, Neighbour, neighbours
from research.propose.proposer import Seen, State
from research.types import Objective

VOCABULARY = {
    "groups": {"optimizer": {"options": ["adam", "lion"], "default": "adam"}},
    "keys": {
        "budget.steps": {"type": "int", "low": 16, "high": 4096, "scale": "log", "default": 256},
        "model.depth": {"type": "int", "low": 1, "high": 3, "scale": "linear", "default": 2},
        "model.width": {"type": "enum", "of": [16, 32, 64], "default": 16},
        "model.act": {"type": "enum", "of": ["relu", "tanh", "gelu"], "default": "relu"},
    },
}
for entry in VOCABULARY["keys"].values():
    entry |= {"group": None, "per": {}, "nullable": False}

ONE_STEP = {
    ("optimizer=lion",),
    *((f"budget.steps={steps}",) for steps in (512, 128, 362, 181, 304, 215)),
    ("model.depth=1",),
    ("model.depth=3",),
    ("model.width=32",),
    ("model.act=tanh",),
    ("model.act=gelu",),
}
"""a stride is an eighth, a sixteenth, a thirty-second of eight doublings; width has one neighbour"""


def state(*seen: Seen, incumbent: tuple[str, ...] = ()) -> State:
    best = Seen(overrides=incumbent, proposer="x", status="done")
    asked = Objective(metric="val/accuracy", direction="max")
    return State(goal="g", objective=asked, fixed=(), control=None, incumbent=best, seen=seen)


def asked(source: Neighbour, now: State) -> list[tuple[str, ...]]:
    found = []
    while (proposal := source.ask(now)) is not None:
        found.append(proposal.overrides)
        assert len(found) < 100
    return found


def test_every_step_of_everything_once_then_silence() -> None:
    steps = asked(Neighbour(VOCABULARY, (), 0), state())
    assert set(steps) == ONE_STEP and len(steps) == len(ONE_STEP)
    assert {"budget.steps=512", "budget.steps=128"} <= {line for step in steps[:8] for line in step}


def test_the_order_is_by_lot_and_repeats() -> None:
    orders = [tuple(asked(Neighbour(VOCABULARY, (), seed), state())) for seed in (0, 0, 1)]
    assert orders[0] == orders[1] != orders[2]


def test_what_anybody_tried_is_left_out_and_what_is_fixed_stays() -> None:
    tried = Seen(overrides=("model.act=tanh",), proposer="tpe", status="failed")
    steps = asked(Neighbour(VOCABULARY, ("optimizer=lion",), 0), state(tried))
    assert set(steps) == ONE_STEP - {("model.act=tanh",), ("optimizer=lion",)}


@given(seed=st.integers(0, 99))
def test_from_any_place_a_step_turns_one_thing(seed: int) -> None:
    lot, dimensions = random.Random(seed), Dimensions(VOCABULARY, ())
    here = dimensions.walk(lambda axis: axis.draw(lot))
    now = dict(here)
    for moved in neighbours(dimensions, here, lot):
        turned = [axis for axis, text in moved if now[axis] != text]
        assert len(turned) == 1 and all(axis.holds(text) for axis, text in moved)
        if not turned[0].values:
            place = abs(turned[0].place(dict(moved)[turned[0]]) - turned[0].place(now[turned[0]]))
            assert place <= max(STEPS[0] + 0.01, 0.5), "a whole number goes by one, of two here"


def test_where_the_best_has_no_step_left_the_next_best_has() -> None:
    def told(line: str, accuracy: float) -> Seen:
        overrides = tuple(line.split())
        return Seen(overrides=overrides, proposer="x", status="done", metrics={"val/accuracy": accuracy})

    best, others = told("", 0.9), [told("model.act=tanh", 0.8), told("model.act=tanh model.depth=1", 0.7)]
    now = state(*others).model_copy(update={"incumbent": best, "control": best})
    steps = asked(Neighbour(VOCABULARY, ("budget.steps=256",), 0), now)
    kept = [values_of(step).get("model.act") for step in steps]
    first = len(ONE_STEP) - 6 - 1
    assert "tanh" not in kept[:first] and kept[first] == "tanh" and len(set(steps)) == len(steps)
    assert not {()} & set(steps) and len(steps) > first


def test_it_goes_on_from_the_incumbent() -> None:
    source = Neighbour(VOCABULARY, (), 0)
    proposal = source.ask(state(incumbent=("model.act=tanh", "budget.steps=1000")))
    assert proposal is not None
    turned = values_of(proposal.overrides)
    kept = {"model.act": "tanh", "budget.steps": "1000"}
    changed = {key for key in {*kept, *turned} if kept.get(key) != turned.get(key)}
    assert len(changed) == 1
