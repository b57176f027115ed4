"""What the person says while a campaign runs: read line by line, held by the gate, told to the team."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from campaign_lab import Lab, Scripted, energy
from refusal import Refusal
from research.campaign.charter import Screen, Sprints
from research.campaign.steering import ENDED, FILE, Steerable, Steering, add, stopped
from research.propose.model import messages
from research.report.findings import Findings
from team_lab import series

NAMES = Steerable(
    {
        "groups": {
            "optimizer": {"options": {"adamw": "", "lion": ""}},
            "model": {"options": {"mlp": "", "cnn": ""}},
            "compress": {"options": {"prune50": "", "fp16": ""}},
        },
        "keys": {"optimizer.lr": {}, "model.width": {}, "budget.steps": {}},
    }
)


@pytest.mark.parametrize(
    ("typed", "told"),
    [
        ("exclude model=cnn", "exclude model=cnn"),
        ("- Exclude: cnn, optimizer.lr", "exclude model=cnn optimizer.lr"),
        ("focus optimizer", "focus optimizer"),
        ("note the CPU is slow, be brief", "note the CPU is slow, be brief"),
        ("STOP", "stop"),
    ],
)
def test_a_line_is_told_as_it_was_understood(typed: str, told: str) -> None:
    assert NAMES.read(typed).text == told


@pytest.mark.parametrize(
    ("typed", "complaint"),
    [
        ("exclude transformers", "'transformers' is nothing that proposals turn"),
        ("focus optimizer.Ir", "perhaps optimizer.lr"),
        ("exclude model=gru", "'model=gru' is nothing"),
        ("focus", "names nothing"),
        ("please be quick", "steers nothing: say focus NAMES, exclude NAMES, note TEXT or stop"),
        ("stop now", "stop stands alone"),
        ("note", "note is followed by words"),
        ("note " + "x" * 300, "300 characters at most"),
    ],
)
def test_what_is_not_understood_is_refused_in_a_sentence(typed: str, complaint: str) -> None:
    with pytest.raises(Refusal, match=complaint):
        NAMES.read(typed)


@given(st.text(max_size=1000))
def test_no_text_is_half_understood(text: str) -> None:
    try:
        line = NAMES.read(text)
    except Refusal:
        return
    assert NAMES.read(line.text) == line


def steered(path: Path, text: str, known: dict[str, int] | None = None) -> tuple[Steering, list[str]]:
    (path / FILE).write_text(text)
    news: list[str] = []
    return Steering(path / FILE, NAMES, known or {}, news.extend), news


def test_the_gate_holds_proposals_to_it(tmp_path: Path) -> None:
    steering, _ = steered(tmp_path, "# mine\nexclude model=cnn fp16\nfocus optimizer\n")
    assert steering.look(0) is None
    assert steering.outside(["optimizer=lion"]) == steering.outside(["optimizer.lr=0.1"]) == []
    assert steering.outside(["optimizer=lion", "model=mlp", "compress=[prune50]"]) == []
    excluded = steering.outside(["optimizer=lion", "compress=[prune50,fp16]"])
    assert excluded == ["compress=[prune50,fp16]: the person has excluded compress=fp16, leave it as it is."]
    assert steering.outside(["model=cnn"])[0].startswith("model=cnn: the person has excluded model=cnn")
    assert steering.outside(["model.width=8"]) == ["none of it is in the person's focus: turn optimizer too."]


def test_a_wrong_line_is_told_and_the_others_hold(tmp_path: Path) -> None:
    steering, news = steered(tmp_path, "faster please\nexclude model=cnn\n")
    steering.look(3)
    assert len(news) == 2 and news[0].startswith("line 1 of steer.md is left out: 'faster please' steers")
    assert news[1] == "the person said, when 3 proposals had run: exclude model=cnn"
    steering.look(4)
    assert len(news) == 2 and steering.said == ("exclude model=cnn",)
    (tmp_path / FILE).write_text("note a\n" * 50)
    assert steering.look(4) is None and len(news) == 4, "a line is told once"
    assert news[-1] == "steer.md has more than 40 lines: of the rest only stop is heard"
    add(tmp_path / FILE, NAMES.read("stop"))
    assert steering.look(4) == ENDED


def test_a_continued_sprint_heeds_a_line_from_where_it_was_said(tmp_path: Path) -> None:
    steering, news = steered(tmp_path, "exclude model=cnn\nstop\n", {"exclude model=cnn": 4, "stop": 9})
    assert steering.look(2) is None and not news and steering.outside(["model=cnn"]) == []
    assert steering.look(4) is None and steering.outside(["model=cnn"])
    assert steering.look(9) == ENDED


def test_lines_are_added_at_the_end(tmp_path: Path) -> None:
    (tmp_path / FILE).write_text("focus optimizer")
    for _ in range(2):
        add(tmp_path / FILE, NAMES.read("stop"))
    assert (tmp_path / FILE).read_text() == "focus optimizer\nstop\n" and stopped(tmp_path / FILE)
    assert not stopped(tmp_path / "nowhere")


@pytest.mark.slow
def test_a_sprint_reads_it_before_each_round_and_the_report_says_so(lab: Lab) -> None:
    agreed = lab.charter(energy(), screen=Screen(turns=6), ladder=None)
    sprint = lab.sprint(agreed)
    widths = [f"model.width={width}" for width in (64, 32, 16, 8, 100, 101)]
    scripted = Scripted(*widths)
    file = sprint.folder.parent / FILE
    file.parent.mkdir(parents=True, exist_ok=True)
    computed = lab.one

    def said(job: object) -> object:
        if "model.width=32" in job.overrides and not file.exists():
            file.write_text("exclude model\nnote <b>be quick</b>\nbe quick\n")
        return computed(job)

    lab.one = said
    sprint.run([scripted])
    found = Findings(lab.store, sprint.id)
    assert found.counts()["scripted"] == {"ran": 2, "refused": 4}
    assert {"the person has excluded model" in why for why in found.reasons("refused")} == {True}
    assert found.facts["steered"] == {"exclude model": 2, "note <b>be quick</b>": 2}
    report = (sprint.folder / "report.md").read_text()
    assert "the person said, when 2 proposals had run: exclude model" in report
    assert "line 3 of steer.md is left out" in report and "<b>" not in report
    prompt = messages(scripted.states[-1], lab.space.vocabulary())[1]["content"]
    assert "what the person says meanwhile" in prompt and "| exclude model\n| note" in prompt
    assert "line 3 of steer.md" in lab.told.export_text()


@pytest.mark.slow
def test_stop_ends_the_campaign_until_it_is_taken_back(lab: Lab) -> None:
    agreed = lab.charter(energy(0.99), screen=Screen(turns=2), ladder=None, sprint=Sprints(count=3))
    file = lab.open(agreed).folder / FILE
    file.parent.mkdir(parents=True)
    file.write_text("stop\n")
    series(lab, agreed)
    first = lab.store.sprints()
    assert len(first) == 1 and first[0]["facts"]["ended"] == ENDED
    assert "screening ended after 0 proposals: the person stopped it" in str(first[0]["facts"]["notes"])
    series(lab, agreed)
    assert len(lab.store.sprints()) == 1
    file.unlink()
    series(lab, agreed)
    assert len(lab.store.sprints()) > 1 and lab.store.sprints()[0]["facts"]["ended"] is None
