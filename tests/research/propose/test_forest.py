"""The forest's trees fit what they are told, and it proposes what they expect most of within the bounds."""

import math
import random
from collections.abc import Iterator

import numpy as np
import pytest

from research.compose.override import values_of
from research.memory.memory import Configured
from research.propose.direct import Random
from research.propose.forest import START, Forest
from research.propose.proposer import Proposer, Seen, State
from research.propose.trees import grown
from research.types import Constraint, Objective

KEYS = {
    f"model.knob_{place}": {"type": "float", "low": 0, "high": 1, "scale": "linear"} for place in range(4)
}
VOCABULARY = {"groups": {}, "keys": KEYS}
for knob in KEYS.values():
    knob |= {"group": None, "per": {}, "nullable": False, "default": 0.5}


def test_a_tree_without_doubt_gives_back_its_own_points() -> None:
    points = np.arange(20.0)[:, None]
    trees = grown(points, np.sqrt(points), 40, seed=0)
    told = trees.predict(points)[:, :, 0]
    assert told.shape == (40, 20)
    # A bootstrap sample holds a point with a chance of 1 - 1/e; a tree that has it gives its very value.
    exact = np.isclose(told, np.sqrt(points[:, 0])).mean()
    assert 0.55 < exact < 0.75
    assert np.abs(told.mean(axis=0) - np.sqrt(points[:, 0])).max() < 0.5


@pytest.mark.slow
def test_trees_are_as_good_as_scikit_learns() -> None:
    from sklearn.ensemble import ExtraTreesRegressor

    rng = np.random.default_rng(0)
    points, new = rng.random((150, 6)), rng.random((300, 6))

    def truth(at: np.ndarray) -> np.ndarray:
        return np.stack([np.sin(4 * at[:, 0]) + 3 * at[:, 1] * at[:, 2], at[:, 3]], axis=1)

    peer = ExtraTreesRegressor(30, bootstrap=True, max_features=0.7, random_state=0).fit(
        points, truth(points)
    )
    own = grown(points, truth(points), 30, seed=0).predict(new).mean(axis=0)
    errors = [((told - truth(new)) ** 2).mean() for told in (own, peer.predict(new))]
    assert errors[0] < 1.15 * errors[1]


def test_neighbouring_floats_are_told_apart() -> None:
    low = 0.56041375
    points = np.array([low, np.nextafter(low, 1)] * 8)[:, None]
    truth = np.arange(16.0)[:, None] % 2
    told = grown(points, truth, 40, seed=0).predict(points)[:, :, 0]
    assert set(np.unique(told)) <= {0.0, 1.0} and (told == truth[:, 0]).mean() > 0.99


def test_equal_values_make_one_leaf_each() -> None:
    trees = grown(np.arange(6.0)[:, None], np.ones((6, 1)), 3, seed=0)
    assert (trees.feature == -1).all() and len(trees.feature) == 3


def search(source: Proposer, turns: int) -> list[dict[str, float]]:
    """Least cost x0 + x1 at a score 1 - |x0 - 0.7| - x2 of at least 0.8: the best is at (0.5, 0, 0, any)."""
    bound = Constraint(metric="val/accuracy", op=">=", bound=0.8)
    aim = Objective(metric="train/seconds", direction="min", constraints=(bound,))
    state = State(goal="g", objective=aim, fixed=(), control=None, incumbent=None)
    told = []
    for _ in range(turns):
        proposal = source.ask(state)
        assert proposal is not None
        x = [float(values_of(proposal.overrides).get(key, 0.5)) for key in KEYS]
        metrics = {"train/seconds": 0.1 + x[0] + x[1], "val/accuracy": 1 - abs(x[0] - 0.7) - x[2]}
        seen = Seen(overrides=proposal.overrides, proposer=source.name, status="done", metrics=metrics)
        state = state.model_copy(update={"seen": (*state.seen, seen)})
        told.append(metrics)
    return told


def cheapest(told: list[dict[str, float]]) -> float:
    return min((each["train/seconds"] for each in told if each["val/accuracy"] >= 0.8), default=math.inf)


@pytest.mark.slow
def test_it_finds_the_cheapest_within_the_bound_sooner_than_draws_by_lot() -> None:
    found = [cheapest(search(Forest(VOCABULARY, (), seed), 40)) for seed in range(3)]
    by_lot = [cheapest(search(Random(VOCABULARY, (), seed), 40)) for seed in range(3)]
    assert max(found) < 1.0, "the least is 0.6"
    assert sum(found) < sum(by_lot)


