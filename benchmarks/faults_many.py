"""Orders of verbs against a model of what they should do, and what a large database costs."""

import argparse
import random
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from faults_runner import ROOT, database

from research.store import connection
from research.store.claims import wanted
from research.store.schema import attempt, metric, trial
from research.store.store import Store
from research.types import Key

_BATCH = 250
_BLOCK = 500
"""trials that are written from Python; the rest are copies of them under names of their own"""
_CLAIMS = 500
_SWEEP = "many-1234"


def histories(asked: argparse.Namespace, folder: Path) -> int:
    """The state machine of tests/research/store/test_claims.py, 25 verbs a history, until one is wrong."""
    sys.path.insert(0, str(ROOT / "tests" / "research" / "store"))
    import test_claims
    from hypothesis import seed
    from hypothesis.stateful import run_state_machine_as_test

    connection._SYNCHRONOUS = "OFF"  # a model needs no power cuts
    done, began = 0, time.monotonic()
    with database(asked, folder) as url:
        store = Store(url)
        while done < asked.count and time.monotonic() - began < asked.seconds:
            some = min(_BATCH, asked.count - done)
            machine = seed(asked.seed + done)(lambda: test_claims.Model(store))
            run_state_machine_as_test(machine, settings=test_claims.plan(some))
            done += some
        store.close()
    print(f"{done} histories on {asked.database}, 0 wrong, {time.monotonic() - began:.0f} s")
    return 0


def many(asked: argparse.Namespace, folder: Path) -> int:
    """So many finished trials, each with a config, 40 figures and a curve; the seconds of each command."""
    connection._SYNCHRONOUS = "OFF"
    with database(asked, folder) as url:
        store, began = Store(url), time.monotonic()
        fill(store, asked.trials, figures=asked.database == "sqlite")
        print(
            f"{asked.trials} trials on {asked.database}, filled in {time.monotonic() - began:.0f} s",
            flush=True,
        )
        if asked.database == "postgresql":
            claims(store, asked.trials)
        store.close()
        for line in ("task=status", f"task=export path={folder}/all.json", f"task=report sweep={_SWEEP}"):
            told(line, url, folder)
            if asked.database == "postgresql" or asked.trials > 100_000:
                break
    return 0


def fill(store: Store, count: int, figures: bool) -> None:
    """Finished trials of one campaign, five seeds an arm; by the verbs it would take an hour."""
    objective = {"metric": "train/energy_j", "direction": "min"}
    store.add_sprint("fewer joules", objective=objective, facts={"campaign": _SWEEP, "number": 1})
    with store.write() as opened:
        some = range(1, _BLOCK + 1)
        opened.execute(sa.insert(trial), [row(at) for at in some])
        opened.execute(sa.insert(attempt), [tried(at) for at in some])
        if figures:
            opened.execute(sa.insert(metric), [one for at in some for one in measured(at)])
        for first in range(_BLOCK, count, _BLOCK):
            apart = sa.func.replace(trial.c.overrides, '["', f'["optimizer.weight_decay={first / 1e7:g}", "')
            copied(opened, trial, id=first, signature=f"-{first}", overrides=apart)
            copied(opened, attempt, trial_id=first, token=f"-{first}")
            if figures:
                copied(opened, metric, trial_id=first)
        if opened.dialect.name == "postgresql":  # ids were given
            opened.exec_driver_sql("SELECT setval('trial_id_seq', (SELECT max(id) FROM trial))")


def copied(opened: sa.Connection, table: sa.Table, **differs: Any) -> None:
    """The first block of rows once more: numbers and texts to add, or another column."""
    columns: list[sa.ColumnElement[Any]] = []
    for column in table.c:
        change = differs.get(column.name)
        whole = isinstance(change, sa.ColumnElement)
        other = column if change is None else change if whole else column + change
        columns.append(other.label(column.name))
    first = table.c.id if "id" in table.c else table.c.trial_id
    chosen = sa.select(*columns).where(first <= _BLOCK)
    opened.execute(sa.insert(table).from_select(list(table.c.keys()), chosen))


