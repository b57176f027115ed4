"""Networks of timm and torchvision by their names there; their weights come from `model.weights` alone."""

import importlib
from collections.abc import Mapping, Sequence
from difflib import get_close_matches
from importlib.util import find_spec
from types import ModuleType
from typing import Any

from torch import Tensor, nn

from models.nets.shapes import one_answer
from models.own.network import described, one_line
from refusal import Refusal

_COLOURS = 3


def timm(
    name: str, args: Mapping[str, Any] | None = None, *, shape: Sequence[int], classes: int, task: str
) -> nn.Module:
    """`timm.create_model`, made for the data's channels, sides and classes.

    Raises:
        Refusal: timm is missing or has no such network, or the data are no pictures.
    """
    channels, *sides = _pictures("timm", shape, task)
    library = package("timm", "timm")
    _known("timm", name, library.list_models())
    sized = {"img_size": tuple(sides)} if library.get_pretrained_cfg_value(name, "fixed_input_size") else {}
    given = {"num_classes": classes, "in_chans": channels} | sized | dict(args or {})
    return _made("timm", name, lambda: library.create_model(name, pretrained=False, **given))


def torchvision(
    name: str, args: Mapping[str, Any] | None = None, *, shape: Sequence[int], classes: int, task: str
) -> nn.Module:
    """`torchvision.models.get_model`, made for the data's classes; grey pictures are shown to it as colour.

    Raises:
        Refusal: torchvision is missing or has no such network, or the data are not such pictures.
    """
    channels, *_ = _pictures("torchvision", shape, task)
    if channels not in (1, _COLOURS):
        raise Refusal(f"model=torchvision takes 1 or 3 channels and the data has {channels}: try model=timm.")
    library = package("torchvision.models", "timm")
    _known("torchvision", name, library.list_models(module=library))
    given = {"num_classes": classes} | dict(args or {})
    net = _made("torchvision", name, lambda: library.get_model(name, weights=None, **given))
    if channels == 1:
        net.register_forward_pre_hook(_coloured)
    return net


def package(module: str, extra: str) -> ModuleType:
    """A package that only some networks need. Raises `Refusal` that says how it is installed."""
    name = module.partition(".")[0]
    try:
        return importlib.import_module(module)
    except Exception as error:
        # One that was built for another torch ends in anything.
        if find_spec(name) is None:
            way = f'pip install -e ".[{extra}]" in the clone'
        else:
            way = (
                "it is installed and does not load, as a build for another torch: install both from one index"
            )
        raise Refusal(f"model={name} needs {name} ({one_line(error)}): {way}.") from error


def _coloured(net: nn.Module, args: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
    """(B, 1, H, W) as (B, 3, H, W), each channel the same."""
    return (args[0].expand(-1, _COLOURS, -1, -1), *args[1:])


def _pictures(option: str, shape: Sequence[int], task: str) -> tuple[int, ...]:
    one_answer(option, task)
    sizes = tuple(int(size) for size in shape)
    if len(sizes) != 3:
        raise Refusal(f"model={option} takes pictures (C, H, W) and the data has shape {list(sizes)}.")
    return sizes


def _known(option: str, name: str, names: Sequence[str]) -> None:
    if name.partition(".")[0] not in names:
        near = ", ".join(get_close_matches(str(name), names, 3, 0.5))
        raise Refusal(f"{option} has no network {name}{f', perhaps {near}' if near else ''}.")


def _made(option: str, name: str, make: Any) -> nn.Module:
    try:
        net: nn.Module = make()
    except Exception as error:
        raise Refusal(
            f"{option}'s {name} cannot be made: {type(error).__name__}: {one_line(error)}."
        ) from error
    return described(net, f"{option} {name}")
