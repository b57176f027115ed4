"""A trained network that others learn from, from the folder that its trial left."""

from pathlib import Path

from torch import Tensor, nn

from models.training.checkpoint import newest, tensors
from refusal import Refusal


def load(model: nn.Module, weights: str, sha256: str | None = None) -> nn.Module:
    """`model` with the weights of a trial's folder (its newest sound checkpoint) or of a checkpoint file.

    Raises `Refusal` when there is none, it holds more than tensors and plain data, its SHA-256 is not the one
    that the result names, or it is of another network.
    """
    path = _file(Path(weights))
    saved = tensors(path, sha256)
    named = saved.get("state_dict") if isinstance(saved, dict) else None
    if not isinstance(named, dict):
        raise Refusal(f"{path} is no checkpoint of a trial: compress.distill.teacher takes those.")
    state: dict[str, Tensor] = {str(name).removeprefix("net."): tensor for name, tensor in named.items()}
    try:
        model.load_state_dict(state)
    except (RuntimeError, AttributeError, TypeError) as error:
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
