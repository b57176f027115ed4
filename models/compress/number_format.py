"""A network has one number format: which steps of a compression exclude each other."""

from collections.abc import Callable

from models.compress.backend import Backend
from models.compress.context import Context
from refusal import Refusal

FORMATS = ("fp16", "bf16", "int8_weights", "int8_dynamic", "int8_static", "int8_aware")
COMPILED = "compiled"
_COMPILABLE = ("fp16", "bf16")


def one_format(context: Context) -> None:
    """Raise `Refusal` unless the trial's steps have at most one format, last, or before `compiled`."""
    found = [name for name in context.names if name in FORMATS]
    if len(found) > 1:
        raise Refusal(
            f"compress={_list(context.names)} rounds weights twice: keep one of {', '.join(found)}."
        )
    final = [*found, *(name for name in context.names if name == COMPILED)]
    if found and COMPILED in context.names and found[0] not in _COMPILABLE:
        raise Refusal(
            f"{found[0]} does not go with compiled: keep {found[0]} alone, or compress=[bf16,compiled]."
        )
    rest = [name for name in context.names if name not in final]
    if list(context.names) != rest + final:
        raise Refusal(
            f"{final[0]} acts on a finished network, so nothing comes after it: "
            f"set compress={_list([*rest, *final])}."
        )


def _list(names: tuple[str, ...] | list[str]) -> str:
    return f"[{','.join(names)}]"


def able(context: Context, check: Callable[[Backend], None]) -> None:
    """Raise the first `Refusal` of `check` where no backend of the trial passes it."""
    refused: list[Refusal] = []
    for backend in context.backends:
        try:
            check(backend)
        except Refusal as error:
            refused.append(error)
    if len(refused) == len(context.backends):
        raise refused[0]
