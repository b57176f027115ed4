"""A folder of literature: what is read, how it is told apart, ranked, and what is left out with a word."""

import os
from pathlib import Path
from typing import Any

import pytest
import yaml

from refusal import Refusal
from research.literature import library
from research.literature.folder import Folder
from research.literature.library import Library, Source

CONF = Path(__file__).parents[3] / "conf" / "literature"
BIB = r"""
@string{venue = "ICLR"}
@article{lion2023, title={Symbolic Discovery of {Lion}}, author={B{\"o}hm, A. and Chen, X.}, year=2023,
  abstract={A sign-based optimizer that needs less memory than Adam.}}
@article{broken, title = {no end, year = 1999
@misc{moe, title={Mixture of experts}, date={2021-03-04}, keywords={routing, sparsity}}
@article{lion2023, title={The same key again}}
@misc{untitled, year=2020}
"""


def folder(path: Path, **change: Any) -> Library:
    config = yaml.safe_load((CONF / "folder.yaml").read_text()) | {"path": str(path)} | change
    found = library.opened(config)
    assert found is not None
    return found


def by_id(found: Library, query: str) -> dict[str, Source]:
    return {one.id: one for one in found.find(query, 9)}


@pytest.fixture
def shelf(tmp_path: Path) -> Path:
    (tmp_path / "refs.bib").write_text(BIB)
    (tmp_path / "notes").mkdir()
    (tmp_path / "notes" / "pruning.md").write_text(
        "# Gradual *pruning* 2017\n\nPruning weights with a schedule\nsaves joules at inference."
    )
    (tmp_path / "front.md").write_text("---\ntitle: Low rank adapters\ntags: [x]\n---\nLow rank updates.\n")
    (tmp_path / "abstract.txt").write_text("\ufeffQuantization to int8\r\nIntegers are cheaper than floats.")
    (tmp_path / "ignored.pdf").write_bytes(b"%PDF")
    return tmp_path


def test_none_is_no_library() -> None:
    assert library.opened(yaml.safe_load((CONF / "none.yaml").read_text())) is None
    assert library.opened(None) is None


def test_each_kind_of_file_is_read_and_has_a_stable_id(shelf: Path) -> None:
    found = by_id(folder(shelf), "discovery mixture pruning adapters quantization no end untitled")
    assert sorted(found) == [
        *("bib:lion2023", "bib:moe", "file:abstract.txt", "file:front.md", "file:notes/pruning.md"),
    ]
    lion = found["bib:lion2023"]
    assert lion.title == "Symbolic Discovery of Lion" and lion.year == 2023
    assert lion.authors == ("Böhm, A.", "Chen, X.") and lion.abstract.startswith("A sign-based optimizer")
    moe = found["bib:moe"]
    assert (moe.year, moe.abstract) == (2021, "routing, sparsity")
    pruning = found["file:notes/pruning.md"]
    assert pruning.title == "Gradual *pruning* 2017" and pruning.year == 2017
    assert pruning.abstract == "Pruning weights with a schedule saves joules at inference."
    front = found["file:front.md"]
    assert (front.title, front.abstract) == ("Low rank adapters", "Low rank updates.")
    assert found["file:abstract.txt"].title == "Quantization to int8"


def test_one_bad_entry_loses_no_other_and_is_told(shelf: Path, capfd: pytest.CaptureFixture[str]) -> None:
    (note,) = folder(shelf).notes
    assert note == "refs.bib: 3 entries cannot be read, from line 5, 7, 8."
    assert capfd.readouterr() == ("", "")


def test_the_best_match_comes_first_and_a_stranger_never(shelf: Path) -> None:
    found = folder(shelf)
    assert [one.id for one in found.find("cheaper optimizers with less memory", 3)] == [
        "bib:lion2023",
        "file:abstract.txt",
    ]
    assert found.find("pruning", 3)[0].id == "file:notes/pruning.md"
    assert found.find("zebra", 3) == found.find("", 3) == found.find("the of and", 3) == ()
    assert len(found.find("joules memory routing floats updates", 2)) == 2
    assert found.facts()["asked"] == 6 and found.facts()["sources"] == 5


@pytest.mark.parametrize(
    ("content", "title", "note"),
    [
        ("größer".encode(), "größer", None),
        ("größer".encode("latin-1"), "größer", "is not UTF-8"),
        ("größer".encode("utf-16"), "größer", None),
        (b"title\x00\x1b[31m\nrest", "title[31m", None),
        (("é" * 40_000).encode() + b"\n", "é" * 297 + "...", None),
    ],
)
def test_any_encoding_is_read(tmp_path: Path, content: bytes, title: str, note: str | None) -> None:
    (tmp_path / "a.txt").write_bytes(content)
    found = folder(tmp_path)
    (one,) = found.find(title.strip("."), 1)
    assert one.title == title
    assert (note in found.notes[0]) if note else not found.notes


def test_what_is_too_much_or_unreadable_is_left_out_and_told(shelf: Path) -> None:
    (shelf / "empty.txt").write_text(" \n# \n")
    (shelf / "refs2.bib").write_text("@misc{moe, title={Another}}")
    (shelf / "huge.bib").write_text("@misc{x, title={x}}" + " " * 2000)
    found = folder(shelf, max_bytes=1500)
    assert len(found.notes) == 4
    told = " ".join(found.notes)
    assert "empty.txt holds no text." in told and "huge.bib is larger than 1500 bytes" in told
    assert "refs2.bib: bib:moe stand in an earlier file" in told and found.facts()["sources"] == 5
    assert folder(shelf, max_files=1).notes == ["only the first 1 of 7 files are read."]


def test_links_are_not_followed(tmp_path: Path) -> None:
    outside, inside = tmp_path / "outside", tmp_path / "inside"
    outside.mkdir(), inside.mkdir()
    (outside / "secret.txt").write_text("secret")
    (inside / "mine.txt").write_text("mine")
    (inside / "link.txt").symlink_to(outside / "secret.txt")
    (inside / "folder").symlink_to(outside)
    found = folder(inside)
    assert isinstance(found, Folder) and found.facts()["sources"] == 1


@pytest.mark.parametrize("kind", ["missing", "file", "empty", "unreadable bib"])
def test_a_folder_without_literature_is_refused(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "papers"
    if kind == "file":
        path.write_text("x")
    elif kind != "missing":
        path.mkdir()
    if kind == "unreadable bib":
        (path / "a.bib").write_text("@article{broken, title = {no end")
    with pytest.raises(Refusal, match="there is no folder" if kind in ("missing", "file") else "can be read"):
        folder(path)


@pytest.mark.skipif(os.geteuid() == 0, reason="root reads everything")
def test_a_file_without_permission_is_told(shelf: Path) -> None:
    (shelf / "front.md").chmod(0)
    assert any("front.md cannot be read: Permission denied" in note for note in folder(shelf).notes)


@pytest.mark.parametrize("text", ["@article{a,\n" * 2000, "{" * 20_000, "@" * 20_000, "@a{k,t=" + "{" * 9000])
def test_no_bibtex_holds_us(tmp_path: Path, text: str) -> None:
    (tmp_path / "a.bib").write_text(text)
    (tmp_path / "b.txt").write_text("good")
    assert "file:b.txt" in by_id(folder(tmp_path), "good")
