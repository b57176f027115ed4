"""A network of a person's own: any module by its name, its constructor filled from the data."""

import inspect
import math
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from torch import nn

from models.nets.shapes import TOKEN_TASKS, flat_columns
from refusal import Refusal

KNOWN = {
    "classes": "classes num_classes n_classes nb_classes num_labels out_features output_size output_dim "
    "out_dim num_outputs n_outputs",
    "channels": "in_channels in_chans input_channels num_channels n_channels c_in",
    "features": "in_features input_size input_dim in_dim num_features n_features n_inputs num_inputs",
    "length": "length seq_len seq_length sequence_length max_length max_len max_seq_len block_size "
    "context_length",
    "side": "image_size img_size",
    "vocabulary": "vocabulary vocab_size num_embeddings num_tokens n_tokens ntoken",
    "shape": "shape input_shape",
    "task": "task",
}
"""what the data say -> names by which constructors ask for it"""
_SAYS = {name: what for what, names in KNOWN.items() for name in names.split()}
DESCRIBED = "described"
"""attribute of a network that a person brought: what it is, for the facts of its trial"""


def build(
    target: Callable[..., Any],
    args: Mapping[str, Any] | None = None,
    *,
    shape: Sequence[int],
    classes: int,
    task: str,
    vocabulary: int | None = None,
) -> nn.Module:
    """`target(**args)`, with the arguments that its constructor names and the data know.

    A class or a function that returns a module. It takes batches as the data have them, (B, *shape) float32
    or (B, T) int64 tokens; columns, whose shape is (F, 1), as (B, F). It answers (B, classes),
    (B, T, classes) where each token has an answer, or (B, 1) for values.

    Raises:
        Refusal: an argument is missing or unknown, the constructor fails, or it makes no module.
    """
    if not callable(target):
        raise Refusal("model.target names a class of yours, or a function that returns a network.")
    columns = vocabulary is None and task not in TOKEN_TASKS and tuple(shape[1:]) == (1,)
    said = _said_by(shape[:1] if columns else shape, classes, task, vocabulary)
    given = dict(args or {})
    filled = _filled(target, given, said)
    try:
        net = target(**(filled | given))
    except Exception as error:
        place = f" ({where})" if (where := _place(error)) else ""
        raise Refusal(
            f"{name_of(target)}({_typed(filled | given)}) cannot be made: {type(error).__name__}: "
            f"{one_line(error)}{place}."
        ) from error
    if not isinstance(net, nn.Module):
        raise Refusal(
            f"{name_of(target)} makes a {type(net).__name__}: model.target names a torch.nn.Module, or a "
            "function that returns one."
        )
    if columns:
        net.register_forward_pre_hook(flat_columns)
    return described(net, name_of(target), filled={key: _plain(filled[key]) for key in filled})


def described(net: nn.Module, name: str, **more: Any) -> nn.Module:
    """`net` with what it is, for the facts of its trial; so it is tried on a batch before it trains."""
    vars(net)[DESCRIBED] = {"target": name, **more}
    return net


def _said_by(shape: Sequence[int], classes: int, task: str, vocabulary: int | None) -> dict[str, Any]:
    """What the data say, without what data of this shape do not have."""
    sizes = tuple(int(size) for size in shape)
    tokens = vocabulary or (classes if task in TOKEN_TASKS else None)
    said: dict[str, Any] = {"classes": classes, "shape": sizes, "task": task}
    if tokens is not None:
        said |= {"vocabulary": tokens, "length": sizes[0]}
        return said
    said["features"] = math.prod(sizes)
    if len(sizes) > 1:
        said["channels"] = sizes[0]
    if len(sizes) == 2:
        said["length"] = sizes[1]
    if len(sizes) == 3:
        said["side"] = sizes[1] if sizes[1] == sizes[2] else sizes[1:]
    return said


def _filled(target: Callable[..., Any], given: Mapping[str, Any], said: Mapping[str, Any]) -> dict[str, Any]:
    """The arguments that the data know and nobody gave. Raises `Refusal` for what is missing or unknown."""
    asked = _parameters(target)
    open_ended = any(one.kind is one.VAR_KEYWORD for one in asked)
    named = {one.name: one for one in asked if one.kind in (one.POSITIONAL_OR_KEYWORD, one.KEYWORD_ONLY)}
    unknown = sorted(given.keys() - named.keys())
    if unknown and not open_ended:
        takes = ", ".join(named) or "none"
        raise Refusal(f"{name_of(target)} takes no argument {', '.join(unknown)}: it takes {takes}.")
    filled = {name: said[_SAYS[name]] for name in named if _SAYS.get(name) in said and name not in given}
    missing = [
        name
        for name, one in named.items()
        if one.default is one.empty and name not in given and name not in filled
    ]
    if missing:
        has = ", ".join(f"{what} {said[what]}" for what in said if what != "task")
        raise Refusal(
            f"{name_of(target)} asks for {', '.join(missing)}, which nobody gave: type "
            f"model.args.{missing[0]}=VALUE. Known of the data, by their usual names, are {has}."
        )
    return filled


def _parameters(target: Callable[..., Any]) -> list[inspect.Parameter]:
    try:
        return list(inspect.signature(target).parameters.values())
    except (TypeError, ValueError) as error:
        raise Refusal(
            f"{target!r:.60} does not say what arguments it takes: name a class of yours."
        ) from error


def name_of(target: Any) -> str:
    """What a person calls it: `nets.Tiny`."""
    return f"{getattr(target, '__module__', '?')}.{getattr(target, '__qualname__', target)}"


def one_line(error: BaseException) -> str:
    """The message of an error in one line, without a full stop."""
    return " ".join(str(error).split()).rstrip(".") or "no message"


def _place(error: BaseException) -> str:
    """File and line where an error was raised."""
    last = error.__traceback__
    while last is not None and last.tb_next is not None:
        last = last.tb_next
    return "" if last is None else f"{Path(last.tb_frame.f_code.co_filename).name}:{last.tb_lineno}"


def _typed(args: Mapping[str, Any]) -> str:
    return ", ".join(f"{name}={value!r:.40}" for name, value in args.items())


def _plain(value: Any) -> Any:
    return list(value) if isinstance(value, tuple) else value
