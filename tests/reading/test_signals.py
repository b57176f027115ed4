"""Signals in folders: `.npy` and `.wav` keep their values, damaged ones are named."""

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
