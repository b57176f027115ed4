import json
import os
import random
import signal
from functools import partial

import numpy as np
import pytest
import torch
from forked import in_a_process
from lightning.pytorch import Callback
from torch import nn

from models.training.callbacks.checkpoint import Checkpoint
from models.training.callbacks.divergence import Divergence
from models.training.fit import fit
from refusal import Refusal
from trainings import network, parts


class Killed(Callback):
    """Ends the process as `kill -9` does, after a step."""

    def __init__(self, step, number=signal.SIGKILL):
        self.step, self.number = step, number

    def next_stop(self, step):
        return self.step if step < self.step else None

    def on_train_batch_end(self, trainer, pl_module, outputs, batch, batch_idx):
        if trainer.global_step == self.step:
            os.kill(os.getpid(), self.number)


class Noisy(nn.Module):
    """Draws from every generator in training, as augmentations and dropout may."""

    def __init__(self):
        super().__init__()
        self.inner = network(dropout=0.3)

    def forward(self, x):
        noise = 0.01 * (random.random() + np.random.rand()) if self.training else 0.0
        return self.inner(x + noise)


def seeded(tmp_path, folder, **changes):
    """`fit` from equal random states, every 5 steps saved; 37 steps are not whole epochs of 6.25 steps."""
    random.seed(5)
    np.random.seed(5)
    torch.manual_seed(5)
    callbacks = {"checkpoint": Checkpoint(None, every_steps=5), "divergence": Divergence(window=3)}
    changes = {"net": Noisy(), "val_every": 4, "callbacks": callbacks, **changes}
    return fit(**parts(tmp_path, 37, folder=tmp_path / folder, **changes))


def last_state(folder):
    path = folder / "checkpoints" / "step_37.ckpt"
    return torch.load(path, weights_only=True)


def assert_equal(one, other, where=""):
    assert type(one) is type(other), where
    if isinstance(one, dict):
        assert one.keys() == other.keys(), where
        for key in one:
            assert_equal(one[key], other[key], f"{where}/{key}")
    elif isinstance(one, list | tuple):
        assert len(one) == len(other), where
        for index, (left, right) in enumerate(zip(one, other, strict=True)):
            assert_equal(left, right, f"{where}/{index}")
    elif isinstance(one, torch.Tensor):
        assert torch.equal(one, other), where
    else:
        assert one == other, where


def without_times(state):
    """A checkpoint without what a clock or a count of calls has written into it."""
    kept = {
        key: state[key] for key in ("state_dict", "optimizer_states", "global_step", "callbacks", "joulelab")
    }
    kept["joulelab"].pop("clock")
    for row in kept["joulelab"]["record"]["curve"]:
        row.pop("second"), row.pop("cpu_second"), row.pop("joule")
    return kept


OPTIMIZERS = {
    "adamw": partial(torch.optim.AdamW, lr=0.01, weight_decay=0.1, fused=True),
    "sgd": partial(torch.optim.SGD, lr=0.1, momentum=0.9, fused=True),
}


