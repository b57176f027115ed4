"""A trained network that others learn from, from the folder that its trial left."""

from pathlib import Path

import torch
from torch import Tensor, nn

from models.training.checkpoint import newest
from refusal import Refusal


def load(model: nn.Module, weights: str) -> nn.Module:
    """`model` with the weights of a trial's folder (its newest sound checkpoint) or of a checkpoint file.

    Raises `Refusal` when there is none, or it is of another network.
    """
    path = _file(Path(weights))
    saved = torch.load(path, map_location="cpu", weights_only=True)["state_dict"]
    state: dict[str, Tensor] = {name.removeprefix("net."): tensor for name, tensor in saved.items()}
    try:
        model.load_state_dict(state)
    except RuntimeError as error:
        reason = str(error).splitlines()[-1].strip()
        raise Refusal(
            f"the teacher in {path} is not the network that its trial describes: {reason}"
        ) from error
    return model


def _file(path: Path) -> Path:
    if path.is_file():
        return path
    found, _ = newest(path / "checkpoints") if path.is_dir() else (None, [])
    if found is None:
        raise Refusal(
            f"the teacher's folder {path} holds no sound checkpoint: name another run, or force=true trains "
            "this one again."
        )
    return found
