"""Timeboxes end: what a sprint has by then is what it leaves, and the next one goes on with it."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from campaign_lab import Lab, Scripted, energy, opened
from refusal import Refusal
from research.campaign.budget import Spend, Timeboxes
from research.campaign.charter import Screen, Search, Sprints
from research.report.findings import Findings
from research.run.runner import Job, Outcome


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def test_boxes_have_their_shares_and_hand_what_is_left_to_validation() -> None:
    clock = Clock()
    boxes = Timeboxes(15, clock)
    assert boxes.until() is None and boxes.short(1e9) is None
    with boxes.open("discuss"):
        assert boxes.left_s() == 300 and boxes.until() == 300
        clock.now += 100
        assert boxes.left_s() == 200 and "discuss has 200 s left of 300" in boxes.short(201)
    with boxes.open("implement"):
        clock.now += 180
    with boxes.open("implement"):
        assert boxes.left_s() == 300 and boxes.short(300) is None
        clock.now += 400
        assert boxes.left_s() == -100
    with boxes.open("validate"):
        assert boxes.left_s() == 120 + 200
    facts = boxes.facts()
    assert facts["discuss"] == {"limit_s": 300, "used_s": 100}
    assert facts["implement"] == {"limit_s": 480, "used_s": 580}
    assert facts["validate"] == {"limit_s": 320, "used_s": 0}


def test_questions_go_on_in_their_own_box_while_trials_train_in_another() -> None:
    clock = Clock()
    boxes = Timeboxes(15, clock, budget_s=170)
    with boxes.open("implement"):
        clock.now += 20
        with boxes.open("discuss"):
            clock.now += 80
            # Nearly over for questions, which says nothing of trials.
            assert boxes.left_of("discuss") == 5 and boxes.left_s() == boxes.left_of("implement") == 380
            assert boxes.short(380) is None and "box to implement" in boxes.short(381)
        clock.now += 10
    assert boxes.facts()["discuss"] == {"limit_s": 85, "used_s": 80}
    assert boxes.facts()["implement"]["used_s"] == 110


@pytest.fixture
def lab(tmp_path: Path) -> Iterator[Lab]:
    """A lab whose trials take a second each by a clock of its own."""
    with opened(tmp_path) as made:
        made.clock = clock = Clock()
        computed = made.one

        def slow(job: Job) -> Outcome:
            clock.now += 1.0
            return computed(job)

        made.one = slow
        yield made


def ran(lab: Lab, minutes: float, seeds: tuple[int, ...] = (0,), **more) -> Findings:
    stages = {"screen": Screen(turns=60, seeds=seeds), "search": Search(worth=None)}
    charter = lab.charter(energy(), sprint=Sprints(minutes=minutes), ladder=None, **stages)
    return lab.campaign(charter, spend=Spend(clock=lab.clock), **more)


@pytest.mark.slow
def test_screening_ends_with_its_box_and_leaves_time_to_promote_and_confirm(lab: Lab) -> None:
    found = ran(lab, 1.0)
    boxes = found.facts["boxes"]
    assert all(box["used_s"] <= box["limit_s"] + 1 for box in boxes.values())
    assert boxes["implement"]["used_s"] > 20 and found.arms("promoted") and found.insights
    assert any("the sprint's box to implement" in note for note in found.facts["notes"])
    assert lab.clock() <= 61


def test_a_trial_that_the_box_cuts_is_told_to_nobody_and_not_paid_for(lab: Lab) -> None:
    computed, scripted = lab.one, Scripted("model.width=64", "model.width=32", "model.width=16")

    def slower(job: Job) -> Outcome:
        lab.clock.now += 30.0 if "model.width=64" in job.overrides else 0.0
        return computed(job)

    lab.one = slower
    found = ran(lab, 0.5, proposers=[scripted])
    # The second was not begun: its box was over when the first had ended.
    assert found.counts()["scripted"] == {"ran": 1, "interrupted": 1}
    assert [seen.overrides for seen in scripted.told] == [("model.width=64",)]
    assert not [line for line in lab.ran if "model.width=32" in line]
    assert found.sprint["status"] == "done" and not found.insights


def test_a_box_that_is_too_short_for_the_control_is_said(lab: Lab) -> None:
    with pytest.raises(Refusal, match=r"sprint\.minutes"):
        ran(lab, 0.0001, seeds=(0, 1))
    assert [row["status"] for row in lab.store.sprints()] == ["failed"]
