"""The portfolio: greedy on cases that can be checked by hand, and silent where memory does not help."""

import itertools
import random
from dataclasses import dataclass

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from campaign_lab import Lab, energy, opened
from research.propose.portfolio import Portfolio, normalised, pays, portfolio
from research.propose.proposer import Seen, State
from research.types import Objective

TABLES = st.dictionaries(
    st.sampled_from("tuvw"), st.dictionaries(st.sampled_from("abcdef"), st.floats(0, 1)), min_size=1
)


def reached(regrets: dict[str, dict[str, float]], chosen: list[str]) -> float:
    best = [min([1.0, *(known[one] for one in chosen if one in known)]) for known in regrets.values()]
    return sum(best) / len(best)


def test_the_second_complements_the_first_instead_of_resembling_it() -> None:
    regrets = {
        "t": {"both": 0.2, "twin": 0.21, "left": 0.0, "right": 1.0},
        "u": {"both": 0.2, "twin": 0.21, "left": 1.0, "right": 0.0},
    }
    assert portfolio(regrets, 3) == ["both", "left", "right"]
    assert portfolio(regrets, 9) == ["both", "left", "right", "twin"]


def test_what_a_task_has_not_seen_counts_as_its_worst_there() -> None:
    regrets = {"t": {"a": 0.0}, "u": {"b": 0.1, "c": 0.2}, "v": {"b": 0.1}}
    assert portfolio(regrets, 2) == ["b", "a"]


def test_nothing_known_is_no_portfolio() -> None:
    assert portfolio({}) == [] and portfolio({"t": {}}) == [] and pays({})


@settings(max_examples=40, deadline=None)
@given(regrets=TABLES)
def test_each_step_is_the_best_step_and_the_set_is_within_the_greedy_bound(
    regrets: dict[str, dict[str, float]],
) -> None:
    names = sorted({name for known in regrets.values() for name in known})
    chosen = portfolio(regrets, 3)
    assert len(chosen) == len(set(chosen)) == min(3, len(names))
    for size in range(1, len(chosen) + 1):
        steps = [reached(regrets, [*chosen[: size - 1], name]) for name in names]
        assert reached(regrets, chosen[:size]) <= min(steps) + 1e-12
    if chosen:
        best = min(reached(regrets, list(some)) for some in itertools.combinations(names, len(chosen)))
        assert 1 - reached(regrets, chosen) >= (1 - 1 / 2.718281828) * (1 - best) - 1e-12


def shared(tasks: int, signal: float, seed: int) -> dict[str, dict[str, float]]:
    """Tasks on which 30 configurations are alike by `signal`, and by lot otherwise."""
    lot = random.Random(seed)
    alike = {f"c{one}": lot.random() for one in range(30)}
    return {
        f"t{task}": {name: signal * value + (1 - signal) * lot.random() for name, value in alike.items()}
        for task in range(tasks)
    }


def test_a_memory_pays_where_tasks_are_alike_and_not_where_figures_are_dealt_by_lot() -> None:
    assert all(pays(shared(8, 0.8, seed)) for seed in range(5))
    assert sum(pays(shared(8, 0.0, seed)) for seed in range(20)) <= 4


def test_too_few_tasks_to_tell_are_trusted() -> None:
    assert pays(shared(3, 0.0, 0)) and pays({"t": {"a": 0.0}, "u": {"b": 0.0}})


def test_figures_become_regrets_of_their_own_task() -> None:
    high = Objective(metric="val/accuracy", direction="max")
    assert normalised({"t": {"a": 0.9, "b": 0.5, "c": 0.7}}, high)["t"] == pytest.approx(
        {"a": 0.0, "b": 1.0, "c": 0.5}
    )
    costs = {"t": {"a": 1.0, "b": 100.0, "c": 10.0, "d": float("nan"), "e": 0.0}, "u": {"a": 3.0}}
    assert normalised(costs, energy(None)) == {"t": pytest.approx({"a": 0.0, "b": 1.0, "c": 0.5})}


