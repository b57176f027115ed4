"""Import it before Lightning, which then costs 0.4 instead of 3 CPU seconds on top of torch.

It leaves torch._dynamo (eager.py), scipy.signal, transformers and torchvision alone. torchmetrics 1.x
imports the second, 1.5 CPU seconds, only to add an old name to it, `scipy.signal.hamming`, for the speech
metric SRMR. It finds that name on a stand-in here, which is gone again afterwards: whoever imports
scipy.signal later gets the real one. Of transformers and torchvision, where they are installed, 1.1 CPU
seconds and more, it takes classes for metrics of texts and pictures: here it takes ones that bring the real
ones when they are used. So a torchvision of another build than torch's, which does not load, stops no
training that needs none.
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

_SIGNAL = "scipy.signal"
_LATE = (("transformers",), ("torchvision", "torchvision.models"))
"""packages of which torchmetrics takes classes, each with the modules that it takes them from"""


@final
class _Late(type):
    """Makes classes of a module that import it when they are called, asked or held against something."""

    def __call__(cls, *args: Any, **kwargs: Any) -> Any:
        return _real(cls)(*args, **kwargs)

    def __getattr__(cls, name: str) -> Any:
        if name.startswith("__"):  # what Python itself asks of every class
            raise AttributeError(name)
        return getattr(_real(cls), name)

    def __instancecheck__(cls, instance: Any) -> bool:
        return isinstance(instance, _real(cls))


def _real(late: type) -> Any:
    return getattr(importlib.import_module(late.__module__), late.__name__)


@final
class _Classes(ModuleType):
    """In the place of a module: any name is a class of it."""

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        return _Late(name, (), {"__module__": self.__name__})


@contextmanager
def _in_place_of(*stand_ins: ModuleType) -> Iterator[None]:
    """They are found, a package and what is in it, where nobody has imported the package and there is one."""
    package = stand_ins[0].__name__
    if package in sys.modules or find_spec(package) is None:
        yield
        return
    sys.modules |= {module.__name__: module for module in stand_ins}
    try:
        yield
    finally:
        for module in stand_ins:
            del sys.modules[module.__name__]


if "torchmetrics" not in sys.modules:
    _signal = ModuleType(_SIGNAL)
    _signal.hamming = None  # type: ignore[attr-defined]
    _transformers, _torchvision = (list(map(_Classes, names)) for names in _LATE)
    with _in_place_of(_signal), _in_place_of(*_transformers), _in_place_of(*_torchvision):
        import torchmetrics  # noqa: F401
