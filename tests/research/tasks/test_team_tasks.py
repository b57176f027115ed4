"""review, improve and suggest with a team behind a real HTTP server."""

import pytest

from command_lab import Room
from research.types import Proposal
from scripted_server import ScriptedServer, status
from team_lab import TeamServer

pytestmark = pytest.mark.slow


def asked(room: Room, task: str, base: str, **keys):
    model = {"llm.api_base": f"{base}/v1", "llm.backoff_s": 0.01, "llm.retries": 0}
    return room.ask(task, llm="vllm", **model, **keys)


def proposed(room: Room, *typed: str) -> int:
    return room.store.add_proposal(Proposal(hypothesis="h", overrides=typed), status="queued")


def test_a_model_reviews_and_improves_and_the_stand_in_is_told_from_it(room: Room) -> None:
    doubted, liked = proposed(room, "model.width=32"), proposed(room, "budget.steps=120")
    server = TeamServer()
    with server.http:
        found = asked(room, "review", server.http.base).reviewed
        assert [(one.id, one.score, one.by) for one in found] == [
            (doubted, 5.6, "model"),
            (liked, 8.9, "model"),
        ]
        assert [one.status for one in found] == ["proposed", "queued"]
        (child,) = asked(room, "improve", server.http.base).reviewed
    assert child.parent == doubted and child.overrides == ("model.width=40",) and child.score == 8.9
    assert child.status == "queued" and "width 40" in child.changed
    assert [row["status"] for row in room.store.proposals()] == ["dropped", "queued", "queued"]
    assert len(room.store.interactions()) == len(server.asked) == 4
    assert all(
        "accepted" in prompt and "cost_ratio" in prompt
        for role, prompt in server.prompts
        if role == "reviewer"
    )


def test_a_model_suggests_beside_the_samplers_and_an_outage_is_said(room: Room) -> None:
    server = TeamServer()
    silent = dict.fromkeys(("tpe", "recipes", "portfolio", "cmaes", "pattern", "neighbour", "forest"), 0)
    shares = {"llm": 0.5, "random": 0.5, **silent}
    with server.http:
        found = asked(room, "suggest", server.http.base, count=4, proposer={"shares": shares})
    assert {one.proposer for one in found.suggestions} == {"llm", "random"}
    with ScriptedServer(status(401)) as refuses:
        alone = asked(room, "suggest", refuses.base, count=6, proposer={"shares": shares})
        reviewed = proposed(room, "budget.steps=140")
        stood = asked(room, "review", refuses.base)
    assert {one.proposer for one in alone.suggestions} == {"random"}
    assert any(note.startswith("llm stopped proposing") for note in alone.notes)
    assert [(one.id, one.by) for one in stood.reviewed] == [(reviewed, "stand-in")]
    assert any(note.startswith("reviewer:") for note in stood.notes)
