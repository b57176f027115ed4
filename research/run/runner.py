"""Trials in processes, some at a time: each can fail, hang or die without harm to the others."""

import contextlib
import math
import os
import queue
import re
import sys
import tempfile
import time
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self, final

from construct import is_trusted, targets, trusted
from refusal import Refusal
from research.run import machine, turns
from research.run.forks import Forks, needs
from research.run.handout import Handout
from research.run.job import OVER, Job, Outcome, answer_of, how_it_ended, kept_reason
from research.run.machine import FULL, LIBRARIES, Floor, log_folder, written_folders
from research.store import faults
from research.store.outage import at_once
from research.store.store import TrialClaim

__all__ = ["Job", "Outcome", "Runner"]

PRELOAD = (
    "models.startup.lean",
    "torch",
    "lightning.pytorch",
    "models.trial",
    "models.startup.warm",
    "research.run.row",
    "research.run.warm",
    "research.report.card",
)
_SERVER_LOG = "forkserver.log"
_TOLD = ("status", "trial_id", "score", "metrics", "facts")
_ENDLESS = 1e9  # seconds whose end nobody sees
_GRACE_S = 3.0  # in which an interrupted trial may close its loggers before it is killed


@final
@dataclass(frozen=True)
class _Running:
    job: Job
    claim: TrialClaim | None
    place: dict[str, str]
    log: Path
    timeout_s: float | None


_Runs = dict[int, _Running]


