"""A student finds its teacher: trained by a recipe once, by number, by folder; or a sentence says why not."""

import hashlib
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import train
from refusal import Refusal
from research.run import teachers
from research.space.signature import signature
from research.store.store import Store

# Each of these trains several networks.
pytestmark = pytest.mark.slow

TEACHER = ["data=digits", "model.width=32", "budget.steps=20"]
# Shorter trainings have no joules: a fast machine is through with 20 steps before the estimate's first tick.
METERED = [*TEACHER[:-1], "budget.steps=400"]


def student(resolve: Callable[..., Any], **teacher: Any) -> dict[str, Any]:
    config: dict[str, Any] = resolve("model.width=8", "budget.steps=10", "compress=[distill]")
    config["compress"]["distill"]["teacher"] |= teacher
    return config


def test_a_recipe_is_trained_once_for_all_students(resolve: Callable[..., Any], tmp_path: Path) -> None:
    config = student(resolve, recipe=METERED)
    first = train.trial(config, overrides=[])
    second = train.trial(config | {"seed": 1}, overrides=[])
    rows = Store(f"sqlite:///{tmp_path}/lab.db").trials()
    assert len(rows) == 3 and rows[1].overrides == tuple(METERED)
    assert first["facts"]["teacher"]["status"] == "done" and second["facts"]["teacher"]["status"] == "known"
    assert first["facts"]["teacher"]["trial"] == second["facts"]["teacher"]["trial"] == rows[1].id
    joules = Store(f"sqlite:///{tmp_path}/lab.db").results([rows[1].id])[rows[1].id].metrics["train/energy_j"]
    assert first["metrics"]["distill/teacher_energy_j"] == joules
    assert "compress/speedup" not in first["metrics"], "a student is not compared with itself"


def test_a_number_and_a_folder_name_the_same_teacher(resolve: Callable[..., Any], tmp_path: Path) -> None:
    taught = train.trial(resolve(*TEACHER), overrides=TEACHER)
    by_number = train.trial(student(resolve, run=taught["trial_id"]), overrides=[])
    by_folder = train.trial(student(resolve, checkpoint=taught["folder"]), overrides=[])
    (file,) = (Path(taught["folder"]) / "checkpoints").glob("*.ckpt")
    by_file = train.trial(student(resolve, checkpoint=str(file)), overrides=[])
    sha = hashlib.sha256(file.read_bytes()).hexdigest()
    for answer in (by_number, by_folder, by_file):
        told = {key: answer["facts"]["teacher"][key] for key in ("trial", "weights", "sha256")}
        assert told == {"trial": taught["trial_id"], "weights": str(file), "sha256": sha}
    elsewhere = file.rename(tmp_path / "teacher.ckpt")
    described = train.trial(student(resolve, checkpoint=str(elsewhere), recipe=TEACHER), overrides=[])
    losses = {answer["metrics"]["test/loss"] for answer in (by_number, by_folder, by_file, described)}
    assert len(losses) == 1
    # The file is gone from the folder that the number stands for.
    with pytest.raises(Refusal, match="damaged"):
        train.trial(student(resolve, run=taught["trial_id"]) | {"seed": 5}, overrides=[])


def test_a_student_is_known_by_the_teacher_that_its_words_come_to(
    resolve: Callable[..., Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def name(**teacher: Any) -> Any:
        config = student(resolve, **teacher)
        return teachers.key(config, signature(config))

    taught = train.trial(resolve(*TEACHER), overrides=TEACHER)
    other = train.trial(resolve(*TEACHER, "seed=1"), overrides=[*TEACHER, "seed=1"])
    before = [name(run=taught["trial_id"]), name(checkpoint=taught["folder"]), name(recipe=TEACHER)]
    assert len(set(before)) == 3
    # The number and the folder come to stand for another teacher's network.
    shutil.rmtree(Path(taught["folder"]) / "checkpoints")
    shutil.copytree(Path(other["folder"]) / "checkpoints", Path(taught["folder"]) / "checkpoints")
    after = [name(run=taught["trial_id"]), name(checkpoint=taught["folder"]), name(recipe=TEACHER)]
    assert [one == two for one, two in zip(before, after, strict=True)] == [False, False, True]
    # The recipe's words come to another network by conf/.
    resolved = teachers._resolved
    monkeypatch.setattr(
        teachers,
        "_resolved",
        lambda recipe: resolved(recipe) | {"model": resolved(recipe)["model"] | {"depth": 2}},
    )
    assert name(recipe=TEACHER) != after[2]


def test_what_cannot_teach_is_refused_in_one_sentence(resolve: Callable[..., Any], tmp_path: Path) -> None:
    cases = [
        ({}, "needs one teacher"),
        ({"run": 1, "recipe": TEACHER}, "needs one teacher"),
        ({"run": 999}, "no finished trial 999"),
        ({"checkpoint": str(tmp_path / "nothing")}, "there is no"),
        ({"checkpoint": str(tmp_path)}, "say what network it holds"),
        ({"recipe": ["data=mnist1d", "model=cnn"]}, "learnt from other data"),
        ({"recipe": ["model=nothing"]}, "nothing"),
        ({"recipe": "model=cnn"}, "write a list"),
        ({"run": "last"}, "write the number of a trial"),
        ({"recipe": [*TEACHER, "compress=[distill_self]"]}, "is not compressed"),
    ]
    for teacher, words in cases:
        with pytest.raises(Refusal, match=words):
            train.trial(student(resolve, **teacher), overrides=[])
    reasons = [row.reason for row in Store(f"sqlite:///{tmp_path}/lab.db").trials(status="failed")]
    assert len(reasons) == len({str(teacher) for teacher, _ in cases})
