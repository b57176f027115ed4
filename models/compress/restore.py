"""A finished network from the weights that its trial left, whatever was done to it."""

from collections.abc import Mapping
from pathlib import Path

from torch import Tensor, nn

from models.compress import artefact
from models.compress.compression import Compression
from refusal import Refusal


def restore(net: nn.Module, steps: Mapping[str, Compression], path: Path, example: Tensor) -> nn.Module:
    """A fresh `net` of the same configuration with the structure and the weights in `path`, ready to answer.

    `steps` are the entries of the trial's `compress=[...]`, in order; `example` is one input, (1, *shape).

    Raises:
        Refusal: the file is damaged, or of another network or another list of compressions.
    """
    state = artefact.load(path)
    for step in steps.values():
        net = step.rebuild(net, state, example)
    try:
        getattr(net, "eager", net).load_state_dict(state)
    except (RuntimeError, KeyError) as error:
        reason = str(error).splitlines()[-1].strip()
        raise Refusal(f"{path} is not of this model with compress=[{','.join(steps)}]: {reason}") from error
    return net.eval()
