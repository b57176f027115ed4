"""Arrays: the names that people use, every layout of axes, and nothing that is not a number."""

import contextlib

import numpy as np
import pytest

from cases import each
from reading.decoded import TEST, TRAIN, UNSPLIT
from reading.kept import decoded
from refusal import Refusal

X, Y = np.arange(24.0).reshape(6, 4), np.array([0, 1, 2, 0, 1, 2])


@pytest.fixture
def read(tmp_path):
    def read(file=None, **arrays):
        options = {key: arrays.pop(key) for key in ("target", "task") if key in arrays}
        path = file or tmp_path / "data.npz"
        if file is None:
            np.savez(path, **arrays)
        return decoded({"source": "arrays", "path": str(path), "cache": str(tmp_path / "cache"), **options})

    return read


@pytest.mark.parametrize(("x", "y"), [("x", "y"), ("X", "Y"), ("data", "labels"), ("images", "label")])
def test_inputs_and_answers_have_the_usual_names(read, x, y):
    data = read(**{x: X, y: Y})
    assert data.shape == (4, 1) and data.inputs[:, :, 0].tolist() == X.tolist()
    assert data.targets.tolist() == Y.tolist() and set(data.parts.tolist()) == {UNSPLIT}


@pytest.mark.parametrize("names", ["x_train y_train x_test y_test", "train_x train_y test_x test_y"])
def test_parts_are_taken_as_they_are(read, names):
    data = read(**dict(zip(names.split(), (X, Y, X[:3], Y[:3]), strict=True)))
    assert data.parts.tolist() == [TRAIN] * 6 + [TEST] * 3


def test_a_folder_holds_one_array_a_file(read, tmp_path):
    (tmp_path / "own").mkdir()
    np.save(tmp_path / "own" / "x.npy", X)
    np.save(tmp_path / "own" / "y.npy", Y)
    assert read(tmp_path / "own").targets.tolist() == Y.tolist()


@pytest.mark.parametrize(
    ("values", "shape", "note"),
    [
        (np.zeros((6, 3, 8, 9), np.uint8), (3, 8, 9), []),
        (np.zeros((6, 8, 9, 3), np.uint8), (3, 8, 9), ["the channels came last in x and are put first"]),
        (np.zeros((6, 8, 9, 4)), (4, 8, 9), ["the channels came last in x and are put first"]),
        (np.zeros((6, 8, 9), np.uint8), (1, 8, 9), []),
        (np.zeros((6, 8, 8)), (1, 8, 8), ["x is read as grey pictures of 8 x 8"]),
        (
            np.zeros((6, 8, 9)),
            (8, 9),
            ["x is read as 8 channels of 9 points: the channels come first"],
        ),
        (np.zeros((6, 50, 3)), (3, 50), ["the channels came last in x and are put first"]),
        (np.zeros((6, 50, 1)), (1, 50), ["the channels came last in x and are put first"]),
        (
            np.zeros((6, 9, 8, 5)),
            (9, 8, 5),
            ["x is read as 9 channels of 8 x 5 pixels: the channels come first"],
        ),
        (np.zeros((6, 2, 50)), (2, 50), []),
        (np.zeros(6), (1, 1), []),
    ],
)
def test_axes_are_put_in_the_order_that_networks_read(read, values, shape, note):
    data = read(x=values, y=Y)
    assert data.shape == shape and data.about["notes"] == note


@each(
    ("train", "test", "said"),
    [
        (np.uint8, np.float32, "bytes.*in x_train and floats in x_test"),
        (np.int64, np.float64, "whole numbers in x_train and floats"),
        (np.uint8, np.int64, "bytes.*and whole numbers"),
        (bool, np.float32, "true and false in x_train and floats"),
        (np.float16, np.float64, None),
        (np.int16, ">i8", None),
    ],
)
def test_parts_on_what_may_be_two_scales_are_refused(tmp_path_factory, train, test, said):
    place = tmp_path_factory.mktemp("arrays")
    arrays = {"x_train": X.astype(train), "y_train": Y, "x_test": X.astype(test), "y_test": Y}
    np.savez(place / "own.npz", **arrays)
    with pytest.raises(Refusal, match=said) if said else contextlib.nullcontext():
        decoded({"source": "arrays", "path": str(place / "own.npz"), "cache": str(place / "cache")})


