"""The race on tables of real networks: trials and time to the best, and the cheapest that is good enough.

    python benchmarks/tables.py [--folder DIR] [--seeds 10] [--trials 100] [--arms auto,...] [--jobs N]
                                [--tables hpobench] [--stops]

Eight tables of `tables_data.py`: those that may be tuned on. Two questions of each:
- `best`: the highest validation accuracy (the least loss). A run has arrived with its first trial of a
  configuration whose mean over seeds is among the best 1 % of the table; trials and training seconds up to
  there, and at the end the regret of the best evaluated, (y - best) / (median - best) of means over seeds.
- `cheap`: the least training time at an accuracy of at least half a point below the table's 99th percentile,
  on the six tables with accuracies. Told beside the oracle, the cheapest of the whole table that keeps the
  bound by its mean: the cheapest evaluated one that does, and what the search itself would pick.

What ending by itself loses is in points of accuracy, for losses in hundredths of the way from the best to
the median, and for `cheap` how many times as dear the cheapest evaluated is that keeps the bound by its mean,
or the dearest of the table that does where none was evaluated by then.

All arms begin with the same configuration, the middle of each grid, see the same one seed of a configuration,
and are counted alike: asking again for a known configuration costs nothing and brings nothing. Encoding:
numbers are ranges (logarithmic where the grid is) whose draws go to the nearest grid value, names are
choices; Optuna is given the same. A run that does not arrive counts one trial more than it had and all its
seconds. Ratios are paired by table and seed: means of logarithms over a table's seeds, then Student's 95 %
interval over tables. Memory holds 60 random configurations of each other table of the same family.

Arms: uniform, optuna (TPE), optuna_gp, optuna_cmaes, smac (which needs `pip install smac`), auto,
auto+memory, one of the lab's sources alone, or auto-SOURCE, which is auto without it.
"""

import argparse
import math
import os
import statistics
import sys
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from tables_arms import ready, searched  # noqa: E402
from tables_data import TABLES, installed  # noqa: E402
from tables_search import Run  # noqa: E402

from research.stats.intervals import summary  # noqa: E402

Runs = dict[tuple[str, str, str], list[Run]]
"""(arm, question, table) -> runs by seed"""
LOSSES = "hpolib"
"""the family of tables whose score is a loss"""


def ratio(runs: Runs, arm: str, question: str, figure: Callable[[Run], float], beside: str | None) -> str:
    """The geometric mean over tables with its interval, of a figure or of its ratio to another arm's."""
    logs = []
    for name in TABLES:
        own, other = runs.get((arm, question, name)), runs.get((beside or arm, question, name))
        if own and other:
            pairs = zip(own, other, strict=True)
            each = [
                math.log(max(figure(run), 1e-6)) - (math.log(max(figure(peer), 1e-6)) if beside else 0.0)
                for run, peer in pairs
            ]
            logs.append(statistics.fmean(each))
    told = summary(logs)
    half = told.half_width or 0.0
    low, middle, high = (math.exp(told.mean + step) for step in (-half, 0.0, half))
    return f"{middle:5.2f} [{low:.2f}, {high:.2f}]"


def regret(run: Run) -> float:
    """Floored, so that the very best does not decide alone."""
    return max(run.regret, 1e-3)


def told(runs: Runs, arms: Sequence[str], trials: int) -> None:
    """The two questions as tables, beside Optuna's TPE."""
    print(
        "best      trials to the top 1 %    training time         regret               missed repeats ms each"
    )
    for name in arms:
        every = [run for key, own in runs.items() if key[:2] == (name, "best") for run in own]
        columns = [
            ratio(runs, name, "best", figure, "optuna")
            for figure in (lambda run: run.trials, lambda run: run.seconds, regret)
        ]
        missed = sum(run.trials > trials for run in every) / len(every)
        repeats, cpu = (statistics.fmean(getattr(run, key) for run in every) for key in ("repeats", "cpu"))
        print(f"  {name:14} {'  '.join(columns)}  {missed:5.1%}  {repeats:5.0f}  {1e3 * cpu / trials:6.1f}")
    print("cheap     cheapest / oracle     beside Optuna's      pick's time           pick feasible   raced")
    for name in arms:
        every = [run for key, own in runs.items() if key[:2] == (name, "cheap") for run in own]
        if not every:
            continue  # tables of losses alone
        columns = [
            ratio(runs, name, "cheap", lambda run: run.cheapest, None),
            ratio(runs, name, "cheap", lambda run: run.cheapest, "optuna"),
            ratio(runs, name, "cheap", lambda run: run.pick, None),
        ]
        single = statistics.fmean(run.feasible for run in every)
        raced = statistics.fmean(run.raced_feasible for run in every)
        time = ratio(runs, name, "cheap", lambda run: run.raced, None)
        print(f"  {name:14} {'  '.join(columns)}  {single:.2f}           {time}  {raced:.2f}")


