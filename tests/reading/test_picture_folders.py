"""Folders of pictures and signals: every kind comes out right, or is refused by the name of its file."""

import shutil

import numpy as np
import pytest

from reading.decoded import TEST, TRAIN, UNSPLIT, VAL
from reading.kept import decoded
from refusal import Refusal

Image = pytest.importorskip("PIL.Image")
RNG = np.random.default_rng(0)
GREY = RNG.integers(0, 256, (6, 4), dtype=np.uint8)
COLOUR = RNG.integers(0, 256, (6, 4, 3), dtype=np.uint8)


def plain(place, pixels=GREY, name="0.png", **options):
    place.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(place / name, **options)
    return place / name


@pytest.fixture
def read(tmp_path):
    def read(path=tmp_path / "data", **options):
        return decoded({"source": "folder", "path": str(path), "cache": str(tmp_path / "cache"), **options})

    return read


@pytest.fixture
def beside(tmp_path, read):
    """Decode one hostile picture that lies in class a, beside a plain one in class b."""

    def beside(save, other=GREY, name="x.png", **options):
        plain(tmp_path / "data" / "b", other)
        (tmp_path / "data" / "a").mkdir()
        save(tmp_path / "data" / "a" / name)
        data = read(**options)
        return data, data.inputs[data.targets.tolist().index(0)]

    return beside


def test_a_class_is_a_folder_and_pixels_keep_their_place(tmp_path, read):
    plain(tmp_path / "data" / "cat", COLOUR)
    plain(tmp_path / "data" / "dog", 255 - COLOUR)
    data = read()
    assert data.about["names"] == ["cat", "dog"] and data.about["notes"] == []
    assert data.inputs.tolist() == [
        COLOUR.transpose(2, 0, 1).tolist(),
        (255 - COLOUR).transpose(2, 0, 1).tolist(),
    ]
    assert data.facts() == {
        "shape": [3, 6, 4], "task": "classification", "drawn": "anew", "classes": 2, "vocabulary": None,
    }  # fmt: skip


def test_a_missing_extra_is_named(tmp_path, read, monkeypatch):
    plain(tmp_path / "data" / "a")
    monkeypatch.setitem(__import__("sys").modules, "PIL", None)
    with pytest.raises(Refusal, match=r"pip install -e '\.\[data\]'"):
        read()


def test_numbers_that_name_classes_keep_their_order(tmp_path, read):
    for name in ("0", "1", "2", "10"):
        plain(tmp_path / "data" / name)
    assert read().about["names"] == ["0", "1", "2", "10"]


def test_sixteen_bits_keep_every_value(beside):
    values = np.array([[0, 255, 256, 65535]], np.uint16).repeat(6, 0)
    data, got = beside(lambda file: Image.fromarray(values).save(file), other=values + 0)
    assert data.inputs.dtype == np.float32 and got.tolist() == [values.tolist()]


def test_floats_of_a_tiff_keep_every_value(tmp_path, read):
    values = np.linspace(-3, 1e6, 24, dtype=np.float32).reshape(6, 4)
    plain(tmp_path / "data" / "a", values, "x.tiff")
    plain(tmp_path / "data" / "b", values + 1, "x.tiff")
    assert read().inputs[0].tolist() == [values.tolist()]


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_floats_that_are_not_finite_are_refused_by_name(tmp_path, read, bad):
    plain(tmp_path / "data" / "a", np.full((6, 4), bad, np.float32), "x.tiff")
    plain(tmp_path / "data" / "b", np.zeros((6, 4), np.float32), "x.tiff")
    with pytest.raises(Refusal, match=r"x\.tiff holds values that are not finite"):
        read()


@pytest.mark.parametrize(("background", "behind"), [("white", 255), ("black", 0), ("#808080", 128)])
def test_what_is_seen_through_is_laid_on_the_background(beside, background, behind):
    values = np.dstack([COLOUR, np.zeros((6, 4), np.uint8)])
    values[0, 0, 3] = 255
    data, got = beside(lambda file: Image.fromarray(values).save(file), background=background)
    assert got[:, 0, 0].tolist() == COLOUR[0, 0].tolist() and (got[:, 1:] == behind).all()
    assert f"1 of 2 pictures have an alpha channel: laid on {background}" in data.about["notes"]


