"""What starts workers: processes here, tasks of a Ray cluster, jobs of Slurm; they pull their work.

An engine is told how many, what they must have, and which database; it is pushed no trial and gives no result
back. What it does with a worker that died is its own affair: starting another is free.
"""

import json
import os
import socket
import subprocess
import sys
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, final

from construct import build
from refusal import Refusal
from research.run.drain import drain
from research.run.handout import Handout
from research.run.job import Job, Outcome
from research.run.runner import Runner
from research.store.claims import need_of

_ROOT = Path(__file__).resolve().parents[2]
_BOOT = "import json, sys; sys.path[:] = json.loads(sys.argv[1]); from research.run.drain import main; main()"
_LOOK_S, _ANSWER_S = 0.5, 10.0
_PATIENCE = 20
_STARTS = 3
"""times that workers are started again which all ended though something waits"""


class Engine(ABC):
    """Starts workers that run `drain` on a database."""

    name = "local"

    def __init__(
        self, workers: int | None = None, jobs: int | None = None, threads: int | None = None
    ) -> None:
        """`workers` beside each other, each with `jobs` trials at a time of `threads` threads."""
        self.workers = workers
        self._own = {"jobs": jobs, "threads": threads}
        self._running: list[Any] = []
        """all that were ever started"""

    @abstractmethod
    def start(self, n: int, needs: Sequence[str], url: str, **more: Any) -> None:
        """Start `n` more workers on the database at `url` that run what `needs` no more than this.

        `more` is what `drain` takes beside, as the lease of the campaign that they work for.
        """

    @abstractmethod
    def alive(self) -> int:
        """How many of them still work."""

    @abstractmethod
    def stop(self) -> None:
        """End them; what they had begun waits for its next attempt."""

    def see_out(self) -> None:
        """Let them end by themselves for a while, when nothing is left for them."""
        for _ in range(_PATIENCE):
            if not self.alive():
                break
            time.sleep(_LOOK_S)


@final
class Local(Engine):
    """Processes on this machine; without `workers` the command runs its trials itself."""

    def start(self, n: int, needs: Sequence[str], url: str, **more: Any) -> None:
        """Start them; they end with this process."""
        asked = {"url": url, "needs": list(needs), "parent": os.getpid(), **self._own, **more}
        command = [sys.executable, "-c", _BOOT, json.dumps(sys.path)]
        for _ in range(n):
            one = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True)
            self._running.append(one)
            assert one.stdin is not None
            with one.stdin:
                one.stdin.write(json.dumps(asked) + "\n")

    def alive(self) -> int:
        """Processes that have not ended."""
        return sum(one.poll() is None for one in self._running)

    def stop(self) -> None:
        """SIGTERM, and wait."""
        for one in self._running:
            one.terminate()
        for one in self._running:
            one.wait()


@final
class Slurm(Engine):
    """Jobs of a Slurm cluster by submitit, or with `cluster=local` processes that it starts here."""

    name = "slurm"

    def __init__(
        self, folder: str, cluster: str | None = None, options: Mapping[str, Any] | None = None, **own: Any
    ) -> None:
        """`folder` is shared with the nodes; `options` are submitit's, such as `slurm_partition`."""
        super().__init__(**own)
        self._folder, self._cluster, self._options = folder, cluster, dict(options or {})

    def start(self, n: int, needs: Sequence[str], url: str, **more: Any) -> None:
        """Submit them."""
        submitit = _needed("submitit", "launchers")
        # What it sends is unpickled there, before anything of this project has run.
        paths = [str(_ROOT), *filter(None, [os.environ.get("PYTHONPATH")])]
        os.environ["PYTHONPATH"] = os.pathsep.join(dict.fromkeys(paths))
        executor = submitit.AutoExecutor(folder=self._folder, cluster=self._cluster)
        executor.update_parameters(name="joulelab", **self._options)
        with executor.batch():
            asked = {**self._own, **more}
            self._running += [executor.submit(drain, url, list(needs), self.name, **asked) for _ in range(n)]

    def alive(self) -> int:
        """Jobs that wait or run."""
        return sum(not job.done() for job in self._running)

    def stop(self) -> None:
        """Cancel them."""
        for job in self._running:
            if not job.done():
                job.cancel(check=False)


