import pytest
import torch

from models.optim.lion import Lion
from refusal import Refusal


def parameters(seed=0):
    generator = torch.Generator().manual_seed(seed)
    return [
        torch.nn.Parameter(torch.randn(shape, generator=generator)) for shape in [(4, 3), (3,), (2, 2, 2)]
    ]


def feed(params, step):
    generator = torch.Generator().manual_seed(100 + step)
    for parameter in params:
        parameter.grad = torch.randn(parameter.shape, generator=generator)


@pytest.mark.parametrize("weight_decay", [0.0, 0.3])
def test_it_is_the_algorithm_of_the_paper(weight_decay):
    params = parameters()
    optimizer = Lion(params, lr=0.01, betas=(0.9, 0.99), weight_decay=weight_decay)
    expected = [parameter.detach().clone() for parameter in params]
    momenta = [torch.zeros_like(tensor) for tensor in expected]
    for step in range(20):
        feed(params, step)
        optimizer.step()
        for index, parameter in enumerate(params):
            update = torch.sign(0.9 * momenta[index] + 0.1 * parameter.grad)
            expected[index] -= 0.01 * (update + weight_decay * expected[index])
            momenta[index] = 0.99 * momenta[index] + 0.01 * parameter.grad
    for parameter, tensor in zip(params, expected, strict=True):
        torch.testing.assert_close(parameter.detach(), tensor, rtol=1e-5, atol=1e-6)


@pytest.mark.slow
def test_it_is_pytorch_optimizers():
    from pytorch_optimizer import Lion as Theirs

    ours, theirs = parameters(), parameters()
    options = {"lr": 0.01, "betas": (0.95, 0.98), "weight_decay": 0.1}
    optimizers = Lion(ours, **options), Theirs(theirs, **options)
    for step in range(20):
        feed(ours, step), feed(theirs, step)
        for optimizer in optimizers:
            optimizer.step()
    for left, right in zip(ours, theirs, strict=True):
        torch.testing.assert_close(left, right)


def test_its_state_survives_saving():
    ours, resumed = parameters(), parameters()
    one, other = Lion(ours, lr=0.01), Lion(resumed, lr=0.01)
    feed(ours, 0)
    one.step()
    for parameter, source in zip(resumed, ours, strict=True):
        parameter.data.copy_(source.data)
    other.load_state_dict(one.state_dict())
    feed(ours, 1), feed(resumed, 1)
    one.step(), other.step()
    assert all(torch.equal(left, right) for left, right in zip(ours, resumed, strict=True))


def test_parameters_without_a_gradient_stay_and_a_closure_is_called():
    params = parameters()
    optimizer = Lion(params, lr=0.1)
    before = params[1].detach().clone()
    params[0].grad = torch.ones(4, 3)
    assert optimizer.step(lambda: 3.5) == 3.5
    assert torch.equal(params[1].detach(), before)


@pytest.mark.parametrize("options", [{"lr": -1.0}, {"weight_decay": -1.0}, {"betas": (0.9, 1.0)}])
def test_values_out_of_range_are_refused(options):
    with pytest.raises(Refusal, match=r"optimizer\."):
        Lion(parameters(), **options)
