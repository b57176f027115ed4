"""The gradient of a batch in pieces is that of the batch, for every network and every way to balance."""

from functools import partial
from pathlib import Path

import pytest
import torch
import yaml
from hydra.utils import get_object
from torch.optim import SGD

from models.data.dataset import UNSCORED, Dataset, Split
from models.training import fit as fitting
from models.training.fit import fit
from models.training.objective import CrossEntropy
from trainings import parts

CONF = Path(__file__).parents[3] / "conf"
FILES = {path.stem: yaml.safe_load(path.read_text()) for path in sorted((CONF / "model").glob("*.yaml"))}
MODELS = {name: file for name, file in FILES.items() if file["_target_"].startswith("models.nets.")}
del MODELS["bag"]  # whose vocabulary is that of a person's own texts: tests/models/nets/test_bag.py
BATCH = 8
IMAGES = {"shape": (1, 8, 8), "classes": 5, "task": "classification"}
TOKENS = {"shape": (12,), "classes": 20, "task": "recall"}
NARROW = {"width": 16, "depth": 2, "heads": 2, "experts": 4}
EXPERTS = {
    "switch": {"chosen": 1, "balance_loss": 1.0},
    "several": {"chosen": 3, "balance_loss": 1.0, "score": "sigmoid"},
    "shared": {"shared": 2, "balance_loss": 1.0},
    "z": {"balance_loss": 0.0, "z_loss": 1.0},
    "both losses": {"balance_loss": 1.0, "z_loss": 1.0},
    "loss-free": {"balance_loss": 0.0, "bias_rate": 0.1},
    "bias and loss": {"balance_loss": 1.0, "bias_rate": 0.1},
    "capacity": {"balance_loss": 1.0, "capacity": 0.5},
    "roomy": {"balance_loss": 1.0, "capacity": 1.25, "chosen": 2},
    "expert choice": {"routing": "expert", "balance_loss": 0.0, "z_loss": 1.0},
}
# Of the mixture's other options each is above, with terms that are large enough to be seen.
PLAIN = [name for name in MODELS if not name.startswith("moe_gpt_")]
TABLE = [(name, {}) for name in PLAIN] + [("moe_gpt", options) for options in EXPERTS.values()]


def of_tokens(name):
    return name.startswith(("gpt", "moe_gpt"))


def build(name, changes):
    torch.manual_seed(0)
    options = {key: value for key, value in MODELS[name].items() if key != "_target_"}
    narrow = {key: value for key, value in NARROW.items() if key in options}
    return get_object(MODELS[name]["_target_"])(
        **(options | narrow | (TOKENS if of_tokens(name) else IMAGES) | changes)
    )


def data(name):
    """Of tokens most are not scored: more in each example than in the one before, and none in the last."""
    generator = torch.Generator().manual_seed(0)
    shape = TOKENS if of_tokens(name) else IMAGES
    if not of_tokens(name):
        inputs = torch.randn(BATCH, *shape["shape"], generator=generator)
        targets = torch.arange(BATCH) % IMAGES["classes"]
    else:
        inputs = torch.randint(0, 20, (BATCH, 12), generator=generator)
        targets = torch.randint(0, 20, (BATCH, 12), generator=generator)
        targets[torch.rand(BATCH, 12, generator=generator) < torch.linspace(0, 1, BATCH)[:, None]] = UNSCORED
    split = Split(inputs, targets)
    return Dataset(split, split, split, shape["task"], shape["shape"], shape["classes"], BATCH)


class Told(SGD):
    """Keeps the gradients of its last step, which moves nothing."""

    def step(self, closure=None):
        weights = [weight for group in self.param_groups for weight in group["params"]]
        TOLD[:] = [torch.zeros_like(w) if w.grad is None else w.grad.clone() for w in weights]
        super().step(closure)


TOLD: list[torch.Tensor] = []