def test_one_row_of_ones_is_a_class_and_words_are_names(read):
    assert read(x=X, y=np.eye(3)[Y]).targets.tolist() == Y.tolist()
    wide = read(x=X, y=np.eye(5)[Y * 2])
    assert wide.about["names"] == ["0", "2", "4"] and wide.about["notes"] == [
        "no example is of the classes 1, 3: they are left out"
    ]
    data = read(x=X, y=np.array(["no", "yes", "no", "no", "yes", "no"]))
    assert data.about["names"] == ["no", "yes"] and data.targets.tolist() == [0, 1, 0, 0, 1, 0]


def test_many_or_broken_numbers_are_values_unless_a_person_says_what_they_are(read):
    values = np.linspace(0, 1, 6)
    data = read(x=X, y=values)
    assert data.task == "regression" and data.targets[:, 0].tolist() == values.astype(np.float32).tolist()
    assert read(x=X, y=Y, task="regression").targets.dtype == np.float32
    many = {"x": np.arange(65.0), "y": np.arange(65)}
    (note,) = read(**many).about["notes"]
    assert note.endswith("65 different whole numbers are values; data.task=classification makes them classes")
    assert not read(**many, task="regression").about["notes"]
    with pytest.raises(Refusal, match=r"are fractions, so data\.task=classification"):
        read(x=X, y=values, task="classification")
    with pytest.raises(Refusal, match="set it to one of classification, multilabel, regression"):
        read(x=X, y=values, task="language")


@each(
    ("arrays", "said"),
    [
        ({"x": X}, "holds x without its partner|holds x: call"),
        ({"a": X, "b": Y}, "holds a, b: call the arrays x and y"),
        ({"x": X[:5], "y": Y}, r"x is \[5, 4\] and y \[6\]: as many of each"),
        ({"x": np.where(X == 9, np.nan, X), "y": Y}, "not finite, the first in example 2"),
        ({"x": X, "y": np.array([0, 1, -1, 0, 1, 0])}, "1 examples have the label '-1'"),
        ({"x": X, "y": np.array([0, 1, np.nan, 0, 1, 0])}, "the answer of example 2 is missing"),
        ({"x": X, "y": np.zeros(6, int)}, "all examples are of one class"),
        ({"x": X, "y": np.full(6, 0.5)}, r"all answers are 0\.5"),
        ({"x": X[:0], "y": Y[:0]}, "all examples are of one class"),
        ({"x": X[:0], "y": Y[:0], "task": "regression"}, "all answers are missing"),
        ({"x": np.array(["a"] * 6), "y": Y}, "inputs are numbers"),
        ({"x": X.astype(object), "y": Y}, "numbers alone"),
        ({"x": X * 1j, "y": Y}, "inputs are numbers"),
        ({"x": np.zeros((6, 0)), "y": Y}, "inputs are numbers"),
        ({"x": X, "y": Y, "x_train": X, "y_train": Y}, "call the arrays"),
        ({"x_test": X, "y_test": Y}, "call the arrays"),
        (
            {"x_train": X, "y_train": Y, "x_test": X[:, :2], "y_test": Y},
            r"the parts hold \[4, 1\] and \[2, 1\]",
        ),
        ({"x": X, "y": np.zeros((6, 2, 2))}, "one class or value of each example"),
    ],
)
def test_what_does_not_fit_is_refused(read, arrays, said):
    with pytest.raises(Refusal, match=said):
        read(**arrays)


