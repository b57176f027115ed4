"""The code that a trial runs is known by its content, the lab's as a user's, without importing any of it."""

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from research.space import sources
from research.space.sources import code_digest


@pytest.fixture
def house(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A house of the test's own; digests are taken anew after each change."""
    (tmp_path / "models" / "nets").mkdir(parents=True)
    (tmp_path / "models" / "nets" / "mlp.py").write_text("a = 1\n")
    monkeypatch.setattr(sources, "_ROOT", tmp_path)
    for name in ("_sources", "_lab_imports", "_lab_needs", "_lab_beside"):
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


def test_the_labs_own_sources_are_looked_through_once_a_process(monkeypatch: pytest.MonkeyPatch) -> None:
    config = {"data": {"_target_": "models.data.digits.load"}, "model": {"_target_": "models.nets.mlp.MLP"}}
    first, walk, seen = code_digest(config), sources.walk, []

    def walked(place: Path) -> Iterator[Path]:
        seen.append(place)
        return walk(place)

    monkeypatch.setattr(sources, "walk", walked)
    assert code_digest(config) == first and seen == []
    assert code_digest(config | {"loss": {"_target_": "train.build"}}) != first and seen