@final
class Runner:
    """Runs jobs in children of one process that has imported everything; use it as a context manager.

    `jobs` at a time (default: what the machine holds), each with `threads` threads (default: cores / jobs)
    and for at most `timeout_s` seconds, or `stall_s` without a sign of life (`research/run/silence.py`); of
    these three what is not said here is as the trial's own config says. None is started while a disk has less
    than `disk_floor_gib` free. What a child prints goes to a file under `logs`, which a failure names;
    without `logs` only the files of failures are kept, in the system's temporary folder. A child takes up to
    `turns` trials, where none can reach the next: see `turns.py`.
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
        self._floor = Floor(disk_floor_gib)
        self._task, self._preload = task, (*preload, task.partition(":")[0])
        self._kept, self._logs, self._turns = logs is not None, logs, turns
        self._forks: Forks | None = None
        self._lock: int | None = None
        self._started = 0
        self._beside: dict[str, int] = {}
        self._needs: tuple[str, ...] = ()
        self._work = Handout(())

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
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
        if self._lock is not None:
            os.close(self._lock)
            self._logs = self._lock = None

    def places(self, jobs: Sequence[Job]) -> list[dict[str, str]]:
        """The environments of the trials that will run at a time; their number is the width of the sweep."""
        return machine.places([job.config for job in jobs], self._jobs)

    def run(self, jobs: Sequence[Job], work: Handout | None = None) -> Iterator[Outcome]:
        """Run all jobs and yield how each ended, as they end; what others run of them is waited for.

        On Ctrl-C the running ones are ended and yielded as `interrupted`, then KeyboardInterrupt goes on.
        """
        places = self.places(jobs) if jobs else []
        self._needs = needs(job.config for job in jobs)
        self._beside = {"concurrent": len(places), "concurrent_gpu": max(1, *map(places.count, places), 1)}
        work = self._work = work or Handout(jobs)
        running: _Runs = {}
        try:
            yield from self._drained(work, running, deque(places))
        except KeyboardInterrupt:
            if self._forks is not None:
                self._forks.interrupt(_GRACE_S)
            with at_once():
                while running:
                    for one, about in self._ended(running):
                        yield from self._outcome(one, about)
            raise
        finally:
            if running:
                self.close()
            work.close()

    def _drained(self, work: Handout, running: _Runs, free: deque[dict[str, str]]) -> Iterator[Outcome]:
        """Start what is handed out until nothing waits and nothing runs."""
        threads = self._threads or machine.threads(max(1, len(free)))
        folders = written_folders(work.first) if work.first is not None else []
        while len(work) or running:
            yield from (Outcome(job, "interrupted", OVER) for job in work.late())
            room = self._floor.holds(folders)
            if not running and self._floor.gives_up():
                yield from (Outcome(job, "interrupted", FULL) for job in work.dropped(work.jobs()))
            if room and self._forks is None:
                self._laid()  # before anything is leased
            for job, claim in work.take(len(free) if room else 0):
                self._start(running, job, claim, free.popleft(), threads)
            for one, about in self._ended(running):
                free.append(one.place)
                yield from self._outcome(one, about)
            yield from work.elsewhere()

    def _start(
        self, running: _Runs, job: Job, claim: TrialClaim | None, place: dict[str, str], threads: int
    ) -> None:
        forks = self._open(threads)
        # The engine that hands trials out is no part of one.
        parts = [value for part, value in job.config.items() if part != "runner"]
        called = [str(one) for value in parts for one in targets(value)]
        forks.preload(self._preload, filter(is_trusted, called))  # the trial says why of the others
        self._started += 1
        own = job.config.get("launcher") or {}
        timeout_s = own.get("timeout_s") if self._timeout_s is None else self._timeout_s
        stall_s = own.get("stall_s") if self._stall_s is None else self._stall_s
        threads = self._threads or own.get("threads") or threads
        one = running[self._started] = _Running(job, claim, place, self._log(job), timeout_s)
        named: dict[str, Any] = {"overrides": job.overrides, "sweep": job.sweep, "source": job.source}
        named |= {"threads": threads}
        named |= {} if claim is None else {"leased": [claim.trial_id, claim.token]}
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
        longest = min(job.left_s, math.inf if timeout_s is None else timeout_s)
        longest_s = None if math.isinf(longest) else max(longest, 0.01)
        forks.fork(self._started, request, longest_s, stall_s)

    def _laid(self) -> Path:
        """The folder of logs, which is made. Raises `Refusal` where it cannot be written."""
        try:
            if self._logs is None:
                self._logs, self._lock = log_folder()
            self._logs.mkdir(mode=0o700, parents=True, exist_ok=True)
            (self._logs / _SERVER_LOG).touch(0o600)
        except OSError as error:
            where, said = self._logs or tempfile.gettempdir(), error.strerror
            raise Refusal(f"{where} cannot be written ({said}): choose another root=FOLDER.") from error
        return self._logs

    def _open(self, threads: int) -> Forks:
        if self._forks is None:
            logs = self._laid()
            environment = {name: str(threads) for name in LIBRARIES}
            # Asking CUDA itself whether there is a GPU would break it for every forked child.
            environment["PYTORCH_NVML_BASED_CUDA_CHECK"] = "1"
            self._forks = Forks(environment, logs / _SERVER_LOG, self._needs)
        return self._forks

    def _log(self, job: Job) -> Path:
        assert self._logs is not None
        words = re.sub(r"[^\w=.-]+", "_", ",".join(job.overrides))[:100]
        return self._logs.absolute() / f"{self._started:04d}-{words or 'trial'}.log"

    def _ended(self, running: _Runs) -> list[tuple[_Running, dict[str, Any]]]:
        """Wait for the next end; all running jobs end with the fork server when that is killed."""
        if not running:
            time.sleep(self._work.patience_s or 0)
            return []
        assert self._forks is not None and self._logs is not None
        try:
            report = self._forks.report(self._work.patience_s)
        except queue.Empty:
            return []
        if report is not None:
            return [(running.pop(report[0]), report[1])]
        self._forks.close()
        silent, self._forks = self._forks.silent, None
        log = (self._logs / _SERVER_LOG).rename(self._logs / "forkserver-died.log")
        left = list(running.values())
        running.clear()
        return [(one, {"server": log, "silent": silent}) for one in left]

    def _outcome(self, one: _Running, about: dict[str, Any]) -> Iterator[Outcome]:
        """How a job ended; nothing where its trial waits for another attempt."""
        answer = answer_of(about.get("answer", b""))
        figures = {name: about[name] for name in ("wall_s", "cpu_s", "peak_bytes") if name in about}
        printed = one.log.exists() and one.log.stat().st_size > 0
        if not printed or ("result" in answer and not self._kept):
            one.log.unlink(missing_ok=True)
        if "result" in answer:
            self._work.over(one.claim)
            if self._forks is not None:
                self._forks.preload(answer["imported"], ())
            told = answer["result"]
            yield Outcome(one.job, **{name: told[name] for name in _TOLD if name in told}, **figures)
            return
        status, reason = how_it_ended(about, answer, one.job.left_s <= 0, one.timeout_s)
        spent = {"seconds": about.get("wall_s"), "cpu_seconds": about.get("cpu_s")}
        said = kept_reason(status, reason, answer)
        trouble = self._work.failed(one.claim, said, faults.outcome(said), spent)
        if status != "interrupted" and self._work.again(one.job, one.claim):
            return
        where = f" [printed: {one.log}]" if printed else ""
        number = None if one.claim is None or status == "failed" else one.claim.trial_id
        yield Outcome(one.job, status, reason + trouble + where, number, **figures)


def _metered(config: dict[str, Any], beside: dict[str, int]) -> dict[str, Any]:
    """The config with a meter that knows of the jobs beside it, since counters are shared."""
    return config | {"meter": config["meter"] | beside} if isinstance(config.get("meter"), dict) else config
