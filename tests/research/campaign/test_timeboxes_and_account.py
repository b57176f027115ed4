"""Budgets: asked before each spend, kept, and with enough left to confirm what was found."""

import math
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from campaign_lab import Lab, Scripted, energy
from refusal import Refusal
from research.campaign.admission import Admission
from research.campaign.budget import NO_PRICE, ModelAccount, Price, Spend, paid
from research.campaign.charter import Confirm, Promote, Screen, Search
from research.campaign.rows import Rows
from research.llm.ledger import LlmSpent
from research.propose.bandit import NOTHING, Asked
from research.run.runner import Job, Outcome
from research.team.judges import Judges
from research.types import Key, Proposal


@pytest.mark.slow
@pytest.mark.parametrize("limits", [{"trials": 40}, {"joules": 600.0}])
def test_a_budget_is_never_passed(lab: Lab, limits: dict[str, float]) -> None:
    spend = Spend(**limits)
    found = lab.campaign(lab.charter(energy(), screen=Screen(turns=200)), spend=spend)
    name, limit = next(iter(limits.items()))
    assert getattr(spend, name) <= limit * 1.1 and len(lab.ran) > 10
    assert any(f"budget.{name}" in note for note in found.facts["notes"])
    assert found.insights, found.facts["notes"]


@pytest.mark.slow
def test_seconds_end_the_screening_and_leave_time_to_confirm(lab: Lab) -> None:
    clock = [0.0]
    spend = Spend(seconds=50, clock=lambda: clock[0])
    computed = lab.one

    def slow(job: Job) -> Outcome:
        clock[0] += 1.0
        return computed(job)

    lab.one = slow
    # Rows have real time, in which a scripted trial takes none: those that a ladder leaves would be free.
    asked = {"screen": Screen(turns=500), "search": Search(worth=None), "ladder": None}
    found = lab.campaign(lab.charter(energy(), **asked), spend=spend)
    assert clock[0] <= 51 and found.insights
    assert any("budget.seconds=50" in note for note in found.facts["notes"])


def test_too_long_a_trial_is_refused_before_it_starts(lab: Lab) -> None:
    clock = [0.0]
    spend = Spend(seconds=100, clock=lambda: clock[0])
    computed = lab.one

    def slow(job: Job) -> Outcome:
        clock[0] += 8.0
        outcome = computed(job)
        return Outcome(job, outcome.status, trial_id=outcome.trial_id, wall_s=8.0)

    lab.one = slow
    charter = lab.charter(energy(None), promote=Promote(arms=1, seeds=(1,)), confirm=Confirm(seeds=3))
    found = lab.campaign(charter, [Scripted("budget.steps=2000")], spend=spend)
    assert any("lower budget.steps" in reason for reason in found.reasons("refused"))


def test_what_was_accepted_keeps_its_place_when_the_gate_refuses_it_now(lab: Lab) -> None:
    agreed = lab.charter(energy(None))
    bench, left = lab.sprint(agreed).bench, [100.0]
    bench.spend.pay(Key("a", "c", "d", "h"), 8.0, 1.0)
    rows = Rows(lab.store, lab.store.sprints()[0]["id"])
    admission = Admission(bench, rows, agreed.review, lambda: left[0])
    proposal = Proposal(hypothesis="h", overrides=("budget.steps=700",), proposer="llm", refuted_by="r")
    judges = Judges(None, None, lambda phase: (), admission.complaints)
    number = admission.admit(proposal, judges, "queued").arm.proposal_id
    left[0] = 10.0
    refused = admission.admit(proposal, judges)
    assert refused.arm is None and refused.reason.startswith("it waits on: This would take about")
    assert [row["status"] for row in lab.store.proposals()] == ["queued"]
    left[0] = 100.0
    assert admission.admit(proposal, judges).arm.proposal_id == number


@pytest.mark.parametrize("wrong", [{"trials": 0}, {"seconds": -1.0}, {"joules": float("nan")}])
def test_a_budget_that_buys_nothing_is_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(Refusal, match="buys nothing"):
        Spend(**wrong)


def test_half_a_trial_is_refused_and_no_limit_is_none() -> None:
    with pytest.raises(Refusal, match=r"budget\.trials=1\.5 is no number of trials"):
        Spend(trials=1.5)
    assert Spend(trials=math.inf).short(Price(10**6, 0, 0)) is None