@pytest.mark.slow
@pytest.mark.parametrize("killed_at", [[1], [15], [7, 8, 23]])
def test_a_killed_training_ends_as_if_it_had_not_been_bit_for_bit(one_thread, tmp_path, killed_at):
    whole = seeded(tmp_path, "whole")
    for step in killed_at:
        callbacks = {
            "killed": Killed(step),
            "checkpoint": Checkpoint(None, every_steps=5),
            "divergence": Divergence(window=3),
        }
        assert in_a_process(partial(seeded, tmp_path, "killed", callbacks=callbacks)) == -signal.SIGKILL
    resumed = seeded(tmp_path, "killed")
    assert_equal(
        without_times(last_state(tmp_path / "killed")), without_times(last_state(tmp_path / "whole"))
    )
    assert_equal(dict(resumed.net.state_dict()), dict(whole.net.state_dict()))
    assert resumed.metrics["stability/grad_norm_mean"] == whole.metrics["stability/grad_norm_mean"]
    # The kill comes before the checkpoint of its own step.
    saved = max((step - 1) // 5 * 5 for step in killed_at)
    assert resumed.facts.get("resumed", {}).get("step", 0) == saved


@pytest.mark.slow
@pytest.mark.parametrize("name", ["sgd"])
def test_each_optimizers_state_is_resumed(one_thread, tmp_path, name):
    optimizer = OPTIMIZERS[name]
    whole = seeded(tmp_path, "whole", optimizer=optimizer)
    callbacks = {"killed": Killed(22), "checkpoint": Checkpoint(None, every_steps=10)}
    in_a_process(partial(seeded, tmp_path, "killed", optimizer=optimizer, callbacks=callbacks))
    resumed = seeded(tmp_path, "killed", optimizer=optimizer)
    assert_equal(dict(resumed.net.state_dict()), dict(whole.net.state_dict()))


@pytest.mark.slow
def test_sigterm_leaves_a_checkpoint_of_the_step_it_came_at(one_thread, tmp_path):
    callbacks = {"killed": Killed(13, signal.SIGTERM), "checkpoint": Checkpoint(None, None)}
    assert in_a_process(partial(seeded, tmp_path, "trial", callbacks=callbacks)) == 143
    resumed = seeded(tmp_path, "trial")
    assert resumed.facts["resumed"]["step"] == 13
    assert resumed.facts["sessions"] == 2
    assert_equal(dict(resumed.net.state_dict()), dict(seeded(tmp_path, "whole").net.state_dict()))


def test_seconds_and_joules_go_on_counting(one_thread, tmp_path):
    first = seeded(tmp_path, "trial", budget=parts(tmp_path, 20)["budget"])
    again = seeded(tmp_path, "trial")
    assert again.facts["sessions"] == 2 and again.facts["resumed"]["step"] == 20
    assert again.seconds > first.seconds
    assert again.energy.joules > first.energy.joules
    seconds = [row["second"] for row in again.curve]
    assert seconds == sorted(seconds)
    assert "1 earlier session" in again.energy.note


def test_a_finished_training_is_only_loaded(one_thread, tmp_path):
    first = seeded(tmp_path, "trial")
    again = seeded(tmp_path, "trial")
    assert again.steps == 37 and again.curve == first.curve
    assert again.facts["sessions"] == 1
    assert again.energy.joules == pytest.approx(first.energy.joules, rel=0.5)
    assert_equal(dict(again.net.state_dict()), dict(first.net.state_dict()))


@pytest.mark.slow
@pytest.mark.parametrize("place", ["trial/checkpoints/step_20.ckpt", "trial/checkpoints", "trial"])
def test_a_named_checkpoint_is_resumed_into_another_folder(one_thread, tmp_path, place):
    seeded(tmp_path, "trial", budget=parts(tmp_path, 20)["budget"])
    resumed = seeded(tmp_path, "other", ckpt_path=tmp_path / place)
    assert resumed.facts["resumed"]["step"] == 20 and resumed.steps == 37
    assert (tmp_path / "other" / "checkpoints" / "step_37.ckpt").exists()


@pytest.mark.slow
def test_a_damaged_newest_checkpoint_is_said_and_the_one_before_is_taken(one_thread, tmp_path):
    whole = seeded(tmp_path, "whole")
    callbacks = {"killed": Killed(22), "checkpoint": Checkpoint(None, every_steps=5)}
    in_a_process(partial(seeded, tmp_path, "trial", callbacks=callbacks))
    newest = tmp_path / "trial" / "checkpoints" / "step_20.ckpt"
    content = bytearray(newest.read_bytes())
    content[len(content) // 2] ^= 1
    newest.write_bytes(content)
    with pytest.warns(UserWarning, match="damaged: step_20.ckpt"):
        resumed = seeded(tmp_path, "trial")
    assert resumed.facts["resumed"]["step"] == 15
    assert_equal(dict(resumed.net.state_dict()), dict(whole.net.state_dict()))
    with pytest.raises(Refusal, match="damaged"):
        newest.write_bytes(content[:-10])
        manifest = newest.parent / "manifest.json"
        listed = json.loads(manifest.read_text())["checkpoints"]
        listed["step_20.ckpt"] = {"sha256": "0", "step": 20}
        manifest.write_text(json.dumps({"checkpoints": listed}))
        seeded(tmp_path, "other", ckpt_path=newest)


@pytest.mark.slow
def test_a_checkpoint_of_another_model_is_refused_in_a_sentence(one_thread, tmp_path):
    seeded(tmp_path, "trial", net=network(width=16))
    with pytest.raises(Refusal, match=r"another model \(0.bias is 16 there and 8 here\)"):
        seeded(tmp_path, "trial", net=network(width=8))
    with pytest.raises(Refusal, match="another model"):
        seeded(tmp_path, "other", net=network(width=8), ckpt_path=tmp_path / "trial")


@pytest.mark.slow
@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"seed": 1}, "seed 0 there, 1 here"),
        ({"optimizer": OPTIMIZERS["sgd"]}, "optimizer AdamW there, SGD here"),
    ],
)
def test_a_checkpoint_of_another_trial_is_refused_in_a_sentence(one_thread, tmp_path, changes, sentence):
    seeded(tmp_path, "trial")
    with pytest.raises(Refusal, match=sentence):
        seeded(tmp_path, "trial", **changes)


