"""Data that is read from the disk while a network learns: the same batches, and not the whole in memory."""

import numpy as np
import pytest
import torch

from models.data import own
from models.data.batches import Batches, sequential
from models.data.stream import Stream
from reading.decoded import twins_of
from reading.moments import moments
from refusal import Refusal


@pytest.fixture
def load(tmp_path):
    rng = np.random.default_rng(0)
    x = rng.integers(0, 256, (300, 2, 6, 5), dtype=np.uint8)
    np.savez(tmp_path / "own.npz", x=x, y=np.arange(300) % 3)

    def load(**options):
        place = {"path": str(tmp_path / "own.npz"), "cache": str(tmp_path / "cache"), "source": "arrays"}
        return own.load(**({"batch_size": 16} | place | options))

    return load


def test_the_batches_are_the_same_to_the_last_bit(load):
    mapped, streamed = load(), load(memory_bytes=0, workers=3)
    assert mapped.train.stream is None and streamed.train.stream is not None
    both = [Batches(data.train, 16, seed=1) for data in (mapped, streamed)]
    for _ in range(45):
        (inputs, targets), (same, answers) = (next(one) for one in both)
        assert torch.equal(inputs, same) and torch.equal(targets, answers)
    both[1].load_state_dict(both[0].state_dict())
    assert torch.equal(next(both[0])[0], next(both[1])[0])
    for (inputs, _), (same, _) in zip(sequential(mapped.val, 7), sequential(streamed.val, 7), strict=True):
        assert torch.equal(inputs, same)
    assert torch.equal(mapped.test.whole()[0], streamed.test.whole()[0])


def test_a_small_memory_is_kept_to(load):
    assert load(memory_bytes=300 * 60).train.stream is None
    assert load(memory_bytes=300 * 60 - 1).train.stream is not None


def test_rows_are_read_in_any_order_and_a_file_that_shrank_is_told(tmp_path):
    values = np.random.default_rng(0).normal(size=(50, 3)).astype(np.float32)
    np.save(tmp_path / "x.npy", values)
    stream = Stream(np.load(tmp_path / "x.npy", mmap_mode="r"), workers=2)
    places = torch.tensor([49, 3, 4, 5, 5, 0])
    assert len(stream) == 50 and stream.read(places).numpy().tolist() == values[places].tolist()
    with (tmp_path / "x.npy").open("r+b") as file:
        file.truncate(300)
    with pytest.raises(OSError, match="shorter than it was"):
        stream.read(places)


@pytest.mark.parametrize("dtype", [np.uint8, np.float32])
@pytest.mark.parametrize("mapped", [True, False])
def test_moments_are_those_of_the_rows(tmp_path, dtype, mapped):
    rng = np.random.default_rng(0)
    values = rng.integers(0, 256, (400, 3, 4, 4)).astype(dtype)
    if dtype == np.float32:
        values[rng.random(values.shape) < 0.1] = np.nan
    if mapped:
        np.save(tmp_path / "x.npy", values)
        values = np.load(tmp_path / "x.npy", mmap_mode="c")
    rows = np.sort(rng.permutation(400)[:250])
    found = moments(values, rows)
    learnt = np.asarray(values)[rows].astype(np.float64)
    assert found["mean"] == pytest.approx(np.nanmean(learnt, (0, 2, 3)), rel=1e-12)
    assert found["deviation"] == pytest.approx(np.nanstd(learnt, (0, 2, 3), ddof=1), rel=1e-12)
    assert found["gaps"] == (dtype == np.float32)


@pytest.mark.parametrize("constant", [0.0, 0.1, 7.0, 1e9])
def test_a_channel_that_never_varies_is_not_blown_up_and_a_small_one_keeps_its_own_scale(constant):
    """A word that only the test part has would be a million otherwise."""
    small = np.linspace(4e-7, 7e-7, 3000)
    values = np.stack([np.full(3000, constant), small], 1)[:, :, None].astype(np.float32)
    found = moments(values, np.arange(2000))
    assert found["deviation"] == [1.0, pytest.approx(small[:2000].std(ddof=1), rel=1e-6)]
    assert moments(values.astype(np.uint8), np.arange(2000))["deviation"] == [1.0, 1.0]


def test_moments_are_taken_once_for_the_same_rows(load, monkeypatch):
    before = load().about["mean"]
    monkeypatch.setattr("reading.decoded.moments", lambda *_: pytest.fail("it was taken again"))
    assert load().about["mean"] == before
    with pytest.raises(pytest.fail.Exception, match="taken again"):
        load(split_seed=1)


@pytest.mark.slow
def test_pages_that_are_given_back_keep_what_was_written(tmp_path):
    array = np.lib.format.open_memmap(tmp_path / "x.npy", mode="w+", dtype=np.uint8, shape=(6, 2**25))
    array[:] = np.arange(6, dtype=np.uint8)[:, None] % 3
    assert twins_of(array).tolist() == [0, 1, 2, 0, 1, 2]
    assert np.load(tmp_path / "x.npy")[:, -1].tolist() == [0, 1, 2, 0, 1, 2]


def test_workers_must_be_some(load):
    with pytest.raises(Refusal, match=r"data\.workers 0"):
        load(memory_bytes=0, workers=0)
