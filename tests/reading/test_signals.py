"""Signals in folders: `.npy` and `.wav` keep their values, damaged ones are named."""

import contextlib
import struct
import wave

import numpy as np
import pytest

from reading.kept import decoded
from refusal import Refusal

pytest.importorskip("PIL.Image")


@pytest.fixture
def read(tmp_path):
    def read(**options):
        place = {"path": str(tmp_path / "data"), "cache": str(tmp_path / "cache")}
        return decoded({"source": "folder", **place, **options})

    return read


def test_signals_keep_their_values(tmp_path, read):
    for name, value in (("a", 0.5), ("b", -2.0)):
        (tmp_path / "data" / name).mkdir(parents=True)
        np.save(tmp_path / "data" / name / "s.npy", np.full(7, value))
    data = read()
    assert data.shape == (1, 7) and data.inputs[:, 0, 0].tolist() == [0.5, -2.0]
    assert read(crop=3).shape == (1, 3)


@pytest.mark.parametrize(
    ("width", "top"), [(1, 127 / 128), (2, 32767 / 32768), (3, 1 - 2**-23), (4, 1 - 2**-31)]
)
def test_sound_lies_between_minus_one_and_one_in_every_width(tmp_path, read, width, top):
    for name in ("a", "b"):
        (tmp_path / "data" / name).mkdir(parents=True)
        with wave.open(str(tmp_path / "data" / name / "s.wav"), "wb") as sound:
            sound.setnchannels(2)
            sound.setsampwidth(width)
            sound.setframerate(8000)
            high, low = (2 ** (8 * width - 1) - 1, -(2 ** (8 * width - 1)))
            offset = 128 if width == 1 else 0
            points = [
                (one + offset).to_bytes(width, "little", signed=width > 1) for one in (high, low, low, high)
            ]
            sound.writeframes(b"".join(points))
    got = read().inputs[0]
    assert got.shape == (2, 2) and got == pytest.approx(np.array([[top, -1], [-1, top]]), abs=1e-7)


@pytest.mark.parametrize("content", [b"", b"\x93NUMPY", b"hello"])
def test_a_damaged_signal_is_named(tmp_path, read, content):
    for name in ("a", "b"):
        (tmp_path / "data" / name).mkdir(parents=True)
        (tmp_path / "data" / name / "s.npy").write_bytes(content)
    with pytest.raises(Refusal, match=r"s\.npy is damaged"):
        read()


def test_nobody_may_write_code_into_an_array(tmp_path, read):
    for name in ("a", "b"):
        (tmp_path / "data" / name).mkdir(parents=True)
        np.save(tmp_path / "data" / name / "s.npy", np.array([{"a": 1}]), allow_pickle=True)
    with pytest.raises(Refusal, match=r"s\.npy"):
        read()


def sounding(place, name, rate=16000, channels=1):
    place.mkdir(parents=True, exist_ok=True)
    with wave.open(str(place / name), "wb") as sound:
        sound.setnchannels(channels)
        sound.setsampwidth(2)
        sound.setframerate(rate)
        sound.writeframes(np.random.default_rng(len(name) + rate).bytes(200 * channels))


def test_rates_and_channels_are_not_mixed(tmp_path, read):
    for name in ("a", "b"):
        sounding(tmp_path / "data" / name, "x.wav")
    assert read().shape == (1, 100)
    sounding(tmp_path / "data" / "b", "y.wav", rate=44100)
    with pytest.raises(Refusal, match=r"16000 points a second .*44100 points a second \(.*y\.wav\)"):
        read()
    (tmp_path / "data" / "b" / "y.wav").unlink()
    sounding(tmp_path / "data" / "b", "z.wav", channels=2)
    with pytest.raises(Refusal, match="bring all to the same channels"):
        read()


def test_sound_in_floats_is_told_apart_from_damage(tmp_path, read):
    sounding(tmp_path / "data" / "a", "x.wav")
    (tmp_path / "data" / "b").mkdir()
    values = np.zeros(100, "<f4").tobytes()
    head = struct.pack("<IHHIIHH", 16, 3, 1, 16000, 64000, 4, 32)
    body = b"WAVEfmt " + head + b"data" + struct.pack("<I", len(values)) + values
    (tmp_path / "data" / "b" / "y.wav").write_bytes(b"RIFF" + struct.pack("<I", len(body)) + body)
    with pytest.raises(Refusal, match=r"y\.wav is no sound of whole numbers .*save it as PCM"):
        read()


