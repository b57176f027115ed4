"""report, doctor and research: what is written again from rows, what the machine has, what came out."""

import json
import socket
import threading
from pathlib import Path

import pytest

from campaign_lab import energy
from command_lab import Room
from refusal import Refusal
from research.campaign.charter import Confirm, Screen
from research.run import machine
from research.tasks import doctor
from research.tasks.research import outcome
from research.tasks.task import perform


@pytest.fixture
def campaign(room: Room) -> tuple[Room, str]:
    """A room after a small campaign, and the campaign's name."""
    agreed = room.lab.charter(energy(), screen=Screen(turns=4), confirm=Confirm(seeds=3, looks=1))
    room.lab.campaign(agreed)
    return room, agreed.name


@pytest.mark.slow
def test_reports_are_written_again_from_the_rows(campaign: tuple[Room, str]) -> None:
    room, name = campaign
    found = room.ask("report", id="campaign")
    assert found.of == f"campaign:{name}"
    assert {path.name for path in found.paths} >= {
        "report.md",
        "research_summary.md",
        "statistical_analysis.md",
    }
    before = found.paths[0].read_text()
    assert room.ask("report", id=f"campaign:{name}").paths[0].read_text() == before
    (path,) = room.ask("report", id="sprint:1").paths[:1]
    assert path.name == "report.md" and path.exists()
    sweep = room.ask("report", sweep=name)
    assert sweep.paths[0].read_text().startswith("#") and str(sweep.paths[0]) in sweep.text()


@pytest.mark.slow
def test_a_campaign_is_read_as_typed_results(campaign: tuple[Room, str]) -> None:
    room, name = campaign
    folder = Path(room.store.sprints()[-1]["folder"])
    found = outcome(room.store, folder / "report.md")
    assert found.campaign == name and [one.status for one in found.sprints] == ["done"]
    assert found.figures[0].arm == "control" and found.figures[0].means["train/energy_j"] > 0
    assert {one.word for one in found.insights} <= {"supported", "refuted", "open"} and found.insights
    told = json.loads(found.document())
    assert told["report"] == str(folder / "report.md") and told["insights"][0]["command"].startswith("python")
    assert room.ask("status").spent.trials == len(room.store.trials(sweep=name))


@pytest.mark.parametrize(
    ("keys", "said"),
    [
        ({}, "task=report takes one of: id=sprint:1, id=campaign"),
        ({"id": "campaign"}, "There is no campaign yet"),
        ({"id": "campaign:none"}, "There is no campaign 'none' in this database"),
        ({"id": "sprint:7"}, "There is no sprint 7"),
        ({"id": "trial:7"}, "id=trial:7 names nothing here"),
        ({"sweep": "../../etc"}, "is no name of a sweep"),
        ({"sweep": "nothing"}, "nothing"),
        ({"id": "campaign", "to": "paper"}, "to=paper is unknown"),
        ({"id": "sprint:1", "to": "wandb"}, "to=wandb takes a campaign"),
    ],
)
def test_a_report_of_nothing_is_refused(empty: Room, keys: dict, said: str) -> None:
    with pytest.raises(Refusal, match=said):
        empty.ask("report", **keys)
    assert not (empty.lab.folder / "runs").exists()


@pytest.mark.slow
def test_the_doctor_names_what_is_there_and_no_secret(room: Room, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor, "_HOSTS", ())
    monkeypatch.setenv("WANDB_API_KEY", "the-secret-itself")
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    found = room.ask("doctor", llm="openai")
    assert found.packages["sqlalchemy"] and found.packages["torch"]
    assert found.keys["WANDB_API_KEY"] and "the-secret-itself" not in found.document() + found.text()
    assert set(found.energy) >= {"cpu"} and set(found.energy.values()) <= {
        "nvml",
        "rapl",
        "estimated",
        "not measured",
    }
    assert found.basis and found.basis in found.text()
    assert found.database["kind"] == "sqlite" and found.machine["cores"] >= 1


@pytest.mark.slow
def test_the_doctor_sees_a_neighbour_that_would_disturb_trials(
    room: Room, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(doctor, "_HOSTS", ())
    with machine.busy(4 * machine.cores(), 90.0):
        found = room.ask("doctor")
    assert "1 busy" in found.rest and all("waited" in why for why in found.rest.values())
    assert any("even a single trial would be disturbed" in one for one in found.advice)
    assert "waited" in found.text()


@pytest.mark.slow
def test_the_doctor_says_what_a_chosen_model_lacks(room: Room, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor, "_HOSTS", ())
    monkeypatch.setattr(doctor, "elsewhere", lambda code, seconds: {})
    monkeypatch.setattr(doctor, "_keys", lambda conf, llm: ["MY_KEY"])
    monkeypatch.delenv("MY_KEY", raising=False)
    with room.campaign("doctor", llm="openai") as campaign:
        campaign.config["llm"]["key_env"] = "MY_KEY"
        assert any("needs MY_KEY" in one for one in perform(campaign).advice)


def test_a_host_that_answers_is_told_from_one_that_does_not() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        thread = threading.Thread(target=lambda: server.accept()[0].close())
        thread.start()
        assert doctor._answers(f"127.0.0.1:{server.getsockname()[1]}")
        thread.join()
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        assert not doctor._answers(f"127.0.0.1:{closed.getsockname()[1]}")
