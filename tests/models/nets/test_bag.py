"""A bag of tokens: padding and order count for nothing, every weight learns, two train as one program."""

import pytest
import torch
from torch.func import functional_call, stack_module_state, vmap

from models.nets.bag import Bag
from refusal import Refusal

TOKENS = torch.tensor([[3, 5, 7, 0, 0], [2, 2, 9, 4, 1]])


def bag(**changes):
    torch.manual_seed(0)
    return Bag(**({"shape": (5,), "classes": 3, "vocabulary": 11, "width": 8} | changes)).eval()


def test_the_answer_is_the_read_out_of_the_mean_of_the_tokens_there():
    net = bag()
    vectors = net.embedding.weight
    means = torch.stack([vectors[[3, 5, 7]].mean(0), vectors[[2, 2, 9, 4, 1]].mean(0)])
    assert torch.allclose(net(TOKENS), net.head(means), atol=1e-6)


def test_neither_padding_nor_order_nor_the_vector_of_padding_changes_an_answer():
    net = bag()
    before = net(TOKENS)
    with torch.no_grad():
        net.embedding.weight[0] = 100.0  # as a step of an optimizer with noise could leave it
    longer = torch.cat([TOKENS, torch.zeros(2, 40, dtype=torch.int64)], 1)
    assert torch.allclose(net(longer), before, atol=1e-6)
    assert torch.allclose(net(TOKENS.flip(1)), before, atol=1e-6)


def test_a_text_without_a_token_has_a_finite_answer():
    net = bag()
    assert torch.allclose(net(torch.zeros(1, 5, dtype=torch.int64))[0], net.head.bias)


def test_every_weight_learns_but_that_of_the_padding():
    net = bag()
    net(TOKENS).square().sum().backward()
    used = net.embedding.weight.grad.abs().sum(1) > 0
    assert used.nonzero().flatten().tolist() == [1, 2, 3, 4, 5, 7, 9]


def test_two_networks_run_as_one_program():
    nets = [bag(), bag()]
    weights, buffers = stack_module_state(nets)
    answers = vmap(lambda w, b: functional_call(nets[0], (w, b), (TOKENS,)))(weights, buffers)
    assert torch.allclose(answers[1], nets[1](TOKENS), atol=1e-5)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"vocabulary": None}, "choose data=text"),
        ({"shape": (1, 8, 8)}, "choose data=text"),
        ({"task": "language"}, "choose model="),
        ({"width": 0}, r"model\.width"),
        ({"dropout": 1.0}, r"model\.dropout"),
    ],
)
def test_what_does_not_fit_is_refused(change, said):
    with pytest.raises(Refusal, match=said):
        bag(**change)