@pytest.mark.parametrize(
    ("shape", "dtype", "order"),
    [
        ((6, 5, 3), np.uint8, (2, 0, 1)),
        ((6, 5, 1), np.float32, (2, 0, 1)),
        ((3, 6, 5), np.uint8, (0, 1, 2)),
        ((9, 2), np.float64, (1, 0)),
        ((2, 9), np.float64, (0, 1)),
    ],
)
def test_channels_that_come_last_in_an_array_are_put_first_and_told(tmp_path, read, shape, dtype, order):
    values = {
        name: np.arange(np.prod(shape)).reshape(shape).astype(dtype) + at for at, name in enumerate("ab")
    }
    for name, own in values.items():
        (tmp_path / "data" / name).mkdir(parents=True)
        np.save(tmp_path / "data" / name / "s.npy", own)
    data = read()
    assert data.inputs.tolist() == [own.transpose(order).tolist() for own in values.values()]
    told = ["the channels came last in each array and are put first"]
    assert data.about["notes"] == (told if order != tuple(range(len(order))) else [])


@pytest.mark.parametrize(
    ("shape", "dtype", "own", "note"),
    [
        ((6, 5), np.uint8, (1, 6, 5), []),
        ((6, 6), np.float32, (1, 6, 6), ["each array is read as grey pictures of 6 x 6"]),
        (
            (6, 5),
            np.float32,
            (6, 5),
            ["each array is read as 6 channels of 5 points: the channels come first"],
        ),
    ],
)
def test_grey_arrays_are_pictures_or_it_is_told_what_they_are(tmp_path, read, shape, dtype, own, note):
    for at, name in enumerate("ab"):
        (tmp_path / "data" / name).mkdir(parents=True)
        np.save(tmp_path / "data" / name / "s.npy", np.full(shape, at, dtype))
    data = read()
    assert data.shape == own and data.about["notes"] == note


def test_arrays_on_what_may_be_two_scales_are_refused_and_rounding_is_told(tmp_path, read):
    for name in ("a", "b"):
        (tmp_path / "data" / name).mkdir(parents=True)
        np.save(tmp_path / "data" / name / "s.npy", np.array([1, 2**24 + 1, 7], np.int32))
    assert any("s.npy holds whole numbers above 16777216" in note for note in read().about["notes"])
    np.save(tmp_path / "data" / "b" / "t.npy", np.array([0.5, 0.25, 1]))
    with pytest.raises(Refusal, match=r"whole numbers \(.*s\.npy\) and floats \(.*t\.npy\).*several scales"):
        read()
    (tmp_path / "data" / "b" / "t.npy").unlink()
    for name in ("a", "b"):
        sounding(tmp_path / "data" / name, "x.wav")
    with pytest.raises(Refusal, match="sound of 16000 points a second"):
        read()


def test_arrays_of_pictures_are_cut_on_both_sides_and_what_is_not_done_is_refused(tmp_path, read):
    values = np.arange(3 * 6 * 8).reshape(3, 6, 8).astype(np.float32)
    for name in ("a", "b"):
        (tmp_path / "data" / name).mkdir(parents=True)
        np.save(tmp_path / "data" / name / "s.npy", values)
    assert read(crop=[2, 4]).inputs[0].tolist() == values[:, 2:4, 2:6].tolist()
    assert read(crop=4).inputs[0].tolist() == values[:, 1:5, 2:6].tolist()
    for options, said in (
        ({"crop": 7}, "too small for data.crop=7"),
        ({"resize": 4}, "data.resize=4 is for pictures"),
    ):
        with pytest.raises(Refusal, match=said):
            read(**options)
    with pytest.raises(Refusal, match=r"data\.channels=1 is for pictures"):
        read(channels=1)


@pytest.mark.parametrize(("kind", "said"), [(1, None), (3, "no sound of whole numbers")])
def test_sound_that_ffmpeg_calls_extended_is_read_where_it_has_whole_numbers(tmp_path, read, kind, said):
    code = struct.pack("<H", kind) + bytes.fromhex("000000001000800000aa00389b71")
    head = struct.pack("<IHHIIHHHHI", 40, 0xFFFE, 1, 8000, 24000, 3, 24, 22, 24, 0) + code
    values = bytes([0, 0, 0, 0, 0, 64, 0, 0, 128])
    body = b"WAVELIST\3\0\0\0abc\0fmt " + head + b"data" + struct.pack("<I", len(values)) + values
    for name in ("a", "b"):
        (tmp_path / "data" / name).mkdir(parents=True)
        content = b"RIFF" + struct.pack("<I", len(body)) + body
        (tmp_path / "data" / name / "s.wav").write_bytes(content)
    with pytest.raises(Refusal, match=said) if said else contextlib.nullcontext():
        assert read().inputs[0].tolist() == [[0, 0.5, -1]]
