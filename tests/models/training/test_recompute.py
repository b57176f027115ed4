"""Recomputed modules: the same gradients bit for bit, less memory, and nothing left behind."""

import copy
from pathlib import Path

import pytest
import torch
import yaml
from hydra.utils import get_object
from torch import nn
from torch.nn.functional import cross_entropy

from cases import each
from models.nets.cnn import CNN
from models.nets.gpt import GPT
from models.nets.gru import GRU
from models.nets.transformer import Transformer
from models.training.memory import activation_bytes
from models.training.recompute import matched, recompute
from refusal import Refusal
from trainings import weights

SIGNALS = torch.randn(8, 1, 40, generator=torch.Generator().manual_seed(0))
TOKENS = torch.randint(0, 11, (4, 24), generator=torch.Generator().manual_seed(0))
NETS = {
    "transformer": (lambda: Transformer((1, 40), 10, width=16, depth=3, dropout=0.3), SIGNALS, ["blocks.*"]),
    "gpt": (lambda: GPT((24,), 11, width=16, depth=3, dropout=0.3), TOKENS, ["blocks.*"]),
    "gru": (lambda: GRU((1, 40), 10, width=8, depth=2, stride=4), SIGNALS, ["layers.*"]),
    "cnn": (lambda: CNN((1, 40), 10, width=8, blocks=1), SIGNALS, ["features", "readout"]),
}


OPTIONS = {
    path.stem: yaml.safe_load(path.read_text())
    for path in sorted((Path(__file__).parents[3] / "conf" / "model").glob("*.yaml"))
    # bag is one table: nothing in it is worth computing again. Others' networks have tests of their own.
    if path.stem != "bag" and "_target_: models.nets." in path.read_text()
}


def loss_of(net, x):
    logits = net(x)
    targets = torch.arange(logits[..., 0].numel()) % logits.shape[-1]
    loss = cross_entropy(logits.flatten(0, -2).float(), targets)
    return loss + net.auxiliary_loss() if hasattr(net, "auxiliary_loss") else loss


def gradients(net, x, precision=None, pieces=1):
    net.zero_grad()
    torch.manual_seed(3)
    for piece in x.tensor_split(pieces):
        with torch.autocast("cpu", precision or torch.bfloat16, enabled=precision is not None):
            loss = loss_of(net, piece)
        loss.backward()
    return [weight.grad.clone() for weight in net.parameters() if weight.grad is not None]


@pytest.mark.slow
@each("keep", ["nothing", "matmuls"])
@each("precision", [None, torch.bfloat16])
@each("name", NETS)
def test_gradients_are_the_plain_ones_bit_for_bit(name, precision, keep, one_thread):
    make, x, patterns = NETS[name]
    net = make()
    names = list(net.state_dict())
    plain = gradients(net, x, precision, pieces=2)
    with recompute(net, patterns, keep) as chosen:
        assert chosen and list(net.state_dict()) == names
        again = gradients(net, x, precision, pieces=2)
    assert all(torch.equal(one, other) for one, other in zip(plain, again, strict=True))
    assert not any("forward" in vars(module) for module in net.modules())


@pytest.mark.slow
@each("option", OPTIONS)
def test_every_network_is_the_same_after_steps_that_recompute_what_is_inside(option, one_thread):
    given = {name: value for name, value in OPTIONS[option].items() if name != "_target_"}
    tokens = "gpt" in option
    given |= {"shape": (24,) if tokens else (1, 8, 8), "classes": 11}
    given |= {"task": "language" if tokens else "classification"} | ({"width": 8} if "width" in given else {})
    torch.manual_seed(0)
    nets = [get_object(OPTIONS[option]["_target_"])(**given)]
    nets.append(copy.deepcopy(nets[0]))
    x = TOKENS if tokens else torch.randn(4, 1, 8, 8)
    inside = next(name for name in ("blocks", "features", "layers") if hasattr(nets[0], name))
    one = gradients(nets[0], x)
    with recompute(nets[1], [f"{inside}.*"]):
        other = gradients(nets[1], x)
    assert all(map(torch.equal, one, other))
    assert all(map(torch.equal, nets[0].state_dict().values(), nets[1].state_dict().values()))
    if hasattr(nets[0], "metrics"):
        assert nets[0].metrics() == nets[1].metrics()


