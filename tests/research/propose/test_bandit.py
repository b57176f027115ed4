"""The bandit: shares without evidence, floors and the model's cap with any evidence, and the same again."""

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from campaign_lab import energy
from refusal import Refusal
from research.propose.bandit import CAP, FLOOR, NOTHING, OPENING, Asked, Bandit, gain
from research.propose.proposer import Proposer, Seen, State
from research.types import Constraint, Objective, Proposal


class Named(Proposer):
    """A source by its name alone."""

    def __init__(self, name: str, first: bool = False) -> None:
        self.name, self.first = name, first

    def ask(self, state: State) -> Proposal | None:
        return None

    def tell(self, proposal: Proposal, seen: Seen) -> None:
        pass


def bandit(shares: dict[str, float], seed: int = 0, first: str = "") -> Bandit:
    return Bandit([Named(name, name == first) for name in shares], shares, seed=seed)


SHARES = st.lists(st.floats(0.05, 1.0), min_size=1, max_size=4).map(
    lambda given: dict(zip("abcd", given, strict=False))
)


def dealt(seed: int) -> list[tuple[float, float]]:
    """Forty turns' gains and joules with every kind of figure: none, tiny, usual, huge, not measured."""
    lot = random.Random(seed)
    gains, joules = (0.0, 5e-324, 1e-12, 0.01, 0.3, 1.0), (0.0, 5e-324, 1e-3, 7.0, 1e6, float("nan"))
    kept = lot.sample(range(6), 3)
    return [(gains[lot.choice(kept)], joules[lot.choice(kept)]) for _ in range(40)]


OUTCOMES = st.integers(0, 10**6).map(dealt)


def played(one: Bandit, outcomes: list[tuple[float, float]]) -> list[str]:
    names = []
    for brought, joules in outcomes:
        names.append(one.next().name)
        one.learn(names[-1], brought, joules)
    return names


@settings(max_examples=30, deadline=None)
@given(shares=SHARES, turns=st.integers(1, 60))
def test_without_any_gain_the_turns_follow_the_shares_within_one(
    shares: dict[str, float], turns: int
) -> None:
    one = bandit(shares)
    for _ in range(turns):
        one.learn(one.next().name, 0.0, 3.0)
    for name, share in shares.items():
        assert abs(one.taken[name] - share / sum(shares.values()) * turns) < 1.0 + 1e-6


@settings(max_examples=20, deadline=None)
@given(shares=SHARES, outcomes=OUTCOMES, seed=st.integers(0, 99))
def test_nobody_starves_whatever_comes_of_it(
    shares: dict[str, float], outcomes: list[tuple[float, float]], seed: int
) -> None:
    one = bandit(shares, seed)
    names = played(one, outcomes)
    for name, share in shares.items():
        part = share / sum(shares.values())
        assert names.count(name) > FLOOR * part * len(names) - 2
        assert one.parts()[name] >= FLOOR * part - 1e-9
    assert sum(one.parts().values()) == pytest.approx(1.0)


@settings(max_examples=20, deadline=None)
@given(outcomes=OUTCOMES, share=st.floats(0.05, 5.0), seed=st.integers(0, 99))
def test_the_model_stays_below_its_cap_until_it_has_earned_more(
    outcomes: list[tuple[float, float]], share: float, seed: int
) -> None:
    one = bandit({"llm": share, "tpe": 0.5, "random": 0.1}, seed)
    for turn, (brought, joules) in enumerate(outcomes, 1):
        name = one.next().name
        one.learn(name, 0.0 if name == "llm" else 0.01 + brought, joules)
        assert one.taken["llm"] <= CAP * turn + 1e-9


def test_a_model_that_brings_more_per_joule_passes_its_cap() -> None:
    one = bandit({"llm": 0.6, "tpe": 0.6})
    for _ in range(60):
        name = one.next().name
        one.learn(name, 0.5 if name == "llm" else 0.01, 10.0)
    assert one.taken["llm"] > 0.5 * 60 and one.taken["tpe"] >= FLOOR * 0.5 * 60 - 2


