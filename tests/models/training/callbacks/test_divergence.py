from functools import partial

import pytest
import torch

from models.training.callbacks.divergence import Divergence
from models.training.fit import Diverged
from refusal import Refusal


def exploding(progress):
    return 1.0 if progress < 0.5 else 1000.0


@pytest.mark.parametrize("steps_per_call", [1, 7, 100])
def test_a_loss_that_explodes_ends_the_training_at_the_same_step_whatever_a_call_takes(train, steps_per_call):
    with pytest.raises(Diverged, match="the mean loss of the 10 steps up to step 40 is"):
        train(
            steps=60,
            optimizer=partial(torch.optim.SGD, lr=0.03),
            scheduler=exploding,
            callbacks={"divergence": Divergence(window=10, factor=3.0)},
            steps_per_call=steps_per_call,
        )


def test_a_loss_that_falls_does_not(train):
    assert train(callbacks={"divergence": Divergence(window=10)}).steps == 40


@pytest.mark.parametrize("options", [{"window": 0}, {"factor": 1.0}])
def test_values_out_of_range_are_refused(options):
    with pytest.raises(Refusal, match=r"callbacks\.divergence"):
        Divergence(**options)
