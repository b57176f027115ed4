"""Roles are the listing of a folder; what is no role is refused, what is no claim is dropped."""

import shutil
from pathlib import Path

import pytest

from refusal import Refusal
from research.team import forms
from research.team.forms import refuting, shape
from research.team.roles import answering, roles

CONF = Path(__file__).parents[3] / "conf"
PHASES = {
    "researcher": ("Hypotheses", "planning"),
    "architect": ("Plan", "architecture"),
    "engineer": ("Builds", "optimization"),
    "reviewer": ("Review", "optimization"),
    "improver": ("Revision", "optimization"),
    "validator": ("Wording", "evaluation"),
}


def test_six_roles_take_part() -> None:
    found = {role.name: (role.reply, role.phase) for role in roles(CONF)}
    assert found == PHASES and all(role.model is None for role in roles(CONF))


def test_a_new_role_is_one_file_and_a_file_less_is_a_role_less(tmp_path: Path) -> None:
    shutil.copytree(CONF / "role", tmp_path / "role")
    content = "prompt: You doubt everything.\nreply: Review\nphase: optimization\nmodel: openai/other\n"
    (tmp_path / "role" / "sceptic.yaml").write_text(content)
    assert [role.name for role in answering(roles(tmp_path), forms.Review)] == ["reviewer", "sceptic"]
    (tmp_path / "role" / "mason.yaml").write_text(content.replace("Review", "Builds"))
    own = {role.name: role.parts for role in roles(tmp_path)}
    assert "vocabulary" in own["mason"] and "vocabulary" not in own["sceptic"] and "history" in own["sceptic"]
    (tmp_path / "role" / "validator.yaml").unlink()
    assert not answering(roles(tmp_path), forms.Wording)


@pytest.mark.parametrize(
    ("content", "why"),
    [
        ("prompt: x\nreply: Nonsense\nphase: planning\n", "Nonsense is no form"),
        ("prompt: x\nreply: os.path\nphase: planning\n", "no form"),
        ("prompt: ''\nreply: Plan\nphase: planning\n", "prompt"),
        ("prompt: x\nreply: Plan\nphase: lunch\n", "phase"),
        ("prompt: x\nreply: Plan\nphase: planning\nkey: sk\n", "key"),
        ("prompt: x\nreply: Plan\nphase: planning\ntold: [gossip]\n", "told"),
        ("- a list\n", "no role"),
        ("prompt: [", "no role"),
    ],
)
def test_a_file_that_is_no_role_is_refused(tmp_path: Path, content: str, why: str) -> None:
    (tmp_path / "role").mkdir()
    (tmp_path / "role" / "odd.yaml").write_text(content)
    with pytest.raises(Refusal, match=r"odd\.yaml") as refused:
        roles(tmp_path)
    assert why in str(refused.value) and len(str(refused.value).splitlines()) == 1


@pytest.mark.parametrize("role", roles(CONF), ids=lambda role: role.name)
def test_the_shape_of_a_reply_names_all_its_fields_once(role) -> None:
    shown = shape(role.kind)
    for field in role.kind.model_fields:
        assert shown.count(f'"{field}":') == 1
    assert len(shown) < 900


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("test/accuracy less by 0.01", "test/accuracy less by 0.01"),
        ("val/accuracy less by 0.01", "test/accuracy less by 0.01"),
        ("train/energy_j not less by 10%", "train/energy_j not less by 10 %"),
        ("", ""),
    ],
)
def test_a_claim_is_kept_as_it_is_spelt_and_of_the_test_split(text: str, words: str) -> None:
    assert refuting(text) == (words, None)


def test_what_nothing_can_judge_is_dropped_and_said() -> None:
    words, dropped = refuting("the joules\nwould not fall")
    assert words == "" and dropped is not None
    assert "'the joules would not fall'" in dropped and dropped.startswith("refuted_by is dropped")
    words, dropped = refuting("test/accuracy at least 95")
    assert words == "" and dropped is not None and "all figures meet it or none does" in dropped
