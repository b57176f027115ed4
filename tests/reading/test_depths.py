"""Pictures of 16 and 32 bits and with a colour profile: no value is another one, or that is told."""

import struct
import zlib

import numpy as np
import pytest

from reading.kept import decoded
from refusal import Refusal

Image = pytest.importorskip("PIL.Image")
WHOLE = np.array([[0, 1], [70000, 2**24 - 1]])


def tiff(values, kind, zero=1):
    """A little-endian TIFF of one grey picture, by hand; `kind` 1 is unsigned, 2 signed, 3 floats."""
    height, width = values.shape
    tags = [
        (256, width),
        (257, height),
        (258, 8 * values.itemsize),
        (259, 1),
        (262, zero),
        (273, 8),
        (277, 1),
    ]
    tags += [(278, height), (279, values.nbytes), (339, kind)]
    own = b"".join(struct.pack("<HHII", tag, 4, 1, value) for tag, value in tags)
    head = b"II*\0" + struct.pack("<I", 8 + values.nbytes)
    return head + values.tobytes() + struct.pack("<H", len(tags)) + own + b"\0\0\0\0"


def png(values, transparent):
    """A grey PNG of 16 bits with one value that is transparent, or with alpha beside grey, by hand."""

    def piece(name, content):
        return (
            struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))
        )

    colour = 4 if transparent is None else 0
    head = struct.pack(">IIBBBBB", values.shape[1], values.shape[0], 16, colour, 0, 0, 0)
    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in values)
    pieces = [(b"IHDR", head), (b"IDAT", zlib.compress(rows)), (b"IEND", b"")]
    if transparent is not None:
        pieces.insert(1, (b"tRNS", struct.pack(">H", transparent)))
    return b"\x89PNG\r\n\x1a\n" + b"".join(piece(*one) for one in pieces)


@pytest.fixture
def read(tmp_path):
    def read(*contents, ending="tif"):
        for at, content in enumerate(contents):
            (tmp_path / "data" / "ab"[at % 2]).mkdir(parents=True, exist_ok=True)
            (tmp_path / "data" / "ab"[at % 2] / f"{at}.{ending}").write_bytes(content)
        place = {"path": str(tmp_path / "data"), "cache": str(tmp_path / "cache")}
        return decoded({"source": "folder", **place})

    return read


@pytest.mark.parametrize(
    ("values", "kind"),
    [
        (WHOLE.astype("<i4") - 70000, 2),
        (WHOLE.astype("<u4"), 1),
        (np.array([[0, 1], [2**31, 2**32 - 2**20]]).astype("<u4"), 1),
        (np.array([[0, -1], [-300, 32767]]).astype("<i2"), 2),
        (np.array([[0, 1], [300, 65535]]).astype("<u2"), 1),
        (np.array([[0, -1.5], [1e30, 3e-30]]).astype("<f4"), 3),
    ],
)
def test_grey_of_any_depth_keeps_every_value(read, values, kind):
    data = read(tiff(values, kind), tiff(values[::-1], kind))
    assert data.inputs[:, 0].tolist() == [values.astype(float).tolist(), values[::-1].astype(float).tolist()]
    assert data.about["notes"] == []


def test_a_white_zero_is_turned_over_in_bytes_and_refused_beyond(read):
    values = np.array([[0, 255], [10, 20]], np.uint8)
    assert read(tiff(values, 1, 0), tiff(values, 1, 0)).inputs[0, 0].tolist() == [[255, 0], [245, 235]]
    deep = tiff(values.astype("<u2"), 1, 0)
    with pytest.raises(Refusal, match=r"0\.tif .*its zero is white.*save it with a black zero"):
        read(deep, deep)


def test_whole_numbers_that_are_rounded_are_told(read):
    values = np.array([[0, 2**24 + 1], [5, 6]], "<i4")
    (note,) = read(tiff(values, 2), tiff(values + 2, 2)).about["notes"]
    assert note.endswith("are rounded to 32 bits, such as 16777217 to 16777216") and "0.tif" in note


def test_depths_are_not_mixed_and_signed_bytes_are_refused(read):
    with pytest.raises(
        Refusal, match=r"16 bits \(.*0\.tif\) and 32 bits \(.*1\.tif\): bring them to one depth"
    ):
        read(tiff(WHOLE.astype("<u2"), 1), tiff(WHOLE.astype("<u4"), 1))
    signed = tiff(np.array([[-1, 1]], np.int8), 2)
    with pytest.raises(Refusal, match=r"0\.tif .*8 bits have a sign.*save it with 16"):
        read(signed, signed)


def test_a_transparent_value_of_16_bits_is_kept_and_nothing_is_laid_behind(read):
    values = np.array([[1, 2], [3, 60000]])
    data = read(png(values, 3), png(values + 1, 3), ending="png")
    assert data.inputs[:, 0].tolist() == [values.tolist(), (values + 1).tolist()]
    assert data.about["notes"] == [
        "2 of 2 pictures call one of their values transparent: it is kept as it is"
    ]


@pytest.mark.parametrize("turned", range(2, 9))
def test_a_tiff_that_lies_on_its_side_is_read_upright(tmp_path, read, turned):
    values = np.arange(35, dtype=np.uint8).reshape(5, 7)
    upright = {
        2: values[:, ::-1],
        3: values[::-1, ::-1],
        4: values[::-1],
        5: values.T,
        6: np.rot90(values, -1),
        7: values[::-1, ::-1].T,
        8: np.rot90(values),
    }[turned]
    for at, name in enumerate("ab"):
        (tmp_path / "data" / name).mkdir(parents=True)
        said = Image.Exif()
        said[0x0112] = turned
        Image.fromarray(values + at).save(tmp_path / "data" / name / "s.tif", exif=said)
    assert read().inputs[:, 0].tolist() == [upright.tolist(), (upright + 1).tolist()]


def test_grey_of_16_bits_beside_alpha_is_grey(read):
    values = np.array([[1, 2], [3, 250]])
    rows = np.dstack([values * 257, np.full((2, 2), 65535)])
    data = read(png(rows, None), png(rows, None), ending="png")
    assert data.inputs[0].tolist() == [values.tolist()]
    assert [note[16:] for note in data.about["notes"]] == [
        "have an alpha channel: laid on white",
        "have 16 bits a colour: the upper 8 are kept",
    ]


def test_a_colour_profile_is_told_unless_it_is_srgb(tmp_path, read):
    from PIL import ImageCms

    standard = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    for at, profile in enumerate((standard, b"of some other device", None)):
        (tmp_path / "data" / "ab"[at % 2]).mkdir(parents=True, exist_ok=True)
        picture = Image.fromarray(np.full((2, 2, 3), at, np.uint8))
        picture.save(tmp_path / "data" / "ab"[at % 2] / f"{at}.png", icc_profile=profile)
    told = "1 of 3 pictures have a colour profile other than sRGB: their values are read as they are"
    assert read().about["notes"] == [told]


def test_pictures_behind_the_first_of_a_telephone_are_told(tmp_path, read):
    for at, name in enumerate("ab"):
        (tmp_path / "data" / name).mkdir(parents=True)
        first, second = (Image.new("RGB", (4, 4), (own, own, own)) for own in (at, 200))
        first.save(tmp_path / "data" / name / "s.jpg", "MPO", save_all=True, append_images=[second])
    data = read()
    assert data.inputs.max() < 9 and data.about["notes"] == [
        "2 of 2 pictures have others behind them in their files: the first of each is read"
    ]
