"""A real training whose disk is full, or which is killed, at its first write, its second, and so on."""

import argparse
import os
import signal
import sys
import time
from collections import Counter
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import faults_shim
import sqlalchemy as sa
from faults_runner import ROOT

from refusal import Refusal
from research.store import attempts, connection, promises
from research.store.schema import attempt
from research.store.store import Store

HOW = {"full": 0, "killed": 1, "torn": 2}
"""what happens at a write -> the shim's mode"""
_OWN = (
    "data=digits",
    "model=mlp",
    "logger=none",
    "budget.steps=20",
    "unmeasured=[infer]",
    "callbacks=[checkpoint]",
)
_LONGEST_S = 120.0


def writes(asked: argparse.Namespace, folder: Path) -> int:
    """The same small training again and again, harmed one write later each time, and typed again."""
    shim = faults_shim.shim(folder)
    os.environ["OMP_NUM_THREADS"] = "1"
    if asked.without:
        connection.journal = lambda version: "OFF"
    train(folder / "first", None)  # what it imports is imported once
    bring(folder / "imported")
    wrong: list[str] = []
    met, began, number = Counter[str](), time.monotonic(), 1
    while time.monotonic() - began < asked.seconds:
        here = folder / str(number)
        code, seen = train(here, (shim, number, HOW[asked.how]))
        if seen is not None and seen < number:
            break
        met["ended by itself" if os.WIFEXITED(code) else "killed"] += 1
        found = harmed(here, code)
        again, _ = train(here, None)
        found += ["typed again, it did not end well"] if again else []
        wrong += [f"write {number}: {one}" for one in [*found, *whole(here)]]
        number += asked.every
    print(f"{asked.how} at each of {number - 1} writes of a training (every {asked.every}): {dict(met)}, "
          f"{len(wrong)} wrong, {time.monotonic() - began:.0f} s")  # fmt: skip
    print("\n".join(wrong[:20]))
    return int(bool(wrong))


def config(folder: Path) -> dict[str, Any]:
    """The training's configuration, with all its files below a folder."""
    from research.compose.compose import Composer

    own = [f"store.url=sqlite:///{folder}/lab.db", f"root={folder}/runs"]
    return dict(Composer(ROOT / "conf", "train").resolve([*own, *_OWN]).config)


def train(folder: Path, harm: tuple[Any, int, int] | None) -> tuple[int, int | None]:
    """Run the training in a process of its own; its wait status, and how many writes it got to tell of."""
    folder.mkdir(exist_ok=True)
    if not (folder / "lab.db").exists():
        Store(f"sqlite:///{folder}/lab.db").close()
    wanted = config(folder)
    inner, outer = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.dup2(os.open(folder.with_suffix(".said"), os.O_WRONLY | os.O_CREAT | os.O_APPEND), 1)
        os.dup2(1, 2)
        code = 1
        try:
            import train as training

            known = set(sys.modules)
            if harm is not None:
                harm[0].arm(f"{folder}/".encode(), *harm[1:])
            training.trial(wanted, overrides=list(_OWN), threads=1)
            code = 0
            if folder.name == "first":
                (folder.parent / "imported").write_text("\n".join(set(sys.modules) - known))
        except BaseException as error:  # a sentence is what it owes
            print(f"{type(error).__name__}: {error}", flush=True)
        finally:
            os.write(outer, str(harm[0].writes() if harm else 0).encode())
            os._exit(code)
    os.close(outer)
    status = waited(pid)
    said = os.read(inner, 64).decode()
    os.close(inner)
    return status, int(said) if said else None


def waited(pid: int) -> int:
    """Its wait status; whoever hangs is killed, which is told as a fault."""
    until = time.monotonic() + _LONGEST_S
    while time.monotonic() < until:
        done, status = os.waitpid(pid, os.WNOHANG)
        if done:
            return status
        time.sleep(0.01)
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)
    return -1


def bring(listed: Path) -> None:
    """Import what the first training has, as the fork server does."""
    import importlib

    import train  # noqa: F401

    for name in sorted(listed.read_text().split()):
        try:
            importlib.import_module(name)
        except Exception:
            continue


def harmed(folder: Path, status: int) -> list[str]:
    """What is wrong right after the harm."""
    said = folder.with_suffix(".said").read_text()
    found = ["it hung"] if status == -1 else []
    if os.WIFEXITED(status) and os.WEXITSTATUS(status) and "space" not in said and "full" not in said:
        found.append(f"it did not say that the disk is full: {said[-200:]!r}")
    return found + rows(folder)


def rows(folder: Path) -> list[str]:
    return looked(folder, lambda store, opened: promises.broken(opened))


def looked(folder: Path, at: Callable[[Store, sa.Connection], list[str]]) -> list[str]:
    """What is wrong by a look at the database; one that cannot be read is wrong, too."""
    try:
        with closing(Store(f"sqlite:///{folder}/lab.db")) as store, store.read() as opened:
            return at(store, opened)
    except Refusal as refusal:
        return [str(refusal)]


def whole(folder: Path) -> list[str]:
    """What is wrong after the same was typed again: one trial, done once, with figures and checkpoints."""
    return looked(folder, once) + rows(folder)


def once(store: Store, opened: sa.Connection) -> list[str]:
    """What is wrong with the one trial that there should be."""
    from models.training.checkpoint import newest

    found, trials = [], store.trials()
    if [one.status for one in trials] != ["done"]:
        found.append(f"trials are {[(one.status, one.reason) for one in trials]}")
    elif not store.results([trials[0].id])[trials[0].id].metrics:
        found.append("it is done without figures")
    tried = opened.execute(sa.select(sa.func.count()).select_from(attempt)).scalar_one()
    found += [f"{tried} attempts"] if tried > attempts.MOST_OWN else []
    for one in trials:
        kept = Path(str(one.folder)) / "checkpoints"
        if kept.is_dir() and newest(kept)[1]:
            found.append(f"a damaged checkpoint: {newest(kept)[1]}")
    return found