def gradient(folder, name, changes, **settings):
    net = build(name, changes)
    fitted = fit(
        **parts(
            folder, 1, net=net, data=data(name), loss=CrossEntropy(), optimizer=partial(Told, lr=0.0),
            callbacks={}, folder=folder, **settings,
        )
    )  # fmt: skip
    return torch.cat([one.flatten() for one in TOLD]), fitted


@pytest.mark.slow
@pytest.mark.parametrize(("name", "changes"), TABLE, ids=str)
def test_pieces_have_the_gradient_of_the_batch(tmp_path, one_thread, cold, monkeypatch, name, changes):
    whole, fitted = gradient(tmp_path / "1", name, changes)
    assert whole.norm() > 0
    # Taken after the step whose gradient is told, and a third of each fit.
    monkeypatch.setattr(fitting, "_activations", lambda *_: 0.0)
    for pieces in (3, 8):
        cut, again = gradient(tmp_path / str(pieces), name, changes, accumulate_grad_batches=pieces)
        assert (cut - whole).norm() <= 1e-6 * whole.norm(), pieces
        assert again.curve[-1]["train/loss"] == pytest.approx(fitted.curve[-1]["train/loss"], rel=1e-6)
        for mine, theirs in zip(again.net.buffers(), fitted.net.buffers(), strict=True):
            assert torch.equal(mine, theirs)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("settings", "tolerance"), [({"recompute": ["blocks.*"]}, 1e-6), ({"precision": "bf16-mixed"}, 5e-2)]
)
def test_recomputing_and_mixed_precision_pool_choices_too(tmp_path, one_thread, settings, tolerance):
    changes = {"balance_loss": 1.0, "bias_rate": 0.1, "chosen": 2}
    whole, _ = gradient(tmp_path / "1", "moe_gpt", changes, **settings)
    cut, _ = gradient(tmp_path / "3", "moe_gpt", changes, accumulate_grad_batches=3, **settings)
    assert (cut - whole).norm() <= tolerance * whole.norm()


def test_choices_are_pooled_as_dropout_makes_them():
    net = build("moe_gpt", {"dropout": 0.5, "balance_loss": 1.0, "bias_rate": 0.1}).train()
    pieces, state = torch.randint(0, 20, (8, 12)).split(3), torch.get_rng_state()
    with net.pooled([partial(net, piece) for piece in pieces]):
        assert torch.equal(torch.get_rng_state(), state)
        pooled = [layer.pool.choices.tolist() for layer in net.mixtures]
        for piece in pieces:
            net(piece)
    assert pooled == [layer.balance._load for layer in net.mixtures]
    assert [sum(counts) for counts in pooled] == [2 * 8 * 12] * 2
    assert all(layer.pool is None for layer in net.mixtures)


class Hungry(torch.nn.Module):
    """Has no memory for the second piece of a batch, at the first try."""

    def __init__(self, net):
        super().__init__()
        self.net, self.calls = net, 0

    def forward(self, x):
        self.calls += self.training
        if self.calls == 2:
            raise torch.OutOfMemoryError("CUDA out of memory.")
        return self.net(x)


def test_what_a_failed_try_counted_moves_no_bias(tmp_path, one_thread, cold):
    changes = {"balance_loss": 0.0, "bias_rate": 0.1}
    _, fitted = gradient(tmp_path / "plain", "moe_gpt", changes)
    net = build("moe_gpt", changes)
    hungry = Hungry(net)
    hungry.forget = net.forget
    again = fit(
        **parts(
            tmp_path, 1, net=hungry, data=data("moe_gpt"), optimizer=partial(Told, lr=0.0), callbacks={},
            folder=tmp_path / "hungry", accumulate_grad_batches=2,
        )
    )  # fmt: skip
    assert again.facts["out_of_memory"][0]["accumulate"] == 4
    for mine, theirs in zip(net.buffers(), fitted.net.buffers(), strict=True):
        assert torch.equal(mine, theirs)
