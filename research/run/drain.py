"""What a worker does, whoever has started it: run the trials that wait in a database until nothing fits.

Nothing is pushed to it and no result goes back but through the database, so that it may be killed, started
again and started beside others at any time.
"""

import json
import os
import signal
import sys
from collections.abc import Sequence
from pathlib import Path

from redact import shown
from refusal import Refusal
from research.run import lookup
from research.run.child import signal_with_parent
from research.run.handout import Handout
from research.run.job import Job
from research.run.progress import line
from research.run.runner import Runner
from research.store.claims import refuse_edited
from research.store.store import Store
from research.types import Trial


def drain(
    url: str,
    needs: Sequence[str] = ("cpu",),
    engine: str = "local",
    jobs: int | None = None,
    threads: int | None = None,
    folder: str | None = None,
) -> int:
    """Run what waits in the database at `url` for who has these `needs`; returns how many trials were run.

    `folder` is where the command was typed: where this host has it too, relative paths are of it.

    A row is run only as it was written (its digest is checked), and only by the code that it was queued for.
    """
    told: set[int] = set()
    if folder is not None and Path(folder).is_dir():
        os.chdir(folder)

    def offered(store: Store, most: int) -> dict[int, Job]:
        found = {}
        for trial in store.offered(needs, most + len(told)):
            job = None if trial.id in told else _job(trial, url)
            if job is None:
                told.add(trial.id)
            else:
                found[trial.id] = job
        return found

    work = Handout((), offered, url, engine)
    count = 0
    with Runner(jobs, threads) as runner:
        for count, outcome in enumerate(runner.run(work.jobs(), work), 1):
            print(shown(line(outcome, count, count)), flush=True)
    return count


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
    other = [
        part for part in ("signature", "code", "data") if getattr(here, part) != getattr(trial.key, part)
    ]
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
