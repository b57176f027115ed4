"""A training's signs of life: its lease is kept while it takes steps, and it ends when it is told to."""

import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, final

import pulse
from refusal import Ended, Refusal
from research.store.attempts import Lost, TrialClaim
from research.store.outage import at_once
from research.store.store import Store
from research.store.work import LEASE_S

LOOK_S = 1.0
"""how often it is asked whether the training is to end; a look writes nothing"""
STALL_S, USUAL = 60.0, 10
"""without a step for so long, and for so many times the usual, a lease is kept no more"""
_SOONER = 1.25
"""what is spent is written at times that grow by this, at most a third of a lease: a kill hides a fifth"""


@final
class Cancelled(Ended):
    """Somebody asked for the training to end."""


@final
class Heart:
    """Keeps one claim; `beat` is called by the training after its steps.

    Before the first step and after the last there is nothing to count, so the lease is kept there by the
    clock alone: data are read, networks compiled and measured.
    """

    def __init__(
        self, store: Store, mine: TrialClaim, lease_s: float = LEASE_S, folder: Path | None = None
    ) -> None:
        """`folder`: where the attempt keeps its files, what it has spent among them."""
        self._store, self._mine, self._lease_s = store, mine, lease_s
        self._spending = folder and pulse.Spending(folder, mine.token)
        self._began, self._moved, self._usual_s = time.monotonic(), None, 0.0
        self._moved: float | None
        self._ended: Ended | None = None
        self._asked, self._spent = True, dict[str, Any]()
        self._over = threading.Event()

    def beat(self, step: int | None, spent: Callable[[], Mapping[str, float]] = dict) -> None:
        """Tell that the training has come to `step`; None when no steps follow for now.

        `spent` is asked now and then for what this attempt has used: seconds, cpu_seconds, joules. Raises
        `Lost` when another took the trial over, and `Cancelled` when it is to end.
        """
        pulse.beat("the training" if step is None else "training", step)
        if self._spending is not None:
            self._spending.write(spent, last=step is None)
        if self._ended is not None:
            raise self._ended
        now = time.monotonic()
        if step is not None and self._moved is not None:
            self._usual_s = (
                0.9 * self._usual_s + 0.1 * (now - self._moved) if self._usual_s else now - self._moved
            )
        self._moved = None if step is None else now
        if self._asked:
            self._asked, self._spent = False, {**spent(), "step": step}

    @contextmanager
    def beating(self) -> Iterator[None]:
        """Keep the lease while the body runs."""
        thread = threading.Thread(target=self._keep, name="lease", daemon=True)
        thread.start()
        try:
            yield
        finally:
            self._over.set()
            thread.join()
            if self._spending is not None:
                self._spending.close()

    def _keep(self) -> None:
        with at_once():  # the training waits for this thread at its end
            self._look()

    def _look(self) -> None:
        due = 1.0
        while not self._over.wait(min(LOOK_S, self._lease_s / 3)):
            now = time.monotonic()
            try:
                if self._stalled(now):
                    continue
                if now - self._began >= due:
                    due = min(due * _SOONER, due + self._lease_s / 3)
                    goes_on = self._store.beat(self._mine, self._spent, self._lease_s)
                    self._asked = True
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
        return self._moved is not None and now - self._moved > max(STALL_S, USUAL * self._usual_s)
