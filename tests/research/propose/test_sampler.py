"""What Optuna's samplers share: they learn, keep bounds, survive failures, and hear what others found."""

import math
from statistics import median

import pytest

from campaign_lab import Lab, energy, opened
from research.compose.override import override, values_of
from research.metrics import rank
from research.propose.direct import Random
from research.propose.model import ENOUGH, importances
from research.propose.proposer import Proposer, Seen, State
from research.propose.sampler import Cmaes, Gp, Sampler, Tpe
from research.types import Constraint, Objective, Proposal

FIXED = ("data=digits",)
GP = pytest.param(Gp, marks=pytest.mark.slow)
BOUNDED = Objective(
    metric="train/energy_j",
    direction="min",
    constraints=(Constraint(metric="val/accuracy", op=">=", bound=0.9),),
)


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory):
    with opened(tmp_path_factory.mktemp("lab")) as made:
        yield made


def measured(overrides: tuple[str, ...]) -> dict[str, float]:
    """Joules with their least at lr=1e-2 and width=16; accuracy is kept by widths from 32 on."""
    given = values_of(overrides)
    lr, width = float(given.get("optimizer.lr", 1e-5)), float(given.get("model.width", 512))
    cost = math.exp((math.log10(lr) + 2) ** 2 / 2 + math.log2(width / 16) ** 2 / 8)
    return {"train/energy_j": cost, "val/accuracy": 0.95 if width >= 32 else 0.5}


def seen_of(overrides: tuple[str, ...], proposer: str = "x", failed: bool = False) -> Seen:
    status = "failed" if failed else "done"
    metrics = {} if failed else measured(overrides)
    return Seen(overrides=overrides, proposer=proposer, status=status, metrics=metrics)


def started(objective: Objective) -> State:
    control = seen_of((), "control")
    return State(goal="g", objective=objective, fixed=FIXED, control=control, incumbent=control)


def searched(proposer: Proposer, turns: int, objective: Objective, fails: int = 0) -> list[Seen]:
    """What a proposer alone finds, each `fails`-th of its proposals failing."""
    now, found = started(objective), list[Seen]()
    for turn in range(turns):
        proposal = proposer.ask(now)
        seen = seen_of(proposal.overrides, failed=bool(fails) and turn % fails == fails - 1)
        proposer.tell(proposal, seen)
        found.append(seen)
        if rank(objective, seen.metrics) < rank(objective, now.incumbent.metrics):
            now = now.model_copy(update={"incumbent": seen})
        now = now.model_copy(update={"seen": tuple(found)})
    return found


