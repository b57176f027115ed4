"""What the model is asked beside trainings; what is decided is the same as one after another."""

import random
import threading
import time
from pathlib import Path
from typing import Any

import pytest

from campaign_lab import Lab, energy, flat, opened
from research.campaign.charter import Charter, Confirm, Promote, Screen, Sprints
from research.run.runner import Job, Outcome
from team_lab import TeamServer, team

pytestmark = pytest.mark.slow
_PATIENCE_S = 60.0
"""for what comes at once, unless the machine is busy"""


def charter(lab: Lab, floor: float | None = 0.9, **more: Any) -> Charter:
    shares = {"llm": 0.5, "random": 0.2, "tpe": 0.3}
    return lab.charter(energy(floor), shares=shares, ladder=None, **{"screen": Screen(turns=10), **more})


def promising(config: dict[str, Any], rng: random.Random) -> dict[str, float]:
    """Every arm is cheaper than the control until it is confirmed; then nothing makes any difference."""
    figures, changed = flat(config, rng), config["budget"]["steps"] != 400 or config["model"]["width"] != 128
    return figures | ({"train/energy_j": 9.0 - 2 * changed} if config["seed"] < 1000 else {})


def test_what_the_client_needs_is_imported_while_the_control_is_begun(lab: Lab) -> None:
    begun, order = threading.Event(), list[str]()
    server = TeamServer(lambda role, prompt: order.append(role))
    with team(lab, server, agreed := charter(lab)) as made:
        computed, prepare = lab.one, made.client.prepare

        def one(job: Job) -> Outcome:
            begun.set()
            return computed(job)

        def imported() -> None:
            order.append("trained beside" if begun.wait(_PATIENCE_S) else "nothing beside")
            prepare()
            order.append("imported")

        lab.one, made.client.prepare = one, imported
        made.sprint().run(made.proposers(), lab.proposers(agreed))
    assert order[:3] == ["trained beside", "imported", "researcher"]


def test_the_next_contender_trains_while_the_validator_words_the_one_before(tmp_path: Path) -> None:
    asked, trained, beside = threading.Event(), threading.Event(), list[bool]()

    def say(role: str, prompt: str) -> None:
        if role == "validator" and not beside:
            asked.set()
            beside.append(trained.wait(_PATIENCE_S))

    with opened(tmp_path, promising) as lab:
        computed, first = lab.one, list[int]()

        def one(job: Job) -> Outcome:
            fresh = job.config["seed"] >= 1000
            first.extend([job.config["seed"]] if fresh else [])
            if len(first) > 2 * 3:  # two arms over three seeds are the first contender's
                asked.wait(_PATIENCE_S)
            outcome = computed(job)
            if len(first) > 2 * 3:
                trained.set()
            return outcome

        lab.one = one
        agreed = charter(lab, None, promote=Promote(arms=3), confirm=Confirm(arms=2, seeds=3, looks=1))
        with team(lab, TeamServer(say), agreed) as made:
            sprint = made.sprint()
            sprint.run(made.proposers(), lab.proposers(agreed))
        rows = lab.store.insights(sprint_id=sprint.id)
        ids = [row["insight"].verdict.trial_ids for row in rows]
        seeds = [[trial.seed for trial in lab.store.trials(ids=own)] for own in ids]
    assert beside == [True]
    assert [row["facts"]["words"]["by"] for row in rows] == ["model", "model"]
    assert max(seeds[0]) < min(seeds[1])  # the first that was judged is the first that is kept


def run_singles(folder: Path, apart: bool) -> tuple[list[tuple[Any, ...]], list[bool], list[str]]:
    """A team that agrees on nothing, so that the model proposes one after another, beside trainings or not.

    Returns the proposals in their order, whether something trained while each was asked for, and the prompts.
    """
    beside, widths, counted = list[bool](), iter(range(20, 120, 4)), [0]
    asking, awaited = threading.Event(), threading.Event()
    folder.mkdir()

    def say(role: str, prompt: str) -> str | None:
        if role != "proposer":
            return "no" if role in ("researcher", "architect", "engineer") else None
        before, end = counted[0], time.monotonic() + (_PATIENCE_S if sprint._talk.on and not apart else 0.0)
        asking.set()
        while counted[0] == before and not awaited.is_set() and time.monotonic() < end:
            time.sleep(0.005)
        asking.clear()
        beside.append(counted[0] > before)
        return f'{{"hypothesis": "Another width.", "overrides": ["model.width={next(widths)}"]}}'

    with opened(folder) as lab:
        computed = lab.one

        def one(job: Job) -> Outcome:
            end = time.monotonic() + _PATIENCE_S
            while sprint._talk.on and not asking.wait(0.005) and time.monotonic() < end:
                pass  # the team discusses: it is not asked for a single proposal
            outcome = computed(job)
            counted[0] += 1
            return outcome

        def over() -> None:
            """Nothing trains any more until the answer is there."""
            awaited.set() if sprint._talk.on else None
            ended()
            awaited.clear()

        lab.one, server = one, TeamServer(say)
        agreed = charter(lab, sprint=Sprints(count=1), screen=Screen(turns=20, at_once=1))
        with team(lab, server, agreed) as made:
            sprint = made.sprint()
            sprint._apart = apart
            ended, sprint._talk.over = sprint._talk.over, over
            sprint.run(made.proposers(), lab.proposers(agreed))
        rows = [
            (row["proposal"].proposer, row["proposal"].overrides, row["status"], row["facts"].get("lane"))
            for row in lab.store.proposals(sprint_id=sprint.id)
        ]
    return rows, beside, [text for role, text in server.prompts if role == "proposer"]


def test_a_single_proposal_is_asked_for_while_the_other_lane_trains_and_nothing_else_changes(
    tmp_path: Path,
) -> None:
    after, none, asked_after = run_singles(tmp_path / "after", apart=True)
    rows, beside, asked = run_singles(tmp_path / "beside", apart=False)
    # Twice both lanes have the same idea, and what it came to is known.
    assert beside == [False, False, True] and not any(none)
    assert any(proposer == "llm" for proposer, *_ in rows) and rows == after
    assert asked == asked_after
