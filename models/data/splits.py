"""How one pile of examples becomes train, validation and test, and how inputs are put on one scale."""

import torch
from torch import Tensor

from models.data.dataset import Split
from refusal import Refusal


def shuffled(count: int, seed: int) -> Tensor:
    """(count,) int64: a permutation that depends on nothing but `seed`."""
    return torch.randperm(count, generator=torch.Generator().manual_seed(seed))


def three_way(
    inputs: Tensor, targets: Tensor, *, val_share: float, test_share: float, seed: int
) -> tuple[Split, Split, Split]:
    """Train, validation and test, drawn without replacement; the same seed gives the same three.

    Raises `Refusal` when the shares leave no training data.
    """
    if not (0 < val_share < 1 and 0 < test_share < 1 and val_share + test_share < 1):
        raise Refusal(
            f"data.val_share {val_share} and data.test_share {test_share} must be above 0 and leave a rest "
            "for training: for example 0.2 and 0.2."
        )
    order = shuffled(len(inputs), seed)
    tested, checked = round(len(inputs) * test_share), round(len(inputs) * val_share)
    parts = order.split([tested, checked, len(inputs) - tested - checked])
    test, val, train = (Split(inputs[part], targets[part]) for part in parts)
    return train, val, test


def hold_out(split: Split, share: float, seed: int) -> tuple[Split, Split]:
    """(train, validation) from a published training set whose test set is fixed.

    Raises `Refusal` when `share` is not inside (0, 1).
    """
    if not 0 < share < 1:
        raise Refusal(f"data.val_share {share} must lie between 0 and 1: for example 0.1.")
    order = shuffled(len(split), seed)
    checked = round(len(split) * share)
    val, train = order[:checked], order[checked:]
    return Split(split.inputs[train], split.targets[train]), Split(split.inputs[val], split.targets[val])


def standardise(train: Split, *others: Split) -> tuple[tuple[Split, ...], dict[str, list[float]]]:
    """Every split less the training split's mean, over its deviation; one of each per channel (dim 1).

    Beside them `mean` and `deviation`, which are kept with a network: elsewhere inputs come as they are.
    One figure per channel and not per pixel: an image border that never varies has no deviation.
    """
    dims = [dim for dim in range(train.inputs.dim()) if dim != 1]
    scale, mean = torch.std_mean(train.inputs.float(), dims, keepdim=True)
    scale.clamp_min_(1e-6)
    scaled = tuple(Split((split.inputs - mean).div_(scale), split.targets) for split in (train, *others))
    return scaled, {"mean": mean.flatten().tolist(), "deviation": scale.flatten().tolist()}
