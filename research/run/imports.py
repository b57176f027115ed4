"""What the fork server has imported for its children, and which of it a user may change meanwhile.

Standard library only.
"""

import gc
import importlib
import os
import re
import sys
import traceback
from collections.abc import Iterable

_NOT_THEIRS = (
    {"construct", "models", "power", "pulse", "redact", "refusal", "research"}
    | {"agent", "train"}
    | sys.stdlib_module_names
)
"""the lab's own, of which what is imported holds for the whole sweep, and the standard library"""
_INSTALLED = re.compile(r"[/\\](site|dist)-packages[/\\]")
_seen: set[str] = set()
_users: dict[str, tuple[str, int, int]] = {}
"""modules of a user's own -> file, time of change and size when they were imported"""


def preload(modules: Iterable[str], targets: Iterable[str]) -> None:
    """Import `modules`, and the module of each dotted target; what fails will fail again in its trial.

    Collected and frozen afterwards: a collection in a child would copy every page that it looks at.
    """
    gc.disable()
    for name in modules:
        _import(name)
    for target in targets:
        parts = target.split(".")
        any(_import(".".join(parts[:end])) for end in range(len(parts) - 1, 0, -1))
    _look_at_new()
    gc.enable()
    gc.collect()
    gc.freeze()


def forget_changed() -> None:
    """Have a user's modules imported anew when one's source has changed: a trial runs what is there.

    All of them, because those that did not change may hold what they imported from those that did.
    """
    if any(_state(was[0]) != was for was in _users.values()):
        for name in _users:
            sys.modules.pop(name, None)


def _look_at_new() -> None:
    for name in sys.modules.keys() - _seen:
        file = getattr(sys.modules[name], "__file__", None)
        if file and name.partition(".")[0] not in _NOT_THEIRS and not _INSTALLED.search(file):
            _users[name] = _state(file)
    _seen.update(sys.modules)


def _state(file: str) -> tuple[str, int, int]:
    try:
        about = os.stat(file)  # noqa: PTH116 - the standard library's smallest: this runs in every child
    except OSError:
        return file, 0, 0
    return file, about.st_mtime_ns, about.st_size


def _import(name: str) -> bool:
    """Whether there is such a module; one that cannot be imported is told in the server's log."""
    if name in sys.modules:
        return True
    try:
        importlib.import_module(name)
    except ModuleNotFoundError as error:
        if error.name is not None and name.startswith(error.name):
            return False
        traceback.print_exc()
    except Exception:
        traceback.print_exc()
    return True
