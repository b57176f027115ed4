"""Joules to a confirmed target on three goals: the lab beside random search and Optuna's TPE with Hyperband.

    python benchmarks/goals.py [--goals digits mnist1d gpt] [--seeds 0 1 2 3 4] [--times 2.2] [--arms lab ...]

A target is "so many percent fewer joules of training than the defaults, keeping a bound", and it is reached
when a finding says so on fresh seeds and the test split. Counted are the joules of every training on the way
there: the control's, screened, pruned, failed and confirming ones. A peer that has used so many times the
joules of the lab's campaign beside it ends there, and one that has not reached the target by then, or a lab
that has not within its seconds, counts with what it had used, and is told: its joules are a lower bound. The
peers search the same space in one process (see peer_search.py); the lab is its own command, one trial at a
time, with nothing remembered. Searches run in turns, so that what drifts on the machine meets all. Joules
are those of the meter of this machine.

Targets of the plan: the median of the lab at most half of random search's, and 0.77 of TPE's with Hyperband.
"""

import argparse
import math
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
import warnings
from pathlib import Path
from typing import NamedTuple, final

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "benchmarks")]

from research.types import Verdict  # noqa: E402  the script runs from any folder

GOALS = {
    "digits": (
        "at least 50 % fewer joules at 96 % accuracy with under 20k parameters on digits",
        [],
        "val/accuracy",
        150.0,
    ),
    "mnist1d": (
        "at least 30 % fewer joules at 90 % accuracy on mnist1d with a cnn",
        ["optimizer=adamw_mnist1d"],
        "val/accuracy",
        300.0,
    ),
    "gpt": (
        "at least 30 % fewer joules at 3.4 bits per byte on pytext",
        [
            *("model=gpt_micro", "data.shape=[32]", "data.batch_size=16"),
            *("data.val_share=0.005", "data.test_share=0.005"),
        ],
        "val/bits_per_byte",
        600.0,
    ),
}
"""name -> the goal in words, what is fixed for all beside it, the curve's metric, and a search's seconds"""
PATIENCE = 4
"""times the lab's seconds that a peer may take where its joules do not end it"""
ARMS = ("lab", "random", "tpe+hyperband")


@final
class Outcome(NamedTuple):
    """What one search used, and the verdict that it ended with, None where it did not reach the target."""

    joules: float
    trials: int
    verdict: Verdict | None


def lab(name: str, seed: int, seconds: float, folder: Path) -> Outcome:
    """One campaign of `agent.py`."""
    from research.store.store import Store

    goal, base, *_ = GOALS[name]
    url = f"sqlite:///{folder / 'lab.db'}"
    line = [
        *(sys.executable, str(ROOT / "agent.py"), f"goal={goal}", f"base=[{','.join(base)}]", f"seed={seed}"),
        *(f"root={folder / 'runs'}", f"store.url={url}", "launcher.jobs=1", "launcher.threads=1"),
        *("sprint.count=20", f"budget.seconds={seconds:g}", "budget.trials=null", "discovered=null"),
        *("screen.at_once=1", "screen.turns=8"),
    ]
    done = subprocess.run(
        line, cwd=ROOT, capture_output=True, text=True, env=os.environ | {"OMP_NUM_THREADS": "1"}
    )
    if done.returncode:
        raise SystemExit(f"{' '.join(line)} failed:\n{done.stdout[-2000:]}\n{done.stderr[-2000:]}")
    store = Store(url)
    trials = store.trials()
    results = store.results([one.id for one in trials])
    joules = sum(result.metrics.get("train/energy_j", 0.0) for result in results.values())
    for sweep in {one.sweep for one in trials if one.sweep}:
        joules += sum(spent.get("train/energy_j", 0.0) for spent in store.lost(sweep).values())
    said = [row["insight"].verdict for row in store.insights() if row["word"] == "supported"]
    # A control outside its bound is another claim, which is not the goal's.
    reached = [one for one in said if one.comparison.metric.startswith("train/energy_j")]
    store.close()
    return Outcome(joules, len(trials), reached[0] if reached else None)