def ends(runs: Runs, arms: Sequence[str]) -> None:
    """What ending by itself saves and loses, of the arms that can tell."""
    print("stops     saved, lost on average and at most: accuracies, losses   saved, times as dear: cheap")
    for name in arms:
        asked = [("best", False), ("best", True), ("cheap", False)]
        if line := [told for question, losses in asked if (told := stops(runs, name, question, losses))]:
            print(f"  {name:14} {'   '.join(line)}")


def stops(runs: Runs, arm: str, question: str, losses: bool) -> str:
    """The same of one arm and question on the tables with losses, or on those with accuracies."""
    ended = [
        run
        for (name, own, of), every in runs.items()
        if (name, own, of.startswith(LOSSES)) == (arm, question, losses)
        for run in every
        if not math.isnan(run.saved)
    ]
    if not ended:
        return ""
    saved, lost = (statistics.fmean(getattr(run, key) for run in ended) for key in ("saved", "lost"))
    most = max(run.lost for run in ended)
    if question == "cheap":
        same = sum(run.lost < 1e-9 for run in ended)
        return f"{saved:.0%}, {math.exp(lost):.2f}, {math.exp(most):.1f} (as cheap in {same} of {len(ended)})"
    return f"{saved:.0%}, {lost:.2f}, {most:.1f} (n = {len(ended)})"


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--folder", type=Path, help="of the tables; the installed wheel's by default")
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--first-seed", type=int, default=0)
    parser.add_argument("--trials", type=int, default=100)
    parser.add_argument(
        "--arms", default="uniform,auto,auto+memory", help="comma-separated; optuna is always there"
    )
    parser.add_argument(
        "--tables", default="", help="those whose names hold this, as hpobench; all by default"
    )
    parser.add_argument("--stops", action="store_true", help="only what ending by itself saves, no Optuna")
    parser.add_argument("--jobs", type=int, default=os.cpu_count(), help="processes")
    options = parser.parse_args()

    folder = options.folder or installed()
    peers = [] if options.stops else ["optuna"]
    arms = [*peers, *(name for name in options.arms.split(",") if name != "optuna")]
    seeds = range(options.first_seed, options.first_seed + options.seeds)
    asked = [
        (name, question, of, 100 * place + seed)
        for place, of in enumerate(TABLES)
        if options.tables in of
        for question in ("best", "cheap")
        if question == "best" or not of.startswith(LOSSES)
        for name in arms
        for seed in seeds
    ]
    runs: Runs = {}
    ready(folder, [of for of in TABLES if options.tables in of])  # before the processes, which share it
    with ProcessPoolExecutor(options.jobs) as pool:
        act = partial(searched, folder, options.trials)
        for (name, question, of, _), run in zip(
            asked, pool.map(act, asked, chunksize=options.seeds), strict=True
        ):
            runs.setdefault((name, question, of), []).append(run)
            if len(runs[name, question, of]) == options.seeds:
                print(f"{of} {question} {name}", file=sys.stderr, flush=True)
    many = len({of for _, _, of in runs})
    print(
        f"n = {many} tables x {options.seeds} seeds x {options.trials} trials; ratios to Optuna's TPE, 95 %"
    )
    if not options.stops:
        told(runs, arms, options.trials)
    ends(runs, arms)


if __name__ == "__main__":
    main()
