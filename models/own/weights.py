"""The weights that a network begins from: a person's file, held against the network name by name."""

from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any, NamedTuple, final

import torch
from torch import Tensor, nn

from models.compress.artefact import unpack
from models.training.checkpoint import OURS, tensors
from refusal import Refusal

_INSIDE = ("state_dict", "model_state_dict", "weights", "model", "net")
"""under what name files hold a state dict beside other things"""
_PREFIXES = ("module.", "model.", "net.")
"""what DataParallel, other people's trainers and our own checkpoints put before each name"""
_COMPILED = "_orig_mod."
_SHOWN = 3


@final
class Loaded(NamedTuple):
    """What was taken from a file of weights, for the facts of a trial, and what must be said of it."""

    facts: dict[str, Any]
    notes: list[str]


def load(net: nn.Module, path: Path, *, classes: int, sha256: str | None = None) -> Loaded:
    """Give `net` the weights of the file at `path`, every one of them.

    The file is a state dict of torch's, by itself or inside of a checkpoint (a trial's too), a trial's
    `weights.pt`, or safetensors; nothing in it is run. A prefix that all names have, as `module.`, is taken
    off where the network knows none of the names with it. A read-out for another number of classes than the
    `classes` of the data stays as the network was made.

    Raises:
        Refusal: the file cannot be read, its SHA-256 is not the given one, or it is of another network.
    """
    state, prefix = _by_own_names(_read(path, sha256), own := net.state_dict())
    new = _heads(net, state, own, classes, path)
    _put(net, {name: value for name, value in state.items() if name not in new}, new, path)
    notes = [f"model.weights: names in {path.name} are read without {prefix}"] if prefix else []
    if new:
        heads = ", ".join(dict.fromkeys(name.rpartition(".")[0] or name for name in new))
        theirs = len(state[new[0]])
        notes.append(
            f"model.weights: the read-out {heads} is new, for {path.name} has one of {theirs} classes and "
            f"the data has {classes}"
        )
    return Loaded({"path": str(path), "tensors": len(state) - len(new), "prefix": prefix, "new": new}, notes)


def _read(path: Path, sha256: str | None) -> dict[str, Any]:
    if not path.is_file():
        what = "is a folder: name the file in it" if path.is_dir() else "is not there"
        raise Refusal(f"model.weights={path} {what}, such as model.weights=FOLDER/weights.pt.")
    if path.suffix == ".safetensors":
        return _safetensors(path)
    found = tensors(path, sha256)
    if isinstance(found, Mapping) and OURS in found and "weights" in found:
        return unpack(found["weights"])
    inside = [found[name] for name in _INSIDE if name in found] if isinstance(found, Mapping) else []
    for one in (*inside, found):
        if isinstance(one, Mapping) and any(isinstance(value, Tensor) for value in one.values()):
            return {str(name): value for name, value in one.items()}
    raise Refusal(f"model.weights={path} holds no weights by name: save the network's state_dict().")


def _safetensors(path: Path) -> dict[str, Any]:
    try:
        from safetensors import SafetensorError
        from safetensors.torch import load_file
    except ImportError as error:
        raise Refusal(
            f'model.weights={path} needs safetensors: pip install -e ".[weights]", or give a .pt.'
        ) from error
    try:
        return dict(load_file(path))
    except (SafetensorError, OSError) as error:
        raise Refusal(f"model.weights={path} cannot be read as safetensors: {error}.") from error


def _by_own_names(state: dict[str, Any], own: Collection[str]) -> tuple[dict[str, Any], str]:
    """The state dict by the network's names, as far as a prefix parts them, and what was taken off."""
    compiled = any(_COMPILED in name for name in state) and not any(_COMPILED in name for name in own)
    if compiled:
        state = {name.replace(_COMPILED, ""): value for name, value in state.items()}
    taken = _COMPILED if compiled else ""
    while not state.keys() & set(own):
        before = next((one for one in _PREFIXES if all(name.startswith(one) for name in state)), None)
        if before is None:
            break
        state = {name.removeprefix(before): value for name, value in state.items()}
        taken = f"{before}{taken}"
    return state, taken


def _heads(
    net: nn.Module, state: Mapping[str, Any], own: Mapping[str, Any], classes: int, path: Path
) -> list[str]:
    """The names of a read-out that the file has for another number of classes; any other size is refused."""
    differ = [name for name in state if name in own and _sizes(state[name]) != _sizes(own[name])]
    for name in differ:
        there, here = _sizes(state[name]), _sizes(own[name])
        layer = net.get_submodule(name.rpartition(".")[0])
        read_out = len(here) > 0 and here[0] == classes and here[1:] == there[1:]
        if not read_out or isinstance(layer, nn.Embedding):
            raise Refusal(
                f"model.weights={path} is of another network: {name} is {_told(there)} there and "
                f"{_told(here)} here. Set model and its sizes as they were when it was trained."
            )
    return differ


def _sizes(value: Any) -> tuple[int, ...]:
    return tuple(value.shape) if isinstance(value, Tensor) else ()


def _told(sizes: tuple[int, ...]) -> str:
    return " x ".join(map(str, sizes)) or "a scalar"


def _put(net: nn.Module, state: Mapping[str, Any], new: Collection[str], path: Path) -> None:
    try:
        differ = net.load_state_dict(state, strict=False)
    except (RuntimeError, TypeError, AttributeError) as error:
        reason = str(error).splitlines()[-1].strip()
        raise Refusal(f"model.weights={path} does not fit the network: {reason}") from error
    had = set(_places(net, state))
    missing = [name for name in differ.missing_keys if name not in new]
    # A file may hold weights once that the network has under two names.
    missing = [name for name in missing if not had.issuperset(_places(net, [name]))]
    faults = [f"it lacks {_listed(missing)}"] if missing else []
    faults += [f"the network has no {_listed(differ.unexpected_keys)}"] if differ.unexpected_keys else []
    if faults:
        raise Refusal(
            f"model.weights={path} is of another network: {', and '.join(faults)}. Choose the model that it "
            "was trained with."
        )


def _places(net: nn.Module, names: Collection[str]) -> list[int]:
    """Where the tensors of these names lie in memory; shared ones lie at one place."""
    own: Mapping[str, Any] = net.state_dict(keep_vars=True)
    return [id(own[name]) for name in names if isinstance(own.get(name), torch.Tensor)]


def _listed(names: Collection[str]) -> str:
    shown = ", ".join(list(names)[:_SHOWN])
    return shown if len(names) <= _SHOWN else f"{shown} and {len(names) - _SHOWN} more"
