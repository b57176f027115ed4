"""What a worker does, whoever has started it: run the trials that wait in a database until nothing fits.

Nothing is pushed to it and no result goes back but through the database, so that it may be killed, started
again and started beside others at any time.
"""

import json
import os
import signal
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import closing
from pathlib import Path

from redact import shown
from refusal import Refusal
from research.run import lookup
from research.run.child import signal_with_parent
from research.run.handout import Handout
from research.run.job import Job
from research.run.lines import line
from research.run.runner import Runner
from research.store import leases
from research.store.claims import refuse_edited
from research.store.store import Store
from research.types import Trial

POLL_S = 1.0
"""how often one that stays looks for more"""


def drain(
    url: str,
    needs: Sequence[str] = ("cpu",),
    engine: str = "local",
    jobs: int | None = None,
    threads: int | None = None,
    folder: str | None = None,
    lease: str | None = None,
    sweep: str | None = None,
) -> int:
    """Run what waits in the database at `url` for who has these `needs`; returns how many trials were run.

    `folder` is where the command was typed: where this host has it too, relative paths are of it. With a
    `lease` it waits for more as long as somebody holds that; with a `sweep` nothing else is run.
    """
    if folder is not None and Path(folder).is_dir():
        os.chdir(folder)
    with closing(Store(url)) as store, Runner(jobs, threads) as runner:
        return serve(runner, url, needs, engine, sweep, lambda: lease is not None and _is_held(store, lease))


def serve(
    runner: Runner,
    url: str,
    needs: Sequence[str],
    engine: str = "local",
    sweep: str | None = None,
    stays: Callable[[], bool] = lambda: False,
    say: Callable[[str], None] = lambda text: print(shown(text), flush=True),
) -> int:
    """Run what waits, and what comes for as long as one `stays`, by a runner; returns how many were run.

    A row is run only as it was written (its digest is checked), and only by the code that it was queued for;
    a campaign's only on its kind of machine.
    """
    told: set[int] = set()

    def offered(store: Store, most: int) -> dict[int, Job]:
        found = {}
        for trial in store.offered(needs, most + len(told), sweep):
            job = None if trial.id in told else _job(trial, url)
            if job is None:
                told.add(trial.id)
            else:
                found[trial.id] = job
        return found

    count = 0
    while True:
        work = Handout((), offered, url, engine, needs)
        for outcome in runner.run(work.jobs(), work):
            count += 1
            say(line(outcome, count, count))
        if not stays():
            return count
        time.sleep(POLL_S)


def _is_held(store: Store, lease: str) -> bool:
    with store.read() as connection:
        return lease in leases.holders(connection)


def _job(trial: Trial, url: str) -> Job | None:
    """The job of a row; None, and a sentence, where it is not to be run here."""
    config = {**trial.config, "store": {**(trial.config.get("store") or {}), "url": url}}
    config["force"] = trial.replicate > 0
    job = Job(config, list(trial.overrides), trial.sweep, trial.source)
    try:
        refuse_edited(trial)
        here = lookup.keys([job])[0]
    except Refusal as refusal:
        print(shown(f"trial {trial.id} is left to others: {refusal}"), file=sys.stderr, flush=True)
        return None
    # What a campaign has measured on another kind of machine it could not find again.
    parts = ("signature", "code", "data", *(["hardware"] if trial.source == "agent" else []))
    other = [part for part in parts if getattr(here, part) != getattr(trial.key, part)]
    if other:
        why = f"its {' and its '.join(other)} differ here from where it was queued"
        print(f"trial {trial.id} is left to others: {why}", file=sys.stderr, flush=True)
    return None if other else job


def main() -> None:
    """A worker of its own: what `drain` takes comes as JSON on stdin, for a URL may hold a password."""
    signal_with_parent(signal.SIGTERM)
    asked = json.loads(sys.stdin.readline())
    if os.getppid() != asked.pop("parent"):
        return
    drain(**asked)
