"""The model's bill: a discussion is shared among what it queued, and nothing is paid twice or never."""

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from research.campaign.budget import Bill, paid
from research.llm.ledger import LlmSpent
from research.propose.bandit import NOTHING, Asked


class Till:
    """A ledger and a queue."""

    def __init__(self, waiting: int = 0) -> None:
        self.spent, self.waiting = LlmSpent(known_joules=100.0, unknown_calls=7), waiting

    def bill(self, owed: Asked = NOTHING) -> Bill:
        return Bill(lambda: self.spent, lambda: self.waiting, owed)

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
    assert Bill().part() == Bill().rest() == NOTHING
    assert paid({}) is None and paid({"asked": {"joules": 2.0, "unknown": 0}}) == Asked(joules=2.0)