@pytest.mark.slow
def test_memory_falls_with_the_blocks_and_less_so_when_matrix_products_are_kept(one_thread):
    net = Transformer((1, 40), 10, width=16, depth=12)
    found = {}
    for keep in ("plain", "matmuls", "nothing"):
        with recompute(net, None if keep == "plain" else ["blocks.*"], keep.replace("plain", "nothing")):
            found[keep] = activation_bytes(net, lambda: loss_of(net, SIGNALS))
    assert found["nothing"] < 0.3 * found["plain"]
    assert found["nothing"] < 0.8 * found["matmuls"] < 0.8 * found["plain"]


class Counting(nn.Module):
    """Normalises by batch, counts its calls in a buffer and an attribute, and scales by what it counted."""

    def __init__(self):
        super().__init__()
        self.inner, self.norm = nn.Linear(6, 6), nn.BatchNorm1d(6)
        self.register_buffer("calls", torch.zeros(()))
        self.seen = 0

    def forward(self, x):
        self.seen += 1
        self.calls += 1
        return torch.tanh(self.norm(self.inner(x)) * self.calls)


def test_what_a_module_keeps_between_passes_is_that_of_one_pass(one_thread):
    torch.manual_seed(0)
    nets = [nn.Sequential(Counting(), Counting())]
    nets.append(copy.deepcopy(nets[0]))
    x = torch.randn(5, 6)
    with recompute(nets[1], ["*"]):
        for _ in range(3):
            one, other = (gradients(net, x) for net in nets)
            assert all(torch.equal(*pair) for pair in zip(one, other, strict=True))
    states = [net.state_dict() for net in nets]
    assert all(torch.equal(states[0][key], states[1][key]) for key in states[0])
    assert nets[1][0].seen == 3 and nets[1][0].calls == 3


def test_a_shared_module_is_wrapped_once_and_of_nested_ones_the_outermost():
    block = nn.Sequential(nn.Linear(6, 6), nn.Tanh())
    net = nn.Sequential(block, block, nn.Sequential(block[0], nn.Tanh()))
    plain = gradients(net, torch.ones(2, 6))
    with recompute(net, ["0.*", "*"]) as chosen:
        assert chosen == ["0", "2"]
        assert all(map(torch.equal, plain, gradients(net, torch.ones(2, 6))))
    net = Transformer((1, 40), 10, depth=2)
    assert list(matched(net, ["blocks.*"])) == ["blocks.0", "blocks.1", "blocks.2"]
    with recompute(net, ["blocks.?.mixer", "blocks.0"]) as chosen:
        assert chosen == ["blocks.1.mixer", "blocks.0"]


def test_a_copy_computes_with_its_own_weights():
    net = nn.Sequential(nn.Linear(6, 6))
    with recompute(net, ["0"]):
        other = copy.deepcopy(net)
        nn.init.zeros_(other[0].weight)
        nn.init.zeros_(other[0].bias)
        assert other(torch.ones(1, 6).requires_grad_()).abs().sum() == 0


def test_without_gradients_nothing_changes():
    net = GRU((1, 40), 10, width=8)
    with recompute(net, ["layers.*"]), torch.inference_mode():
        assert torch.equal(net(SIGNALS), net(SIGNALS))


def test_a_pattern_without_a_module_is_told_what_there_is():
    net = CNN((1, 40), 10, width=8)
    with pytest.raises(Refusal, match=r"'blocks\.\*' names no module .* choose among features, readout"):
        recompute(net, ["blocks.*"]).__enter__()
    with pytest.raises(Refusal, match="none, as it has no parts"):
        recompute(nn.Linear(2, 2), ["*"]).__enter__()
    with pytest.raises(Refusal, match="choose nothing or matmuls"):
        recompute(net, ["features"], "all").__enter__()


@pytest.mark.slow
@pytest.mark.parametrize("keep", ["nothing", "matmuls"])
def test_a_training_ends_with_the_weights_of_the_plain_one(train, tmp_path, keep):
    plain = train(folder=tmp_path / "plain", accumulate_grad_batches=2, precision="bf16-mixed")
    own = {"recompute": ["0", "3"], "recompute_keep": keep}
    fitted = train(accumulate_grad_batches=2, precision="bf16-mixed", **own)
    assert torch.equal(weights(fitted.net), weights(plain.net))
    assert "forward" not in vars(fitted.net[0])


def test_a_training_is_refused_before_its_first_step(train):
    with pytest.raises(Refusal, match=r"trainer\.recompute 'blocks\.\*' names no module"):
        train(recompute=["blocks.*"])