def test_a_price_is_short_where_any_limit_is_passed() -> None:
    spend = Spend(trials=10, seconds=100, joules=50, clock=lambda: 0.0)
    for _ in range(4):
        spend.pay(Key(str(len(spend._seconds)), "c", "d", "h"), 2.0, 5.0)
    assert spend.usual(4, at_once=2) == Price(4, 4.0, 20.0)
    assert spend.short(Price(6, 0, 0)) is None and "trials=10" in spend.short(Price(7, 0, 0))
    assert spend.short(Price(0, 0, 30.0)) is None and "joules=50" in spend.short(Price(0, 0, 31.0))
    assert "seconds=100" in spend.short(Price(1, 101.0, 0))
    told = spend.short(Price(1, 40.0, 0), later=Price(9, 90.0, 0))
    assert told is None and "50" not in (spend.short(Price(1, 101.0, 0)) or "")
    told = spend.short(Price(1, 60.0, 0), later=Price(9, 90.0, 0))
    assert (
        told == "budget.seconds=100 would be passed: 60 with the next, and 90 are kept back for what follows"
    )


def test_at_most_half_of_a_limit_is_kept_back() -> None:
    spend = Spend(trials=10)
    assert spend.short(Price(5, 0, 0), later=Price(500, 0, 0)) is None
    assert spend.short(Price(6, 0, 0), later=Price(500, 0, 0)) is not None
    assert spend.short(NO_PRICE) is None


def test_one_trial_that_hung_does_not_spoil_the_prediction() -> None:
    spend = Spend()
    for seconds in (1.0, 1.0, 120.0):
        spend.pay(Key(str(len(spend._seconds)), "c", "d", "h"), seconds, 1.0)
    assert spend.each_s == 1.0 and spend.trials == 3 and spend.joules == 3.0


class Till:
    """A ledger and a queue."""

    def __init__(self, waiting: int = 0) -> None:
        self.spent, self.waiting = LlmSpent(known_joules=100.0, unknown_calls=7), waiting

    def bill(self, owed: Asked = NOTHING) -> ModelAccount:
        return ModelAccount(lambda: self.spent, lambda: self.waiting, owed)

    def ask(self, joules: float, unknown: int = 0) -> None:
        more = {"known_joules": self.spent.known_joules + joules}
        self.spent = replace(self.spent, **more, unknown_calls=self.spent.unknown_calls + unknown)

    def hand_out(self) -> None:
        self.waiting -= 1


def test_a_discussion_is_paid_in_equal_parts_and_a_later_question_by_its_own_proposal() -> None:
    till = Till(waiting=4)
    bill = till.bill()
    till.ask(40.0, unknown=2)
    parts = []
    for _ in range(4):
        till.hand_out()
        parts.append(bill.part())
    assert [part.joules for part in parts] == pytest.approx([10.0] * 4)
    assert [part.unknown for part in parts] == [2, 0, 0, 0]
    till.ask(3.0)
    assert bill.part().joules == pytest.approx(3.0) and bill.rest().joules == pytest.approx(0.0)


@settings(max_examples=50, deadline=None)
@given(
    steps=st.lists(st.tuples(st.floats(0, 1e4), st.integers(0, 3), st.integers(0, 5)), max_size=12),
    owed=st.floats(0, 50),
)
def test_all_is_paid_once(steps: list[tuple[float, int, int]], owed: float) -> None:
    till = Till()
    bill = till.bill(Asked(joules=owed, unknown=1))
    parts = []
    for joules, unknown, till.waiting in steps:
        till.ask(joules, unknown)
        parts.append(bill.part())
    parts.append(bill.rest())
    assert sum(part.joules for part in parts) == pytest.approx(owed + sum(step[0] for step in steps))
    assert sum(part.unknown for part in parts) == 1 + sum(step[1] for step in steps)
    assert all(part.joules >= -1e-6 for part in parts)


def test_without_a_model_nothing_is_due_and_a_row_without_a_part_has_none() -> None:
    assert ModelAccount().part() == ModelAccount().rest() == NOTHING
    assert paid({}) is None and paid({"asked": {"joules": 2.0, "unknown": 0}}) == Asked(joules=2.0)
