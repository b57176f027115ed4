"""What only a GPU can show; skipped where there is none."""

import math

import pytest
import torch

from models.energy.meter import Meter
from models.training.callbacks.checkpoint import Checkpoint
from trainings import blobs, network, weights

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs an NVIDIA GPU")


@pytest.mark.parametrize("precision", ["32-true", "bf16-mixed", "16-mixed"])
def test_each_precision_trains_and_resumes_on_the_device(train, tmp_path, precision):
    options = {"accelerator": "gpu", "precision": precision, "gradient_clip_val": 1.0, "steps": 60}
    whole = train(folder=tmp_path / "whole", **options)
    assert whole.curve[-1]["val/accuracy"] > 0.8
    assert all(parameter.is_cuda for parameter in whole.net.parameters())
    assert all(math.isfinite(value) for value in whole.metrics.values())

    class Cut(Exception):
        pass

    def cut(progress):
        if progress > 0.6:
            raise Cut
        return 1.0

    saving = {"checkpoint": Checkpoint(None, every_steps=10)}
    with pytest.raises(Cut):
        train(folder=tmp_path / "cut", scheduler=cut, callbacks=saving, **options)
    again = train(folder=tmp_path / "cut", scheduler=lambda progress: 1.0, **options)
    assert again.facts["resumed"]["step"] == 30 and again.steps == 60
    straight = train(folder=tmp_path / "straight", scheduler=lambda progress: 1.0, **options)
    torch.testing.assert_close(weights(again.net), weights(straight.net), rtol=1e-2, atol=1e-2)


def test_joules_come_from_nvml(train):
    fitted = train(steps=None, seconds=3.0, accelerator="gpu", meter=Meter())
    assert "nvml" in fitted.energy.label
    assert fitted.metrics["train/energy_j"] > 0


def test_a_full_gpu_makes_micro_batches_smaller(train):
    class Hungry(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.inner = network()

        def forward(self, x):
            if self.training and len(x) > 10:
                torch.empty(2**45, dtype=torch.uint8, device=x.device)
            return self.inner(x)

    fitted = train(net=Hungry(), data=blobs(), accelerator="gpu")
    assert [event["micro_batch"] for event in fitted.facts["out_of_memory"]] == [16, 8]


def test_auto_tries_fp16_too_and_leaves_the_training_as_it_was(train, tmp_path):
    auto = train(accelerator="gpu", precision="auto", folder=tmp_path / "auto")
    assert {"32-true", "16-mixed"} <= set(auto.facts["precision_step_seconds"])
    own = train(accelerator="gpu", precision=auto.settings.precision, folder=tmp_path / "own")
    torch.testing.assert_close(weights(auto.net), weights(own.net), rtol=1e-2, atol=1e-2)


class Full(torch.nn.Module):
    """Runs out of memory, really, above 70 examples."""

    def __init__(self):
        super().__init__()
        self.inner = network()

    def forward(self, x):
        if len(x) > 70:
            torch.empty(2**45, dtype=torch.uint8, device=x.device)
        return self.inner(x)


def test_the_largest_batch_is_where_a_gpu_runs_out(train, tmp_path):
    net = Full()
    before = weights(net)
    fitted = train(steps=1, net=net, accelerator="gpu", find_batch=True, val_every=9, folder=tmp_path / "a")
    assert fitted.metrics["train/largest_batch"] == 70
    assert fitted.facts["largest_batch"]["limit"] == "memory"
    assert (weights(fitted.net).cpu() - before).abs().max() < 0.02, "one step of the training, and no more"


def test_a_ceiling_holds_on_a_gpu_too(train, tmp_path):
    free = train(steps=1, accelerator="gpu", find_batch=True, folder=tmp_path / "free")
    assert free.facts["largest_batch"]["limit"] == "examples"
    held = free.facts["largest_batch"]["bytes"]
    less = {"find_batch": True, "memory_bytes": held - 1024, "folder": tmp_path / "less"}
    assert train(steps=1, accelerator="gpu", **less).metrics["train/largest_batch"] < 200


@pytest.mark.parametrize("keep", ["nothing", "matmuls"])
def test_recomputing_on_a_gpu_gives_the_plain_weights(train, tmp_path, keep):
    own = {"accelerator": "gpu", "precision": "bf16-mixed", "steps": 10}
    plain = train(net=network(dropout=0.3), folder=tmp_path / "plain", **own)
    again = {"recompute": ["0", "2", "3"], "recompute_keep": keep, "folder": tmp_path / "again"}
    fitted = train(net=network(dropout=0.3), **own, **again)
    torch.testing.assert_close(weights(fitted.net), weights(plain.net), rtol=1e-3, atol=1e-4)
    assert fitted.metrics["train/activation_bytes"] <= plain.metrics["train/activation_bytes"]
