"""Augmentation: each kind does what it says, the same for the same seed and place, or is refused."""

import numpy as np
import pytest
import torch

import own_data
import train
from models.data.augment import Augment, check, cut_out, moved
from models.data.batches import Batches
from models.data.dataset import Dataset, Split
from models.training.objective import BinaryCrossEntropy, CrossEntropy
from refusal import Refusal

PICTURES = torch.arange(2 * 3 * 16 * 16.0).reshape(2, 3, 16, 16) + 1
MIDDLE = torch.full((2, 2), 0.5)


def test_a_flip_mirrors_the_chosen_pictures_left_for_right():
    found = moved(PICTURES, torch.tensor([True, False]), None)
    assert torch.equal(found[0], PICTURES[0].flip(-1)) and torch.equal(found[1], PICTURES[1])


def test_a_crop_moves_by_up_to_an_eighth_and_fills_with_the_mean():
    assert torch.equal(moved(PICTURES, None, MIDDLE), PICTURES)
    found = moved(PICTURES, None, torch.tensor([[0.0, 0.999], [0.5, 0.0]]))
    assert not found[0, :, :2].any() and not found[0, :, :, -2:].any()
    assert torch.equal(found[0, :, 2:, :-2], PICTURES[0, :, :-2, 2:])
    assert torch.equal(found[1, :, :, 2:], PICTURES[1, :, :, :-2]) and not found[1, :, :, :2].any()


def test_a_crop_leaves_a_side_of_one_where_it_is():
    line = PICTURES[:, :, :1]
    found = moved(line, None, torch.tensor([[0.0, 0.0], [0.999, 0.5]]))
    assert torch.equal(found[0, :, :, 2:], line[0, :, :, :-2]) and torch.equal(found[1], line[1])


def test_a_cut_takes_a_quarter_around_its_place():
    found = cut_out(PICTURES, torch.tensor([[0.5, 0.5], [0.0, 0.0]]))
    gone = found == 0
    assert gone[0, :, 4:12, 4:12].all() and gone[0].sum() == 3 * 64
    assert gone[1, :, :4, :4].all() and gone[1].sum() == 3 * 16, "at a corner a quarter of it is inside"
    signal = torch.ones(1, 2, 40)
    assert (cut_out(signal, torch.tensor([[0.5]])) == 0).sum() == 2 * 10


def test_a_mixture_has_the_same_shares_of_inputs_and_answers():
    inputs, targets = torch.eye(6).reshape(6, 1, 6), torch.arange(6) % 3
    mixed, answers = Augment(["mixup"], 3, seed=1)(inputs, targets, place=0)
    shares = mixed[:, 0] @ torch.nn.functional.one_hot(targets, 3).float()
    torch.testing.assert_close(answers, shares)
    assert (answers.sum(1) - 1).abs().max() < 1e-6 and 0 < mixed[mixed < 1].max() < 1
    marks = torch.eye(6, dtype=torch.bool)
    _, several = Augment(["mixup"], 6, seed=1)(inputs, marks, place=0)
    torch.testing.assert_close(several, mixed[:, 0])
    _, values = Augment(["mixup"], 1, seed=1)(inputs, torch.arange(6.0)[:, None], place=0)
    torch.testing.assert_close(values[:, 0], mixed[:, 0] @ torch.arange(6.0))


def test_mixed_answers_have_the_loss_of_their_shares():
    logits, targets = torch.randn(4, 3), torch.tensor([0, 2, 1, 1])
    one_hot = torch.nn.functional.one_hot(targets, 3).float()
    torch.testing.assert_close(CrossEntropy(0.1)(logits, one_hot), CrossEntropy(0.1)(logits, targets))
    half = CrossEntropy()(logits, (one_hot + one_hot.flip(0)) / 2)
    whole = (CrossEntropy()(logits, targets) + CrossEntropy()(logits, targets.flip(0))) / 2
    torch.testing.assert_close(half, whole)
    marks = one_hot.bool()
    torch.testing.assert_close(BinaryCrossEntropy()(logits, marks), BinaryCrossEntropy()(logits, one_hot))


def stream(names=("flip", "crop", "cutout", "mixup"), seed=0, size=8, **options):
    rng = torch.Generator().manual_seed(0)
    split = Split(torch.randn(40, 1, 16, 16, generator=rng), torch.arange(40) % 3)
    return Batches(split, size, seed, augment=Augment(names, 3, seed), **options)


def test_a_resumed_stream_is_the_same_to_the_last_bit():
    whole = stream()
    seen = [next(whole) for _ in range(9)]
    for cut in (1, 4, 8):
        again = stream()
        for _ in range(cut):
            next(again)
        resumed = stream()
        resumed.load_state_dict(again.state_dict())
        for expected, (inputs, targets) in zip(seen[cut:], resumed, strict=False):
            assert torch.equal(inputs, expected[0]) and torch.equal(targets, expected[1])


def test_each_batch_and_each_seed_is_changed_in_its_own_way():
    one, other = stream(["crop"]), stream(["crop"], seed=1)
    plain = stream([])
    moves = [(next(one)[0] != next(plain)[0]).flatten(1).any(1).float().mean() for _ in range(6)]
    assert np.mean(moves) > 0.7
    epochs = [torch.stack([next(one)[0] for _ in range(5)]).sum() for _ in range(2)]
    assert epochs[0] != epochs[1] and not torch.equal(next(one)[0], next(other)[0])


def test_several_processes_see_what_one_sees():
    names = ["flip", "crop", "cutout"]
    whole = next(stream(names, size=8))[0]
    parts = [next(stream(names, size=4, rank=rank, world=2))[0] for rank in (0, 1)]
    assert torch.equal(torch.cat(parts), whole)


@pytest.mark.parametrize(
    ("names", "shape", "tokens", "said"),
    [
        (["flip"], (2, 40), False, "flip makes no sense.*a signal takes crop and cutout and mixup"),
        (["crop"], (7, 1), False, "a row of a table takes mixup"),
        (["mixup"], (16,), True, "tokens takes none of them"),
        (["blur"], (1, 8, 8), False, "'blur': choose from flip, crop, cutout, mixup"),
        (["flip", "flip"], (1, 8, 8), False, "'flip'.*each once"),
    ],
)  # fmt: skip
def test_what_makes_no_sense_is_refused(names, shape, tokens, said):
    with pytest.raises(Refusal, match=said):
        check(names, shape, tokens)


def test_a_data_set_checks_what_it_is_told():
    part = Split(torch.randn(4, 2, 9), torch.tensor([0, 1, 0, 1]))
    with pytest.raises(Refusal, match="flip makes no sense"):
        Dataset(part, part, part, "classification", (2, 9), 2, 2, augment=("flip",))


@pytest.mark.slow
def test_a_training_with_all_of_them_learns_and_tests_on_what_was_given(resolve, tmp_path):
    line = own_data.line("folder", tmp_path)
    words = [*line, "model=cnn", "budget.steps=60", "data.augment=[flip,crop,cutout,mixup]"]
    answer = train.trial(resolve(*words), overrides=[])
    assert answer["metrics"]["test/accuracy"] == 1.0
