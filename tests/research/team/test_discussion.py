"""From a plan and its builds to proposals: whatever roles answer, each is made or its fault is told."""

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from research.propose.proposer import Proposer, Seen, State
from research.space.gate import Space
from research.team import discussion
from research.team.brief import Brief
from research.team.forms import Build, Builds, Hypothesis, Plan, PlannedArm
from research.types import Objective, Proposal

GATE = Path(__file__).parents[2] / "gate"
SPACE = Space(GATE / "conf", GATE / "space.yaml")
OBJECTIVE = Objective(metric="train/energy_j", direction="min")
STATE = State(goal="g", objective=OBJECTIVE, fixed=(), control=None, incumbent=None, seen=())
BRIEF = Brief(state=STATE, vocabulary={})
HYPOTHESES = [Hypothesis(claim=f"claim {number}", because="b") for number in (1, 2)]


def check(overrides: list[str]) -> list[str]:
    return SPACE.check(overrides) or SPACE.swept(overrides)


def proposed(plan: Plan, *builds: Build) -> tuple[list, list[str]]:
    return discussion._proposals(BRIEF, HYPOTHESES, plan, builds)


def arm(**told) -> PlannedArm:
    return PlannedArm(**{"hypothesis": 1, "change": "c", **told})


def test_an_ablation_is_compared_with_the_other_arm_as_it_was_built() -> None:
    plan = Plan(
        arms=(arm(), arm(hypothesis=2, against=1, refuted_by="size/bytes more by 10 %"), arm(against=3))
    )
    both = Build(arm=1, overrides=("optimizer=lion", "model.dropout=0.1"))
    one, lone = Build(arm=2, overrides=("optimizer=lion",)), Build(arm=3, overrides=("model.dropout=0.2",))
    (first, second, _), notes = proposed(plan, both, one, lone)
    assert (first.control, first.refuted_by) == ((), "train/energy_j more")
    assert (second.control, second.refuted_by) == (both.overrides, "size/bytes more by 10 %")
    assert second.hypothesis == "claim 2" and notes == []
    assert discussion._unplanned(HYPOTHESES, plan) == ["arm 3 is against arm 3: name another arm, or 0."]
    (alone,), notes = proposed(plan, one)
    assert alone.control == () and notes == ["arm 2 is compared with the control: arm 1 was not built"]


def test_a_claim_that_nothing_can_judge_is_dropped_and_the_arm_stays() -> None:
    (made,), notes = proposed(
        Plan(arms=(arm(refuted_by="as many joules"),)), Build(arm=1, overrides=("a=1",))
    )
    assert made.refuted_by == "train/energy_j more"
    assert notes[0].startswith("arm 1: refuted_by is dropped, for nothing can judge 'as many joules'")


def test_the_values_of_a_sweep_come_after_the_other_arms() -> None:
    swept, plain = (
        Build(arm=1, overrides=("model.dropout=0.1,0.2",)),
        Build(arm=2, overrides=("optimizer=lion",)),
    )
    made, _ = proposed(Plan(arms=(arm(), arm())), swept, plain)
    assert [one.overrides[0] for one in made] == ["model.dropout=0.1", "optimizer=lion", "model.dropout=0.2"]


def test_the_good_parts_of_an_answer_are_kept() -> None:
    plan = Plan(arms=(arm(), arm(hypothesis=7)))
    assert discussion._kept_arms(HYPOTHESES, plan) == Plan(arms=plan.arms[:1])
    assert discussion._kept_arms(HYPOTHESES, Plan(arms=plan.arms[1:])) is None
    numbered = Plan(arms=(*plan.arms, arm(against=1)))
    assert discussion._kept_arms(HYPOTHESES, numbered) is None, "its numbers would name other arms"
    good, bad = Build(arm=1, overrides=("optimizer=lion",)), Build(arm=1, overrides=("hydra.run.dir=/etc",))
    elsewhere = Build(arm=9, overrides=("optimizer=lion",))
    answer = Builds(builds=(bad, good, elsewhere))
    assert discussion._kept_builds(plan, answer, check) == Builds(builds=(good,))
    assert discussion._kept_builds(plan, Builds(builds=(bad, elsewhere)), check) is None


TEXTS = st.sampled_from(
    [
        "optimizer=lion",
        "optimizer=lion,adamw",
        "model.dropout=0.1,0.2,0.3",
        "seed=range(0,99)",
        "x=((((",
        "${a}",
        "=",
    ]
) | st.text(min_size=1, max_size=8)
BUILDS = st.builds(Build, arm=st.integers(1, 4), overrides=st.lists(TEXTS, min_size=1, max_size=3).map(tuple))
ARMS = st.builds(
    arm,
    hypothesis=st.integers(1, 3),
    against=st.integers(0, 4),
    refuted_by=st.sampled_from(["", "test/accuracy less by 0.01", "nonsense"]) | st.text(max_size=20),
)


@settings(deadline=None, max_examples=60)
@given(st.lists(ARMS, min_size=1, max_size=3).map(tuple), st.lists(BUILDS, min_size=1, max_size=4).map(tuple))
def test_what_is_left_of_any_answer_can_be_proposed(arms: tuple, builds: tuple) -> None:
    plan: Plan | None = Plan(arms=arms)
    if discussion._unplanned(HYPOTHESES, plan):
        plan = discussion._kept_arms(HYPOTHESES, plan)
    kept = None if plan is None else discussion._kept_builds(plan, Builds(builds=builds), check)
    if plan is None or kept is None:
        return
    made, _ = proposed(plan, *kept.builds)
    assert made and all(check(list(one.overrides)) == [] for one in made)


class Answering(Proposer):
    """Answers with what it is given, and raises what is an exception."""

    name, first = "llm", False

    def __init__(self, *answers: Proposal | Exception) -> None:
        self.left, self.asked = list(answers), 0

    def ask(self, state: State) -> Proposal | None:
        self.asked += 1
        answer = self.left.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer

    def tell(self, proposal: Proposal, seen: Seen) -> None:
        pass


def test_what_was_asked_early_comes_of_the_next_ask_alone_behind_what_waits() -> None:
    early, later, waiting = (Proposal(hypothesis="h", overrides=(text,)) for text in ("a=1", "b=1", "c=1"))
    inner = Answering(early, later, LookupError("no server"), later)
    queue, state = discussion.Queued(inner), STATE
    queue.ask_early(state)
    assert inner.asked == 1
    queue.put([waiting])
    assert [queue.ask(state) for _ in range(3)] == [waiting, early, later] and inner.asked == 2
    queue.ask_early(state)
    with pytest.raises(LookupError, match="no server"):
        queue.ask(state)
    assert queue.ask(state) == later
