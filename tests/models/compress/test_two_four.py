"""2:4 sparsity: the mask on any machine, the kernels where there is a GPU that has them."""

import pytest
import torch
from torch import nn

from compressing import compressed, pipeline
from models.compress.artefact import load, save
from models.compress.two_four import TwoFour, fitting, sparse, two_four_mask
from refusal import Refusal
from trainings import network


def has_kernels() -> bool:
    return torch.cuda.is_available() and torch.cuda.get_device_capability() >= (8, 0)


def test_of_each_four_the_two_largest_stay() -> None:
    weight = torch.tensor([[1.0, -4.0, 3.0, 2.0, 0.0, 0.1, 0.0, -0.2]])
    assert two_four_mask(weight).tolist() == [[False, True, True, False, False, True, False, True]]
    mask = two_four_mask(torch.randn(32, 64))
    assert (mask.view(-1, 4).sum(1) == 2).all() and mask.shape == (32, 64)


def test_ties_leave_two() -> None:
    assert (two_four_mask(torch.zeros(4, 8)).view(-1, 4).sum(1) == 2).all()


def test_only_sides_that_the_kernels_take_fit() -> None:
    net = nn.Sequential(nn.Linear(128, 64), nn.Linear(64, 10), nn.Linear(60, 32), nn.Linear(64, 32))
    layers, left = fitting(net, skip=["3"])
    assert set(layers) == {"0"} and set(left) == {"1", "2", "3"}
    assert "multiples of 32 and 64" in left["1"] and left["3"] == "named in skip"


def test_plain_layers_answer_as_the_masked_dense_ones(tmp_path) -> None:
    net = nn.Sequential(nn.Linear(128, 64), nn.ReLU(), nn.Linear(64, 10))
    net[0].weight.data *= two_four_mask(net[0].weight)
    inputs = torch.randn(5, 128)
    expected = net(inputs)
    thin = sparse(net, fitting(net)[0], torch.bfloat16, packed=False)
    assert torch.allclose(thin(inputs), expected, atol=0.05)
    save(thin, tmp_path / "weights.pt")
    fresh = nn.Sequential(nn.Linear(128, 64), nn.ReLU(), nn.Linear(64, 10))
    again = TwoFour("bfloat16").rebuild(fresh, thin.state_dict(), inputs[:1])
    again.load_state_dict(load(tmp_path / "weights.pt"))
    assert torch.equal(again(inputs), thin(inputs))


def test_without_such_a_gpu_it_is_refused_before_training(tmp_path) -> None:
    with pytest.raises(Refusal, match=r"capability 8\.0 or more"):
        pipeline(tmp_path, TwoFour())
    with pytest.raises(Refusal, match="float16, bfloat16"):
        TwoFour("float32")
    assert not (tmp_path / "trial").exists()


@pytest.mark.skipif(not has_kernels(), reason="needs a GPU with sparse tensor cores")
def test_the_kernels_answer_as_the_dense_layer(tmp_path) -> None:
    net = nn.Sequential(nn.Linear(12, 128), nn.ReLU(), nn.Linear(128, 64), nn.ReLU(), nn.Linear(64, 4))
    final, made = compressed(tmp_path, TwoFour(finetune_steps=20), net=net, accelerator="gpu")
    assert made.facts()["0"]["layers"] == ["2"]
    inputs = made.context.data.test.inputs
    dense = final[2].weight.to_dense().float()
    assert (two_four_mask(dense) | (dense == 0)).all()
    hidden = final[:2](inputs)
    assert torch.allclose(final[2](hidden), nn.functional.linear(hidden, dense, final[2].bias), atol=0.05)
    assert save(final, tmp_path / "weights.pt") > 0 and load(tmp_path / "weights.pt")
    with pytest.raises(Refusal, match="no linear layer that fits"):
        pipeline(tmp_path / "narrow", TwoFour(), net=network(), accelerator="gpu")