@pytest.mark.parametrize("content", [b"", b"PK\3\4", b"hello", b"\x93NUMPY\1\0"])
def test_a_damaged_file_is_named(read, tmp_path, content):
    (tmp_path / "own.npz").write_bytes(content)
    with pytest.raises(Refusal, match=r"own\.npz is damaged"):
        read(tmp_path / "own.npz")


def test_one_array_alone_has_no_answers(read, tmp_path):
    np.save(tmp_path / "x.npy", X)
    with pytest.raises(Refusal, match="one array without answers"):
        read(tmp_path / "x.npy")


HEAD = "# made up\n@problemName Own\n@timeStamps false\n@univariate false\n@classLabel true up down\n@data\n"
SERIES = HEAD + "1,2,3:4,5,6:up\n3,2,1:6,5,4:down\n\n1,2,4:4,5,7:up\n"


def test_series_are_read_with_their_parts_channels_and_classes(read, tmp_path):
    (tmp_path / "own").mkdir()
    (tmp_path / "own" / "Own_TRAIN.ts").write_text(SERIES)
    (tmp_path / "own" / "Own_TEST.ts").write_text(HEAD + "9,8,7:-6,5e-1,4:down\n")
    data = read(tmp_path / "own")
    assert data.shape == (2, 3) and data.inputs[3].tolist() == [[9, 8, 7], [-6, 0.5, 4]]
    assert [data.about["names"][target] for target in data.targets] == ["up", "down", "up", "down"]
    assert data.parts.tolist() == [TRAIN, TRAIN, TRAIN, TEST]
    five = ":".join(["1,2,3,4,5"] * 4 + ["6,7,8,9,0"])  # as many channels as points, and no picture
    (tmp_path / "five.ts").write_text(HEAD + f"{five}:up\n{five}:down\n")
    square = read(tmp_path / "five.ts")
    assert square.shape == (5, 5) and square.about["notes"] == []
    (tmp_path / "one.ts").write_text(
        SERIES.replace("@classLabel true up down", "@targetLabel true")
        .replace("up", "0.5")
        .replace("down", "2.5")
    )
    alone = read(tmp_path / "one.ts")
    assert alone.targets.tolist() == [[0.5], [2.5], [0.5]] and set(alone.parts.tolist()) == {UNSPLIT}


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("@timeStamps false", "@timeStamps true", "has time stamps"),
        ("@classLabel true up down", "@classLabel false", "neither a @classLabel nor a @targetLabel"),
        ("3,2,1:6,5,4", "3,2:6,5", "line 8: not as long as the first series"),
        ("3,2,1:6,5,4", "3,2,1:6,5", "line 8: .*of one length"),
        ("3,2,1", "3,two,1", "line 8: could not convert string to float"),
        ("3,2,1", "3,?,1", "not finite, the first in example 1"),
        ("@data\n", "", "line 6: a series before @data"),
        (SERIES[len(HEAD) :], "", "holds no series under @data"),
    ],
)
def test_series_that_cannot_be_taken_are_refused(read, tmp_path, old, new, said):
    (tmp_path / "own.ts").write_text(SERIES.replace(old, new))
    with pytest.raises(Refusal, match=said):
        read(tmp_path / "own.ts")


def test_whatever_is_flipped_in_a_file_is_a_sentence(tmp_path):
    rng = np.random.default_rng(3)
    np.savez_compressed(tmp_path / "own.npz", x=rng.random((20, 5)), y=np.arange(20) % 2)
    whole = (tmp_path / "own.npz").read_bytes()
    for _ in range(150):
        flipped = bytearray(whole)
        for at in rng.integers(0, len(whole), 3):
            flipped[at] ^= 1 << int(rng.integers(8))
        (tmp_path / "own.npz").write_bytes(bytes(flipped))
        own = {"source": "arrays", "path": str(tmp_path / "own.npz"), "cache": str(tmp_path / "cache")}
        with contextlib.suppress(Refusal):  # anything else fails; what is not noticed is another's to find
            decoded(own)
