"""Two results are the same only if code, data and machine are."""

import os
import platform
import subprocess
import sys
from pathlib import Path

import pytest

from reading import digest
from refusal import Refusal
from research.space import contents, identity, sources
from research.space.identity import data_digest, hardware_class, key

ROOT = Path(__file__).parents[3]


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

    monkeypatch.setattr(digest, "file_sha256", locked)
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
    code = (
        "import sys; from research.space.identity import key; "
        f"print(key({config}, 's'), 'torch' in sys.modules)"
    )
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
        contents.commit.cache_clear()
        seen.append(data_digest(data))
    assert len(set(seen)) == 3
    (folder / "snapshots" / "ccc").mkdir(parents=True)
    assert data_digest(data | {"revision": "ccc"}) not in seen
    contents.commit.cache_clear()
