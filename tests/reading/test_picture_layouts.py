"""Layouts of picture folders as people have them: CSVs in several places, parts without others, odd sizes."""

import os
import shutil
import struct
import zlib

import numpy as np
import pytest

from cases import each
from reading.decoded import TEST, TRAIN
from reading.kept import decoded
from refusal import Refusal

Image = pytest.importorskip("PIL.Image")
GREY = np.random.default_rng(0).integers(0, 200, (6, 4), dtype=np.uint8)


def plain(place, pixels=GREY, name="0.png"):
    place.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(place / name)


@pytest.fixture
def read(tmp_path):
    def read(path=tmp_path / "data", **options):
        return decoded({"source": "folder", "path": str(path), "cache": str(tmp_path / "cache"), **options})

    return read


def test_an_empty_file_is_left_out_only_if_that_is_asked_for(tmp_path, read):
    for name in ("a", "b"):
        plain(tmp_path / "data" / name)
    (tmp_path / "data" / "a" / "x.png").write_bytes(b"")
    with pytest.raises(Refusal, match=r"x\.png is no picture.*data\.damaged=skip"):
        read()
    assert read(damaged="skip").about["notes"] == ["1 of 3 files are damaged and left out: x.png"]


def test_test_and_val_without_train_are_no_classes(tmp_path, read):
    for part in ("test", "val"):
        plain(tmp_path / "data" / part / "a")
    with pytest.raises(Refusal, match="has a folder test and none called train"):
        read()
    plain(tmp_path / "data" / "cat")
    with pytest.raises(Refusal, match="has a folder test and beside it cat"):
        read()


def test_one_csv_beside_the_parts_names_files_of_all(tmp_path, read):
    for part in ("train", "test"):
        plain(tmp_path / "data" / part, GREY, "0.png")
        plain(tmp_path / "data" / part, 255 - GREY, "1.png")
    rows = [f"{part}/{number}.png,{'ab'[number]}" for part in ("train", "test") for number in (0, 1)]
    (tmp_path / "data" / "labels.csv").write_text("\n".join(["file_name,label", *rows]))
    data = read()
    assert data.targets.tolist() == [0, 1, 0, 1] and data.parts.tolist() == [TRAIN] * 2 + [TEST] * 2
    (tmp_path / "data" / "labels.csv").write_text("file_name,label\n0.png,a\n")
    with pytest.raises(Refusal, match=r"line 2: there is no file 0\.png beside it"):
        read()


def test_a_csv_that_names_nothing_is_told(tmp_path, read):
    for name in ("a", "b"):
        plain(tmp_path / "data" / name)
    (tmp_path / "data" / "a" / "metadata.csv").write_text("file_name,label\n0.png,x\n")
    assert read().about["notes"] == ["no picture and no signal, so left out: metadata.csv"]


def test_squares_need_one_side_and_a_colour_must_be_one(tmp_path, read):
    for number, name in enumerate(("a", "b")):
        plain(tmp_path / "data" / name, np.full((8 * (number + 1),) * 2, number, np.uint8))
    assert read(resize=4).shape == (1, 4, 4)
    with pytest.raises(Refusal, match=r"data\.background nocolour is no colour"):
        read(background="nocolour")


def test_values_of_pictures_are_regressed_where_that_is_asked_for(tmp_path, read):
    for number in range(3):
        plain(tmp_path / "data", GREY + number, f"{number}.png")
    rows = [f"{number}.png,{number / 2}" for number in range(3)]
    (tmp_path / "data" / "labels.csv").write_text("\n".join(["file_name,age", *rows]))
    data = read(target="age", task="regression")
    assert data.task == "regression" and data.targets[:, 0].tolist() == [0, 0.5, 1]


@each(
    ("paths", "why"),
    [
        (("cat/train", "cat/test", "dog/train", "dog/test"), "put the parts above the classes"),
        (("train_images/cat", "train_images/dog", "test_images/cat", "test_images/dog"), "called as parts"),
        (("seg_train/seg_train/cat", "seg_test/seg_test/cat"), "called as parts"),
        (("train/cat", "val/cat", "valid/cat"), "name one folder for each of train, val and test"),
    ],
)
def test_parts_are_never_classes_nor_joined(tmp_path_factory, paths, why):
    place = tmp_path_factory.mktemp("layout")
    for number, path in enumerate(paths):
        plain(place / "data" / path, GREY + number)
    with pytest.raises(Refusal, match=why):
        decoded({"source": "folder", "path": str(place / "data"), "cache": str(place / "cache")})


def test_files_deeper_than_their_class_are_told(tmp_path, read):
    for number, year in enumerate((2021, 2022)):
        plain(tmp_path / "data" / str(year) / "cat", GREY + number)
    assert (
        "2 files lie deeper than the folders of classes, such as 2021/cat/0.png, whose class is 2021"
        in (read().about["notes"])
    )


def test_a_name_that_is_no_utf8_is_refused(tmp_path, read):
    for name in ("cat", "dog"):
        plain(tmp_path / "data" / name)
    other = tmp_path / "data" / os.fsdecode(b"caf\xe9")
    other.mkdir()
    shutil.copy(tmp_path / "data" / "cat" / "0.png", other / "1.png")
    with pytest.raises(Refusal, match="a name that is no UTF-8"):
        read()


def test_sixteen_bits_a_colour_are_told(tmp_path, read):
    def png(deep):
        rows = b"".join(b"\0" + bytes(range(4 * 3 * (1 + deep))) for _ in range(6))
        head = struct.pack(">IIBBBBB", 4, 6, 8 * (1 + deep), 2, 0, 0, 0)
        chunks = ((b"IHDR", head), (b"IDAT", zlib.compress(rows)), (b"IEND", b""))
        parts = (struct.pack(">I", len(d)) + n + d + struct.pack(">I", zlib.crc32(n + d)) for n, d in chunks)
        return b"\x89PNG\r\n\x1a\n" + b"".join(parts)

    for name, deep in (("a", 0), ("b", 1)):
        (tmp_path / "data" / name).mkdir(parents=True)
        (tmp_path / "data" / name / "0.png").write_bytes(png(deep))
    assert [note for note in read().about["notes"] if "16 bits" in note and "1 " in note]
