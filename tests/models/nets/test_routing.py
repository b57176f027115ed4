"""Who takes whom, against loops that spell the rules out."""

import math

import pytest
import torch

from models.nets import routing


@pytest.fixture
def ranking():
    torch.manual_seed(0)
    return torch.rand(4, 3, 12)


@pytest.mark.parametrize("chosen", [1, 2, 4])
def test_each_token_takes_the_experts_that_rank_highest(ranking, chosen):
    taken = routing.token_choice(ranking, chosen)
    best = ranking.topk(chosen, 0).indices
    assert taken.sum(0).eq(chosen).all() and taken.gather(0, best).all()


def test_an_expert_keeps_the_first_of_each_sequence():
    taken = torch.ones(2, 3, 10, dtype=torch.bool)
    kept = routing.within_capacity(taken, 0.5, 1)  # ceil(0.5 * 10 / 2) = 3 tokens
    assert kept[..., :3].all() and not kept[..., 3:].any()
    sparse = taken.clone()
    sparse[0, 1, :4] = False
    assert routing.within_capacity(sparse, 0.5, 1)[0, 1].nonzero().flatten().tolist() == [4, 5, 6]


def test_each_expert_takes_its_share_of_each_sequence(ranking):
    taken = routing.expert_choice(ranking, 2)
    assert taken.sum(2).eq(6).all()
    worst = ranking.masked_fill(~taken, math.inf).amin(2)
    assert (ranking.masked_fill(taken, -math.inf).amax(2) < worst).all()


def test_causal_expert_choice_ranks_within_the_past(ranking):
    taken = routing.causal_expert_choice(ranking, 2)
    for expert, sequence, place in [(0, 0, 0), (1, 2, 5), (3, 1, 11), (2, 0, 7)]:
        past = ranking[expert, sequence, : place + 1]
        ahead = int((past > past[-1]).sum())
        assert taken[expert, sequence, place] == (ahead < round(2 * (place + 1) / 4))


def test_causal_expert_choice_has_the_share_in_the_mean():
    torch.manual_seed(0)
    taken = routing.causal_expert_choice(torch.rand(8, 64, 128), 2)
    assert float(taken.float().mean()) == pytest.approx(0.25, abs=0.01)
