"""Figures beside the result: one that cannot be taken is left out and said, and the training is kept."""

import traceback
import warnings
from collections.abc import Callable
from typing import TypeVar

from refusal import Ended

Taken = TypeVar("Taken")


def taken(name: str, work: Callable[[], Taken], instead: Taken, notes: list[str]) -> Taken:
    """What `work` returns; `instead`, with a note of why, when it raises.

    For what is measured on a network that is trained already (its operations, its bytes, its latency, the
    machine's peak): the seconds that it took are worth more than one figure. Any error is taken so, a
    refusal and a mistake in this code too, since none can be mended before the training is lost; each is a
    note of the result and a warning with its traceback in the log. Ctrl-C, a stop by the system and a
    training inside that ended go through.
    """
    try:
        return work()
    except Ended:
        raise
    except Exception as error:
        why = f"{type(error).__name__}: {error}".strip().splitlines()[0]
        notes.append(f"{name} could not be taken ({why})")
        warnings.warn(f"{notes[-1]}\n{traceback.format_exc()}", RuntimeWarning, stacklevel=2)
        return instead
