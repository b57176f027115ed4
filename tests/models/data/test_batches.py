"""The stream of batches: each example once an epoch, equal for equal seeds, resumed, shared by ranks."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from models.data.batches import Batches, sequential
from models.data.dataset import Split
from refusal import Refusal


def numbered(count, dtype=torch.int16):
    rows = torch.arange(count)
    return Split(rows[:, None].to(dtype), rows)


def drawn(batches, steps):
    return torch.cat([next(batches)[1] for _ in range(steps)])


sizes = st.integers(1, 40).flatmap(lambda count: st.tuples(st.just(count), st.integers(1, count)))


@settings(max_examples=40, deadline=None)
@given(sizes, st.integers(0, 2**40))
def test_every_example_is_seen_once_an_epoch_whatever_the_batch_size(size, seed):
    count, batch_size = size
    stream = drawn(Batches(numbered(count), batch_size, seed), 3 * count)
    for epoch in stream[: 3 * count].split(count):
        assert epoch.sort().values.equal(torch.arange(count))


@settings(max_examples=40, deadline=None)
@given(sizes, st.integers(0, 60), st.integers(0, 60))
def test_a_resumed_stream_continues_exactly(size, before, after):
    count, batch_size = size
    whole = Batches(numbered(count), batch_size, seed=5)
    for _ in range(before):
        next(whole)
    resumed = Batches(numbered(count), batch_size, seed=5)
    resumed.load_state_dict(whole.state_dict())
    for _ in range(after):
        assert next(whole)[1].equal(next(resumed)[1])


@settings(max_examples=40, deadline=None)
@given(st.integers(1, 4), st.integers(1, 5), st.integers(1, 30))
def test_ranks_share_one_stream(world, batch_size, steps):
    split = numbered(world * batch_size + 3)
    single = Batches(split, batch_size * world, seed=1)
    ranks = [Batches(split, batch_size, seed=1, rank=rank, world=world) for rank in range(world)]
    for _ in range(steps):
        parts = [next(rank) for rank in ranks]
        assert torch.cat([targets for _, targets in parts]).equal(next(single)[1])
    assert all(rank.state_dict() == single.state_dict() for rank in ranks)


def test_seeds_differ_and_epochs_differ():
    split = numbered(30)
    first = drawn(Batches(split, 30, seed=0), 2)
    assert not first[:30].equal(first[30:])
    assert not first[:30].equal(drawn(Batches(split, 30, seed=1), 1))


def test_inputs_and_targets_belong_together_in_the_types_that_networks_take():
    inputs, targets = next(Batches(numbered(300), 200, seed=0))
    assert inputs.dtype == targets.dtype == torch.int64
    assert inputs.flatten().equal(targets)
    inputs, _ = next(Batches(numbered(9, torch.float32), 4, seed=0))
    assert inputs.dtype == torch.float32


def test_a_change_of_batch_size_keeps_the_order():
    split = numbered(50)
    whole = Batches(split, 8, seed=3)
    head = drawn(whole, 5)
    smaller = Batches(split, 4, seed=3)
    smaller.load_state_dict(whole.state_dict())
    assert torch.cat([head, drawn(smaller, 6)]).equal(drawn(Batches(split, 8, seed=3), 8))


@pytest.mark.parametrize("change", [{"seed": 4}, {"split": numbered(31)}])
def test_a_state_of_other_data_or_another_seed_is_refused(change):
    state = Batches(numbered(30), 4, seed=3).state_dict()
    with pytest.raises(Refusal, match="the checkpoint's data order"):
        Batches(**({"split": numbered(30), "batch_size": 4, "seed": 3} | change)).load_state_dict(state)


@pytest.mark.parametrize(("batch_size", "world"), [(0, 1), (31, 1), (16, 2)])
def test_a_step_larger_than_the_split_is_refused(batch_size, world):
    with pytest.raises(Refusal, match=r"set data\.batch_size between 1 and"):
        Batches(numbered(30), batch_size, seed=0, world=world)


def test_epoch_counts_what_is_drawn():
    batches = Batches(numbered(30), 4, seed=0)
    drawn(batches, 15)
    assert batches.epoch == 2.0


def test_sequential_gives_everything_once_in_order():
    batches = list(sequential(numbered(10), 4))
    assert [len(targets) for _, targets in batches] == [4, 4, 2]
    assert torch.cat([inputs for inputs, _ in batches]).flatten().equal(torch.arange(10))
    assert batches[0][0].dtype == torch.int64


def test_what_is_gathered_ahead_is_two_mebibytes_at_most() -> None:
    for side, held in ((4, 16), (28, 5), (64, 1)):
        split = Split(torch.zeros(640, 1, side, side), torch.zeros(640, dtype=torch.int64))
        batches = Batches(split, 128, seed=0)
        batch = next(batches)[0]
        assert batch.untyped_storage().nbytes() == held * 128 * side * side * 4
        assert held == 1 or batch.untyped_storage().nbytes() <= 2 * 2**20