@pytest.mark.parametrize("content", [b"", b"no checkpoint", b"PK\x03\x04"])
def test_a_file_that_is_no_checkpoint_is_refused(one_thread, tmp_path, content):
    path = tmp_path / "some.ckpt"
    path.write_bytes(content)
    with pytest.raises(Refusal, match="cannot be read as a checkpoint"):
        seeded(tmp_path, "trial", ckpt_path=path)


def test_a_file_of_other_tensors_and_a_missing_one_are_refused(one_thread, tmp_path):
    torch.save({"weights": torch.zeros(3)}, tmp_path / "other.ckpt")
    with pytest.raises(Refusal, match="not written by this lab"):
        seeded(tmp_path, "trial", ckpt_path=tmp_path / "other.ckpt")
    with pytest.raises(Refusal, match="no checkpoint at ckpt_path"):
        seeded(tmp_path, "trial", ckpt_path=tmp_path / "missing.ckpt")


def test_a_checkpoint_runs_no_code(one_thread, tmp_path):
    class Evil:
        def __reduce__(self):
            return (os.mkdir, (str(tmp_path / "pwned"),))

    torch.save({"joulelab": Evil()}, tmp_path / "evil.ckpt")
    with pytest.raises(Refusal, match="cannot be read"):
        seeded(tmp_path, "trial", ckpt_path=tmp_path / "evil.ckpt")
    assert not (tmp_path / "pwned").exists()


@pytest.fixture
def interruptible():
    """Ctrl-C as in a terminal: what a shell starts in the background ignores it."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.slow
def test_ctrl_c_comes_out_as_ctrl_c_and_the_next_one_still_works(one_thread, tmp_path, interruptible):
    handler = signal.getsignal(signal.SIGINT)
    callbacks = {"killed": Killed(13, signal.SIGINT), "checkpoint": Checkpoint(None, every_steps=5)}
    with pytest.raises(KeyboardInterrupt):
        seeded(tmp_path, "trial", callbacks=callbacks)
    assert signal.getsignal(signal.SIGINT) is handler
    resumed = seeded(tmp_path, "trial")
    assert resumed.facts["resumed"]["step"] == 10
    assert_equal(dict(resumed.net.state_dict()), dict(seeded(tmp_path, "whole").net.state_dict()))


@pytest.mark.slow
def test_a_training_that_has_spent_its_seconds_is_only_loaded(train):
    first = train(steps=None, seconds=0.3)
    again = train(steps=None, seconds=0.3)
    assert again.steps == first.steps and again.curve == first.curve
    assert_equal(dict(again.net.state_dict()), dict(first.net.state_dict()))


class Remembering(Noisy):
    """Keeps what is no tensor as torch says: beside its tensors, in the same state dict."""

    def __init__(self):
        super().__init__()
        self.calls = 0

    def forward(self, x):
        self.calls += self.training
        return super().forward(x) * (1 + self.calls / 100)

    def get_extra_state(self):
        return {"calls": self.calls}

    def set_extra_state(self, state):
        self.calls = state["calls"]


@pytest.mark.slow
def test_what_a_network_adds_to_its_state_dict_is_resumed_too(one_thread, tmp_path):
    whole = seeded(tmp_path, "whole", net=Remembering())
    callbacks = {"killed": Killed(22), "checkpoint": Checkpoint(None, every_steps=5)}
    killed = in_a_process(partial(seeded, tmp_path, "killed", net=Remembering(), callbacks=callbacks))
    assert killed == -signal.SIGKILL
    resumed = seeded(tmp_path, "killed", net=Remembering())
    assert resumed.facts["resumed"]["step"] == 20 and resumed.net.calls == whole.net.calls
    assert_equal(dict(resumed.net.state_dict()), dict(whole.net.state_dict()))