def test_gain_per_joule_decides_and_not_gain() -> None:
    one = bandit({"dear": 0.5, "cheap": 0.5})
    for _ in range(60):
        name = one.next().name
        one.learn(name, *((0.2, 50.0) if name == "dear" else (0.1, 5.0)))
    assert one.taken["cheap"] > 1.3 * one.taken["dear"]
    facts = one.facts()
    assert facts["dear"]["joules"] == 50.0 * one.taken["dear"] and facts["cheap"]["part"] > 0.55


def paying(joules: float, unknown: int = 0, measured: float = 5.0) -> Bandit:
    """Sixty turns that bring alike and cost alike, but that the model's questions come on top."""
    one = bandit({"llm": 0.3, "tpe": 0.7})
    for _ in range(60):
        name = one.next().name
        one.learn(name, 0.1, measured)
        one.pay(name, Asked(joules=joules, unknown=unknown) if name == "llm" else NOTHING)
    return one


def test_questions_of_the_model_are_not_free() -> None:
    free, dear = paying(0.0), paying(50.0)
    assert dear.taken["llm"] < free.taken["llm"] and dear.parts()["llm"] < 0.7 * free.parts()["llm"]
    told = dear.facts()["llm"]
    assert told["asked"] == 50.0 * dear.taken["llm"] and told["joules"] == 55.0 * dear.taken["llm"]
    assert dear.facts()["tpe"]["asked"] == 0.0


def test_unknown_joules_are_told_and_cost_nothing() -> None:
    one = paying(0.0, unknown=3)
    assert one.parts() == paying(0.0).parts()
    assert one.facts()["llm"]["unknown"] == 3 * one.taken["llm"] and one.facts()["llm"]["asked"] == 0.0


def test_where_trials_are_not_measured_turns_are_compared_and_not_joules() -> None:
    one = paying(50.0, measured=float("nan"))
    assert one.parts() == paying(0.0, measured=float("nan")).parts()
    assert one.facts()["llm"]["asked"] == 50.0 * one.taken["llm"]


def test_what_nobody_here_has_asked_is_nobodys() -> None:
    one = bandit({"tpe": 1.0})
    one.pay("llm", Asked(joules=9.0))
    assert one.facts()["tpe"]["joules"] == 0.0


@settings(max_examples=10, deadline=None)
@given(outcomes=OUTCOMES, seed=st.integers(0, 99))
def test_the_same_seed_shares_the_same(outcomes: list[tuple[float, float]], seed: int) -> None:
    shares = {"a": 0.3, "b": 0.3, "llm": 0.4}
    assert played(bandit(shares, seed), outcomes) == played(bandit(shares, seed), outcomes)


def test_seeds_break_ties_differently() -> None:
    shares = dict.fromkeys("abcd", 0.25)
    assert len({bandit(shares, seed).next().name for seed in range(20)}) > 1


def test_a_short_list_goes_first_and_then_shares() -> None:
    one = bandit({"tpe": 0.8, "recipes": 0.2}, first="recipes")
    names = [one.next().name for _ in range(OPENING + 10)]
    assert names[:OPENING] == ["recipes"] * OPENING and names[OPENING:].count("recipes") == 2


def test_who_leaves_gives_its_turns_to_the_others() -> None:
    one = bandit({"a": 0.9, "b": 0.1})
    one.leave(one.next())
    assert {one.next().name for _ in range(5)} == {"b"} and one.taken == {"a": 0, "b": 5}
    one.leave(one.next())
    assert one.next() is None and one.facts()["b"]["part"] == 0.0


def test_who_has_nothing_new_rests_until_something_better_is_found() -> None:
    one = bandit({"a": 0.9, "b": 0.1})
    one.rest(one.next())
    one.learn("b", 0.0, 1.0)
    assert {one.next().name for _ in range(5)} == {"b"}
    one.learn("b", 0.2, 1.0)
    assert "a" in {one.next().name for _ in range(3)}


