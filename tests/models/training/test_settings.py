import pytest
import torch

from cases import each
from models.training.settings import Settings, build
from refusal import Refusal


@each(
    ("changes", "sentence"),
    [
        ({"accelerator": "tpu"}, "choose cpu or gpu"),
        ({"strategy": "fsdp"}, "choose auto or ddp"),
        ({"precision": "64-true"}, "choose 32-true"),
        ({"devices": 0}, r"trainer\.devices"),
        ({"devices": 2}, r"trainer\.strategy=ddp"),
        ({"steps_per_call": 1.5}, r"trainer\.steps_per_call"),
        ({"accumulate_grad_batches": "two"}, r"trainer\.accumulate_grad_batches"),
        ({"val_every": -1}, r"trainer\.val_every"),
        ({"gradient_clip_val": 0.0}, r"trainer\.gradient_clip_val"),
        ({"gradient_clip_val": "abc"}, r"trainer\.gradient_clip_val"),
        ({"precision": "16-mixed"}, "16-mixed needs a GPU"),
        ({"recompute": "blocks.*"}, r"write trainer\.recompute=\[blocks\.\*\]"),
        ({"recompute": [1]}, "must be a list of names"),
        ({"recompute_keep": "all"}, "choose nothing or matmuls"),
        ({"find_batch": True}, r"needs trainer\.memory_bytes"),
        ({"find_batch": True, "memory_bytes": 0.5}, r"trainer\.memory_bytes must be a whole number"),
    ],
)
def test_what_cannot_be_done_is_refused_in_a_sentence(changes, sentence):
    with pytest.raises(Refusal, match=sentence):
        Settings(**changes)


@pytest.mark.skipif(torch.cuda.is_available(), reason="needs a machine without a GPU")
def test_a_missing_gpu_is_a_sentence(train):
    with pytest.raises(Refusal, match="no NVIDIA GPU here: choose trainer=cpu"):
        train(accelerator="gpu", precision="16-mixed")


def test_the_trainer_does_nothing_beside(tmp_path):
    trainer = build(Settings(), total=None, callbacks=[], loggers=[], folder=tmp_path)
    assert trainer.callbacks == [] and trainer.loggers == []
    assert trainer.max_steps > 10**15
    assert trainer.limit_val_batches == 0 and trainer.num_sanity_val_steps == 0