@final
class Ray(Engine):
    """Tasks of Ray that stay, on the cluster at `address` or one that is started here."""

    name = "ray"

    def __init__(self, address: str | None = None, cpus: float = 1, gpus: float = 0, **own: Any) -> None:
        """`cpus` and `gpus` of each worker; a part of a GPU, as 0.25, is shared."""
        super().__init__(**own)
        self._address, self._asks = address, {"num_cpus": cpus, "num_gpus": gpus}

    def start(self, n: int, needs: Sequence[str], url: str, **more: Any) -> None:
        """Start them, with this project's code as it is now."""
        ray = _needed("ray", "ray")
        if not ray.is_initialized():
            self._connect(ray)
        # With no GPU of its own a worker sees none: Ray leaves the variable alone then.
        hidden = {} if self._asks["num_gpus"] else {"env_vars": {"CUDA_VISIBLE_DEVICES": ""}}
        worker = ray.remote(**self._asks, runtime_env=hidden, max_retries=0)(drain)
        # A worker begins in a copy of the code, where no relative path leads to what the command meant.
        here = {**self._own, "folder": str(Path.cwd()), **more}
        self._running += [worker.remote(url, list(needs), self.name, **here) for _ in range(n)]

    def _connect(self, ray: Any) -> None:
        shipped = {
            "working_dir": str(_ROOT),
            "excludes": ["runs", ".git", "*.db", "docs", "tests", ".mypy_cache"],
        }
        host, _, port = (self._address or "").removeprefix("ray://").rpartition(":")
        try:
            if host and port.isdigit():  # Ray itself asks for minutes where nobody answers
                socket.create_connection((host, int(port)), _ANSWER_S).close()
            # Not None, by which it joins whatever cluster was last started on this machine.
            where = self._address or "local"
            ray.init(where, runtime_env=shipped, log_to_driver=False, include_dashboard=False)
        except Exception as error:  # its own kinds, Python's, and where a node does not start a bare one
            said = next(iter(str(error).strip().splitlines()), type(error).__name__)
            what = f"does not reach a cluster at {self._address}" if self._address else "does not start here"
            raise Refusal(
                f"Ray {what} ({said}): start one by ray start --head, correct runner.address, or choose "
                "runner=local."
            ) from error

    def alive(self) -> int:
        """Workers that have not ended."""
        if not self._running:
            return 0
        _, left = _needed("ray", "ray").wait(self._running, num_returns=len(self._running), timeout=0)
        return len(left)

    def stop(self) -> None:
        """End them."""
        ray = _needed("ray", "ray")
        for one in self._running:
            ray.cancel(one, force=True)


def _needed(package: str, extra: str) -> Any:
    import importlib

    try:
        return importlib.import_module(package)
    except ModuleNotFoundError as error:
        raise Refusal(f'runner={package} needs a package: pip install -e ".[{extra}]"') from error


def of(config: Mapping[str, Any]) -> Engine | None:
    """The engine that a config names; None where the command runs its trials itself."""
    asked = config.get("runner")
    engine: Engine | None = build(asked) if asked else None
    return None if engine is None or (isinstance(engine, Local) and engine.workers is None) else engine


def launched(engine: Engine, jobs: Sequence[Job]) -> Iterator[Outcome]:
    """Have workers run the jobs, and tell how each ended as their database says it.

    A worker that died is replaced while there is work for it and work gets done. What is queued stays so when
    this process dies: the same command typed again finds what was done.
    """
    work, starts = Handout(jobs), 0
    try:
        while len(work):
            alive = engine.alive()
            most = engine.workers or 1
            # What others run, is paused or waits for its time is waited for: workers would end at once.
            free = work.ready(most) if starts and not alive else work.free
            missing = min(most, alive + free) - alive
            if missing > 0 and not (alive and starts):
                starts += 1
                if starts > _STARTS:
                    raise Refusal(f"The workers of runner={engine.name} end while {len(work)} trials wait.")
                engine.start(missing, *_asked(jobs))
            if own := work.own():
                with Runner(1) as runner:
                    yield from runner.run(own)
            time.sleep(_LOOK_S)
            before = len(work)
            yield from work.elsewhere()
            starts = 0 if len(work) < before else starts
        engine.see_out()
    finally:
        engine.stop()
        work.close()


@contextmanager
def beside(
    runner: Runner, config: Mapping[str, Any], lease: str | None, sweep: str
) -> Iterator[Callable[[Sequence[Job]], Iterator[Outcome]]]:
    """What runs jobs: the runner, with workers of the config's engine beside it where there is a lease.

    Both take the trials that may be shared. The workers are started with the first of these and end with the
    campaign. They stay while somebody holds its lease: one that died and is typed again has them still.
    """
    engine = None if lease is None else of(config)
    if engine is None:
        yield runner.run
        return
    starts = 0

    def run(jobs: Sequence[Job]) -> Iterator[Outcome]:
        nonlocal starts
        shared = [job for job in jobs if not job.apart]
        missing = (engine.workers or 1) - engine.alive() if shared and starts < _STARTS else 0
        if missing > 0:
            starts += 1
            # Each trial's row says how many threads it has, so that its clocks are the campaign's.
            engine.start(missing, *_asked(shared), lease=lease, sweep=sweep, threads=None)
        return runner.run(jobs)

    try:
        yield run
        if starts:
            engine.see_out()  # the lease was given back
    finally:
        if starts:
            engine.stop()


def _asked(jobs: Sequence[Job]) -> tuple[list[str], str]:
    """What workers must have to run these jobs, and the database that holds them."""
    return sorted({need_of(job.config) for job in jobs}), str(jobs[0].config["store"]["url"])
