"""A database that is away for a moment is waited for: which failures pass, for how long, and who is told."""

import functools
import math
import re
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import ParamSpec, TypeVar, final

from sqlalchemy import exc

import pulse
import redact
from refusal import Refusal

PATIENCE_S = 600.0
_PAUSES = (0.25, 0.5, 1.0, 2.0, 4.0)  # seconds between two looks; the last again and again
_PASSES = re.compile(
    r"refused|reset by peer|closed|shutting down|shutdown in progress|starting up|in recovery|terminating"
    r"|not yet accepting|not accepting|timed? ?out|timeout|too many|connection slots"
    r"|can't connect|could not connect|lost connection|connection is lost|no connection to|gone away"
    r"|unreachable|broken pipe|eof detected|no route|name resolution|is locked"
)
_LASTS = re.compile(r'password|role "|does not exist|unknown database|denied')
"""what no waiting mends: the URL, the user or the database is wrong"""
_here = threading.local()
_back: dict[str, float] = {}
"""database -> when its last outage was over, by `time.monotonic`"""
_JUMP_S = 5.0
_clock = {"apart": time.time() - time.monotonic(), "jumped": -math.inf}
"""how far the clock is from one that nobody sets, and when that last changed"""
P = ParamSpec("P")
T = TypeVar("T")


@final
class Unreachable(Refusal):
    """The database does not answer now; the same verb may succeed in a moment."""

    waited = False
    """whether it was waited for already"""
    unsure = False
    """whether it went while a transaction was committed: what that was to write may stand there"""


@contextmanager
def at_once() -> Iterator[None]:
    """Let verbs of this thread fail inside where they would wait, as those of one that others wait for."""
    _here.hurries = True
    try:
        yield
    finally:
        _here.hurries = False


def lately(shown: str, seconds: float) -> bool:
    """Whether this process has waited for this database, and it came back within the last `seconds`."""
    return shown in _back and time.monotonic() - _back[shown] < seconds


def is_clock_new(seconds: float) -> bool:
    """Whether this machine's clock was set within the last `seconds`, or the machine slept.

    Leases of a SQLite file go by it: all of them would be over at once.
    """
    if abs(_apart() - _clock["apart"]) > _JUMP_S:
        _clock.update(apart=_apart(), jumped=time.monotonic())
    return time.monotonic() - _clock["jumped"] < seconds


def _apart() -> float:
    return time.time() - time.monotonic()


def passes(error: exc.DBAPIError) -> bool:
    """Whether another try may succeed."""
    said = str(error.orig).lower()
    return not _LASTS.search(said) and bool(error.connection_invalidated or _PASSES.search(said))


def first_line(error: exc.DBAPIError) -> str:
    """What the database says, in one line."""
    said = str(error.orig).strip()
    return said.splitlines()[0] if said else type(error.orig).__name__


@final
class Outage:
    """Waits for a database, and tells it at the beginning and at the end; Ctrl-C ends it."""

    def __init__(self, shown: str) -> None:
        """`shown` is its URL without a password."""
        self._shown, self._since, self._tries = shown, time.monotonic(), 0

    def outlasts(self, said: str) -> bool:
        """Wait a little after a failure that says so; False when that has taken too long."""
        passed = time.monotonic() - self._since
        if getattr(_here, "hurries", False) or passed >= PATIENCE_S:
            return False
        if not self._tries:
            most = f"up to {PATIENCE_S / 60:g} minutes; Ctrl-C ends that"
            self._say(f"does not answer ({said}): waiting for it, {most}")
        pulse.beat("a wait for the database")
        time.sleep(_PAUSES[min(self._tries, len(_PAUSES) - 1)])
        self._tries += 1
        return True

    def over(self) -> None:
        """It answers."""
        if self._tries:
            _back[self._shown] = time.monotonic()
            self._say(f"answers again, after {time.monotonic() - self._since:.0f} s")

    def _say(self, what: str) -> None:
        print(redact.shown(f"the database {self._shown} {what}"), file=sys.stderr, flush=True)


def repeated(verb: Callable[P, T]) -> Callable[P, T]:
    """The verb, called again where its transaction was cut off: one that may be done twice."""
    return functools.wraps(verb)(lambda *about, **named: insist(lambda: verb(*about, **named), twice=True))


def repeated_unless_written(verb: Callable[P, T]) -> Callable[P, T]:
    """The verb, called again where its transaction was cut off before it was committed."""
    return functools.wraps(verb)(lambda *about, **named: insist(lambda: verb(*about, **named)))


def insist(verb: Callable[[], T], *, twice: bool = False) -> T:
    """Call a verb again whose transaction was cut off, until the database answers or was waited for in vain.

    `twice`: it may be called again also where the first call may have been written.
    """
    while True:
        try:
            return verb()
        except Unreachable as error:
            if error.waited or getattr(_here, "hurries", False) or (error.unsure and not twice):
                raise