def test_grey_with_alpha_stays_grey(beside):
    values = np.dstack([GREY, np.full((6, 4), 255, np.uint8)])
    _, got = beside(lambda file: Image.fromarray(values).save(file))
    assert got.tolist() == [GREY.tolist()]


def test_a_palette_is_looked_up_and_its_transparent_entry_is_behind(beside):
    picture = Image.fromarray((GREY % 2).astype(np.uint8), "P")
    picture.putpalette([10, 20, 30, 200, 100, 50])
    _, got = beside(lambda file: picture.save(file, transparency=1))
    even = np.array([10, 20, 30])[:, None, None]
    assert (got == np.where(GREY % 2, 255, even)).all()


def test_one_bit_is_black_and_white(beside):
    _, got = beside(lambda file: Image.fromarray(GREY > 127).save(file))
    assert got.tolist() == [((GREY > 127) * 255).tolist()]


def test_inks_become_colours(beside):
    values = np.zeros((6, 4, 4), np.uint8)
    values[..., 0] = 255
    _, got = beside(lambda file: Image.fromarray(values, "CMYK").save(file), name="x.tiff")
    assert got[:, 0, 0].tolist() == [0, 255, 255], "cyan"


@pytest.mark.parametrize(("orientation", "turn"), [(3, 2), (6, -1), (8, 1)])
def test_a_picture_stands_as_its_camera_was_held(beside, orientation, turn):
    exif = Image.Exif()
    exif[0x0112] = orientation
    stored = np.rot90(GREY, -turn)
    _, got = beside(lambda file: Image.fromarray(np.ascontiguousarray(stored)).save(file, exif=exif))
    assert got.tolist() == [GREY.tolist()]


def test_several_pictures_in_one_file_are_refused_unless_the_first_is_asked_for(tmp_path, beside, read):
    frames = [Image.fromarray(GREY), Image.fromarray(255 - GREY)]

    def save(file):
        frames[0].save(file, save_all=True, append_images=frames[1:])

    with pytest.raises(Refusal, match=r"x\.tiff holds 2 pictures.*data\.animated=first"):
        beside(save, name="x.tiff")
    assert read(animated="first").inputs[0].tolist() == [GREY.tolist()]


@pytest.mark.parametrize("cut", [0.5, 0.9])
def test_a_truncated_file_is_named_and_left_out_only_if_that_is_asked_for(tmp_path, beside, read, cut):
    big = RNG.integers(0, 256, (64, 64, 3), dtype=np.uint8)

    def save(file):
        Image.fromarray(big).save(file)
        file.write_bytes(file.read_bytes()[: int(file.stat().st_size * cut)])
        plain(file.parent, big, "whole.png")

    with pytest.raises(Refusal, match=r"x\.png is damaged .*data\.damaged=skip"):
        beside(save, other=big)
    data = read(damaged="skip")
    assert len(data.inputs) == len(data.targets) == len(data.parts) == 2
    assert data.about["notes"] == ["1 of 3 files are damaged and left out: x.png"]


def test_what_is_no_picture_is_refused_and_what_has_no_such_ending_is_told(tmp_path, beside, read):
    with pytest.raises(Refusal, match=r"x\.png is no picture"):
        beside(lambda file: file.write_text("hello"))
    (tmp_path / "data" / "a" / "x.png").rename(tmp_path / "data" / "a" / "x.txt")
    (tmp_path / "data" / ".DS_Store").write_bytes(b"x")
    plain(tmp_path / "data" / "a")
    assert read().about["notes"] == ["no picture and no signal, so left out: x.txt"]


def test_depths_are_not_mixed(beside):
    with pytest.raises(Refusal, match=r"16 bits \(.*x\.png\) and 8 bits \(.*0\.png\)"):
        beside(lambda file: Image.fromarray(GREY.astype(np.uint16)).save(file))


def test_grey_among_colour_is_told(beside):
    data, got = beside(lambda file: Image.fromarray(GREY).save(file), other=COLOUR)
    assert got.tolist() == [GREY.tolist()] * 3
    assert data.about["notes"] == ["1 of 2 pictures are grey: all three colours alike"]


