"""Two results are the same only if code, data and machine are."""

import hashlib
import json
import os
import platform
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from refusal import Refusal
from research import contents, hub, identity, sources
from research.gate.signature import signature
from research.identity import code_digest, data_digest, hardware_class, key

ROOT = Path(__file__).parents[2]


@pytest.fixture
def house(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A house of the test's own; digests are taken anew after each change."""
    (tmp_path / "models" / "nets").mkdir(parents=True)
    (tmp_path / "models" / "nets" / "mlp.py").write_text("a = 1\n")
    monkeypatch.setattr(sources, "_ROOT", tmp_path)
    for name in ("_sources", "_lab_imports", "_lab_needs"):
        monkeypatch.setattr(sources, name, getattr(sources, name).__wrapped__)
    return tmp_path


def test_the_code_is_every_source_under_models_by_name_and_content(house: Path) -> None:
    seen = [code_digest()]
    (house / "models" / "nets" / "mlp.py").write_text("a = 2\n")
    seen.append(code_digest())
    (house / "models" / "nets" / "cnn.py").write_text("")
    seen.append(code_digest())
    (house / "models" / "nets" / "cnn.py").rename(house / "models" / "nets" / "gru.py")
    seen.append(code_digest())
    assert len(set(seen)) == 4
    (house / "models" / "notes.md").write_text("no code")
    (house / "train.py").write_text("no part of a result")
    assert code_digest() == seen[-1]


def test_versions_of_the_engine_and_of_named_packages_count(
    house: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plain: dict[str, Any] = {
        "optimizer": {"_target_": "torch.optim.AdamW"},
        "model": {"_target_": "models.nets.mlp.MLP"},
    }
    lion = {"callbacks": [{"_target_": "pytorch_optimizer.Lion"}], **plain}
    assert code_digest(plain) == code_digest() != code_digest(lion)
    before = {name: code_digest(config) for name, config in (("plain", plain), ("lion", lion))}
    real = sources.version
    monkeypatch.setattr(sources, "version", lambda name: "9" if name == "pytorch_optimizer" else real(name))
    assert code_digest(plain) == before["plain"] and code_digest(lion) != before["lion"]
    monkeypatch.setattr(sources, "version", lambda name: "9" if name == "torch" else real(name))
    assert code_digest(plain) != before["plain"]


def test_data_under_a_path_is_its_names_and_contents(tmp_path: Path) -> None:
    def digest(path: Path) -> str:
        return data_digest({"path": str(path), "packages": ["scikit-learn"]})

    one, two = tmp_path / "one", tmp_path / "two"
    for folder in (one, two):
        (folder / "sub").mkdir(parents=True)
        (folder / "a.txt").write_text("text")
        (folder / "sub" / "b.txt").write_text("more")
    assert digest(one) == digest(two)
    (two / "sub" / "__pycache__").mkdir()
    (two / "sub" / "__pycache__" / "b.pyc").write_text("left behind by an import")
    assert digest(one) == digest(two)
    seen = {digest(one)}
    (two / "a.txt").write_text("texts")
    seen.add(digest(two))
    (two / "a.txt").rename(two / "c.txt")
    seen.add(digest(two))
    (two / "c.txt").rename(two / "sub" / "c.txt")
    seen.add(digest(two))
    seen.add(digest(one / "a.txt"))
    assert len(seen) == 5


def test_a_file_changed_in_place_is_read_again(tmp_path: Path) -> None:
    file = tmp_path / "a.bin"
    file.write_bytes(b"aaaa")
    before = data_digest({"path": str(file)})
    file.write_bytes(b"bbbb")
    os.utime(file, ns=(1, file.stat().st_mtime_ns + 1))
    assert data_digest({"path": str(file)}) != before


def test_data_from_packages_is_their_versions_and_generated_data_has_none(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    digits = data_digest({"packages": ["scikit-learn"], "path": None})
    assert data_digest({"packages": []}) == data_digest({}) == "generated" != digits
    python = data_digest({"packages": ["python"]})
    monkeypatch.setattr(platform, "python_version", lambda: "3.99.0")
    sources.version.cache_clear()
    assert data_digest({"packages": ["python"]}) != python
    assert data_digest({"packages": ["scikit-learn"]}) == digits
    sources.version.cache_clear()


def test_a_path_that_cannot_be_read_is_a_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(Refusal, match=r"there is no .*give a file"):
        data_digest({"path": str(tmp_path / "none")})
    (tmp_path / "a.bin").write_bytes(b"")

    def locked(path: Path) -> str:
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr(contents, "file_sha256", locked)
    with pytest.raises(Refusal, match=r"a\.bin cannot be read \(Permission denied\)"):
        data_digest({"path": str(tmp_path / "a.bin")})


def test_a_cpu_is_its_model_and_the_cores_that_may_be_used() -> None:
    kind = hardware_class({"accelerator": "cpu"})
    assert kind.startswith("cpu:") and kind.endswith(f" x{len(os.sched_getaffinity(0))}")
    assert len(kind) > len("cpu: x2")


def test_a_gpu_is_its_name_and_none_is_a_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(identity, "_gpu_names", lambda: ["NVIDIA H200", "NVIDIA H200", "NVIDIA L4"])
    assert hardware_class({"accelerator": "gpu", "devices": 1}) == "gpu:NVIDIA H200"
    assert hardware_class({"accelerator": "cuda", "devices": 2}) == "gpu:NVIDIA H200 x2"
    assert hardware_class({"accelerator": "gpu", "devices": [2]}) == "gpu:NVIDIA L4"
    assert hardware_class({"accelerator": "gpu", "devices": "auto"}) == "gpu:NVIDIA H200 x2, NVIDIA L4 x1"
    with pytest.raises(Refusal, match="ask for fewer"):
        hardware_class({"accelerator": "gpu", "devices": 4})
    monkeypatch.setattr(identity, "_gpu_names", list)
    with pytest.raises(Refusal, match="trainer=cpu"):
        hardware_class({"accelerator": "gpu"})
    assert hardware_class({}).startswith("cpu:")


@pytest.mark.slow
def test_a_key_is_the_same_in_every_process_and_needs_no_torch() -> None:
    config = {"data": {"packages": ["scikit-learn"]}, "trainer": {"accelerator": "cpu"}}
    code = f"import sys; from research.identity import key; print(key({config}, 's'), 'torch' in sys.modules)"
    told = [
        subprocess.run(
            [sys.executable, "-c", code],
            cwd=ROOT,
            env=os.environ | {"PYTHONHASHSEED": seed},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for seed in ("1", "2")
    ]
    assert told[0] == told[1] == f"{key(config, 's')} False\n"


def test_what_a_part_imports_of_other_packages_counts_by_its_version(
    house: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (house / "models" / "compress").mkdir()
    (house / "models" / "compress" / "int8.py").write_text("from models.compress import (\n    pt2e,\n)\n")
    (house / "models" / "compress" / "pt2e.py").write_text(
        "def go():\n    import torchao.quantization as q\n"
    )
    int8 = {"compress": {"int8": {"_target_": "models.compress.int8.Int8"}}}
    before = {name: code_digest(config) for name, config in (("plain", {}), ("int8", int8))}
    real = sources.version
    monkeypatch.setattr(sources, "version", lambda name: "9" if name == "torchao" else real(name))
    assert code_digest(int8) != before["int8"] and code_digest({}) == before["plain"]


def test_a_module_named_otherwise_than_its_package_has_a_version() -> None:
    assert sources.version("sklearn") == sources.version("scikit-learn") != "none"
    assert sources.version("nonesuch_at_all") == "none"


@pytest.fixture
def theirs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder on the path with a user's module, a module beside it, and a package with a namespace in it."""
    folder = tmp_path / "theirs"
    (folder / "user_package" / "parts").mkdir(parents=True)
    (folder / "user_net.py").write_text("import math, user_blocks\nraise SystemExit('never imported')\n")
    (folder / "user_blocks.py").write_text("from user_package.parts import act\n")
    (folder / "user_package" / "net.py").write_text("from .parts import act\n")
    (folder / "user_package" / "parts" / "act.py").write_text("slope = 1\n")
    (folder / "user_alone.py").write_text("x = 1\n")
    monkeypatch.syspath_prepend(str(folder))
    return folder


@pytest.mark.parametrize(
    "config",
    [
        {"model": {"_target_": "user_package.net.Net"}},
        {"model": {"_target_": "user_net.Net"}},
        {"model": {"_target_": "models.nets.mlp.MLP", "activation": "user_package.parts.act.snake"}},
        {"model": {"_target_": "models.nets.mlp.MLP", "head": [{"_target_": "user_net.Head"}]}},
        {"loss": {"_target_": "hydra.utils.get_method", "path": "user_blocks.loss"}},
    ],
    ids=lambda config: str(next(iter(config.values()))),
)
def test_a_users_code_is_known_by_the_sources_of_all_that_it_leads_to(
    theirs: Path, config: dict[str, Any]
) -> None:
    seen = [code_digest(config)]
    assert seen[0] == code_digest(config) != code_digest({})
    (theirs / "user_package" / "parts" / "act.py").write_text("slope = 2\n")
    seen.append(code_digest(config))
    (theirs / "user_package" / "parts" / "deeper.py").write_text("")
    seen.append(code_digest(config))
    assert len(set(seen)) == 3
    (theirs / "user_alone.py").write_text("x = 2\n")
    (theirs / "user_package" / "__pycache__").mkdir()
    (theirs / "user_package" / "__pycache__" / "net.cpython-311.pyc").write_bytes(b"left by an import")
    (theirs / "user_package" / "notes.md").write_text("no code")
    assert code_digest(config) == seen[-1]
    assert not {"user_package", "user_net", "user_blocks"} & sys.modules.keys()


def test_an_editable_install_is_known_by_its_sources_and_an_installed_package_by_its_version(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    site, work = tmp_path / "site-packages", tmp_path / "work"
    for place, name in ((work, "user_editable"), (site, "user_installed"), (site, "user_copied")):
        (place / name).mkdir(parents=True)
        (place / name / "__init__.py").write_text("a = 1\n")
        about = site / f"{name}-1.0.dist-info"
        about.mkdir(parents=True)
        (about / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
    # What `pip install FOLDER` leaves: the version may stay while the sources change.
    (site / "user_copied-1.0.dist-info" / "direct_url.json").write_text(
        '{"url": "file:///w", "dir_info": {}}'
    )
    for place in (site, work):
        monkeypatch.syspath_prepend(str(place))
    changed = {}
    for place, name in ((work, "user_editable"), (site, "user_installed"), (site, "user_copied")):
        config = {"model": {"_target_": f"{name}.Net"}}
        before = code_digest(config)
        (place / name / "__init__.py").write_text("a = 22\n")
        changed[name] = code_digest(config) != before
    assert changed == {"user_editable": True, "user_installed": False, "user_copied": True}


def test_a_target_in_the_clone_outside_of_models_is_known_by_its_sources(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plain = code_digest({"model": {"_target_": "models.nets.mlp.MLP"}})
    assert code_digest({"model": {"_target_": "train.build"}}) != plain
    assert code_digest({"model": {"_target_": "collections.OrderedDict"}}) != plain


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
    from models.resume import source

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


def test_data_of_a_hub_are_known_by_the_commit_that_is_here(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    data = {"hub": "someone/pictures", "packages": ["numpy"], "path": None}
    folder = tmp_path / "datasets--someone--pictures"
    (folder / "refs").mkdir(parents=True)
    seen = []
    for commit in (None, "aaa", "bbb"):
        if commit:
            (folder / "refs" / "main").write_text(commit)
        hub.commit.cache_clear()
        seen.append(data_digest(data))
    assert len(set(seen)) == 3
    (folder / "snapshots" / "ccc").mkdir(parents=True)
    assert data_digest(data | {"revision": "ccc"}) not in seen
    hub.commit.cache_clear()


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
        keys.append(identity.key(taught, "s"))
    assert len({key.data for key in keys}) == 3
    unnamed = config | {"compress": {"distill": {"teacher": "self"}}}
    assert identity.key(unnamed, "s") == keys[0]
