"""Experts in the lab's own training: the bias moves once a step, and an interrupted training is none."""

from functools import partial

import pytest
import torch
from lightning.pytorch import Callback

from models.data.dataset import Dataset, Split
from models.nets.balancing import SelectionBias
from models.nets.moe_gpt import MoEGPT
from models.training.callbacks.checkpoint import Checkpoint

STEPS, RATE = 8, 0.01


class Broken(Callback):
    """Fails after a step."""

    def next_stop(self, step):
        return 5 if step < 5 else None

    def on_train_batch_end(self, trainer, pl_module, outputs, batch, batch_idx):
        if trainer.global_step == 5:
            raise RuntimeError("broken")


def text():
    tokens = torch.randint(0, 20, (60, 9), generator=torch.Generator().manual_seed(0))
    splits = [Split(tokens[cut, :-1], tokens[cut, 1:]) for cut in (slice(40), slice(40, 50), slice(50, 60))]
    return Dataset(*splits, "language", (8,), 20, 8)


def started(train, tmp_path, folder, balanced=None, **changes):
    torch.manual_seed(0)
    options = {"experts": 4, "chosen": 2, "bias_rate": RATE, "balance_loss": 0.01} | (balanced or {})
    net = MoEGPT((8,), 20, width=8, heads=2, depth=1, **options)
    saving = {"checkpoint": Checkpoint(None, every_steps=3)} | changes.pop("callbacks", {})
    return train(STEPS, net=net, data=text(), folder=tmp_path / folder, callbacks=saving, **changes)


@pytest.mark.slow
def test_an_interrupted_training_ends_as_if_it_had_not_been_bit_for_bit(train, tmp_path):
    options = {"accumulate_grad_batches": 2}
    whole = started(train, tmp_path, "whole", **options).net.state_dict()
    with pytest.raises(RuntimeError, match="broken"):
        started(train, tmp_path, "broken", callbacks={"broken": Broken()}, **options)
    resumed = started(train, tmp_path, "broken", **options)
    assert resumed.facts["resumed"]["step"] == 3
    assert all(torch.equal(value, whole[name]) for name, value in resumed.net.state_dict().items())


@pytest.mark.slow
@pytest.mark.parametrize("changes", [{}, {"accumulate_grad_batches": 4}, {"recompute": ["blocks.*"]}])
def test_the_bias_moves_once_in_each_step_by_the_load_of_its_batch(
    train, cold, tmp_path, monkeypatch, changes
):
    seen, update = [], SelectionBias.update

    def watched(bias):
        seen.append(sum(bias._load))
        update(bias)

    monkeypatch.setattr(SelectionBias, "update", watched)
    net = started(train, tmp_path, "trial", **changes).net
    assert seen == [8 * 8 * 2] * STEPS
    assert net.mixtures[0].balance.bias.abs().max() > 0


@pytest.mark.slow
def test_two_devices_balance_what_one_does(train, tmp_path):
    """By the loss and by the bias together: either one's share would show in the weights."""
    balanced = {"balance_loss": 1.0}
    options = {"optimizer": partial(torch.optim.SGD, lr=0.5), "callbacks": {"checkpoint": Checkpoint()}}
    alone = started(train, tmp_path, "one", balanced, **options)
    both = started(train, tmp_path, "two", balanced, devices=2, strategy="ddp", **options)
    for name, value in both.net.state_dict().items():
        torch.testing.assert_close(value, alone.net.state_dict()[name], rtol=1e-4, atol=1e-5)