def test_sizes_that_differ_are_refused_until_they_are_brought_to_one(tmp_path, read):
    plain(tmp_path / "data" / "a", np.full((6, 4), 7, np.uint8))
    plain(tmp_path / "data" / "b", np.full((9, 12), 9, np.uint8))
    with pytest.raises(Refusal, match=r"2 sizes, from 6 x 4 \(.*a/0\.png\) to 9 x 12 \(.*b/0\.png\)"):
        read()
    stretched = read(resize=[5, 3])
    assert stretched.shape == (1, 5, 3) and stretched.inputs[1].max() == 9
    with pytest.raises(Refusal, match=r"set data\.crop"):
        read(resize=8)
    assert read(resize=8, crop=8).shape == (1, 8, 8)
    with pytest.raises(Refusal, match=r"a/0\.png is 6 x 4, too small for data\.crop=\[5, 5\]"):
        read(crop=[5, 5])


def test_a_crop_is_of_the_middle(tmp_path, read):
    plain(tmp_path / "data" / "a", GREY)
    plain(tmp_path / "data" / "b", GREY.T)
    assert read(crop=2).inputs[0].tolist() == [GREY[2:4, 1:3].tolist()]


def test_parts_of_the_data_stay_what_they_are(tmp_path, read):
    for part, count in (("train", 3), ("valid", 2), ("test", 1)):
        for name in ("a", "b"):
            for number in range(count):
                plain(tmp_path / "data" / part / name, GREY + number, f"{number}.png")
    data = read()
    assert [int((data.parts == part).sum()) for part in (TRAIN, VAL, TEST)] == [6, 4, 2]
    assert data.facts()["drawn"] == "fixed"


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda at: plain(at / "other" / "a"), "has a folder train and beside it other"),
        (lambda at: (plain(at / "val" / "a"), plain(at / "valid" / "a")), "name one folder for each"),
        (lambda at: plain(at), r"0\.png lies beside the folders"),
        (lambda at: plain(at / "test" / "c"), "The class 'c' is in test and not in train"),
        (lambda at: (at / "train" / "c").mkdir(), "train/c holds no picture"),
        (lambda at: plain(at / "train"), r"0\.png lies in no folder of a class"),
        (lambda at: np.save(at / "train" / "a" / "x.npy", GREY), "one kind at a time"),
        (lambda at: shutil.rmtree(at / "train" / "b"), "all examples are of one class, 'a'"),
    ],
)
def test_a_layout_that_can_be_read_in_two_ways_is_refused(tmp_path, read, make, said):
    for name in ("a", "b"):
        plain(tmp_path / "data" / "train" / name)
    make(tmp_path / "data")
    with pytest.raises(Refusal, match=said):
        read()


def test_a_class_that_is_learnt_and_not_tested_is_told(tmp_path, read):
    for place in ("train/a", "train/b", "test/a"):
        plain(tmp_path / "data" / place)
    assert read().about["notes"] == ["test has no example of b"]


def test_linked_folders_are_followed_and_a_circle_ends(tmp_path, read):
    plain(tmp_path / "elsewhere")
    plain(tmp_path / "data" / "b")
    (tmp_path / "data" / "a").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "elsewhere" / "back").symlink_to(tmp_path / "data")
    assert read().targets.tolist().count(0) >= 1


@pytest.mark.parametrize("name", ["owl", "cat/7.png"])
def test_a_link_to_nothing_is_refused_by_name(tmp_path, read, name):
    plain(tmp_path / "data" / "cat")
    plain(tmp_path / "data" / "dog", 255 - GREY)
    (tmp_path / "data" / name).symlink_to(tmp_path / "gone")
    with pytest.raises(Refusal, match=rf"data\.path: .*{name} cannot be read \(No such file"):
        read()


def test_the_whole_of_one_pool_is_to_be_split(tmp_path, read):
    for name in ("a", "b"):
        plain(tmp_path / "data" / name)
    assert read().parts.tolist() == [UNSPLIT, UNSPLIT]
