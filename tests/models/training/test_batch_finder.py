"""The largest batch: exact where memory is a line, confirmed by steps, and nothing is left behind."""

import random

import pytest
import torch
from torch import nn

from models.training.batch_finder import find, largest
from models.training.memory import activation_bytes
from models.training.objective import CrossEntropy, objective
from refusal import Refusal
from trainings import ADAMW, blobs, network, weights

LOSS = objective(CrossEntropy())


@pytest.mark.parametrize("most", [1, 2, 7, 100, 1000])
def test_the_largest_is_found_from_any_guess(most):
    draw = random.Random(most)
    for _ in range(60):
        true, guess, looks = draw.randint(0, most), draw.randint(-3, 2 * most), []
        assert largest(lambda n, true=true, looks=looks: looks.append(n) or n <= true, most, guess) == true
        assert len(looks) == len(set(looks)) and all(1 <= look <= most for look in looks)
        assert len(looks) <= 2 * most.bit_length() + 2


def test_a_right_guess_takes_two_looks():
    looks = []
    assert largest(lambda n: looks.append(n) or n <= 300, 1000, 300) == 300
    assert looks == [300, 301]


def need(net, data, batch):
    """Bytes of a training step with AdamW: weights, gradients, two moments, and what the batch adds."""
    inputs, targets = data.train.inputs[:batch], data.train.targets[:batch]
    fixed = sum(4 * weight.nbytes + 4 for weight in net.parameters())
    return fixed + activation_bytes(net, lambda: LOSS(net, inputs, targets))


@pytest.mark.parametrize("true", [1, 57, 199])
def test_on_a_cpu_it_is_the_last_batch_below_the_ceiling(true):
    net, data = network(dropout=0.2).train(), blobs()
    before, generator = weights(net), torch.get_rng_state()
    found = find(net, LOSS, data, ADAMW, "32-true", "cpu", need(net, data, true + 1) - 1)
    assert (found.batch, found.limit) == (true, "memory")
    assert found.bytes == need(net, data, true) <= found.ceiling_bytes
    assert found.tried[true] and not found.tried[true + 1]
    assert len(found.tried) <= (3 if true > 32 else 9)
    assert torch.equal(weights(net), before) and torch.equal(torch.get_rng_state(), generator)
    assert all(weight.grad is None for weight in net.parameters())


def test_data_may_be_what_limits():
    found = find(network(), LOSS, blobs(), ADAMW, "bf16-mixed", "cpu", 10**9)
    assert (found.batch, found.limit) == (200, "examples")


class Steep(nn.Module):
    """Memory that grows with the square of the batch, so that a line misses."""

    def __init__(self):
        super().__init__()
        self.inner = network()

    def forward(self, x):
        return self.inner(x) + (x @ x.T).tanh().mean()


def test_memory_that_is_no_line_is_still_found_exactly():
    net, data = Steep(), blobs()
    found = find(net, LOSS, data, ADAMW, "32-true", "cpu", need(net, data, 151) - 1)
    assert found.batch == 150 and len(found.tried) < 14


class Hungry(nn.Module):
    """Really asks the allocator for more than any machine has above `most` examples."""

    def __init__(self, most):
        super().__init__()
        self.inner, self.most = network(), most

    def forward(self, x):
        if len(x) > self.most:
            torch.empty(2**55, dtype=torch.uint8)
        return self.inner(x)


@pytest.mark.parametrize("most", [0, 5, 90])
def test_memory_that_really_runs_out_is_a_batch_that_does_not_fit(most):
    net = Hungry(most)
    if most:
        assert find(net, LOSS, blobs(), ADAMW, "32-true", "cpu", 10**12).batch == most
        return
    with pytest.raises(Refusal, match="not one example fits into memory: choose a smaller model"):
        find(net, LOSS, blobs(), ADAMW, "32-true", "cpu", 10**12)


def test_an_example_that_does_not_fit_is_a_sentence():
    with pytest.raises(Refusal, match=r"not one example fits.* of 1000: choose a smaller model"):
        find(network(), LOSS, blobs(), ADAMW, "32-true", "cpu", 1000)


def test_a_training_reports_it_and_is_otherwise_the_same(train, tmp_path):
    plain = train(steps=10, net=network(dropout=0.3), folder=tmp_path / "plain")
    fitted = train(steps=10, net=network(dropout=0.3), find_batch=True, memory_bytes=30_000)
    assert torch.equal(weights(fitted.net), weights(plain.net))
    assert 1 < fitted.metrics["train/largest_batch"] < 200
    facts = fitted.facts["largest_batch"]
    assert facts["batch"] == fitted.metrics["train/largest_batch"] and facts["ceiling_bytes"] == 30_000
    assert "train/largest_batch" not in plain.metrics and not fitted.settings.find_batch


def test_a_cpu_needs_a_ceiling(train):
    with pytest.raises(Refusal, match=r"needs trainer\.memory_bytes"):
        train(find_batch=True)
    with pytest.raises(Refusal, match="measure on one device"):
        train(find_batch=True, memory_bytes=10**9, devices=2, strategy="ddp")