def peer(name: str, arm: str, seed: int, seconds: float, joules: float, folder: Path) -> Outcome:
    """One search by a peer, which ends with its seconds or its joules."""
    from peer_search import CONF, Search, studies

    from research.goal.goal import read
    from research.propose.dimensions import Dimensions
    from research.space.vocabulary import narrowed

    words, base, curve, _ = GOALS[name]
    goal = read(words, CONF, fixed=base)
    fixed = (*goal.overrides, *base)
    search = Search(goal, fixed, folder, curve)
    vocabulary = narrowed(search.space, fixed)
    vocabulary["groups"].pop("compress", None)
    vocabulary["keys"] = {key: one for key, one in vocabulary["keys"].items() if one["group"] != "compress"}
    verdict = search.run(studies(seed)[arm](), Dimensions(vocabulary, fixed), seconds, joules)
    return Outcome(search.joules, search.trials, verdict)


def one(name: str, arm: str, seed: int, given: float | None, joules: float) -> Outcome:
    seconds = GOALS[name][-1] if given is None else given
    with tempfile.TemporaryDirectory() as folder:
        start = time.monotonic()
        if arm == "lab":
            found = lab(name, seed, seconds, Path(folder))
        else:
            found = peer(name, arm, seed, seconds * PATIENCE, joules, Path(folder))
        took = time.monotonic() - start
    said = "NOT reached"
    if found.verdict and (compared := found.verdict.comparison):
        said = (
            f"supported, {compared.difference:.1f} % [{compared.low:.1f}, {compared.high:.1f}], "
            f"n = {compared.n} pairs"
        )
    used = f"{found.joules:8.1f} J, {found.trials} trials, {took:.0f} s"
    print(f"  {name:8} {arm:14} seed {seed}: {used}, {said}", flush=True)
    return found


def told(name: str, found: dict[str, list[Outcome]]) -> None:
    """One line for each arm of a goal."""
    medians = {arm: statistics.median(one.joules for one in rows) for arm, rows in found.items()}
    for arm, rows in found.items():
        joules = sorted(one.joules for one in rows)
        reached = sum(one.verdict is not None for one in rows)
        ratio = ""
        if "lab" in medians and arm != "lab":
            most = "at most " if 2 * reached <= len(rows) else ""
            ratio = f", lab / {arm} = {most}{medians['lab'] / medians[arm]:.2f}"
        print(
            f"{name:8} {arm:14} median {medians[arm]:.1f} J ({joules[0]:.1f} to {joules[-1]:.1f}, "
            f"n = {len(rows)}), reached {reached} of {len(rows)}{ratio}",
            flush=True,
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--goals", nargs="+", default=list(GOALS), choices=GOALS)
    parser.add_argument("--arms", nargs="+", default=list(ARMS), choices=ARMS)
    parser.add_argument("--seeds", nargs="+", type=int, default=list(range(5)), help="one campaign each")
    parser.add_argument("--seconds", type=float, help="of the lab, in place of each goal's own")
    parser.add_argument("--times", type=float, default=2.2, help="a peer's joules, of the lab's beside it")
    parser.add_argument(
        "--joules", type=float, default=math.inf, help="a peer's, where no lab runs beside it"
    )
    asked = parser.parse_args()
    warnings.filterwarnings("ignore")
    print(f"{platform.processor() or platform.machine()}, {os.cpu_count()} cores, one thread a trial")
    for name in asked.goals:
        found: dict[str, list[Outcome]] = {arm: [] for arm in asked.arms}
        for seed in asked.seeds:
            joules = asked.joules
            for arm in asked.arms:
                found[arm].append(one(name, arm, seed, asked.seconds, joules))
                joules = asked.times * found["lab"][-1].joules if arm == "lab" else joules
        told(name, found)


if __name__ == "__main__":
    main()
