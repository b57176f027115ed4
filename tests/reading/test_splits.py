"""Parts that are held out: shares of every class, equal examples together, the same for the same seed."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from reading.decoded import TEST, TRAIN, UNSPLIT, VAL, Decoded, twins_of
from reading.splits import split
from refusal import Refusal


def pool(labels, inputs=None, parts=None, task="classification"):
    labels = np.asarray(labels)
    inputs = np.arange(len(labels))[:, None] if inputs is None else np.asarray(inputs)[:, None]
    parts = np.full(len(labels), UNSPLIT, np.int8) if parts is None else np.asarray(parts, np.int8)
    return Decoded(inputs, labels, parts, {"task": task, "classes": 2}, twins_of(inputs))


@given(
    st.lists(st.integers(3, 60), min_size=2, max_size=6),
    st.floats(0.05, 0.4),
    st.floats(0.05, 0.4),
    st.integers(0, 2**31),
)
def test_each_class_gives_its_share_to_each_part_within_one_example(sizes, val, test, seed):
    labels = np.repeat(np.arange(len(sizes)), sizes)
    if min(val, test) * len(labels) < len(sizes):
        return
    rows, _ = split(pool(labels), val, test, seed)
    together = np.concatenate(list(rows.values()))
    assert sorted(together) == list(range(len(labels)))
    for part, share in (("val", val), ("test", test)):
        for number, size in enumerate(sizes):
            assert abs(int((labels[rows[part]] == number).sum()) - share * size) <= 2 + 2 * len(
                sizes
            ) * size / len(labels)
        assert abs(len(rows[part]) - share * len(labels)) <= len(sizes)


@given(st.lists(st.integers(0, 12), min_size=30, max_size=120), st.integers(0, 99))
def test_equal_examples_are_never_in_two_parts(values, seed):
    data = pool(np.arange(len(values)) % 2, values)
    try:
        rows, _ = split(data, 0.2, 0.2, seed)
    except Refusal:
        return
    own = [set(data.inputs[part, 0].tolist()) for part in rows.values()]
    assert not (own[0] & own[1] or own[0] & own[2] or own[1] & own[2])


def test_the_seed_alone_draws_the_parts():
    data = pool(np.arange(200) % 4)
    first, again, other = (split(data, 0.1, 0.1, seed)[0]["test"].tolist() for seed in (0, 0, 1))
    assert first == again != other and first != list(range(20))


def test_a_class_with_less_than_one_example_for_each_part_is_learnt():
    rows, _ = split(pool([0] * 50 + [1, 1]), 0.3, 0.3, 0)
    assert {50, 51} <= set(rows["train"].tolist())


def test_values_are_drawn_without_regard_to_them():
    rows, _ = split(pool(np.linspace(0, 1, 100), task="regression"), 0.2, 0.1, 0)
    assert [len(rows[part]) for part in ("train", "val", "test")] == [70, 20, 10]


def test_own_parts_stay_and_only_what_is_missing_is_drawn():
    data = pool(np.arange(100) % 2, parts=[TRAIN] * 80 + [TEST] * 20)
    rows, notes = split(data, 0.25, 0.5, 0)
    assert rows["test"].tolist() == list(range(80, 100)) and len(rows["val"]) == 20 and notes == []


def test_examples_that_own_parts_share_are_told():
    parts = [TRAIN] * 4 + [VAL] * 2 + [TEST] * 3
    _, notes = split(pool([0, 1] * 4 + [0], [1, 2, 3, 4, 1, 9, 9, 2, 1], parts), 0.25, 0.5, 0)
    assert notes == [
        "1 examples of val are in train too, the same to the last bit",
        "2 examples of test are in train too, the same to the last bit",
        "2 examples of test are in val too, the same to the last bit",
        "1 of 9 examples are the same as one of other classes, such as one of 1 and one of 0",
    ]


def test_equal_examples_of_several_classes_are_told_by_their_names():
    own = np.array([[1, 0], [1, 1], [0, 0], [1, 0]] * 10, bool)
    data = pool(own, [0, 0, 0, *range(1, 38)], task="multilabel")
    data.about["names"] = ["war", "love"]
    _, notes = split(data, 0.2, 0.2, 0)
    assert notes[-1] == (
        "2 of 40 examples are the same as one of other classes, such as one of war and one of war, love"
    )
    values = pool([0.5, 1.5] * 20, [0] * 40, [TRAIN] * 20 + [VAL] * 10 + [TEST] * 10, "regression")
    assert not [note for note in split(values, 0.2, 0.2, 0)[1] if "classes" in note]


def test_a_part_that_is_not_what_was_asked_is_told():
    rows, notes = split(pool(np.arange(100) % 2, [7] * 60 + list(range(100, 140))), 0.2, 0.2, 0)
    asked = dict.fromkeys(("val", "test"), 20)
    off = [part for part, count in asked.items() if abs(len(rows[part]) - count) > 2]
    assert [note.split()[0] for note in notes[:-1]] == off[::-1] or not off


@pytest.mark.parametrize(("val", "test"), [(0, 0.1), (0.1, 0), (0.6, 0.5), (-1, 0.1), (1, 0.1)])
def test_shares_that_leave_nothing_are_refused(val, test):
    with pytest.raises(Refusal, match="leave a rest for training"):
        split(pool(np.arange(50) % 2), val, test, 0)


def test_too_few_examples_are_refused():
    with pytest.raises(Refusal, match=r"the val split holds none of 4 examples"):
        split(pool([0, 1, 0, 1]), 0.01, 0.4, 0)


def test_a_class_that_is_too_rare_to_be_held_out_is_told():
    targets = np.array([0] * 30 + [1] * 30 + [2] * 2)
    about = {"task": "classification", "classes": 3, "names": ["a", "b", "rare"]}
    data = Decoded(np.zeros((62, 1)), targets, np.full(62, UNSPLIT, np.int8), about, np.arange(62))
    rows, notes = split(data, 0.2, 0.2, 0)
    assert {60, 61} <= set(rows["train"].tolist())
    assert notes == [f"{part} has no example of rare: too few have it" for part in ("test", "val")]
