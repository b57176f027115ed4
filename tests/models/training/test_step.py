from functools import partial

import pytest
import torch
from torch import nn
from torch.nn import functional

from cases import each
from models.data.dataset import Dataset, Split
from models.optim.sophia import Sophia
from models.training.callbacks.checkpoint import Checkpoint
from models.training.fit import fit
from models.training.objective import BinaryCrossEntropy
from models.training.step import MicroBatches, out_of_memory
from refusal import Refusal
from trainings import blobs, network, parts, weights


class Hungry(nn.Module):
    """Really asks the allocator for more than any machine has when a training batch is above `most`."""

    def __init__(self, most, after=0):
        super().__init__()
        self.inner, self.most, self.after = network(), most, after
        self.calls, self.sizes = 0, []

    def forward(self, x):
        if self.training:
            self.calls += 1
            if len(x) > self.most and self.calls > self.after:
                torch.empty(2**55, dtype=torch.uint8)
            self.sizes.append(len(x))
        return self.inner(x)


@pytest.mark.parametrize("after", [0, 17])
def test_memory_that_runs_out_halves_the_micro_batch_and_keeps_the_result(train, cold, tmp_path, after):
    fitted = train(net=Hungry(10, after))
    plain = train(folder=tmp_path / "plain")
    assert fitted.steps == plain.steps == 40
    events = fitted.facts["out_of_memory"]
    assert [(event["accumulate"], event["micro_batch"]) for event in events] == [(2, 16), (4, 8)]
    assert all(event["step"] == after for event in events)
    assert set(fitted.net.sizes[after:]) == {8}
    torch.testing.assert_close(weights(fitted.net), weights(plain.net), rtol=1e-3, atol=1e-4)
    assert "out_of_memory" not in plain.facts


def test_a_curvature_by_drawn_classes_is_refused_where_an_example_has_several(train):
    plain = blobs()
    splits = [
        Split(part.inputs, functional.one_hot(part.targets, 4).bool())
        for part in (plain.train, plain.val, plain.test)
    ]
    data = Dataset(*splits, "multilabel", (12,), 4, 32)
    with pytest.raises(Refusal, match=r"sophia draws one class of each example.*several"):
        train(3, data=data, loss=BinaryCrossEntropy(), optimizer=partial(Sophia, lr=1e-3))


@pytest.mark.parametrize("after", [0, 1, 2])
def test_a_curvature_that_does_not_fit_is_estimated_in_pieces_too(train, cold, after):
    fitted = train(3, net=Hungry(10, after), optimizer=partial(Sophia, lr=1e-3, interval=1))
    # Each step makes a pass for the curvature and one for the gradient, of every piece.
    assert [event["accumulate"] for event in fitted.facts["out_of_memory"]] == [2, 4]
    assert fitted.net.sizes[:after] == [32] * after
    assert set(fitted.net.sizes[after:]) == {8}
    assert fitted.steps == 3


def test_a_resumed_training_remembers_the_micro_batch(tmp_path, one_thread):
    first = parts(tmp_path, 10, net=Hungry(10))
    fit(**first)
    net = Hungry(10)
    again = fit(**parts(tmp_path, 20, net=net, callbacks={"checkpoint": Checkpoint()}))
    assert set(net.sizes) == {8}
    assert len(again.facts["out_of_memory"]) == 2


def test_an_example_that_does_not_fit_is_a_sentence(train):
    with pytest.raises(Refusal, match="one example does not fit into memory"):
        train(net=Hungry(0))


def test_more_micro_batches_than_examples_are_refused(train):
    with pytest.raises(Refusal, match="cannot be cut into 33 micro-batches"):
        train(accumulate_grad_batches=33)


@pytest.mark.parametrize("pieces", [1, 4])
def test_batch_normalisation_in_pieces_is_told(train, pieces):
    net = nn.Sequential(nn.Linear(12, 8), nn.BatchNorm1d(8), nn.Linear(8, 4))
    fitted = train(3, net=net, accumulate_grad_batches=pieces, target="val/accuracy >= 1.0")
    told = ["batch normalisation saw 4 pieces"] if pieces > 1 else []
    for note, start in zip(fitted.facts["notes"], [*told, "budget.target was not reached"], strict=True):
        assert note.startswith(start)


class Broken(nn.Module):
    def __init__(self):
        super().__init__()
        self.inner = nn.Linear(12, 5)

    def forward(self, x):
        return self.inner(x) @ torch.zeros(4, 4)


def test_another_error_comes_out_as_it_is(train):
    with pytest.raises(RuntimeError, match="mat1 and mat2"):
        train(net=Broken())


def test_an_evaluation_that_does_not_fit_is_done_in_smaller_batches(train, tmp_path):
    class Narrow(Hungry):
        def forward(self, x):
            if not self.training and len(x) > 20:
                torch.empty(2**55, dtype=torch.uint8)
            return self.inner(x)

    narrow, plain = train(net=Narrow(100)), train(folder=tmp_path / "plain")
    for left, right in zip(narrow.curve, plain.curve, strict=True):
        assert left["val/accuracy"] == right["val/accuracy"]
        assert left["val/loss"] == pytest.approx(right["val/loss"], rel=1e-6)


@each(("pieces", "world"), [(1, 1), (3, 1), (1, 3), (4, 2), (2, 16)])
@each("share", [0.0, 0.5, 0.97])
def test_pieces_of_all_ranks_sum_to_the_loss_of_the_batch(pieces, world, share):
    generator = torch.Generator().manual_seed(0)
    logits, targets = torch.randn(32, 5, generator=generator), torch.randint(0, 5, (32,), generator=generator)
    targets[torch.rand(32, generator=generator) < share] = -100
    total, seen = torch.zeros(()), 0
    for rank in range(world):
        micro = MicroBatches(pieces, sparse=share > 0, rank=rank, world=world)
        cut = micro.cut(logits, targets)
        assert cut and all((answers != -100).any() for _, answers, _ in cut)
        total += sum(functional.cross_entropy(piece, answers) * weight for piece, answers, weight in cut)
        seen += sum(weight for _, _, weight in cut)
    assert seen == pytest.approx(world)
    torch.testing.assert_close(total / world, functional.cross_entropy(logits, targets))


def test_only_memory_is_taken_for_memory():
    with pytest.raises(RuntimeError) as found:
        torch.empty(2**55, dtype=torch.uint8)
    assert out_of_memory(found.value)
    assert out_of_memory(torch.OutOfMemoryError("CUDA out of memory."))
    assert not out_of_memory(RuntimeError("mat1 and mat2 shapes cannot be multiplied"))
    with pytest.raises(Refusal, match=r"trainer\.accumulate_grad_batches=4"):
        MicroBatches(2, sparse=False, world=2).refine(torch.OutOfMemoryError(), 3, 32)
