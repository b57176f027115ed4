"""What a forked process does between its first instruction and its last: one task, one answer."""

import atexit
import contextlib
import ctypes
import faulthandler
import gc
import importlib
import json
import os
import signal
import sys
import traceback
from collections.abc import Callable
from typing import IO, Any

from refusal import Ended, Refusal

_SET_DEATH_SIGNAL = 1
_LONGEST_REASON = 500


def run(request: dict[str, Any], sheet: IO[bytes], server: int) -> None:
    """Call the task that `request` names and write its answer as JSON on `sheet`.

    The answer has one key of `result`, `refused`, `failed` and `interrupted`, and beside a result the
    modules that were `imported` on the way: the server imports them for those that come after.
    """
    os.setpgid(0, 0)
    _die_with(server)
    _redirect(request["log"])
    faulthandler.enable()
    # Python looks for cycles at 700 new objects; without any look a trial took 6 to 7 % less (3 pairs).
    gc.set_threshold(20_000, 20, 20)
    atexit._clear()
    os.environ.update(request["environment"])
    sys.argv[:] = request["argv"]
    before = set(sys.modules)
    answer = _answer(request["task"], request["arguments"])
    if "result" in answer:
        answer["imported"] = [name for name in list(sys.modules) if name not in before]
    sheet.write(json.dumps(answer).encode())
    sheet.flush()
    atexit._run_exitfuncs()
    with contextlib.suppress(OSError):
        sys.stdout.flush()
        sys.stderr.flush()


def _answer(task: str, arguments: tuple[list[Any], dict[str, Any]]) -> dict[str, Any]:
    positional, named = arguments
    try:
        return _plain(_function(task)(*positional, **named))
    except KeyboardInterrupt:
        return {"interrupted": True}
    except BaseException as error:
        traceback.print_exc()
        refusals = [one for one in _causes(error) if isinstance(one, Refusal)]
        return {"refused": str(refusals[0])} if refusals else {"failed": reason(error)}


def _plain(result: Any) -> dict[str, Any]:
    json.dumps(result)  # raises here, where it becomes a reason, and not on the way out
    return {"result": result}


def _function(task: str) -> Callable[..., Any]:
    module, _, name = task.partition(":")
    return getattr(importlib.import_module(module), name)  # type: ignore[no-any-return]


def reason(error: BaseException) -> str:
    """One line that says what went wrong: the first cause, its type and its message.

    A training that ended before its time says so itself.
    """
    first = _causes(error)[-1]
    words = " ".join(str(first).split()) or "no message"
    kind = "" if isinstance(first, Ended) else f"{type(first).__name__}: "
    return f"{kind}{words}"[:_LONGEST_REASON]


def _causes(error: BaseException) -> list[BaseException]:
    """The error and what it was raised from, the first cause last."""
    chain = [error]
    while (cause := chain[-1].__cause__) is not None and cause not in chain:
        chain.append(cause)
    return chain


def _die_with(server: int) -> None:
    """Ask the kernel for SIGKILL when the server is gone, however it went.

    Linux only: elsewhere a server that is killed itself leaves its children to finish alone.
    """
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_SET_DEATH_SIGNAL, signal.SIGKILL)
        if os.getppid() != server:
            os._exit(1)


def _redirect(log: str) -> None:
    """Nothing is read from the terminal, and all output goes to the file `log`."""
    written = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
    nothing = os.open(os.devnull, os.O_RDONLY)
    for source, target in ((nothing, 0), (written, 1), (written, 2)):
        os.dup2(source, target)
