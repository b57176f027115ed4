"""What a network runs on once it is finished: who makes its int8 form, and its code."""

import copy
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, final

from torch import nn

from models.compress.gains import medians
from refusal import Refusal

if TYPE_CHECKING:
    from models.compress.context import Context

Made = tuple[nn.Module, dict[str, Any]]
"""a network, and what is to be told of it in plain values"""


@final
@dataclass(frozen=True)
class Rounding:
    """How a network becomes int8."""

    name: str
    """the option that asks, as in `compress=[name]`"""
    batches: int | None = None
    """training batches that static scales of activations are taken from; None gives each input its own"""
    kept: frozenset[str] = frozenset()
    """layers that stay in 32 bits"""


class Backend(ABC):
    """Makes the code of networks: of their own weights, or of int8 ones."""

    name: str
    """as it is typed and told"""

    def candidates(self) -> "tuple[Backend, ...]":
        """The backends that it stands for: itself."""
        return (self,)

    @abstractmethod
    def check(self, net: nn.Module, context: "Context", how: Rounding | None) -> None:
        """Raise `Refusal` for what cannot be made, before anything is trained; None is for code alone."""

    @abstractmethod
    def rounded(self, net: nn.Module, context: "Context", how: Rounding) -> Made:
        """The int8 form of `net`, which stays as it is; its answers are final, its speed need not be."""

    @abstractmethod
    def code(self, net: nn.Module, context: "Context") -> Made:
        """The code of a network, or of what `rounded` has made."""


def chosen(net: nn.Module, context: "Context", make: Callable[[Backend], Made]) -> Made:
    """What the context's one backend makes of `net`, or of several the fastest that keeps the score.

    Each makes its own; all are called in turns, on a whole batch and on a single example, and the geometric
    mean of both speeds decides among those that lose at most what may be lost on validation. Where none
    keeps it, the best score is taken. A backend that refuses, or fails, is left out, and told.

    Raises:
        Refusal: the only backend does, or all do.
    """
    if len(context.backends) == 1:
        made, facts = make(context.backends[0])
        return made, facts | {"backend": context.backends[0].name}
    able: dict[str, Made] = {}
    refused: dict[str, str] = {}
    for backend in context.backends:
        try:
            able[backend.name] = make(backend)
        except Exception as error:  # a refusal, and whatever compilers and runtimes raise
            kind = "" if isinstance(error, Refusal) else f"{type(error).__name__}: "
            refused[backend.name] = f"{kind}{error}".strip().splitlines()[0][:300]
    if not able:
        raise Refusal(next(iter(refused.values()), "backend=auto found no backend: choose backend=inductor."))
    told = _compared(net, context, {name: made for name, (made, _) in able.items()})
    best = _best(told, context.score(net) - context.lose - 1e-9)
    made, facts = able[best]
    return made, facts | {"backend": best, "backends": told | refused}


def _compared(
    net: nn.Module, context: "Context", able: Mapping[str, nn.Module]
) -> dict[str, dict[str, float]]:
    """Of each the validation score, and how many times as fast as `net` it is."""
    dense, batch = copy.deepcopy(net), context.example
    whole, single = (medians([dense, *able.values()], inputs) for inputs in (batch, batch[:1]))
    scores = [context.score(made) for made in able.values()]
    return {
        name: {"score": score, "speedup": whole[0] / many, "speedup_single": single[0] / one}
        for name, score, many, one in zip(able, scores, whole[1:], single[1:], strict=True)
    }


def _best(told: Mapping[str, Mapping[str, float]], least: float) -> str:
    keeping = [name for name, figures in told.items() if figures["score"] >= least]
    if not keeping:
        return max(told, key=lambda name: told[name]["score"])
    return max(keeping, key=lambda name: told[name]["speedup"] * told[name]["speedup_single"])


def installed(packages: Sequence[str], extra: str) -> None:
    """Raise `Refusal`, with the line that installs them, where a package of a backend is missing."""
    from importlib.util import find_spec

    missing = [package for package in packages if find_spec(package) is None]
    if missing:
        raise Refusal(
            f'backend={extra} needs {" and ".join(missing)}: pip install -e ".[{extra}]", '
            "or choose backend=inductor."
        )
