"""Texts of any number and size: every byte is in one part, the shares are kept, copies stay together."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from reading.decoded import TEST, TRAIN, VAL
from reading.kept import decoded
from reading.stretches import TextFile, held_out
from refusal import Refusal

SHARES = {TEST: 0.02, VAL: 0.03}


def piece(number, size):
    return TextFile(f"{number}.txt", np.random.default_rng(number).bytes(size))


@given(st.lists(st.integers(1, 20_000), min_size=1, max_size=30), st.integers(0, 99))
def test_every_byte_is_in_one_part_and_the_shares_are_kept(sizes, seed):
    pieces = [piece(number, size + 500) for number, size in enumerate(sizes)]
    total = sum(len(one.text) for one in pieces)
    parts = held_out(pieces, SHARES, seed, [])
    assert sum(len(text) for texts in parts.values() for text in texts) == total
    for part, share in SHARES.items():
        assert 0.5 * share * total - 1 <= sum(map(len, parts[part])) <= share * total + 1
    whole = {one.text for one in pieces}
    pieces_cut = [text for texts in parts.values() for text in texts if text not in whole]
    assert all(any(text in one for one in whole) for text in pieces_cut)


def test_one_giant_among_small_ones_is_not_the_validation_part():
    notes = []
    pieces = [piece(0, 1_000_000), *(piece(number, 1000) for number in range(1, 40))]
    parts = held_out(pieces, SHARES, 0, notes)
    sizes = {part: sum(map(len, texts)) for part, texts in parts.items()}
    assert sizes[TEST] == pytest.approx(0.02 * 1_039_000, rel=0.05) and sizes[TRAIN] > 950_000
    assert sizes[VAL] == pytest.approx(0.03 * 1_039_000, rel=0.5)


@pytest.mark.parametrize("count", [1, 2])
def test_one_or_two_files_are_cut_and_that_is_told(count):
    notes = []
    parts = held_out([piece(number, 10_000) for number in range(count)], SHARES, 0, notes)
    assert [sum(map(len, parts[part])) for part in (TEST, VAL)] == [200 * count, 300 * count]
    assert len(notes) == 2 and all("is cut: its last" in note for note in notes)


@given(st.integers(0, 99))
def test_copies_are_never_in_two_parts(seed):
    pieces = [TextFile(f"{number}.txt", piece(number % 50, 400).text) for number in range(100)]
    parts = held_out(pieces, {TEST: 0.1, VAL: 0.1}, seed, [])
    own = [set(texts) for texts in parts.values()]
    assert not (own[0] & own[1] or own[0] & own[2] or own[1] & own[2])


@pytest.fixture
def read(tmp_path):
    def read(**options):
        place = {"path": str(tmp_path / "own"), "cache": str(tmp_path / "cache"), "length": 8}
        return decoded({"source": "corpus", **place, **options})

    return read


def write(place, name, text):
    place.mkdir(parents=True, exist_ok=True)
    (place / name).write_bytes(text)


def test_targets_are_the_next_bytes(read, tmp_path):
    text = bytes(range(1, 251)) * 8
    write(tmp_path, "own", text)
    data = read()
    assert data.inputs.dtype == data.targets.dtype == np.uint8 and data.shape == (8,)
    assert np.array_equal(data.inputs[:, 1:], data.targets[:, :-1])
    train = data.inputs[data.parts == TRAIN]
    assert train.tobytes() == text[: train.size] and data.facts()["drawn"] == "anew"


def test_bytes_that_fill_no_block_are_told(read, tmp_path):
    for part, size in (("train", 8 * 3 + 1 + 7), ("val", 8 * 2 + 1), ("test", 8 + 1 + 2)):
        write(tmp_path / "own" / part, "x.txt", b"a" * size)
    assert read().about["notes"] == [
        "the last bytes of a part that fill no block of 8 are left out: 7 of train, 2 of test"
    ]


def test_own_parts_stay_and_another_seed_moves_none(read, tmp_path):
    for part, letter in (("train", b"a"), ("val", b"b"), ("test", b"c")):
        write(tmp_path / "own" / part, "x.txt", letter * 100)
    for seed in (0, 1):
        data = read(split_seed=seed)
        letters = [set(data.inputs[data.parts == part].tobytes()) for part in (TRAIN, VAL, TEST)]
        assert letters == [{97}, {98}, {99}] and data.facts()["drawn"] == "fixed"


def test_what_is_no_text_is_told_and_hidden_files_are_not_read(read, tmp_path):
    write(tmp_path / "own", "a.txt", b"abc " * 500)
    write(tmp_path / "own", "b.bin", b"\0" * 50)
    write(tmp_path / "own", ".c", b"hidden" * 500)
    data = read()
    assert data.about["notes"][0] == "no text, so left out: b.bin"
    assert set(data.inputs.tobytes()) <= set(b"abc ")


@pytest.mark.parametrize(
    ("files", "options", "said"),
    [
        ({}, {}, "holds no text"),
        ({"a.txt": b""}, {}, "holds no text"),
        ({"a.txt": b"x" * 2000}, {"length": 5000}, "less than one block of 5001"),
        ({"a.txt": b"x" * 2000}, {"length": 0}, r"data\.length 0"),
        ({"a.txt": b"x" * 2000}, {"val_share": 0.9, "test_share": 0.2}, "leave a rest for training"),
        ({"train/a.txt": b"x" * 2000}, {}, "bring all three or none"),
        ({"a.txt": b"x" * 900, "b.txt": b"x" * 900}, {}, "no file is large enough"),
    ],
)
def test_what_cannot_be_cut_is_refused(read, tmp_path, files, options, said):
    (tmp_path / "own").mkdir()
    for name, text in files.items():
        write((tmp_path / "own" / name).parent, (tmp_path / "own" / name).name, text)
    with pytest.raises(Refusal, match=said):
        read(**options)


def test_files_of_a_corpus_say_their_part(read, tmp_path):
    for part in ("train", "valid", "test"):
        write(tmp_path / "own", f"wiki.{part}.raw", part.encode() * 20)
    data = read(length=10)
    assert bytes(data.inputs[data.parts == VAL][0]).decode() == "validvalid"
    assert (
        bytes(data.inputs[data.parts == TEST][0]).decode() == "testtestte"
        and data.facts()["drawn"] == "fixed"
    )
    (tmp_path / "own" / "README.md").write_text("about it")
    with pytest.raises(Refusal, match=r"README\.md lies beside files that are called as parts"):
        read(length=10)
    for name in ("README.md", "wiki.valid.raw"):
        (tmp_path / "own" / name).unlink()
    with pytest.raises(Refusal, match="some of train, val and test"):
        read(length=10)


def test_text_beside_the_parts_is_told_and_two_folders_of_one_part_are_refused(tmp_path):
    def read():
        place = {"path": str(tmp_path / "data"), "cache": str(tmp_path / "cache")}
        return decoded({"source": "corpus", **place, "length": 8})

    for name in ("train", "val", "test", "books"):
        (tmp_path / "data" / name).mkdir(parents=True)
        (tmp_path / "data" / name / "a.txt").write_text(f"{name} is no other text. " * 20)
    assert "beside the folders of the parts, so left out: books/a.txt" in read().about["notes"]
    (tmp_path / "data" / "valid").mkdir()
    (tmp_path / "data" / "valid" / "a.txt").write_text("one more text " * 40)
    with pytest.raises(Refusal, match="of which two are one part"):
        read()
