"""The cache: decoded once, mapped then, and never what the files no longer say."""

import os

import numpy as np
import pytest

import own_data
from reading import learnt
from reading.kept import decoded
from reading.sources import folder as source
from refusal import Refusal

pytest.importorskip("PIL")


@pytest.fixture
def config(tmp_path):
    own_data.folder(tmp_path / "pets")
    return {"source": "folder", "path": str(tmp_path / "pets"), "cache": str(tmp_path / "cache")}


@pytest.fixture
def readings(monkeypatch):
    """How often files were decoded."""
    times = []
    read = source.read

    def counted(path, folder, *, resize=None, damaged="refuse"):
        times.append(path)
        return read(path, folder, resize=resize, damaged=damaged)

    monkeypatch.setattr(source, "read", counted)
    return times


def test_files_are_decoded_once_and_mapped_then(config, readings):
    first, again = decoded(config), decoded(config)
    assert len(readings) == 1 and np.array_equal(first.inputs, again.inputs)
    assert isinstance(again.inputs, np.memmap) and again.about == first.about


def test_another_option_and_another_file_are_decoded_anew(config, readings, tmp_path):
    decoded(config)
    assert decoded(config | {"resize": [4, 4]}).shape == (3, 4, 4)
    (tmp_path / "pets" / "cat" / "00.png").unlink()
    assert len(decoded(config).inputs) == 3 * own_data.EACH - 1
    assert len(readings) == 3


def test_a_file_that_was_written_anew_with_the_same_size_and_times_of_day_is_seen(config, readings, tmp_path):
    one, other = (tmp_path / "pets" / name / "00.png" for name in ("cat", "dog"))
    first = np.array(decoded(config).inputs[0])
    about = one.stat()
    one.write_bytes(other.read_bytes())
    os.utime(one, ns=(about.st_atime_ns, about.st_mtime_ns))
    assert not np.array_equal(decoded(config).inputs[0], first)


def test_what_was_refused_leaves_nothing_behind(config, tmp_path):
    (tmp_path / "pets" / "cat" / "00.png").write_bytes(b"no picture")
    for _ in range(2):
        with pytest.raises(Refusal, match="no picture"):
            decoded(config)
    assert not [file for file in (tmp_path / "cache").iterdir() if file.is_dir() and file.name != "seen"]


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"path": None}, r"say where it lies, by data\.path=PATH"),
        ({"path": "/no/such"}, "there is no /no/such"),
        ({"source": "../kept"}, "choose one of .*folder"),
        ({"cache": "/proc/x"}, r"cannot be written .*choose another data\.cache"),
    ],
)
def test_what_cannot_be_read_or_written_is_a_sentence(config, change, said):
    with pytest.raises(Refusal, match=said):
        decoded(config | change)


def test_a_cache_inside_of_the_data_would_change_them(config, tmp_path):
    with pytest.raises(Refusal, match=r"lies inside of data\.path"):
        decoded(config | {"cache": str(tmp_path / "pets" / "cache")})


def test_only_what_is_null_is_learnt(config):
    asked = dict.fromkeys(("shape", "classes", "task", "drawn"))
    assert learnt.found(config | asked) == {
        "shape": [3, 8, 8], "classes": 3, "task": "classification", "drawn": "anew",
    }  # fmt: skip
    assert learnt.found(config | asked | {"classes": 4, "drawn": "fixed"}).keys() == {"shape", "task"}
    assert learnt.found({"_target_": "models.data.digits.load", "shape": None}) == {}
