"""task=steer: a line for a campaign that runs, checked by the space before it is written down."""

from pathlib import Path

import pytest

from command_lab import Room
from refusal import Refusal


@pytest.fixture
def running(room: Room) -> Path:
    """The folder of a campaign; an older one is there too."""
    for name in ("older-1", "newer-2"):
        folder = room.lab.folder / "runs" / "agent" / name
        folder.mkdir(parents=True)
        facts = {"campaign": name, "number": 1, "charter": {"goal": {}}}
        room.store.add_sprint(name, folder=str(folder / "sprint-1"), facts=facts)
    return folder


def test_a_line_is_written_to_the_newest_campaign_and_shown(room: Room, running: Path) -> None:
    room.ask("steer", say="exclude lion")
    told = room.ask("steer", say="focus optimizer.lr")
    assert (running / "steer.md").read_text() == "exclude optimizer=lion\nfocus optimizer.lr\n"
    assert told.campaign == "newer-2" and told.said == ("exclude optimizer=lion", "focus optimizer.lr")
    assert "said       focus optimizer.lr" in told.text() and str(running / "steer.md") in told.text()
    (running / "steer.md").write_text("faster\nstop\n")
    shown = room.ask("steer")
    assert shown.said == ("stop",) and "wrong      line 1 of steer.md is left out" in shown.text()
    assert not (running.parent / "older-1" / "steer.md").exists()


def test_an_older_campaign_is_steered_by_its_name(room: Room, running: Path) -> None:
    room.ask("steer", say="stop", id="campaign:older-1")
    assert (running.parent / "older-1" / "steer.md").read_text() == "stop\n" and not list(running.iterdir())


@pytest.mark.parametrize(
    ("keys", "complaint"),
    [
        ({"say": "exclude transformers"}, "'transformers' is nothing that proposals turn"),
        ({"say": "quickly"}, "steers nothing: say focus NAMES"),
        ({"say": "stop", "id": "campaign:nobody"}, "There is no campaign 'nobody'"),
    ],
)
def test_what_is_not_understood_is_refused_and_nothing_is_written(
    room: Room, running: Path, keys: dict[str, str], complaint: str
) -> None:
    with pytest.raises(Refusal, match=complaint):
        room.ask("steer", **keys)
    assert not list(running.iterdir())


def test_without_a_campaign_there_is_nothing_to_steer(room: Room) -> None:
    room.store.add_sprint("x", facts={})
    with pytest.raises(Refusal, match="There is no campaign yet"):
        room.ask("steer", say="stop")
