"""Trials to a target on LCBench: what memory of other tasks saves, and what sharing the turns costs.

    python benchmarks/lcbench.py FOLDER [--tasks 34] [--seeds 10] [--trials 60] [--arms tpe,...] [--jobs 1]

FOLDER holds YAHPO Gym's surrogate of LCBench (Pfisterer et al., 2022, arXiv 2109.03670; Zimmer et al., 2021):
model.onnx, config_space.json, encoding.json. A run searches seven hyperparameters of one task for the highest
validation accuracy after 52 epochs and counts trials until the normalised regret, (best - y) / (best - worst)
over 10,000 random configurations (the normalisation of HPO-B, Pineda Arango et al., 2021), is at most 0.10.
A run that does not get there counts as one trial more than it had, for all arms; the share is told.

Arms are the lab's own proposers and its bandit: `optuna` is Optuna's TPESampler as it comes, the yardstick;
`portfolio` hands out five configurations and leaves the rest to `tpe`; `auto` has the shares of
conf/proposer/auto.yaml. Memory holds 60 random configurations of each of the other 33 tasks, never of the
task itself; `placebo` is the same memory with each task's figures dealt out anew. Ratios are of the mean
trials per task, their 95 % interval is Student's t on the logarithms over tasks.
"""

import argparse
import math
import statistics
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from functools import cache, partial
from pathlib import Path
from typing import Any, NamedTuple

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

import yaml  # noqa: E402  the script runs from any folder
from lcbench_tasks import NOTHING, Earlier, Surrogate, shuffled  # noqa: E402

from research.propose.bandit import Bandit, gain  # noqa: E402
from research.propose.direct import Pattern, Random  # noqa: E402
from research.propose.portfolio import Portfolio  # noqa: E402
from research.propose.proposer import Proposer, Seen  # noqa: E402
from research.propose.sampler import Cmaes, Gp, Tpe  # noqa: E402
from research.stats.intervals import summary  # noqa: E402

TARGET, MEMORY = 0.10, 60
SINGLE: dict[str, Callable[[dict[str, Any], int], Proposer]] = {
    "random": lambda space, seed: Random(space, (), seed),
    "tpe": lambda space, seed: Tpe(space, (), seed),
    "cmaes": lambda space, seed: Cmaes(space, (), seed),
    "gp": lambda space, seed: Gp(space, (), seed),
    "pattern": lambda space, seed: Pattern(space, ()),
}
ARMS = ("optuna", "tpe", "random", "cmaes", "portfolio", "placebo", "auto")
"""all but `gp`, which asks for a quarter of an hour more: a proposal costs 0.3 CPU seconds and up"""


class Run(NamedTuple):
    """One search: the trial that reached the target (one more than it had where none did), CPU seconds."""

    trials: int
    seconds: float


@cache
def surrogate(folder: Path) -> Surrogate:
    return Surrogate(folder)


def optuna_alone(tasks: Surrogate, task: str, seed: int, trials: int) -> int:
    """Optuna's TPE as its users run it."""
    import optuna

    optuna.logging.set_verbosity(optuna.logging.ERROR)
    study = optuna.create_study(direction="maximize", sampler=optuna.samplers.TPESampler(seed=seed))
    for trial in range(1, trials + 1):
        asked = study.ask()
        found = tasks.measure(task, [f"{key}={value}" for key, value in suggested(asked, tasks)])
        if found.regret <= TARGET:
            return trial
        study.tell(asked, found.accuracy)
    return trials + 1


def suggested(asked: Any, tasks: Surrogate) -> Iterator[tuple[str, float]]:
    for key, one in tasks.vocabulary()["keys"].items():
        suggest = asked.suggest_int if one["type"] == "int" else asked.suggest_float
        yield key, suggest(key, one["low"], one["high"], log=one["scale"] == "log")


def shared(
    tasks: Surrogate, task: str, proposers: list[Proposer], shares: dict[str, float], seed: int, trials: int
) -> int:
    """The lab's proposers under its bandit; a trial's joules are its predicted seconds, at one watt."""
    bandit, state = Bandit(proposers, shares, seed=seed), NOTHING
    trial = 0
    while trial < trials and (proposer := bandit.next()):
        proposal = proposer.ask(state)
        if proposal is None:
            bandit.leave(proposer)
            continue
        trial += 1
        found = tasks.measure(task, proposal.overrides)
        if found.regret <= TARGET:
            return trial
        metrics = {"val/accuracy": found.accuracy}
        seen = Seen(overrides=proposal.overrides, proposer=proposer.name, status="done", metrics=metrics)
        bandit.learn(proposer.name, gain(state, seen), found.seconds)
        for one in proposers:
            one.tell(proposal, seen)
        best = state.incumbent is None or metrics["val/accuracy"] > state.incumbent.metrics["val/accuracy"]
        known: dict[str, Any] = {"seen": (*state.seen, seen)}
        state = state.model_copy(update=known | ({"incumbent": seen} if best else {}))
    return trials + 1


