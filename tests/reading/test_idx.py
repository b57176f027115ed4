"""MNIST's own format: pairs, parts and every type of value; what is not whole is named."""

import gzip

import numpy as np
import pytest

from reading.decoded import TEST, TRAIN, UNSPLIT
from reading.kept import decoded
from refusal import Refusal

IMAGES = np.arange(4 * 3 * 2, dtype=np.uint8).reshape(4, 3, 2) * 10
LABELS = np.array([7, 0, 7, 2], np.uint8)


def packed(values, kind=8):
    head = bytes([0, 0, kind, values.ndim]) + b"".join(size.to_bytes(4, "big") for size in values.shape)
    return head + values.tobytes()


@pytest.fixture
def place(tmp_path):
    data = tmp_path / "data"
    data.mkdir()
    for part in ("train", "t10k"):
        (data / f"{part}-images-idx3-ubyte").write_bytes(packed(IMAGES))
        (data / f"{part}-labels-idx1-ubyte.gz").write_bytes(gzip.compress(packed(LABELS)))
    return data


@pytest.fixture
def read(tmp_path, place):
    return lambda path=place: decoded({"source": "idx", "path": str(path), "cache": str(tmp_path / "cache")})


def test_images_keep_their_pixels_and_parts(read):
    data = read()
    assert data.inputs.dtype == np.uint8 and data.shape == (1, 3, 2)
    assert data.inputs[:4, 0].tolist() == IMAGES.tolist()
    assert data.about["names"] == ["0", "2", "7"] and data.targets.tolist() == [2, 0, 2, 1] * 2
    assert data.parts.tolist() == [TRAIN] * 4 + [TEST] * 4 or data.parts.tolist() == [TEST] * 4 + [TRAIN] * 4


def test_one_pair_is_one_pool(read, place):
    for file in place.glob("t10k*"):
        file.unlink()
    assert set(read().parts.tolist()) == {UNSPLIT}


@pytest.mark.parametrize(("kind", "dtype"), [(9, "i1"), (11, ">i2"), (12, ">i4"), (13, ">f4"), (14, ">f8")])
def test_other_types_keep_their_values(read, place, kind, dtype):
    values = (IMAGES.astype(np.int64) - 50).clip(-128, 127).astype(dtype)
    for part in ("train", "t10k"):
        (place / f"{part}-images-idx3-ubyte").write_bytes(packed(values, kind))
    data = read()
    assert data.inputs.dtype == np.float32 and data.inputs[:4, 0].tolist() == values.astype(float).tolist()


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        (
            "train-images-idx3-ubyte",
            packed(IMAGES)[:-1],
            r"train-images-idx3-ubyte is damaged: it tells of \[4, 3, 2\] values",
        ),
        ("train-images-idx3-ubyte", packed(IMAGES) + b"x", "damaged"),
        ("train-images-idx3-ubyte", b"", "does not begin as an idx file"),
        ("train-images-idx3-ubyte", b"PK\3\4 zipped", "does not begin as an idx file"),
        ("train-images-idx3-ubyte", bytes([0, 0, 8, 200]), "does not begin as an idx file"),
        ("train-images-idx3-ubyte", packed(IMAGES[:3]), "no pair"),
        (
            "train-labels-idx1-ubyte.gz",
            gzip.compress(packed(LABELS))[:-9],
            r"labels-idx1-ubyte\.gz is damaged",
        ),
        ("train-labels-idx1-ubyte.gz", packed(LABELS), "is damaged"),
        ("train-images-idx3-ubyte.gz", gzip.compress(packed(IMAGES)), "hold the same"),
        ("extra-images-idx3-ubyte", packed(IMAGES), "has no partner"),
        ("train-images-idx3-ubyte", packed(IMAGES[:, :2]), "one size"),
    ],
    # gzip writes the time into a file: names of tests with its bytes would differ from process to process.
    ids=lambda given: given if isinstance(given, str) else f"{len(given)} bytes",
)
def test_what_is_not_whole_is_named(read, place, name, content, said):
    (place / name).write_bytes(content)
    with pytest.raises(Refusal, match=said):
        read()


def test_a_class_that_is_only_tested_is_refused(read, place):
    (place / "t10k-labels-idx1-ubyte.gz").write_bytes(gzip.compress(packed(np.array([7, 0, 7, 9], np.uint8))))
    with pytest.raises(Refusal, match="The class '9' is in test and not in train"):
        read()


def test_a_folder_of_something_else_is_refused(read, tmp_path):
    (tmp_path / "other").mkdir()
    with pytest.raises(Refusal, match="images-idx3-ubyte"):
        read(tmp_path / "other")


def test_several_sets_in_one_folder_are_refused(read, place):
    for part in ("train", "test"):
        for name in ("letters", "balanced"):
            (place / f"emnist-{name}-{part}-images-idx3-ubyte").write_bytes(packed(IMAGES))
            (place / f"emnist-{name}-{part}-labels-idx1-ubyte").write_bytes(packed(LABELS))
    with pytest.raises(Refusal, match=r"of one part or two sets: set data\.path to a folder"):
        read()


@pytest.mark.parametrize(("shape", "order"), [((4, 3, 6, 5), (0, 1, 2, 3)), ((4, 6, 5, 3), (0, 3, 1, 2))])
def test_four_axes_are_channels_beside_pixels(read, place, shape, order):
    values = np.arange(360, dtype=np.int64).reshape(shape).astype(np.uint8)
    for part in ("train", "t10k"):
        (place / f"{part}-images-idx3-ubyte").unlink()
        (place / f"{part}-images-idx4-ubyte").write_bytes(packed(values))
    data = read()
    assert data.inputs[:4].tolist() == values.transpose(order).tolist()
    assert bool(data.about["notes"]) is (order[1] == 3)


def test_parts_on_what_may_be_two_scales_are_refused(read, place):
    (place / "t10k-images-idx3-ubyte").write_bytes(packed((IMAGES / 255).astype(">f4"), 13))
    with pytest.raises(Refusal, match=r"floats \(.*t10k.*and bytes \(uint8\) \(.*train.*two scales"):
        read()
