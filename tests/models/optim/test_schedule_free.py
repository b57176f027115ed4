import copy
from functools import partial

import pytest
import torch

from models.optim.schedule_free import ScheduleFreeAdamW
from models.optim.schedules import constant
from refusal import Refusal
from trainings import weights


def parameters(seed=0):
    generator = torch.Generator().manual_seed(seed)
    return [
        torch.nn.Parameter(torch.randn(shape, generator=generator)) for shape in [(4, 3), (3,), (2, 2, 2)]
    ]


def feed(params, step):
    generator = torch.Generator().manual_seed(100 + step)
    for parameter in params:
        parameter.grad = torch.randn(parameter.shape, generator=generator)


def test_it_is_the_algorithm_of_the_paper():
    params, decay, (first, second) = parameters(), 0.1, (0.9, 0.99)
    optimizer = ScheduleFreeAdamW(params, betas=(first, second), weight_decay=decay)
    x = [parameter.detach().clone() for parameter in params]
    z, squares = copy.deepcopy(x), [torch.zeros_like(tensor) for tensor in x]
    weight = 0.0
    for step in range(15):
        lr = 0.02 * min(1.0, (step + 1) / 5)
        optimizer.param_groups[0]["lr"] = lr
        feed(params, step)
        optimizer.step()
        weight += lr**2
        for index, parameter in enumerate(params):
            y = (1 - first) * z[index] + first * x[index]
            squares[index] = second * squares[index] + (1 - second) * parameter.grad**2
            scale = (squares[index] / (1 - second ** (step + 1))).sqrt() + 1e-8
            z[index] = z[index] - lr * parameter.grad / scale - lr * decay * y
            x[index] = x[index] + lr**2 / weight * (z[index] - x[index])
    for index, parameter in enumerate(params):
        y = (1 - first) * z[index] + first * x[index]
        torch.testing.assert_close(parameter.detach(), y, rtol=1e-4, atol=1e-5)
    optimizer.eval()
    for parameter, tensor in zip(params, x, strict=True):
        torch.testing.assert_close(parameter.detach(), tensor, rtol=1e-4, atol=1e-5)


@pytest.mark.slow
def test_it_is_pytorch_optimizers():
    from pytorch_optimizer import ScheduleFreeAdamW as Theirs

    ours, theirs = parameters(), parameters()
    options = {"lr": 0.01, "betas": (0.9, 0.99), "weight_decay": 0.1}
    optimizers = ScheduleFreeAdamW(ours, **options), Theirs(theirs, **options)
    for step in range(20):
        feed(ours, step), feed(theirs, step)
        for optimizer in optimizers:
            optimizer.step()
    for mode in ("eval", "train"):
        for optimizer in optimizers:
            getattr(optimizer, mode)()
        for left, right in zip(ours, theirs, strict=True):
            torch.testing.assert_close(left, right, rtol=1e-5, atol=1e-6)


def test_modes_change_once_and_a_step_on_averaged_weights_is_an_error():
    params = parameters()
    optimizer = ScheduleFreeAdamW(params, lr=0.1)
    optimizer.eval(), optimizer.train()
    for step in range(3):
        feed(params, step)
        optimizer.step()
    moved = [parameter.detach().clone() for parameter in params]
    optimizer.eval(), optimizer.eval()
    averaged = [parameter.detach().clone() for parameter in params]
    assert not any(torch.allclose(*pair) for pair in zip(moved, averaged, strict=True))
    with pytest.raises(RuntimeError, match="averaged"):
        optimizer.step()
    optimizer.train()
    assert all(torch.allclose(*pair, atol=1e-6) for pair in zip(moved, params, strict=True))


def test_how_often_it_is_validated_changes_no_weight(train, tmp_path):
    options = {"optimizer": partial(ScheduleFreeAdamW, lr=0.01, weight_decay=0.1), "scheduler": constant}
    often = train(val_every=3, folder=tmp_path / "often", **options)
    seldom = train(val_every=40, folder=tmp_path / "seldom", **options)
    assert torch.equal(weights(often.net), weights(seldom.net))


OPTIONS = {"optimizer": partial(ScheduleFreeAdamW, lr=0.01), "scheduler": constant}


def test_a_finished_training_that_is_loaded_again_returns_the_average_that_it_saved(train, tmp_path):
    first, again = train(**OPTIONS), train(**OPTIONS)
    assert again.facts["resumed"]["step"] == 40
    assert torch.equal(weights(first.net), weights(again.net))
    saved = torch.load(tmp_path / "trial" / "checkpoints" / "step_40.ckpt", weights_only=True)["state_dict"]
    assert torch.equal(torch.cat([tensor.flatten() for tensor in saved.values()]), weights(first.net))


def test_a_finished_training_goes_on_from_the_weights_that_were_trained(train, tmp_path):
    train(steps=10, folder=tmp_path / "short", **OPTIONS)
    end = tmp_path / "short" / "checkpoints" / "step_10.ckpt"
    longer = train(steps=20, val_every=20, folder=tmp_path / "longer", ckpt_path=end, **OPTIONS)
    whole = train(steps=20, val_every=20, folder=tmp_path / "whole", **OPTIONS)
    torch.testing.assert_close(weights(longer.net), weights(whole.net), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("options", [{"lr": -1.0}, {"weight_decay": -1.0}, {"betas": (0.0, 0.9)}])
def test_values_out_of_range_are_refused(options):
    with pytest.raises(Refusal, match=r"optimizer\."):
        ScheduleFreeAdamW(parameters(), **options)
