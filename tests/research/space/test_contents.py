"""What a training begins from is known by its content: checkpoints, teachers, files that any key names."""

import hashlib
import json
from pathlib import Path
from typing import Any

import pytest

from research.run import teachers
from research.space import contents, identity
from research.space.identity import data_digest, key
from research.space.signature import signature


@pytest.fixture
def config(resolve: Any) -> dict[str, Any]:
    return resolve()


def named(config: dict[str, Any]) -> Any:
    return key(config, signature(config))


def test_a_checkpoint_is_known_by_its_content(config: dict[str, Any], tmp_path: Path) -> None:
    one, other, copy = (tmp_path / f"{name}.ckpt" for name in ("one", "other", "copy"))
    one.write_bytes(b"400 steps")
    other.write_bytes(b"20 steps")
    copy.write_bytes(b"400 steps")
    plain, first, second, third = (
        named(config | {"ckpt_path": None if path is None else str(path)})
        for path in (None, one, other, copy)
    )
    assert len({plain, first, second}) == 3 and first == third
    assert first.signature == second.signature != plain.signature
    one.write_bytes(b"more steps")
    assert named(config | {"ckpt_path": str(one)}) != first


def manifest(folder: Path, **steps: int) -> None:
    listed = {}
    for name, step in steps.items():
        (folder / f"{name}.ckpt").write_bytes(name.encode())
        listed[f"{name}.ckpt"] = {"sha256": hashlib.sha256(name.encode()).hexdigest(), "step": step}
    (folder / "manifest.json").write_text(json.dumps({"checkpoints": listed}))


def test_a_folder_stands_for_its_newest_sound_checkpoint(config: dict[str, Any], tmp_path: Path) -> None:
    folder = tmp_path / "trial" / "checkpoints"
    folder.mkdir(parents=True)
    manifest(folder, old=100, new=400, middle=200)
    by_folder = [named(config | {"ckpt_path": str(place)}) for place in (folder.parent, folder)]
    files = {
        name: named(config | {"ckpt_path": str(folder / f"{name}.ckpt")}) for name in ("old", "new", "middle")
    }
    assert by_folder == [files["new"]] * 2 and len(set(files.values())) == 3
    (folder / "new.ckpt").write_bytes(b"damaged")
    assert named(config | {"ckpt_path": str(folder)}) == files["middle"]
    assert identity.begun({"ckpt_path": str(folder)}) == (folder / "middle.ckpt", [folder / "new.ckpt"])
    manifest(folder, old=100, middle=200, newer=500)
    assert named(config | {"ckpt_path": str(folder)}) not in files.values()


def test_the_lab_and_the_decisions_agree_which_checkpoint_a_folder_stands_for(tmp_path: Path) -> None:
    from models.training.resume import source

    folder = tmp_path / "trial" / "checkpoints"
    folder.mkdir(parents=True)
    manifest(folder, one=9, two=10, three=100)
    for place in (tmp_path / "trial", folder, folder / "two.ckpt"):
        assert source(tmp_path, place) == contents.checkpoint(place)[0]


@pytest.mark.parametrize(
    ("place", "name", "text"),
    [
        ("model", "weights", "{}/start.pt"),
        ("model", "init", "{}/start.pt"),
        ("model", "pretrained", "start.pt"),
        ("model", "init", "start.pt"),
        ("loss", "class_weights", "./start.pt"),
        ("data", "val_path", "{}"),
        ("data", "shards", ["{}/start.pt"]),
        ("data", "train_files", "{}/*.pt"),
        ("callbacks", "divergence", {"_target_": "x.Y", "reference": "{}/start.pt"}),
        ("compress", "masks", {"mask_file": "file://{}/start.pt"}),
        ("optimizer", "stateDir", "sub"),
    ],
)
def test_a_file_that_any_key_names_is_known_by_its_content(
    config: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, place: str, name: str, text: Any
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "sub").mkdir()
    for file in (tmp_path / "start.pt", tmp_path / "sub" / "state.pt"):
        file.write_bytes(b"one")
    value = json.loads(json.dumps(text).replace("{}", str(tmp_path)))
    config[place] = dict(config.get(place) or {}) | {name: value}
    before = named(config)
    assert named(config) == before
    for file in (tmp_path / "start.pt", tmp_path / "sub" / "state.pt"):
        file.write_bytes(b"another")
    after = named(config)
    assert after.signature == before.signature and after != before


def test_what_only_looks_like_a_path_or_is_written_to_is_no_part_of_a_key(
    config: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    before = named(config | {"model": config["model"] | {"cache_dir": str(tmp_path / "cache")}})
    for name in ("relu", "dense", "classification", "val", "cache", "runs"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "file.txt").write_text("by chance")
    assert named(config | {"model": config["model"] | {"cache_dir": str(tmp_path / "cache")}}) == before
    odd = {"text": "~nobody_at_all/x", "long_path": "x" * 5000, "null_path": "a\0b", "dot": ".", "root": "/"}
    named(config | {"model": config["model"] | odd})


def test_links_to_folders_are_followed_and_those_that_go_round_end(tmp_path: Path) -> None:
    data, elsewhere = tmp_path / "data", tmp_path / "elsewhere"
    data.mkdir()
    elsewhere.mkdir()
    (elsewhere / "a.png").write_bytes(b"one")
    (data / "train").symlink_to(elsewhere)
    (data / "again").symlink_to(data)
    before = data_digest({"path": str(data)})
    (elsewhere / "a.png").write_bytes(b"another")
    assert data_digest({"path": str(data)}) != before


def test_a_budget_of_joules_is_known_by_what_joules_are_made_of(
    config: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    profile = tmp_path / "energy_profile.json"
    monkeypatch.setenv("JOULELAB_ENERGY_PROFILE", str(profile))
    joules = config | {"budget": config["budget"] | {"steps": None, "joules": 5}}
    seen = []
    for watts in (None, 3.9, 5.1):
        if watts:
            profile.write_text(json.dumps({"core_w": watts}))
        seen.append((named(config), named(joules)))
    assert len({steps for steps, _ in seen}) == 1 and len({joules for _, joules in seen}) == 3


def test_a_teacher_is_known_by_its_checkpoints_content(tmp_path: Path) -> None:
    file = tmp_path / "teacher.ckpt"
    config = {"data": {}, "trainer": {"accelerator": "cpu"}}
    taught = config | {"compress": {"distill": {"teacher": {"checkpoint": str(file)}}}}
    keys = [identity.key(config, "s")]
    for content in (b"one", b"another"):
        file.write_bytes(content)
        keys.append(teachers.key(taught, "s"))
    assert len({key.data for key in keys}) == 3
    unnamed = config | {"compress": {"distill": {"teacher": "self"}}}
    assert identity.key(unnamed, "s") == keys[0]