@dataclass
class Configured:
    task: str
    overrides: tuple[str, ...]
    value: float


@dataclass
class Remembered:
    rows: list[Configured]
    asked: tuple[str, str] = ("", "")

    def elsewhere(self, objective: Objective, data: str) -> list[Configured]:
        self.asked = (objective.metric, data)
        return self.rows


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory):
    with opened(tmp_path_factory.mktemp("lab")) as made:
        yield made


def handed(
    lab: Lab, memory: Remembered, *seen: Seen, fixed: tuple[str, ...] = ("data=digits",)
) -> list[tuple[str, ...]]:
    proposer = Portfolio(memory, lab.space.vocabulary(), fixed)
    objective = energy(None)
    state = State(goal="g", objective=objective, fixed=(), control=None, incumbent=None, seen=seen)
    found = []
    while (proposal := proposer.ask(state)) is not None:
        assert proposal.proposer == "portfolio"
        found.append(proposal.overrides)
    assert proposer.ask(state) is None
    return found


def test_it_hands_out_what_was_best_elsewhere_and_then_is_silent(lab: Lab) -> None:
    rows = [
        Configured("mnist", (f"model.width={width}",), float(width)) for width in (8, 16, 32, 64, 256, 512)
    ]
    memory = Remembered([*rows, Configured("mnist", ("model=gone", "model.width=8"), 0.1)])
    assert handed(lab, memory) == [(f"model.width={width}",) for width in (8, 16, 32, 64, 256)]
    assert memory.asked == ("train/energy_j", "digits")


def test_what_is_fixed_here_is_left_out_and_must_be_alike_there(lab: Lab) -> None:
    rows = [
        Configured("mnist", ("budget.steps=300", "model.width=8"), 1.0),
        Configured("mnist", ("budget.steps=600", "model.width=16"), 0.5),
        Configured("mnist", ("model.width=32",), 2.0),
    ]
    assert handed(lab, Remembered(rows), fixed=("data=digits", "budget.steps=300")) == [
        ("model.width=8",),
        ("model.width=32",),
    ]


def test_it_repeats_nothing_and_an_empty_memory_says_nothing(lab: Lab) -> None:
    rows = [Configured("mnist", ("model.width=8",), 1.0), Configured("mnist", ("model.width=16",), 2.0)]
    seen = Seen(overrides=("model.width=8",), proposer="tpe", status="done", metrics={"train/energy_j": 1.0})
    assert handed(lab, Remembered(rows), seen) == [("model.width=16",)]
    assert handed(lab, Remembered([])) == []


def test_a_memory_that_helps_nowhere_is_not_followed(lab: Lab) -> None:
    lot = random.Random(1)
    widths = range(8, 38)
    rows = [
        Configured(f"t{task}", (f"model.width={width}",), value)
        for task in range(8)
        for width, value in zip(widths, lot.sample([float(one) for one in widths], 30), strict=True)
    ]
    proposer = Portfolio(Remembered(rows), lab.space.vocabulary(), ("data=digits",))
    state = State(goal="g", objective=energy(None), fixed=(), control=None, incumbent=None)
    assert proposer.ask(state) is None and proposer.spent() == {"tasks": 8, "helps": False}


def test_other_tasks_are_asked_by_the_bound_as_it_was_asked(lab: Lab) -> None:
    """`control - 0.01` is 0.96 here: on a task whose control has 0.6 nothing would keep that."""
    asked = Objective(metric="train/energy_j", direction="max")
    memory = Remembered([])
    state = State(goal="g", objective=energy(0.96), asked=asked, fixed=(), control=None, incumbent=None)
    kept: list[Objective] = []
    memory.elsewhere = lambda objective, data: kept.append(objective) or []  # type: ignore[method-assign]
    assert Portfolio(memory, lab.space.vocabulary(), ("data=digits",)).ask(state) is None  # type: ignore[arg-type]
    assert kept == [asked]
