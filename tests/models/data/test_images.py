"""Images from folders and parquet files that the test makes; the network is never reached."""

import shutil
from importlib.util import find_spec

import numpy as np
import pytest
import torch

from models.data import images
from refusal import Refusal
from research.space import contents

Image = pytest.importorskip("PIL.Image")
if find_spec("datasets") is None:
    pytest.skip("needs datasets: pip install -e '.[data]'", allow_module_level=True)


@pytest.fixture(scope="module")
def pictures(tmp_path_factory):
    folder, rng = tmp_path_factory.mktemp("pictures"), np.random.default_rng(0)
    for split, count in (("train", 20), ("test", 6)):
        for number in range(count):
            place = folder / split / f"class{number % 2}"
            place.mkdir(parents=True, exist_ok=True)
            pixels = rng.integers(0, 256, (6, 4, 3), dtype=np.uint8) // (1 + number % 2)
            Image.fromarray(pixels).save(place / f"{number:02}.png")
    return folder


@pytest.fixture(scope="module")
def parquet(pictures, tmp_path_factory):
    import datasets  # a second of CPU time: when a test asks for it, not whenever tests are collected

    folder = tmp_path_factory.mktemp("parquet")
    for split in ("train", "test"):
        files = sorted((pictures / split).rglob("*.png"))
        rows = {
            "img": [{"bytes": file.read_bytes(), "path": None} for file in files],
            "fine": [int(file.parent.name[-1]) for file in files],
            "word": [file.name for file in files],
        }
        datasets.Dataset.from_dict(rows).to_parquet(folder / f"{split}-00000-of-00001.parquet")
    return folder


@pytest.fixture
def load(tmp_path_factory):
    cache = tmp_path_factory.getbasetemp() / "cache"

    def load(path, **changes):
        options = {"batch_size": 4, "shape": [3, 6, 4], "classes": 2, "hub": "no/where", "cache": str(cache)}
        return images.load(path=path and str(path), **(options | changes))

    return load


@pytest.mark.slow
def test_a_folder_of_pictures_is_read_and_scaled_per_channel(pictures, load):
    data = load(pictures)
    assert [len(part) for part in (data.train, data.val, data.test)] == [18, 2, 6]
    assert data.train.inputs.dtype == torch.float32
    assert torch.allclose(data.train.inputs.mean((0, 2, 3)), torch.zeros(3), atol=1e-5)
    assert data.test.targets.tolist() == [0, 0, 0, 1, 1, 1]


def test_pixels_keep_their_place(pictures, load):
    data = load(pictures)
    file = sorted((pictures / "test").rglob("*.png"))[0]
    channels = torch.from_numpy(np.array(Image.open(file))).permute(2, 0, 1).double()
    read = data.test.inputs[0].double()
    for own, other in zip(read, channels, strict=True):
        assert torch.corrcoef(torch.stack([own.flatten(), other.flatten()]))[0, 1] > 0.9999


def test_parquet_gives_the_same_as_the_pictures_it_was_made_of(pictures, parquet, load):
    one, other = load(pictures), load(parquet, image="img", label="fine")
    assert one.train.inputs.equal(other.train.inputs)
    assert one.test.targets.equal(other.test.targets)


def test_a_validation_set_of_its_own_is_taken_as_it_is(pictures, parquet, load, tmp_path):
    for place, name in ((pictures, "val"), (parquet, "validation-00000-of-00001.parquet")):
        own = tmp_path / place.name
        shutil.copytree(place, own)
        source = own / ("test" if name == "val" else "test-00000-of-00001.parquet")
        (shutil.copytree if name == "val" else shutil.copy)(source, own / name)
        data = load(own, image="img", label="fine")
        assert [len(part) for part in (data.train, data.val, data.test)] == [20, 6, 6]
        assert torch.equal(data.val.inputs, data.test.inputs)


def test_several_data_sets_under_one_folder_are_not_joined(parquet, load, tmp_path):
    for name in ("one", "other"):
        shutil.copytree(parquet, tmp_path / name)
    with pytest.raises(Refusal, match=r"holds several data sets \(.*one, .*other\): set data\.path to one"):
        load(tmp_path, image="img", label="fine")


def test_one_channel_means_grey(pictures, load):
    assert load(pictures, shape=[1, 6, 4]).train.inputs.shape == (18, 1, 6, 4)


@pytest.mark.parametrize(
    ("change", "advice"),
    [
        ({"shape": [3, 5, 5]}, r"set data\.shape=\[3,6,4\]"),
        ({"shape": [2, 6, 4]}, "grey or"),
        ({"shape": [24]}, "grey or"),
        ({"classes": 3}, r"set data\.classes=2"),
        ({"val_share": 1.5}, "between 0 and 1"),
    ],
)
def test_what_is_not_as_said_is_refused(pictures, load, change, advice):
    with pytest.raises(Refusal, match=advice):
        load(pictures, **change)


def test_missing_columns_and_words_for_classes_are_refused(parquet, load):
    with pytest.raises(Refusal, match="img, fine, word"):
        load(parquet)
    with pytest.raises(Refusal, match="does not hold class numbers"):
        load(parquet, image="img", label="word")


def test_an_empty_folder_is_refused(tmp_path, load):
    with pytest.raises(Refusal, match="to a folder that does"):
        load(tmp_path)


def test_no_network_is_said_at_once_with_what_to_bring(load, monkeypatch):
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
    with pytest.raises(Refusal, match=r"hf download no/where .* set data\.path=DIR"):
        load(None)


def test_a_hubs_repository_is_read_as_it_was_when_it_was_fetched(
    pictures, parquet, load, tmp_path, monkeypatch
):
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    folder = tmp_path / "datasets--some--pictures"
    (folder / "refs").mkdir(parents=True)
    first, second = "a" * 40, "b" * 40
    for commit, content in ((first, pictures), (second, parquet)):
        shutil.copytree(content, folder / "snapshots" / commit)
    (folder / "refs" / "main").write_text(first)
    (folder / "refs" / "v2").write_text(second)
    read = {name: images._fetched("some/pictures", name).name for name in (None, "v2", second)}
    assert read == {None: first, "v2": second, second: second}
    # Which is what the key of a trial says.
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path))
    contents.commit.cache_clear()
    assert read == {name: contents.commit("some/pictures", name) for name in read}
    contents.commit.cache_clear()


def test_a_missing_extra_is_named(load, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "datasets", None)
    with pytest.raises(Refusal, match=r"pip install -e '\.\[data\]'"):
        load(None)
