"""A training's signs of life: its lease is kept while it takes steps, and it ends when it is told to."""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, final

import pulse
from refusal import Ended, Refusal
from research.run.silence import longest_s
from research.store import spending
from research.store.attempts import LEASE_S, Lost, TrialClaim
from research.store.outage import at_once
from research.store.store import Store

LOOK_S = 1.0
"""how often it is asked whether the training is to end; a look writes nothing"""
_SOONER = 1.25
"""what is spent is written at times that grow by this, at most a third of a lease: a kill hides a fifth"""


@final
class Cancelled(Ended):
    """Somebody asked for the training to end."""


@final
class Heart:
    """Keeps one claim while `beating`; each step of the training is a beat.

    Before the first step and after the last there is nothing to count, so the lease is kept there by the
    clock alone: data are read, networks compiled and measured.
    """

    def __init__(self, store: Store, mine: TrialClaim, lease_s: float = LEASE_S) -> None:
        self._store, self._mine, self._lease_s = store, mine, lease_s
        self._began, self._usual_s = time.monotonic(), 0.0
        self._moved: float | None = None
        self._step: int | None = None
        self._ended: Ended | None = None
        self._over = threading.Event()

    def beat(self, step: int | None) -> None:
        """Hear that the training has come to `step`; None when no steps follow for now.

        Raises `Lost` when another took the trial over, and `Cancelled` when it is to end.
        """
        now = time.monotonic()
        if step is None:
            self._moved = None
            return
        if self._ended is not None:
            raise self._ended
        if self._moved is not None:
            took = now - self._moved
            self._usual_s = 0.9 * self._usual_s + 0.1 * took if self._usual_s else took
        self._moved, self._step = now, step

    @contextmanager
    def beating(self) -> Iterator[None]:
        """Keep the lease while the body runs."""
        thread = threading.Thread(target=self._keep, name="lease", daemon=True)
        thread.start()
        try:
            with pulse.heard(self.beat):
                yield
        finally:
            self._over.set()
            thread.join()

    def _spent(self) -> dict[str, Any]:
        return {**spending.spent(pulse.own()), "step": self._step}

    def _keep(self) -> None:
        due = 1.0
        while not self._over.wait(min(LOOK_S, self._lease_s / 3)):
            now = time.monotonic()
            if self._stalled(now):
                continue
            try:
                with at_once():  # whoever joins this thread waits himself
                    if now - self._began >= due:
                        due = min(due * _SOONER, due + self._lease_s / 3)
                        goes_on = self._store.beat(self._mine, self._spent(), self._lease_s)
                    else:
                        goes_on = self._store.wanted(self._mine)
            except Lost as lost:
                self._ended = lost
                return
            except Refusal:  # out of reach for a moment: who writes needs the token in any case
                continue
            if not goes_on:
                self._ended = Cancelled("cancelled: somebody asked for it")
                return

    def _stalled(self, now: float) -> bool:
        return self._moved is not None and now - self._moved > longest_s(self._usual_s)
