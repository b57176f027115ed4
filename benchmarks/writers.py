"""Trials claimed and finished a second by several writers of one SQLite file, beside an older checkout.

    python benchmarks/writers.py OLD_CHECKOUT [--writers 8] [--trials 50] [--turns 5]

Each writer is a process that claims trials of its own and finishes each with one figure, in turns by either
checkout's `research.store.store`. Printed are medians over the turns with their range, the ratio of each pair
of turns, and how long the slowest verb took (to reach: no slower than the commit before trials were handed
out, `git worktree add OLD 57bb36df^`).
"""

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
WRITER = """
import json, sys, time
sys.path.insert(0, ".")
from research.store.store import Store
from research.types import Key

url, own, trials = sys.argv[1], sys.argv[2], int(sys.argv[3])
store, slowest = Store(url), 0.0
print("ready", flush=True)
sys.stdin.readline()
began = time.time()
for number in range(trials):
    for verb in ("claim", "finish"):
        start = time.monotonic()
        if verb == "claim":
            claim = store.claim(Key(f"{own}-{number}", "c", "d", "h"), config={"seed": number})
        else:
            store.finish(claim, {"value": 1.0})
        slowest = max(slowest, time.monotonic() - start)
print(json.dumps([began, time.time(), slowest]), flush=True)
sys.stdin.readline()  # to end takes a core a tenth of a second, at which others are still at work
"""


def rate(checkout: Path, writers: int, trials: int) -> tuple[float, float]:
    """Trials a second of all writers, from the first one's start to the last one's end; the slowest verb."""
    with tempfile.TemporaryDirectory(prefix="joulelab-writers-") as folder:
        line = [sys.executable, "-c", WRITER, f"sqlite:///{folder}/lab.db"]
        running = [
            subprocess.Popen(
                [*line, str(own), str(trials)],
                cwd=checkout,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                text=True,
            )
            for own in range(writers)
        ]
        for one in running:
            assert one.stdout is not None and one.stdout.readline() == "ready\n"
        for one in running:
            assert one.stdin is not None
            one.stdin.write("\n")
            one.stdin.flush()
        told = [json.loads(one.stdout.readline()) for one in running if one.stdout is not None]
        for one in running:
            one.communicate()
    began, ended, slowest = (list(column) for column in zip(*told, strict=True))
    return writers * trials / (max(ended) - min(began)), max(slowest)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("old", type=Path)
    for name, value in (("--writers", 8), ("--trials", 50), ("--turns", 5)):
        parser.add_argument(name, type=int, default=value)
    asked = parser.parse_args()
    figures: dict[Path, list[tuple[float, float]]] = {asked.old.resolve(): [], ROOT: []}
    for turn in range(asked.turns):
        for checkout in list(figures)[:: 1 if turn % 2 == 0 else -1]:
            figures[checkout].append(rate(checkout, asked.writers, asked.trials))
    for checkout, turns in figures.items():
        rates, slowest = zip(*turns, strict=True)
        span = f"{min(rates):.0f} to {max(rates):.0f}"
        print(f"{checkout}: {statistics.median(rates):.0f} trials a second ({span}), "
              f"slowest verb {max(slowest):.2f} s")  # fmt: skip
    old, new = figures.values()
    ratios = [mine[0] / theirs[0] for theirs, mine in zip(old, new, strict=True)]
    span = f"{min(ratios):.2f} to {max(ratios):.2f}, n = {len(ratios)}"
    print(f"{statistics.median(ratios):.2f} of the old checkout's ({span}), {asked.writers} writers")


if __name__ == "__main__":
    main()
