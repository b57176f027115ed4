"""Trials in processes, some at a time: each can fail, hang or die without harm to the others."""

import contextlib
import math
import re
import sys
import tempfile
import time
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, Self, final

from construct import is_trusted, targets, trusted
from redact import redact
from refusal import Refusal
from research.run import ends, machine, turns
from research.run.disk import FULL, Floor, written
from research.run.forks import Forks, needs

PRELOAD = (
    "models.startup.lean",
    "torch",
    "lightning.pytorch",
    "models.trial",
    "models.startup.warm",
    "research.run.row",
    "research.run.warm",
)
_SERVER_LOG = "forkserver.log"
_TOLD = ("status", "trial_id", "score", "metrics", "facts")
_ENDLESS = 1e9  # seconds whose end nobody sees
_GRACE_S = 3.0  # in which an interrupted trial may close its loggers before it is killed
_LIBRARIES = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")


@final
@dataclass(frozen=True)
class Job:
    """One trial to run: the resolved plain config and where it comes from, as it may be told."""

    config: dict[str, Any]
    overrides: list[str]
    sweep: str | None = None
    source: str = "person"
    until: float | None = None
    """when it must have ended by `time.monotonic`: it is interrupted then, or not started at all"""

    def __post_init__(self) -> None:
        object.__setattr__(self, "overrides", redact(list(self.overrides)))

    @property
    def left_s(self) -> float:
        """Seconds that it may still take."""
        return math.inf if self.until is None else self.until - time.monotonic()


@final
@dataclass(frozen=True)
class Outcome:
    """How a job ended; `reason` says why in one sentence unless it is done or known.

    Seconds are its process's, for its own turn; memory is the most that the process had held, with all parts.
    """

    job: Job
    status: ends.Status
    reason: str | None = None
    trial_id: int | None = None
    score: float | None = None
    metrics: dict[str, float] = field(default_factory=dict)
    facts: dict[str, Any] = field(default_factory=dict)
    wall_s: float = 0.0
    cpu_s: float = 0.0
    peak_bytes: int = 0

    @property
    def ok(self) -> bool:
        """True when the numbers of this job are known."""
        return self.status in ("done", "known")


@final
@dataclass(frozen=True)
class _Running:
    job: Job
    place: dict[str, str]
    log: Path


