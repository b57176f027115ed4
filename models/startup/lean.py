"""Import it before Lightning, which then costs 0.4 instead of 3 CPU seconds on top of torch.

It leaves torch._dynamo (eager.py), scipy.signal and transformers alone. torchmetrics 1.x imports the second,
1.5 CPU seconds, only to add an old name to it, `scipy.signal.hamming`, for the speech metric SRMR. It finds
that name on a stand-in here, which is gone again afterwards: whoever imports scipy.signal later gets the real
one. Of transformers, where it is installed, 1.1 CPU seconds, it takes classes for metrics of texts: here it
takes ones that bring the real ones when they are used.
"""

import importlib
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from types import ModuleType
from typing import Any, final

from models.startup import eager

__all__ = ["eager"]

_SIGNAL, _TRANSFORMERS = "scipy.signal", "transformers"


@final
class _Late(type):
    """Makes classes of transformers that import it when they are called, asked or held against something."""

    def __call__(cls, *args: Any, **kwargs: Any) -> Any:
        return _real(cls)(*args, **kwargs)

    def __getattr__(cls, name: str) -> Any:
        if name.startswith("__"):  # what Python itself asks of every class
            raise AttributeError(name)
        return getattr(_real(cls), name)

    def __instancecheck__(cls, instance: Any) -> bool:
        return isinstance(instance, _real(cls))


def _real(late: type) -> Any:
    return getattr(importlib.import_module(_TRANSFORMERS), late.__name__)


@final
class _Classes(ModuleType):
    """In the place of transformers: any name is a class of it."""

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        return _Late(name, (), {})


@contextmanager
def _in_place_of(name: str, stand_in: ModuleType) -> Iterator[None]:
    """The stand-in is found, where nobody has imported the module and there is one."""
    if name in sys.modules or find_spec(name) is None:
        yield
        return
    sys.modules[name] = stand_in
    try:
        yield
    finally:
        del sys.modules[name]


if "torchmetrics" not in sys.modules:
    _signal = ModuleType(_SIGNAL)
    _signal.hamming = None  # type: ignore[attr-defined]
    with _in_place_of(_SIGNAL, _signal), _in_place_of(_TRANSFORMERS, _Classes(_TRANSFORMERS)):
        import torchmetrics  # noqa: F401
