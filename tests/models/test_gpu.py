"""What only a GPU can show; skipped where there is none."""

import math

import pytest
import torch
from trainings import blobs, network, weights

from models.callbacks.checkpoint import Checkpoint
from models.energy import Meter

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
