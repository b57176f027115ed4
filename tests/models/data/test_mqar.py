"""Associative recall: each key is queried once, and its value stood behind it in the context."""

import pytest
import torch

from models.data import mqar
from models.data.dataset import UNSCORED
from refusal import Refusal


@pytest.fixture(scope="module")
def data():
    return mqar.load(batch_size=8, shape=[40], classes=32, pairs=6, train_size=500, val_size=20, test_size=20)


def test_every_scored_target_is_the_value_of_its_key(data):
    for tokens, targets in zip(data.train.inputs.tolist(), data.train.targets.tolist(), strict=True):
        value_of = dict(zip(tokens[0:12:2], tokens[1:12:2], strict=True))
        asked = [place for place, target in enumerate(targets) if target != UNSCORED]
        assert sorted(tokens[place] for place in asked) == sorted(value_of)
        assert all(place >= 12 and targets[place] == value_of[tokens[place]] for place in asked)


def test_keys_and_values_have_halves_of_the_vocabulary_of_their_own(data):
    keys, values = data.train.inputs[:, 0:12:2], data.train.inputs[:, 1:12:2]
    assert keys.min() == 1 and keys.max() == 15
    assert values.min() == 16 and values.max() == 31
    assert all(len(row.unique()) == 6 for row in torch.cat([keys, values]))


def test_tokens_are_small_and_seeds_fix_them(data):
    assert data.train.inputs.dtype == torch.int16
    again = mqar.load(
        batch_size=8, shape=[40], classes=32, pairs=6, train_size=500, val_size=20, test_size=20
    )
    assert again.train.inputs.equal(data.train.inputs)
    assert not data.val.inputs.equal(data.test.inputs)


def test_every_choice_without_repetition_is_equally_likely():
    rng = __import__("numpy").random.default_rng(0)
    chosen = mqar._distinct(60_000, 2, 3, 7, rng)
    pairs, counts = torch.from_numpy(chosen).unique(dim=0, return_counts=True)
    assert len(pairs) == 12
    assert counts.min() > 4700 and counts.max() < 5300


def test_a_small_power_draws_queries_near_and_one_spreads_them():
    near, even = (
        mqar.load(batch_size=8, shape=[64], classes=64, train_size=2000, gap_power=power)
        for power in (0.01, 1.0)
    )
    places = [(data.train.targets != UNSCORED).nonzero()[:, 1].float().mean() for data in (near, even)]
    assert places[0] < places[1] - 5
    assert abs(places[1] - (8 + 54 / 2)) < 1


@pytest.mark.parametrize(
    ("change", "advice"),
    [
        ({"shape": [14]}, "at least 16"),
        ({"shape": [31]}, "even length"),
        ({"shape": [1, 32]}, "one even length"),
        ({"pairs": 0}, "at least 4"),
        ({"classes": 9}, "between 10 and"),
        ({"classes": 40_000}, "32768"),
        ({"test_size": 0}, "1 or more"),
    ],
)
def test_what_cannot_be_drawn_is_refused(change, advice):
    with pytest.raises(Refusal, match=advice):
        mqar.load(**({"batch_size": 8, "pairs": 4} | change))