def test_what_coming_turns_promise_falls_while_nothing_is_gained() -> None:
    one = bandit({"a": 1.0})
    promises = []
    for turn in range(60):
        promises.append(one.promise)
        one.next()
        one.learn("a", 0.5 if turn < 10 else 0.0, 2.0)
    assert promises[:12] == [None] * 12
    # Of the gains of ten turns 0.85 is left with each later one, beside as many turns as fade alike.
    gained = sum(0.85 ** (58 - turn) for turn in range(10))
    turns = sum(0.85 ** (58 - turn) for turn in range(59))
    assert promises[-1] == pytest.approx(gained / turns * 59 / 10)
    assert promises[12] > 0.5 and promises[12] > promises[30] > promises[-1]


def test_a_model_alone_has_all_turns() -> None:
    one = bandit({"llm": 0.3, "tpe": 0.7})
    names = {one.next() for _ in range(3)}
    one.leave(next(source for source in names if source.name == "tpe"))
    assert {one.next().name for _ in range(5)} == {"llm"}


@pytest.mark.parametrize("shares", [{}, {"a": 0.0}, {"a": -1.0}, {"a": float("nan")}, {"a": float("inf")}])
def test_shares_that_give_nobody_a_turn_are_refused(shares: dict[str, float]) -> None:
    with pytest.raises(Refusal, match="turn"):
        Bandit([Named("a")], shares)


def after(
    objective: Objective, before: dict[str, float], now: dict[str, float], status: str = "done"
) -> float:
    control = Seen(overrides=(), proposer="control", status="done", metrics=before)
    state = State(goal="g", objective=objective, fixed=(), control=control, incumbent=control)
    return gain(state, Seen(overrides=("a=1",), proposer="x", status=status, metrics=now))


def test_a_gain_is_relative_for_costs_and_bounds_come_first() -> None:
    cost = energy(None)
    halved = after(cost, {"train/energy_j": 8.0}, {"train/energy_j": 4.0})
    assert (
        halved
        == after(cost, {"train/energy_j": 2.0}, {"train/energy_j": 1.0})
        == pytest.approx(0.693, abs=1e-3)
    )
    assert after(cost, {"train/energy_j": 8.0}, {"train/energy_j": 9.0}) == 0.0
    assert after(cost, {"train/energy_j": 8.0}, {}, "failed") == 0.0
    bounded = energy(0.9).model_copy(
        update={"constraints": (Constraint(metric="val/accuracy", op=">=", bound=0.9),)}
    )
    low, high = {"train/energy_j": 8.0, "val/accuracy": 0.45}, {"train/energy_j": 9.0, "val/accuracy": 0.72}
    assert after(bounded, low, high) == pytest.approx(0.3)
    assert after(bounded, low, high | {"val/accuracy": 0.95}) == 1.0
    assert after(bounded, high | {"val/accuracy": 0.95}, low) == 0.0


def test_a_gain_in_a_score_is_a_share_of_what_was_gained() -> None:
    objective = Objective(metric="val/accuracy", direction="max")
    control = Seen(overrides=(), proposer="control", status="done", metrics={"val/accuracy": 0.8})
    best = control.model_copy(update={"metrics": {"val/accuracy": 0.9}})
    state = State(goal="g", objective=objective, fixed=(), control=control, incumbent=best)
    seen = Seen(overrides=("a=1",), proposer="x", status="done", metrics={"val/accuracy": 0.95})
    assert gain(state, seen) == pytest.approx(1 / 3)
    assert gain(state.model_copy(update={"incumbent": None}), seen) == 0.0


@pytest.mark.slow
@given(SHARES, OUTCOMES, st.integers(0, 9))
def test_who_is_due_has_the_next_turn_and_looking_takes_none(
    shares: dict[str, float], outcomes: list[tuple[float, float]], seed: int
) -> None:
    looked, other = bandit(shares, seed), bandit(shares, seed)
    for made, joules in outcomes:
        due, before = looked.due(), looked.facts()
        assert looked.due() is due and looked.facts() == before
        taken, alike = looked.next(), other.next()
        assert due is taken and taken is not None and alike is not None and taken.name == alike.name
        for one in (looked, other):
            one.learn(taken.name, made, joules)