def proposers(arm: str, tasks: Surrogate, task: str, seed: int) -> tuple[list[Proposer], dict[str, float]]:
    """The sources of an arm and their shares of the turns."""
    space = tasks.vocabulary()
    if arm in SINGLE:
        return [SINGLE[arm](space, seed)], {arm: 1.0}
    known = tasks.remembered(task, seed, MEMORY)
    memory = Earlier(shuffled(known, seed) if arm == "placebo" else known)
    first: list[Proposer] = [Portfolio(memory, space, ())]
    if arm != "auto":
        return [*first, Tpe(space, (), seed)], {"portfolio": 1.0, "tpe": 1.0}
    shares = yaml.safe_load((ROOT / "conf" / "proposer" / "auto.yaml").read_text())["shares"]
    return [*first, *(SINGLE[name](space, seed) for name in shares if name in SINGLE)], shares


def searched(folder: Path, trials: int, asked: tuple[str, str, int]) -> Run:
    """One run of one arm on one task."""
    arm, task, seed = asked
    tasks = surrogate(folder)
    start = time.process_time()
    if arm == "optuna":
        found = optuna_alone(tasks, task, seed, trials)
    else:
        found = shared(tasks, task, *proposers(arm, tasks, task, seed), seed, trials)
    return Run(found, time.process_time() - start)


def ratio(runs: dict[str, dict[str, list[Run]]], arm: str, other: str) -> str:
    """Mean trials of `arm` over those of `other`, over tasks."""
    logs = [math.log(mean(runs[arm][task]) / mean(runs[other][task])) for task in runs[arm]]
    told = summary(logs)
    half = told.half_width or 0.0
    low, middle, high = (math.exp(told.mean + step) for step in (-half, 0.0, half))
    return f"{middle:.3f}  [{low:.3f}, {high:.3f}]"


def mean(runs: list[Run]) -> float:
    return statistics.fmean(one.trials for one in runs)


def told(runs: dict[str, dict[str, list[Run]]], trials: int) -> None:
    for arm, tasks in runs.items():
        every = [one for own in tasks.values() for one in own]
        missed = sum(one.trials > trials for one in every) / len(every)
        average, middle = mean(every), statistics.median(one.trials for one in every)
        print(
            f"  {arm:10} {average:6.1f} {middle:6.0f} {100 * missed:6.1f} %  {ratio(runs, arm, 'optuna')}"
            f"  {sum(one.seconds for one in every):7.0f}"
        )


def compared(runs: dict[str, dict[str, list[Run]]]) -> None:
    """The three figures that the lab promises."""
    singles = [arm for arm in runs if arm in ("optuna", *SINGLE)]
    best = min(singles, key=lambda arm: statistics.fmean(math.log(mean(own)) for own in runs[arm].values()))
    for arm, other, promise in (
        ("portfolio", "optuna", "at most 0.75, the interval below 1"),
        ("placebo", "tpe", "0.95 to 1.05"),
        ("auto", best, "at most 1.05; the best single proposer"),
        ("auto", "portfolio", "portfolio, then tpe"),
    ):
        if arm in runs and other in runs:
            print(f"  {arm + ' / ' + other:24} {ratio(runs, arm, other)}   ({promise})")


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folder", type=Path)
    parser.add_argument("--tasks", type=int, default=34, help="the first so many")
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--trials", type=int, default=60)
    parser.add_argument(
        "--arms", default=",".join(ARMS), help="comma-separated; optuna is always there, gp on request"
    )
    parser.add_argument("--jobs", type=int, default=1, help="processes")
    options = parser.parse_args()

    arms = ["optuna", *(arm for arm in options.arms.split(",") if arm != "optuna")]
    tasks = surrogate(options.folder).tasks[: options.tasks]
    # Seeds of its own for each task: the same lucky first draws on all would make the interval too narrow.
    asked = [
        (arm, task, 100 * place + seed)
        for arm in arms
        for place, task in enumerate(tasks)
        for seed in range(options.seeds)
    ]
    act: Callable[[tuple[str, str, int]], Run] = partial(searched, options.folder, options.trials)
    runs: dict[str, dict[str, list[Run]]] = {arm: {task: [] for task in tasks} for arm in arms}
    with ProcessPoolExecutor(options.jobs) as pool:
        for (arm, task, _), found in zip(asked, pool.map(act, asked, chunksize=options.seeds), strict=True):
            runs[arm][task].append(found)
    print(f"n = {len(tasks)} tasks x {options.seeds} seeds x {options.trials} trials, regret {TARGET:.2f}")
    print("  arm        mean  median  missed   trials, as a ratio of Optuna's TPE    CPU s")
    told(runs, options.trials)
    compared(runs)


if __name__ == "__main__":
    main()
