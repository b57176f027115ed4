"""Two lanes: equal turns, and neither hears of the other."""

import pytest

from campaign_lab import Scripted, energy
from research.campaign.asking import Proposers, in_turn
from research.propose.proposer import Seen, State, lane_of, represented, view
from research.stats.arms import Arm
from research.types import Proposal

BOTH = ("team", "control")
CONTROL = Seen(overrides=(), proposer="control", status="done", metrics={"train/energy_j": 9.0})


class Named(Scripted):
    """A scripted proposer under a name of its own."""

    def __init__(self, name: str, *lines: str) -> None:
        super().__init__(*lines)
        self.name = name


def lanes(turns: int = 9) -> tuple[Proposers, Named, Named, Named]:
    lines = [f"model.width={8 + turn}" for turn in range(turns)]
    model, tpe, alone = Named("llm", *lines), Named("tpe", *lines), Named("tpe", *lines)
    return in_turn([model, tpe], [alone], {"llm": 0.3, "tpe": 0.7}, 3), model, tpe, alone


def state(*seen: Seen) -> State:
    best = min([CONTROL, *seen], key=lambda one: one.metrics["train/energy_j"])
    return State(
        goal="g", objective=energy(None), fixed=(), control=CONTROL, incumbent=best, seen=tuple(seen)
    )


def played(lab: Proposers, turns: int) -> list[Seen]:
    """So many turns; the team finds 5 joules, the control 7."""
    seen: list[Seen] = []
    for turn in range(turns):
        proposer = lab.bandits[BOTH[turn % 2]].next()
        proposal = proposer.ask(state(*seen))
        joules = {"team": 5.0, "control": 7.0}[lane_of(proposal.proposer)]
        told = Seen(
            overrides=proposal.overrides,
            proposer=proposal.proposer,
            status="done",
            metrics={"train/energy_j": joules},
        )
        seen.append(told)
        for one in lab.all:
            one.tell(proposal, told)
        lab.of(proposal.proposer).learn(proposal.proposer, 0.1, 5.0)
    return seen


def test_the_model_is_in_one_lane_and_has_three_of_ten_turns_of_it() -> None:
    lab, *_ = lanes()
    seen = played(lab, 11)
    assert sum(one.proposer == "llm" for one in seen) <= 0.3 * 6
    assert {one.proposer for one in seen} <= {"llm", "tpe", "control/tpe"}
    turns = {source: told["turns"] for source, told in lab.facts().items()}
    assert sum(turns.values()) == 11 and turns["control/tpe"] == 5


def test_a_promised_turn_is_given_whatever_others_are_owed_and_counts_as_one() -> None:
    lab, *_ = lanes()
    bandit = lab.bandits["team"]
    assert [bandit.next("llm").name for _ in range(4)] == ["llm"] * 4
    later = [bandit.next().name for _ in range(9)]
    assert later == ["tpe"] * 9 and bandit.taken["llm"] == 4
    assert bandit.next("nobody").name in ("llm", "tpe")


def test_each_lane_sees_and_is_told_its_own_only() -> None:
    lab, _, tpe, alone = lanes()
    played(lab, 10)
    assert [lane_of(one.proposer) for one in tpe.told] == ["team"] * 5
    assert [lane_of(one.proposer) for one in alone.told] == ["control"] * 5
    last = alone.states[-1]
    assert {one.proposer for one in last.seen} == {"control/tpe"} and last.control == CONTROL
    assert last.incumbent.metrics["train/energy_j"] == 7.0
    assert tpe.states[-1].incumbent.metrics["train/energy_j"] == 5.0


def test_a_lane_that_has_found_nothing_starts_at_the_control() -> None:
    foreign = CONTROL.model_copy(update={"proposer": "tpe", "metrics": {"train/energy_j": 1.0}})
    assert view(state(foreign), "control/tpe").incumbent == CONTROL
    assert view(state(foreign), "tpe").incumbent == foreign
    failed = foreign.model_copy(update={"proposer": "control/tpe", "status": "failed", "metrics": {}})
    seen = state().model_copy(update={"seen": (foreign, failed)})
    assert view(seen, "control/tpe").incumbent == CONTROL


def test_a_lane_that_ends_leaves_nothing_to_the_other() -> None:
    lab, *_ = lanes()
    played(lab, 2)
    team = lab.bandits["team"]
    for _ in range(2):
        team.leave(team.next())
    assert team.next() is None and lab.bandits["control"].next().name == "control/tpe"


def test_what_is_learnt_stays_in_its_lane() -> None:
    lab, *_ = lanes()
    played(lab, 2)
    before = lab.facts()
    lab.of("control/tpe").learn("control/tpe", 1.0, 1.0)
    assert lab.facts()["tpe"] == before["tpe"]
    assert lab.facts()["control/tpe"]["gain"] == pytest.approx(before["control/tpe"]["gain"] + 1.0)


def test_a_proposal_keeps_what_the_proposer_said() -> None:
    lab, _, _, alone = lanes(1)
    found = lab.bandits["control"].next().ask(state())
    assert isinstance(found, Proposal) and found.proposer == "control/tpe"
    assert found.overrides == ("model.width=8",) and alone.left == []


def test_the_best_of_each_lane_is_among_those_that_are_promoted() -> None:
    def arms(*names: str) -> list[Arm]:
        return [Arm((f"model.width={n}",), name) for n, name in enumerate(names)]

    mixed = arms("llm", "tpe", "control/tpe", "llm")
    assert represented(mixed, 3) == mixed and represented(mixed, 1) == mixed
    ahead = arms("llm", "tpe", "llm", "control/tpe", "control/random")
    assert [arm.proposer for arm in represented(ahead, 2)] == [
        "llm",
        "control/tpe",
        "tpe",
        "llm",
        "control/random",
    ]
    alone = arms("random", "tpe", "tpe")
    assert represented(alone, 2) == alone
