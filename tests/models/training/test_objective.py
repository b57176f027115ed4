"""What is minimised: the loss, the network's own term, and what a term wants around the forward pass."""

import pickle
from contextlib import contextmanager

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from models.data.dataset import UNSCORED
from models.training.objective import CrossEntropy, TrainingObjective, objective, scored
from refusal import Refusal
from trainings import blobs, network, weights


class Regular(nn.Module):
    """A network that wants its logits small."""

    def __init__(self, share: float) -> None:
        super().__init__()
        self.net, self.share = network(), share

    def forward(self, x: Tensor) -> Tensor:
        self.logits = self.net(x)
        return self.logits

    def auxiliary_loss(self) -> Tensor:
        return self.share * self.logits.square().mean()


def test_a_plain_loss_becomes_an_objective_once() -> None:
    whole = objective(CrossEntropy())
    assert objective(whole) is whole
    # Processes that train together are handed it.
    whole = pickle.loads(pickle.dumps(whole))
    net, data = network(), blobs()
    expected = functional.cross_entropy(net(data.train.inputs), data.train.targets)
    assert torch.equal(whole(net, data.train.inputs, data.train.targets), expected)


@pytest.mark.slow
def test_a_network_adds_its_own_term(train, tmp_path) -> None:
    plain = train(net=network(), folder=tmp_path / "plain").net
    torch.testing.assert_close(weights(train(net=Regular(0.0)).net), weights(plain))
    data = blobs()
    small = train(net=Regular(1.0), folder=tmp_path / "small").net
    large = train(net=Regular(0.0), folder=tmp_path / "large").net
    assert small(data.val.inputs).square().mean() < 0.5 * large(data.val.inputs).square().mean()


def test_what_is_around_encloses_the_forward_pass_only() -> None:
    order: list[str] = []

    @contextmanager
    def around(net: nn.Module):
        order.append("in")
        yield
        order.append("out")

    def term(inputs: Tensor, logits: Tensor, targets: Tensor) -> Tensor:
        order.append("term")
        return logits.sum()

    net = nn.Linear(2, 1)
    net.register_forward_hook(lambda *_: order.append("forward"))
    TrainingObjective(term, around)(net, torch.ones(1, 2), torch.zeros(1))
    assert order == ["in", "forward", "out", "term"]


def logits(*shape):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_classes_and_tokens_are_scored_alike(smoothing):
    targets = torch.arange(12) % 5
    flat = CrossEntropy(smoothing)(logits(12, 5), targets)
    assert flat == functional.cross_entropy(logits(12, 5), targets, label_smoothing=smoothing)
    tokens = CrossEntropy(smoothing)(logits(12, 5).view(3, 4, 5), targets.view(3, 4))
    torch.testing.assert_close(tokens, flat)


def test_unscored_positions_count_nowhere():
    targets = torch.tensor([[1, UNSCORED, 2], [UNSCORED, 0, UNSCORED]])
    kept = targets.flatten() != UNSCORED
    found = CrossEntropy()(logits(2, 3, 4), targets)
    expected = functional.cross_entropy(logits(2, 3, 4).view(6, 4)[kept], targets.flatten()[kept])
    torch.testing.assert_close(found, expected)
    assert scored(targets) == 3


@pytest.mark.parametrize("smoothing", [-0.1, 1.0])
def test_smoothing_is_a_share(smoothing):
    with pytest.raises(Refusal, match=r"loss\.label_smoothing"):
        CrossEntropy(smoothing)
