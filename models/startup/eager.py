"""Import it before Lightning: torch._dynamo is then loaded when something is compiled, not by every trial.

Lightning imports it for one isinstance check, and torch's optimizers for a call that does nothing outside of
a compilation: 1.3 of the 4 CPU seconds of a cold start. In its place stands a module that answers just
these; any other use of it, `torch.compile` first of all, brings the real one, and then nothing is left of
this but the name that Lightning holds, which tells compiled modules as before. Written for torch 2.13, which
pyproject.toml asks for; with any other version nothing is done.
"""

import importlib
import sys
from collections.abc import Callable, Sequence
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec, PathFinder
from types import ModuleType
from typing import Any, final

import torch

_NAME = "torch._dynamo"


@final
class _StandIn(ModuleType):
    """What eager code asks of torch._dynamo."""

    def __init__(self) -> None:
        super().__init__(_NAME, __doc__)
        self.__path__: list[str] = []  # a package, whose modules `_OnDemand` finds
        self.__file__ = __file__  # asked of every module by who looks for a source: no use of this one
        self._enabled: list[Callable[..., Any]] = []
        self.OptimizedModule = _OptimizedModule

    def graph_break(self, *_: Any, **__: Any) -> None:
        """Nothing is being compiled, so there is no graph."""

    def disable(self, fn: Callable[..., Any], *_: Any, **__: Any) -> Callable[..., Any]:
        """Return the function itself, which torch keeps on it until the real module takes over."""
        self._enabled.append(fn)
        return fn

    def __getattr__(self, name: str) -> Any:
        return getattr(real(), name)


@final
class _Compiled(type):
    def __instancecheck__(cls, instance: object) -> bool:
        found = sys.modules.get(_NAME)
        return not isinstance(found, _StandIn | None) and isinstance(instance, found.OptimizedModule)


@final
class _OptimizedModule(metaclass=_Compiled):
    """An instance of it is one of the real `OptimizedModule`; before that is loaded there is none."""


@final
class _OnDemand(MetaPathFinder):
    """Finds the modules inside torch._dynamo by bringing the real package first."""

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """A spec only for modules of the package, and only the first time."""
        if not fullname.startswith(f"{_NAME}.") or not isinstance(sys.modules.get(_NAME), _StandIn):
            return None
        package = real()
        loaded = sys.modules.get(fullname)
        if loaded is not None:
            return ModuleSpec(fullname, _Loaded(loaded))
        return PathFinder.find_spec(fullname, package.__path__)


@final
class _Loaded(Loader):
    def __init__(self, module: ModuleType) -> None:
        self._module = module

    def create_module(self, spec: ModuleSpec) -> ModuleType:
        """The module that is there already."""
        return self._module

    def exec_module(self, module: ModuleType) -> None:
        """It has run."""


def real() -> ModuleType:
    """The real torch._dynamo, loaded in place of the stand-in."""
    stand_in = sys.modules.get(_NAME)
    if not isinstance(stand_in, _StandIn):
        return importlib.import_module(_NAME)
    del sys.modules[_NAME]
    del torch._dynamo
    package = importlib.import_module(_NAME)
    for function in stand_in._enabled:
        vars(function).pop("__dynamo_disable", None)
    return package


if torch.__version__.startswith("2.13.") and _NAME not in sys.modules:
    sys.meta_path.insert(0, _OnDemand())
    torch._dynamo = sys.modules[_NAME] = _StandIn()
