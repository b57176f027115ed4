import pytest
import torch
from torch import nn
from torch.nn.functional import cross_entropy

from models.optim.sophia import Sophia
from refusal import Refusal


def network(seed=0):
    torch.manual_seed(seed)
    return nn.Sequential(nn.Linear(6, 8), nn.Tanh(), nn.Linear(8, 4))


X = torch.randn(32, 6, generator=torch.Generator().manual_seed(1))
Y = torch.randint(0, 4, (32,), generator=torch.Generator().manual_seed(2))


def test_it_is_algorithms_2_and_3_of_the_paper():
    net, rho, lr, decay = network(), 0.05, 0.01, 0.1
    optimizer = Sophia(net.parameters(), lr=lr, betas=(0.9, 0.8), rho=rho, weight_decay=decay, interval=2)
    copy = network()
    momenta = [torch.zeros_like(p) for p in copy.parameters()]
    curvatures = [torch.zeros_like(p) for p in copy.parameters()]
    for step in range(5):
        torch.manual_seed(step)
        assert optimizer.curvature_due() == (step % 2 == 0)
        if optimizer.curvature_due():
            optimizer.curvature(lambda: net(X))
            torch.manual_seed(step)
            logits = copy(X)
            labels = torch.multinomial(logits.softmax(-1), 1).squeeze(1)
            sampled = torch.autograd.grad(cross_entropy(logits, labels), list(copy.parameters()))
            curvatures = [0.8 * h + 0.2 * 32 * g * g for h, g in zip(curvatures, sampled, strict=True)]
        optimizer.zero_grad()
        cross_entropy(net(X), Y).backward()
        optimizer.step()
        gradients = torch.autograd.grad(cross_entropy(copy(X), Y), list(copy.parameters()))
        momenta = [0.9 * m + 0.1 * g for m, g in zip(momenta, gradients, strict=True)]
        with torch.no_grad():
            for p, m, h in zip(copy.parameters(), momenta, curvatures, strict=True):
                p.mul_(1 - lr * decay).sub_(lr * (m / (rho * h).clamp(min=1e-15)).clamp(-1, 1))
    for ours, expected in zip(net.parameters(), copy.parameters(), strict=True):
        torch.testing.assert_close(ours, expected, rtol=1e-4, atol=1e-5)


def test_the_estimate_is_the_diagonal_of_the_gauss_newton_matrix():
    """Of a bias alone it is p (1 - p) for every example, in the mean over the labels that are drawn."""
    bias = nn.Parameter(torch.tensor([0.5, -1.0, 0.0, 1.0]))
    optimizer = Sophia([bias], betas=(0.9, 0.97), interval=1)
    torch.manual_seed(0)
    for _ in range(200):
        optimizer.curvature(lambda: bias.expand(32, 4))
    p = bias.detach().softmax(-1)
    torch.testing.assert_close(optimizer.state[bias]["curvature"], p * (1 - p), rtol=0.4, atol=0.0)


def test_curvature_touches_no_gradient_and_a_step_without_it_is_an_error():
    net = network()
    optimizer = Sophia(net.parameters())
    cross_entropy(net(X), Y).backward()
    before = [parameter.grad.clone() for parameter in net.parameters()]
    with pytest.raises(RuntimeError, match="curvature"):
        optimizer.step()
    optimizer.curvature(lambda: net(X))
    assert all(torch.equal(p.grad, g) for p, g in zip(net.parameters(), before, strict=True))
    assert optimizer.step(lambda: 1.5) == 1.5


def test_tokens_count_each_and_unused_parameters_have_no_curvature():
    net = network()
    spare = nn.Parameter(torch.ones(3))
    optimizer = Sophia([*net.parameters(), spare], betas=(0.9, 0.0))
    torch.manual_seed(0)
    optimizer.curvature(lambda: net(X).view(4, 8, 4))
    in_sequences = optimizer.state[net[0].weight]["curvature"].clone()
    torch.manual_seed(0)
    optimizer.curvature(lambda: net(X))
    assert torch.equal(in_sequences, optimizer.state[net[0].weight]["curvature"])
    assert not optimizer.state[spare]["curvature"].any()


@pytest.mark.parametrize(
    "options", [{"lr": -1.0}, {"weight_decay": -1.0}, {"rho": 0.0}, {"betas": (1.0, 0.9)}, {"interval": 0}]
)
def test_values_out_of_range_are_refused(options):
    with pytest.raises(Refusal, match=r"optimizer\."):
        Sophia(network().parameters(), **options)


def test_the_pieces_of_a_batch_give_the_estimate_of_the_batch():
    net = network()
    optimizer = Sophia(net.parameters(), betas=(0.9, 0.8), interval=1)
    torch.manual_seed(5)
    pieces = X.split((13, 4, 15))
    optimizer.curvature(*(lambda piece=piece: net(piece) for piece in pieces))
    torch.manual_seed(5)
    logits = [net(piece) for piece in pieces]
    labels = [torch.multinomial(part.softmax(-1), 1).squeeze(1) for part in logits]
    mean = cross_entropy(torch.cat(logits), torch.cat(labels))
    for weight, gradient in zip(
        net.parameters(), torch.autograd.grad(mean, list(net.parameters())), strict=True
    ):
        torch.testing.assert_close(optimizer.state[weight]["curvature"], 0.2 * 32 * gradient**2)