def test_it_proposes_nothing_twice_and_repeats_with_its_seed() -> None:
    runs = []
    for _ in range(2):
        forest, state = Forest(VOCABULARY, (), 3), None
        lot, proposals = random.Random(0), []
        seen: tuple[Seen, ...] = ()
        for _ in range(START + 6):
            state = State(
                goal="g",
                objective=Objective(metric="val/accuracy", direction="max"),
                fixed=(),
                control=None,
                incumbent=None,
                seen=seen,
            )
            proposal = forest.ask(state)
            proposals.append(proposal.overrides)
            metrics = {"val/accuracy": lot.random()}
            seen += (Seen(overrides=proposal.overrides, proposer="forest", status="done", metrics=metrics),)
        assert len(set(proposals)) == len(proposals)
        runs.append(proposals)
    assert runs[0] == runs[1]


def told(source: Proposer, turns: int, aim: Objective) -> Iterator[tuple[State, dict[str, float]]]:
    """A search for the highest 1 - |x0 - 0.7| - x1^2, whose trials cost exp(3 x2)."""
    state = State(goal="g", objective=aim, fixed=(), control=None, incumbent=None)
    for _ in range(turns):
        proposal = source.ask(state)
        x = [float(values_of(proposal.overrides).get(key, 0.5)) for key in KEYS]
        metrics = {"val/accuracy": 1 - abs(x[0] - 0.7) - x[1] ** 2, "train/cpu_seconds": math.exp(3 * x[2])}
        seen = Seen(overrides=proposal.overrides, proposer=source.name, status="done", metrics=metrics)
        best = min((state.incumbent or seen, seen), key=lambda each: -each.metrics["val/accuracy"])
        state = state.model_copy(update={"seen": (*state.seen, seen), "incumbent": best})
        yield state, metrics


HIGHEST = Objective(metric="val/accuracy", direction="max")


@pytest.mark.slow
def test_where_all_else_is_equal_it_proposes_what_is_cheaper() -> None:
    late = [
        math.log(metrics["train/cpu_seconds"])
        for seed in range(3)
        for _, metrics in list(told(Forest(VOCABULARY, (), seed), 40, HIGHEST))[20:]
    ]
    assert sum(late) / len(late) < 1.0, "by lot it is 1.5"


class Elsewhere:
    """Memory of one other task with the same best place."""

    def elsewhere(self, objective: Objective, data: str) -> list[Configured]:
        lot = random.Random(1)
        draws = [[round(lot.random(), 3) for _ in KEYS] for _ in range(40)]
        return [
            Configured(
                task="other",
                overrides=tuple(map("{}={}".format, KEYS, x)),
                value=1 - abs(x[0] - 0.7) - x[1] ** 2,
            )
            for x in draws
        ]


@pytest.mark.slow
def test_what_other_tasks_have_come_to_is_where_it_begins() -> None:
    def first(memory: Elsewhere | None, seed: int) -> float:
        runs = list(told(Forest(VOCABULARY, (), seed, memory), 8, HIGHEST))
        return max(metrics["val/accuracy"] for _, metrics in runs)

    assert (
        sum(first(Elsewhere(), seed) for seed in range(5)) > sum(first(None, seed) for seed in range(5)) + 0.2
    )


@pytest.mark.slow
def test_what_fails_is_no_longer_proposed() -> None:
    """Every configuration with x0 above 0.5 fails, where the figure would be the best."""

    def failed(hears: bool, seed: int) -> int:
        source, count = Forest(VOCABULARY, (), seed), 0
        state = State(goal="g", objective=HIGHEST, fixed=(), control=None, incumbent=None)
        for _ in range(40):
            proposal = source.ask(state)
            x = float(values_of(proposal.overrides).get("model.knob_0", 0.5))
            told = {"overrides": proposal.overrides, "proposer": "forest"}
            if x > 0.5:
                count += 1
                seen = (Seen(**told, status="failed", reason="cannot be reached"),) if hears else ()
            else:
                seen = (Seen(**told, status="done", metrics={"val/accuracy": x}),)
            state = state.model_copy(update={"seen": (*state.seen, *seen)})
        return count

    heard, deaf = (sum(failed(hears, seed) for seed in range(6)) for hears in (True, False))
    assert heard < 0.7 * deaf


def test_what_a_trial_costs_says_nothing_where_all_cost_the_same() -> None:
    def proposed(cost_s: float) -> list[tuple[str, ...]]:
        source = Forest(VOCABULARY, (), 0)
        state = State(goal="g", objective=HIGHEST, fixed=(), control=None, incumbent=None)
        for _ in range(14):
            proposal = source.ask(state)
            x = float(values_of(proposal.overrides).get("model.knob_0", 0.5))
            metrics = {"val/accuracy": x, "train/cpu_seconds": cost_s}
            seen = Seen(overrides=proposal.overrides, proposer="forest", status="done", metrics=metrics)
            state = state.model_copy(update={"seen": (*state.seen, seen)})
        return [seen.overrides for seen in state.seen]

    assert proposed(math.e) == proposed(1.0)