def row(at: int) -> dict[str, Any]:
    """As a trial of today, its config some kilobytes; the id is given, so that copies can be numbered."""
    lr, seed = 10 ** random.Random(at // 5).uniform(-4, -1), at % 5
    overrides = [f"optimizer.lr={lr:.4g}", f"seed={seed}"]
    values = wanted(
        Key(f"s{at}", "c", "d", "cpu:x"), config=config(lr, seed), overrides=overrides, seed=seed
    ).values
    facts = {
        "energy_method": "estimated",
        "threads": 1,
        "torch": "2.13.0",
        "device": "cpu",
        "packed": "x" * 1500,
    }
    fixed = {"status": "done", "owner": "host boot pid:[1] 4 5", "lease_until": 0.0, "replicate": 0}
    key = {"signature": f"s{at}", "code": "c", "data": "d", "hardware": "cpu:x"}
    times = {"started": 1e9 + at, "finished": 1e9 + at + 1}
    return {
        **values,
        **fixed,
        **key,
        **times,
        "id": at,
        "sweep": _SWEEP,
        "folder": f"runs/{at:x}",
        "facts": facts,
    }


def config(lr: float, seed: int, kept: dict[str, Any] = {}) -> dict[str, Any]:  # noqa: B006  composed once
    if not kept:
        from research.compose.compose import Composer

        kept |= Composer(ROOT / "conf", "train").resolve(["logger=none"]).config
    return kept | {"seed": seed, "optimizer": kept["optimizer"] | {"lr": lr}}


def tried(number: int) -> dict[str, Any]:
    fixed = {
        "owner": "host boot pid:[1] 4 5",
        "engine": "local",
        "started": 1e9,
        "seen": 1e9,
        "ended": 1e9 + 1,
    }
    spent = {
        "outcome": "done",
        "seconds": 1.0,
        "cpu_seconds": 1.0,
        "joules": 3.0,
        "joules_method": "estimated",
    }
    return {"trial_id": number, "n": 1, "token": f"{number:032x}", **fixed, **spent}


_KEYS = (
    "val/accuracy",
    "test/accuracy",
    "train/energy_j",
    "train/seconds",
    "size/parameters",
    "infer/latency_s_p50",
)


def measured(number: int) -> Iterator[dict[str, Any]]:
    """Forty figures, and a curve of twenty points of two."""
    chance = random.Random(number)
    for key in [*_KEYS, *(f"test/figure_{at}" for at in range(40 - len(_KEYS)))]:
        yield {"trial_id": number, "point": -1, "key": key, "value": chance.random()} | _AXES
    for at in range(20):
        axes = {"step": at, "second": at / 3, "joule": at / 5}
        for key in ("val/accuracy", "train/loss"):
            yield {"trial_id": number, "point": at, "key": key, "value": chance.random()} | axes


_AXES: dict[str, Any] = dict.fromkeys(("step", "second", "joule"))


def claims(store: Store, count: int) -> None:
    """Trials are taken one by one beside so many that are done, then beside as many that wait.

    Once as a worker takes them, of the two hundred that it was offered, and once of all that wait.
    """
    for beside in (2 * _CLAIMS, count):
        some = [wanted(Key(f"q{beside}-{at}", "c", "d", "h"), config=config(0.1, at)) for at in range(beside)]
        ids = store.enqueue(some)
        for how, own in (("of 200 that were offered", ids), ("of all", None)):
            waits, cpu = [], time.process_time()
            for at in range(_CLAIMS):
                began = time.perf_counter()
                store.take(own and own[at : at + 200])
                waits.append(1e3 * (time.perf_counter() - began))
            spent = 1e3 * (time.process_time() - cpu) / _CLAIMS
            half, high = statistics.median(waits), statistics.quantiles(waits, n=20)[-1]
            print(f"claim {how}, {beside} waiting: {half:.1f} ms, 95th percentile {high:.1f} ms", flush=True)
            print(f"{spent:.1f} CPU ms of it in the client (n = {_CLAIMS})", flush=True)


def told(line: str, url: str, folder: Path) -> None:
    """Three times (a report or an export once): what the command takes."""
    command = [sys.executable, "agent.py", *line.split(), f"store.url={url}", f"root={folder}/runs"]
    walls, cpus = [], []
    for _ in range(3 if "status" in line else 1):
        before, began = resource.getrusage(resource.RUSAGE_CHILDREN), time.monotonic()
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        walls.append(time.monotonic() - began)
        cpus.append(after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)
        assert done.returncode == 0, done.stderr
    wall, cpu = statistics.median(walls), statistics.median(cpus)
    print(f"{line.split()[0]}: {wall:.2f} s, {cpu:.2f} CPU s (n = {len(walls)})", flush=True)