@pytest.mark.slow
@pytest.mark.parametrize("kind", [Tpe, Cmaes, GP])
def test_it_learns_where_random_search_does_not(kind: type[Sampler], lab: Lab) -> None:
    turns, seeds = (13, 1) if kind is Gp else (24, 3)
    late = {}
    for one in (kind, Random):
        runs = [
            searched(one(lab.space.vocabulary(), FIXED, seed), turns, energy(None)) for seed in range(seeds)
        ]
        late[one] = median(seen.metrics["train/energy_j"] for run in runs for seen in run[turns // 2 :])
    assert late[kind] < late[Random] / 2


def test_a_draw_that_was_seen_is_drawn_anew(lab: Lab) -> None:
    proposer = Tpe(lab.space.vocabulary(), FIXED, 0)
    found = searched(proposer, 30, energy(None))
    assert len({one.overrides for one in found}) >= 29


@pytest.mark.slow
def test_what_is_refused_is_avoided(lab: Lab) -> None:
    """Widths from 64 up are refused: they were asked for as often as before when nobody told the sampler."""
    proposer, now, refused = Tpe(lab.space.vocabulary(), FIXED, 0), started(energy(None)), 0
    for turn in range(60):
        proposal = proposer.ask(now)
        wide = float(values_of(proposal.overrides).get("model.width", 16)) >= 64
        seen = seen_of(proposal.overrides)
        if wide:
            seen = Seen(overrides=proposal.overrides, proposer="tpe", status="refused", reason="too wide")
        proposer.tell(proposal, seen)
        refused += wide and turn >= 30
        now = now.model_copy(update={"seen": (*now.seen, seen)})
        if not wide and rank(energy(None), seen.metrics) < rank(energy(None), now.incumbent.metrics):
            now = now.model_copy(update={"incumbent": seen})
    assert refused <= 5


def test_after_a_repeat_something_of_the_draw_is_by_lot(lab: Lab) -> None:
    def after(again: bool) -> tuple[str, ...]:
        proposer, now = Tpe(lab.space.vocabulary(), FIXED, 0), started(energy(None))
        for _ in range(12):
            proposal = proposer.ask(now)
            proposer.tell(proposal, seen_of(proposal.overrides))
        if again:
            proposer.tell(proposal, Seen(overrides=proposal.overrides, proposer="tpe", status="repeat"))
        return proposer.ask(now).overrides

    assert after(True) != after(False) == after(False)


@pytest.mark.parametrize("kind", [Tpe, Cmaes, GP])
def test_it_keeps_bounds_survives_failures_and_repeats_by_its_seed(kind: type[Sampler], lab: Lab) -> None:
    vocabulary = lab.space.vocabulary()
    turns = 11 if kind is Gp else 24
    found = searched(kind(vocabulary, FIXED, 1), turns, BOUNDED, fails=5)
    late = [one for one in found[turns // 2 :] if one.status == "done"]
    assert sum(one.metrics["val/accuracy"] >= 0.9 for one in late) > len(late) / 2
    again = searched(kind(vocabulary, FIXED, 1), 7, BOUNDED, fails=5)
    assert [one.overrides for one in again] == [one.overrides for one in found[:7]]


@pytest.mark.parametrize("kind", [Tpe, Cmaes, GP])
def test_what_others_found_before_its_first_turn_is_not_lost(kind: type[Sampler], lab: Lab) -> None:
    def first(told: bool) -> tuple[str, ...]:
        proposer = kind(lab.space.vocabulary(), FIXED, 0)
        for width in range(8, 24) if told else ():
            overrides = (f"model.width={width}", "optimizer.lr=0.01")
            proposer.tell(Proposal(hypothesis="h", overrides=overrides), seen_of(overrides, "portfolio"))
        now = started(energy(None))
        incumbent = seen_of(("model.width=16", "optimizer.lr=0.01"))
        return proposer.ask(now.model_copy(update={"incumbent": incumbent}) if told else now).overrides

    assert first(told=True) != first(told=False)


def test_a_joint_model_starts_anew_when_the_incumbents_options_change(lab: Lab) -> None:
    proposer = Cmaes(lab.space.vocabulary(), FIXED, 0)
    objective = energy(None)
    searched(proposer, 12, objective)
    other = ("optimizer=lion", "optimizer.lr=0.001", "model.width=20")
    state = started(objective).model_copy(update={"incumbent": seen_of(other)})
    drawn = [proposer.ask(state).overrides for _ in range(6)]
    assert sum("optimizer=lion" in one for one in drawn) >= 3
    widths = [
        int(override(part).value or 0) for one in drawn for part in one if part.startswith("model.width")
    ]
    assert sum(6 <= width <= 80 for width in widths) >= 4  # a sixth of the range around the incumbent


def tried(lab: Lab, count: int) -> State:
    """A state after some draws: joules depend on lr and width, and steps do nothing."""
    found = searched(Random(lab.space.vocabulary(), (*FIXED, "optimizer=adamw"), 4), count, energy(None))
    control = seen_of((), "control")
    incumbent = min(found, key=lambda one: one.metrics["train/energy_j"])
    return started(energy(None)).model_copy(
        update={"seen": tuple(found), "incumbent": incumbent, "control": control}
    )


@pytest.mark.slow
def test_importances_name_the_knobs_that_matter_once_there_is_enough(lab: Lab) -> None:
    vocabulary = lab.space.vocabulary()
    assert importances(tried(lab, ENOUGH - 2), vocabulary) == {}
    found = importances(tried(lab, 30), vocabulary)
    assert sum(found.values()) <= 1.001 and found.get("budget.steps", 0.0) < 0.2
    assert found["model.width"] + found["optimizer.lr @adamw"] > 0.8


def test_importances_of_equal_results_are_not_told(lab: Lab) -> None:
    state = tried(lab, 30)
    flat = [one.model_copy(update={"metrics": {"train/energy_j": 3.0}}) for one in state.seen]
    assert importances(state.model_copy(update={"seen": tuple(flat)}), lab.space.vocabulary()) == {}