@final
class Runner:
    """Runs jobs in children of one process that has imported everything; use it as a context manager.

    `jobs` at a time (default: what the machine holds), each with `threads` threads (default: cores / jobs)
    and for at most `timeout_s` seconds, or `stall_s` without a sign of life (`research/run/silence.py`). None
    is started while a disk has less than `disk_floor_gib` free. What a child prints goes to a file under
    `logs`, which a failure names; without `logs` only the files of failures are kept, in the system's
    temporary folder. A child takes up to `turns` trials, where none can reach the next: see `turns.py`.
    """

    def __init__(
        self,
        jobs: int | None = None,
        threads: int | None = None,
        timeout_s: float | None = None,
        stall_s: float | None = None,
        disk_floor_gib: float | None = None,
        *,
        task: str = "train:trial",
        preload: Sequence[str] = PRELOAD,
        logs: Path | None = None,
        turns: int = 32,
    ) -> None:
        limits = {"jobs": jobs, "threads": threads, "timeout_s": timeout_s, "stall_s": stall_s}
        for name, value in limits.items():
            if value is not None and not 0 < value < _ENDLESS:
                raise Refusal(f"launcher.{name}={value}: give a number above 0, below 1e9, or null.")
        self._jobs, self._threads, self._timeout_s, self._stall_s = jobs, threads, timeout_s, stall_s
        self._task, self._preload = task, (*preload, task.partition(":")[0])
        self._floor = Floor(disk_floor_gib)
        self._kept, self._logs, self._turns = logs is not None, logs, turns
        self._forks: Forks | None = None
        self._started = 0
        self._beside: dict[str, int] = {}
        self._needs: tuple[str, ...] = ()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, where: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """End every child and the process they are forked from."""
        if self._forks is not None:
            self._forks.close()
            self._forks = None
        if self._logs is not None and self._logs.is_dir():
            (self._logs / _SERVER_LOG).unlink(missing_ok=True)
            with contextlib.suppress(OSError):  # it holds what failures printed
                self._logs.rmdir()

    def places(self, jobs: Sequence[Job]) -> list[dict[str, str]]:
        """The environments of the trials that will run at a time; their number is the width of the sweep."""
        return machine.places([job.config for job in jobs], self._jobs)

    def run(self, jobs: Sequence[Job]) -> Iterator[Outcome]:
        """Run all jobs and yield how each ended, as they end.

        On Ctrl-C the running ones are ended and yielded as `interrupted`, then KeyboardInterrupt goes on.
        """
        places = self.places(jobs) if jobs else []
        free = deque(places)
        self._needs = needs(job.config for job in jobs)
        self._beside = {"concurrent": len(places), "concurrent_gpu": max(1, *map(places.count, places), 1)}
        threads = self._threads or machine.threads(max(1, len(free)))
        waiting = deque(jobs)
        running: dict[int, _Running] = {}
        try:
            while waiting or running:
                over = [job for job in waiting if job.left_s <= 0]
                yield from (Outcome(job, "interrupted", ends.OVER) for job in over)
                waiting = deque(job for job in waiting if job not in over) if over else waiting
                while waiting and free and self._floor.holds(written(waiting[0].config)):
                    self._start(running, waiting.popleft(), free.popleft(), threads)
                given_up = self._floor.given_up(waiting, beside=len(running))
                yield from (Outcome(job, "interrupted", FULL) for job in given_up)
                for one, about in self._ended(running) if running else ():
                    free.append(one.place)
                    yield self._outcome(one, about)
        except KeyboardInterrupt:
            if self._forks is not None:
                self._forks.interrupt(_GRACE_S)
            while running:
                yield from (self._outcome(one, about) for one, about in self._ended(running))
            raise
        finally:
            if running:
                self.close()

    def _start(self, running: dict[int, _Running], job: Job, place: dict[str, str], threads: int) -> None:
        forks = self._open(threads)
        called = [str(target) for target in targets(job.config)]
        forks.preload(self._preload, filter(is_trusted, called))  # the trial says why of the others
        self._started += 1
        one = running[self._started] = _Running(job, place, self._log(job))
        named = {"overrides": job.overrides, "sweep": job.sweep, "source": job.source, "threads": threads}
        request = {
            "task": self._task,
            "arguments": ([_metered(job.config, self._beside)], named),
            "environment": place,
            "argv": [sys.argv[0], *job.overrides],
            "trusted": trusted(),
            "log": str(one.log),
            "kin": turns.kin(job.config, called, place, threads),
            "turns": self._turns,
        }
        longest = min(job.left_s, math.inf if self._timeout_s is None else self._timeout_s)
        longest_s = None if math.isinf(longest) else max(longest, 0.01)
        forks.fork(self._started, request, longest_s, self._stall_s)

    def _open(self, threads: int) -> Forks:
        if self._logs is None:
            self._logs = Path(tempfile.mkdtemp(prefix="joulelab-"))
        if self._forks is None:
            self._logs.mkdir(mode=0o700, parents=True, exist_ok=True)
            environment = {name: str(threads) for name in _LIBRARIES}
            # Asking CUDA itself whether there is a GPU would break it for every forked child.
            environment["PYTORCH_NVML_BASED_CUDA_CHECK"] = "1"
            self._forks = Forks(environment, self._logs / _SERVER_LOG, self._needs)
        return self._forks

    def _log(self, job: Job) -> Path:
        assert self._logs is not None
        words = re.sub(r"[^\w=.-]+", "_", ",".join(job.overrides))[:100]
        return self._logs.absolute() / f"{self._started:04d}-{words or 'trial'}.log"

    def _ended(self, running: dict[int, _Running]) -> list[tuple[_Running, dict[str, Any]]]:
        """Wait for the next end; all running jobs end with the fork server when that is killed."""
        assert self._forks is not None and self._logs is not None
        report = self._forks.report()
        if report is not None:
            return [(running.pop(report[0]), report[1])]
        self._forks.close()
        silent, self._forks = self._forks.silent, None
        log = (self._logs / _SERVER_LOG).rename(self._logs / "forkserver-died.log")
        left = list(running.values())
        running.clear()
        return [(one, {"server": log, "silent": silent}) for one in left]

    def _outcome(self, one: _Running, about: dict[str, Any]) -> Outcome:
        answer = ends.answer(about.get("answer", b""))
        figures = {name: about[name] for name in ("wall_s", "cpu_s", "peak_bytes") if name in about}
        printed = one.log.exists() and one.log.stat().st_size > 0
        if not printed or ("result" in answer and not self._kept):
            one.log.unlink(missing_ok=True)
        if "result" in answer:
            if self._forks is not None:
                self._forks.preload(answer["imported"], ())
            told = answer["result"]
            return Outcome(one.job, **{name: told[name] for name in _TOLD if name in told}, **figures)
        status, reason = ends.told(about, answer, one.job.left_s <= 0, self._timeout_s)
        trial_id = None
        if status != "failed":  # what fails has written its own row
            trial_id, reason = _record(one.job, status, reason)
        where = f" [printed: {one.log}]" if printed else ""
        return Outcome(one.job, status, reason + where, trial_id, **figures)


def _metered(config: dict[str, Any], beside: dict[str, int]) -> dict[str, Any]:
    """The config with a meter that knows of the jobs beside it, since counters are shared."""
    return config | {"meter": config["meter"] | beside} if isinstance(config.get("meter"), dict) else config


def _record(job: Job, status: ends.Status, reason: str) -> tuple[int | None, str]:
    """Write the reason into the row that the process left behind; a database that fails is told as well."""
    if "store" not in job.config:
        return None, reason
    from research.store import queue

    try:
        return queue.record(job.config, ends.kept(status, reason)), reason
    except Refusal as refusal:
        return None, f"{reason}, and its row could not be written: {refusal}"
