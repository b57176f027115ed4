"""Which parameters decay: matrices do, vectors do not."""

from typing import Any

from torch import nn


def groups(net: nn.Module, weight_decay: float) -> list[dict[str, Any]]:
    """Parameter groups for an optimizer's constructor: weight decay on parameters of two and more dimensions.

    Biases and the gains of normalisations are left free, the field's practice since GPT-2 (as in nanoGPT's
    `configure_optimizers`). Without decay it is one group, because each group costs a launch at every step.
    """
    trained = [parameter for parameter in net.parameters() if parameter.requires_grad]
    matrices = [parameter for parameter in trained if parameter.ndim >= 2]
    vectors = [parameter for parameter in trained if parameter.ndim < 2]
    if not weight_decay or not matrices or not vectors:
        return [{"params": trained}]
    return [{"params": matrices}, {"params": vectors, "weight_decay": 0.0}]
