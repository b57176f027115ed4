"""A sweep from its jobs to its table: what is known is looked up, the rest is run, all of it is told."""

import hashlib
import os
import re
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any

from refusal import Refusal
from research.compose.override import values_of
from research.page import counted, written
from research.run import engines, given, lookup, sweep_table
from research.run.checks import check
from research.run.lines import Progress
from research.run.runner import Job, Outcome, Runner
from research.store.outage import at_once

Launch = Callable[[Sequence[Job]], Iterator[Outcome]]
"""runs jobs and tells how each ended"""
_WITHOUT = ("force=", "dry_run=", "launcher.", "logger", "store", "root=", "tags=")


def name(typed: Sequence[str], swept: Sequence[str]) -> str:
    """Name a sweep by what was typed, for example `optimizer-seed-1f3a5c7e`: typed again it is the same.

    What says only how to run it, not what, is left out of the hash; the order of words does not matter.
    """
    said = sorted(text.strip() for text in typed if not text.lstrip("+").startswith(_WITHOUT))
    digest = hashlib.sha256("\0".join(said).encode()).hexdigest()[:8]
    values = {key: text.strip("'\"") for key, text in values_of(typed).items()}
    keys = "-".join(key.rpartition(".")[2].rpartition("/")[2] for key in swept)
    prefix = values.get("name", keys or values.get("experiment", "trial"))
    return re.sub(r"[^\w-]+", "-", f"{prefix}-{digest}").strip("-")


def run(jobs: Sequence[Job], task: str = "train:trial", launch: Launch | None = None) -> list[Outcome]:
    """Run all jobs and print lines and table; outcomes are in the order of the jobs.

    `launch` runs them by other means than processes of our own, whose CPU seconds are not known here.

    Raises `Refusal` before anything runs for what no trial could run with, and KeyboardInterrupt after
    printing what is done.
    """
    if not jobs:
        return []
    first = jobs[0].config
    for job in jobs:
        check(job.config)
    started = _cpu_seconds()
    outcomes = lookup.known(jobs)
    logs = Path(first["root"]) / "logs" / (jobs[0].sweep or "trials")
    settings = first["launcher"]
    runner = Runner(**settings, task=task, logs=logs)
    if launch is None and (engine := engines.of(first)) is not None:
        launch = partial(engines.launched, engine)
    interrupted = False
    try:
        with runner, Progress(jobs, bar=launch is None) as progress:
            _run(jobs, outcomes, launch or runner.run, progress)
    except KeyboardInterrupt:
        interrupted = True
    told = [one for one in outcomes if one is not None]
    _tell(told, first, _cpu_seconds() - started if launch is None else None)
    missing = len(jobs) - sum(one.ok for one in told)
    if missing:
        why = "stopped" if interrupted else "see above why"
        again = f"the command typed again runs those{_but_dead(told)}"
        print(f"{missing} of {len(jobs)} trials have no numbers ({why}): {again}")
    if interrupted:
        raise KeyboardInterrupt
    return told


def _but_dead(told: Sequence[Outcome]) -> str:
    """What to add of trials that typing the command again does not run."""
    count = 0
    with suppress(Refusal), at_once():  # the sweep is told whatever becomes of its database
        count = sum(lookup.dead([one.job for one in told if not one.ok]))
    return f" but {count} that failed for good, which only force=true runs once more" if count else ""


def _run(jobs: Sequence[Job], outcomes: list[Outcome | None], launch: Launch, progress: Progress) -> None:
    """Fill in the outcomes that are not known yet, as they come; of equal trials the first is run.

    It answers the others where it has numbers; where it failed the next of them tries again.
    """
    for one in filter(None, outcomes):
        progress.show(one)
    twins = lookup.twins(jobs, [index for index, one in enumerate(outcomes) if one is None])
    while twins:
        groups = {id(jobs[group[0]]): group for group in twins}
        twins = []
        for one in launch([jobs[group[0]] for group in groups.values()]):
            first, *others = groups[id(one.job)]
            told = {first: one} | ({at: lookup.answered(jobs[at], one) for at in others} if one.ok else {})
            for index, outcome in told.items():
                outcomes[index] = outcome
                progress.show(outcome)
            if others and not one.ok:
                twins.append(others)


def _tell(told: Sequence[Outcome], config: dict[str, Any], cpu_s: float | None) -> None:
    if told:
        sweep_table.show(told, config["score"], given.is_given(config))
    for line in () if cpu_s is None else overhead(told, cpu_s):
        print(written(line, sys.stdout))


def overhead(told: Sequence[Outcome], cpu_s: float) -> list[str]:
    """A line of all CPU seconds over those of the steps; none where nothing was trained.

    CPU seconds on both sides: wall time would tell how long trials waited for each other.
    """
    done = [one for one in told if one.status == "done" and one.by is None]
    stepped = sum(one.metrics.get("train/cpu_seconds", 0.0) for one in done)
    if stepped <= 0:
        return []
    return [
        f"orchestration overhead {cpu_s / stepped:.2f}: {cpu_s:.1f} CPU s in all for {stepped:.2f} CPU s of "
        f"training steps ({counted(len(done), 'trial')}, steps {stepped / cpu_s:.0%} of it; the rest "
        "starts, validates and measures them, and weighs less in longer trainings)",
        *peak_line(told),
    ]


def peak_line(told: Sequence[Outcome]) -> list[str]:
    """A line of what share of the machine's peak trainings used, by their seconds, where trials tell it."""
    shares = [
        (one.metrics["train/fraction_of_peak"], one.metrics["train/seconds"])
        for one in told
        if one.status == "done"
        and {"train/fraction_of_peak", "train/seconds"} <= one.metrics.keys()
        and "train" not in (one.facts.get("disturbed") or {})
    ]
    seconds = sum(taken for _, taken in shares)
    used = sum(share * taken for share, taken in shares) / seconds if seconds else 0.0
    if not used:
        return []
    return [
        f"fraction of peak {used:.2g}: the steps took {1 / used:.3g} times as long as their arithmetic would "
        "at the fastest this machine computes"
    ]


def _cpu_seconds() -> float:
    """CPU seconds of this process and of all its children that have ended."""
    spent = os.times()
    return spent.user + spent.system + spent.children_user + spent.children_system
