"""The model is asked in a thread of its own, while trials train; both touch the campaign in turn.

One lock lets one of the two at a time at everything but the network and the trainings: whoever waits for a
server or a trial lets go of it, so nothing else need know of threads.
"""

import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from typing import Self, final

from research.campaign.bench import Run
from research.llm.client import Client
from research.run.runner import Job, Outcome

_END_S = 10.0
"""for a talk that was told to end: its question is interrupted, and what it cost is written down"""


@final
class Talk:
    """At most one talk at a time beside the trials; use it as a context manager around both."""

    def __init__(self, client: Client | None) -> None:
        self._client = client
        self._turn = threading.Condition(threading.Lock())
        self._thread: threading.Thread | None = None
        self._error: BaseException | None = None
        self.ending = False
        """whether no question is to be begun any more"""

    def __enter__(self) -> Self:
        self._take()
        if self._client is not None:
            self._client.elsewhere = self.let_go
        return self

    def __exit__(self, kind: type[BaseException] | None, *error: object) -> None:
        try:
            if self.on and kind is not None and self._client is not None:
                self._client.interrupt()
            while self.on and self._turn.wait(None if kind is None else _END_S):
                pass
        finally:
            self._turn.release()
            if self._client is not None:
                self._client.elsewhere = nullcontext
        if kind is None:
            self._raise()

    @property
    def on(self) -> bool:
        """Whether there is a talk that has not ended."""
        return self._thread is not None

    def prepare(self) -> None:
        """Have the client import what it needs while the trials' processes import."""
        assert self._client is not None
        prepare = self._client.prepare

        def work() -> None:
            with self.let_go():
                prepare()

        self.begin(work)

    def begin(self, work: Callable[[], None]) -> None:
        """Start a talk when the one before is over; the next `wait`, or the end, raises what it raises."""
        self.over()
        self.ending = False

        def talk() -> None:
            with self._turn:
                try:
                    work()
                except KeyboardInterrupt:
                    pass  # who interrupted it goes on with that
                except BaseException as error:
                    self._error = error
                finally:
                    self._thread = None
                    self._turn.notify_all()

        self._thread = threading.Thread(target=talk, daemon=True, name="talk")
        self._thread.start()

    def tell(self) -> None:
        """Wake who waits: something has come of the talk."""
        self._turn.notify_all()

    def wait(self, ready: Callable[[], bool]) -> None:
        """Wait until something is ready or the talk has ended; raises what it has raised."""
        while self.on and not ready():
            self._turn.wait()
        self._raise()

    def over(self) -> None:
        """Wait until the talk has ended; raises what it has raised."""
        self.wait(lambda: False)

    def finish(self) -> None:
        """Begin no more questions, and wait for the one that is asked."""
        self.ending = True
        self.over()

    def beside(self, run: Run) -> Run:
        """The same way of running jobs, in whose trainings the talk goes on."""

        def runs(jobs: Sequence[Job]) -> Iterator[Outcome]:
            outcomes = run(jobs)
            while True:
                with self.let_go() if self.on else nullcontext():
                    outcome = next(outcomes, None)
                if outcome is None:
                    return
                yield outcome

        return runs

    @contextmanager
    def let_go(self) -> Iterator[None]:
        """Let the other one work while the body waits."""
        self._turn.release()
        try:
            yield
        finally:
            self._take()

    def _take(self) -> None:
        """Take the lock, even where Ctrl-C is pressed meanwhile: that goes on afterwards."""
        stopped: KeyboardInterrupt | None = None
        while True:
            try:
                self._turn.acquire()
                break
            except KeyboardInterrupt as pressed:
                stopped = pressed
        if stopped is not None:
            raise stopped

    def _raise(self) -> None:
        error, self._error = self._error, None
        if error is not None:
            raise error
