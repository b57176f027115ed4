"""The race on tables of real networks: trials and time to the best, and the cheapest that is good enough.

    python benchmarks/tables.py [--folder DIR] [--seeds 10] [--trials 100] [--arms auto,...] [--jobs 2]

Eight tables of `tables_data.py`: those that may be tuned on. Two questions of each:
- `best`: the highest validation accuracy (the least loss). A run has arrived with its first trial of a
  configuration whose mean over seeds is among the best 1 % of the table; trials and training seconds up to
  there, and at the end the regret of the best evaluated, (y - best) / (median - best) of means over seeds.
- `cheap`: the least training time at an accuracy of at least half a point below the table's 99th percentile,
  on the six tables with accuracies. Told beside the oracle, the cheapest of the whole table that keeps the
  bound by its mean: the cheapest evaluated one that does, and what the search itself would pick.

All arms begin with the same configuration, the middle of each grid, see the same one seed of a configuration,
and are counted alike: asking again for a known configuration costs nothing and brings nothing. Encoding:
numbers are ranges (logarithmic where the grid is) whose draws go to the nearest grid value, names are
choices; Optuna is given the same. A run that does not arrive counts one trial more than it had and all its
seconds. Ratios are paired by table and seed: means of logarithms over a table's seeds, then Student's 95 %
interval over tables. Memory holds 60 random configurations of each other table of the same family.
"""

import argparse
import math
import random
import statistics
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field
from functools import cache, partial
from pathlib import Path
from typing import Any, NamedTuple, Protocol, final

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

import yaml  # noqa: E402  the script runs from any folder
from lcbench_tasks import Configured, Earlier  # noqa: E402
from tables_data import TABLES, Cell, Figures, Table, installed, uniform  # noqa: E402

from research.metrics import rank  # noqa: E402
from research.propose.bandit import Bandit, gain  # noqa: E402
from research.propose.portfolio import Portfolio  # noqa: E402
from research.propose.proposer import Proposer, Seen, State  # noqa: E402
from research.propose.sampler import gaps  # noqa: E402
from research.stats.intervals import summary  # noqa: E402
from research.types import Constraint, Objective  # noqa: E402

MEMORY, TRIES = 60, 12
"""configurations of another table that memory holds; how often a source may ask for what is known"""
TOP, SLACK = 0.01, 0.005
AUTO = yaml.safe_load((ROOT / "conf" / "proposer" / "auto.yaml").read_text())


class Question(NamedTuple):
    """What is asked of a table."""

    name: str
    objective: Objective


class Run(NamedTuple):
    """One search."""

    trials: int
    """until the top was reached; one more than it had where it was not"""
    seconds: float
    """of training until then"""
    regret: float
    cheapest: float
    """training time of the cheapest that keeps the bound, of the oracle's; NaN for `best`"""
    pick: float
    """the same of what the search would pick by its one seed"""
    feasible: float
    """whether that pick keeps the bound by its mean"""
    repeats: int
    cpu: float
    """CPU seconds of proposing"""


def questions(table: Table) -> Iterator[Question]:
    """`best` of every table, `cheap` of those with accuracies."""
    yield Question("best", Objective(metric=table.metric, direction="min" if table.sign > 0 else "max"))
    if table.metric == "val/accuracy":
        kept = Constraint(metric=table.metric, op=">=", bound=bound(table))
        yield Question("cheap", Objective(metric="train/seconds", direction="min", constraints=(kept,)))


@cache
def bound(table: Table) -> float:
    """Half a point below the 99th percentile of the accuracies."""
    scores = sorted(figures.score for figures in table.truth.values())
    return scores[int(0.99 * len(scores))] - SLACK


@final
@dataclass
class Search:
    """What one run has evaluated, in order."""

    table: Table
    question: Question
    seed: int
    done: dict[Cell, Figures] = field(default_factory=dict)
    repeats: int = 0

    def seen(self, overrides: Sequence[str], proposer: str) -> Seen:
        """Train it, or say that it is known."""
        cell = self.table.cell(overrides)
        status = "repeat" if cell in self.done else "done"
        if status == "repeat":
            self.repeats += 1
            return Seen(overrides=tuple(overrides), proposer=proposer, status="repeat", reason="a repeat")
        figures = self.done[cell] = self.table.measured(cell, self.seed)
        return Seen(overrides=tuple(overrides), proposer=proposer, status="done", metrics=self.told(figures))

    def told(self, figures: Figures) -> dict[str, float]:
        """As metrics."""
        return {self.table.metric: figures.score, "train/seconds": figures.seconds}

    def run(self, cpu: float) -> Run:
        """The figures of the whole search."""
        tops, seconds, reached = top(self.table), 0.0, len(self.done) + 1
        for place, (cell, figures) in enumerate(self.done.items(), 1):
            seconds += figures.seconds
            if cell in tops:
                reached = place
                break
        cheapest, pick, feasible = self._cheap()
        return Run(reached, seconds, self._regret(), cheapest, pick, feasible, self.repeats, cpu)

    def _regret(self) -> float:
        best, median = span(self.table)
        least = min(self.table.sign * self.table.truth[cell].score for cell in self.done)
        return (least - best) / (median - best)

    def _cheap(self) -> tuple[float, float, float]:
        if self.question.name != "cheap":
            return math.nan, math.nan, math.nan
        truth, oracle = self.table.truth, min(_feasible(self.table).values())
        kept = [truth[cell].seconds for cell in self.done if cell in _feasible(self.table)]
        dearest = max(_feasible(self.table).values())
        picked = min(self.done, key=lambda cell: rank(self.question.objective, self.told(self.done[cell])))
        return (
            min(kept, default=dearest) / oracle,
            truth[picked].seconds / oracle,
            float(picked in _feasible(self.table)),
        )


@cache
def _feasible(table: Table) -> dict[Cell, float]:
    least = bound(table)
    return {cell: figures.seconds for cell, figures in table.truth.items() if figures.score >= least}


@cache
def span(table: Table) -> tuple[float, float]:
    """The best and the median score, minimised."""
    scores = sorted(table.sign * figures.score for figures in table.truth.values())
    return scores[0], scores[len(scores) // 2]


@cache
def top(table: Table) -> frozenset[Cell]:
    """The best 1 % by their means."""
    ordered = sorted(table.truth, key=lambda cell: table.sign * table.truth[cell].score)
    return frozenset(ordered[: int(TOP * len(ordered))])


class Arm(Protocol):
    """Evaluates configurations of a search until it has had so many trials."""

    def __call__(self, search: Search, trials: int) -> None:
        """Fill `search.done`."""


def by_lot(search: Search, trials: int) -> None:
    """Uniform, without repeats."""
    grid = list(search.table.grid.items())
    search.seen((), "control")
    for cell in uniform(search.table, search.seed)[: trials - 1]:
        named = [f"{key}={values[place]}" for (key, values), place in zip(grid, cell, strict=True)]
        search.seen(named, "uniform")


def optuna_tpe(search: Search, trials: int) -> None:
    """Optuna's TPESampler as its users run it, with the bound as its constraint."""
    import optuna

    study = optuna.create_study(sampler=optuna.samplers.TPESampler(seed=search.seed))
    optuna_study(study, search, trials)


def optuna_gp(search: Search, trials: int) -> None:
    """Optuna's GPSampler; it asks for torch."""
    import optuna

    study = optuna.create_study(sampler=optuna.samplers.GPSampler(seed=search.seed))
    optuna_study(study, search, trials)


def optuna_study(study: Any, search: Search, trials: int) -> None:
    """Ask and tell; a known configuration is told its known figures, which is how its users cache."""
    import optuna

    optuna.logging.set_verbosity(optuna.logging.ERROR)
    state = State(goal="", objective=search.question.objective, fixed=(), control=None, incumbent=None)
    vocabulary = search.table.vocabulary()["keys"]
    study.enqueue_trial({key: entry["default"] for key, entry in vocabulary.items()})
    for _ in range(10 * trials):
        trial = study.ask()
        overrides = [f"{key}={suggested(trial, key, entry)}" for key, entry in vocabulary.items()]
        search.seen(overrides, "optuna")
        metrics = search.told(search.done[search.table.cell(overrides)])
        seen = Seen(overrides=tuple(overrides), proposer="optuna", status="done", metrics=metrics)
        for name, gap in gaps(seen, state).items():
            trial.set_constraint(name, gap)
        value = metrics[state.objective.metric]
        study.tell(
            trial, math.log(value) if state.objective.metric == "train/seconds" else search.table.sign * value
        )
        if len(search.done) >= trials:
            return


def suggested(trial: Any, key: str, entry: dict[str, Any]) -> Any:
    """One value of an Optuna trial."""
    if entry["type"] == "enum":
        return trial.suggest_categorical(key, entry["of"])
    suggest = trial.suggest_int if entry["type"] == "int" else trial.suggest_float
    return suggest(key, entry["low"], entry["high"], log=entry["scale"] == "log")


def lab(
    names: Sequence[str], shares: dict[str, float] | None, memory: bool, search: Search, trials: int
) -> None:
    """Sources of the lab under its bandit; a trial's joules are its seconds, at one watt."""
    proposers = list(sources(names, search, memory))
    given = shares or {proposer.name: 1.0 for proposer in proposers}
    bandit = Bandit(proposers, given, seed=search.seed)
    control = search.seen((), "control")
    state = State(goal="", objective=search.question.objective, fixed=(), control=control, incumbent=control)
    silent: dict[str, int] = {}
    while len(search.done) < trials and (proposer := bandit.next()):
        seen, state = turn(proposer, search, state)
        silent[proposer.name] = 0 if seen else silent.get(proposer.name, 0) + 1
        if seen is None:
            if silent[proposer.name] >= 3:
                bandit.leave(proposer)
            continue
        bandit.learn(proposer.name, gain(state, seen), seen.metrics["train/seconds"])
        for source in proposers:
            source.tell(claimed(seen), seen)
        better = rank(state.objective, seen.metrics) < rank(state.objective, state.incumbent.metrics)  # type: ignore[union-attr]
        state = state.model_copy(
            update={"seen": (*state.seen, seen)} | ({"incumbent": seen} if better else {})
        )


def turn(proposer: Proposer, search: Search, state: State) -> tuple[Seen | None, State]:
    """One new configuration of a source, as `research.campaign.asking` has it."""
    for _ in range(TRIES):
        proposal = proposer.ask(state)
        if proposal is None:
            break
        seen = search.seen(proposal.overrides, proposer.name)
        if seen.status == "done":
            return seen, state
        state = state.model_copy(update={"seen": (*state.seen, seen)})
        proposer.tell(proposal, seen)
    return None, state


def claimed(seen: Seen) -> Any:
    from research.types import Proposal

    return Proposal(hypothesis="it is better", overrides=seen.overrides, proposer=seen.proposer)


def sources(names: Sequence[str], search: Search, memory: bool) -> Iterator[Proposer]:
    """The named sources of conf/proposer/auto.yaml, and the portfolio where there is a memory."""
    from hydra.utils import get_class

    have = {"vocabulary": search.table.vocabulary(), "fixed": (), "seed": search.seed}
    if memory:
        known = Earlier(remembered(search))
        yield Portfolio(known, search.table.vocabulary(), ())  # type: ignore[arg-type]
    for name in names:
        make: Any = get_class(SOURCES[name])
        taken = make.__init__.__code__.co_varnames[: make.__init__.__code__.co_argcount]
        yield make(**{key: value for key, value in have.items() if key in taken})


SOURCES = {name: source["_target_"] for name, source in AUTO["sources"].items()}
_ALONE = ("recipes", "portfolio", "llm")
"""sources that a table has nothing for, unless there is a memory"""


def remembered(search: Search) -> list[Configured]:
    """What a random search leaves of each other table of the family: for `cheap`, what kept the bound."""
    found: list[Configured] = []
    for name in TABLES:
        other = table(search.table.folder, name)
        if other.family == search.table.family and name != search.table.name:
            found += _of_other(other, search)
    return found


def _of_other(other: Table, search: Search) -> Iterator[Configured]:
    least = bound(other) if search.question.name == "cheap" else -math.inf
    keys = list(other.grid.items())
    lot = random.Random(f"memory {search.seed}")
    for cell in lot.sample(other.cells, MEMORY * (50 if least > -math.inf else 1)):
        figures = other.measured(cell, search.seed)
        value = figures.seconds if least > -math.inf else figures.score
        if figures.score >= least:
            named = tuple(f"{key}={values[place]}" for (key, values), place in zip(keys, cell, strict=True))
            yield Configured(other.name, named, value)


def auto(memory: bool) -> Arm:
    """The sources and shares of conf/proposer/auto.yaml."""
    names = [name for name in SOURCES if name not in _ALONE]
    shares = {name: share for name, share in AUTO["shares"].items() if name in (*names, "portfolio")}
    return partial(lab, names, shares, memory)


def arm(name: str) -> Arm:
    """The arm of a name: a peer, `auto`, `auto+memory`, or one of the lab's sources alone."""
    peers: dict[str, Arm] = {"uniform": by_lot, "optuna": optuna_tpe, "optuna_gp": optuna_gp}
    if name in peers:
        return peers[name]
    if name in ("auto", "auto+memory"):
        return auto(name == "auto+memory")
    without = name.removeprefix("auto-")
    if without != name:
        names = [source for source in SOURCES if source not in (*_ALONE, without)]
        return partial(lab, names, {source: AUTO["shares"][source] for source in names}, False)
    return partial(lab, (name,), None, False)


@cache
def table(folder: Path, name: str) -> Table:
    """A table, read once a process."""
    return Table(folder, name)


def searched(folder: Path, trials: int, asked: tuple[str, str, str, int]) -> Run:
    """One run of one arm."""
    named, question, of, seed = asked
    read = table(folder, of)
    search = Search(read, next(each for each in questions(read) if each.name == question), seed)
    start = time.process_time()
    arm(named)(search, trials)
    return search.run(time.process_time() - start)


Runs = dict[tuple[str, str, str], list[Run]]
"""(arm, question, table) -> runs by seed"""


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
    print("cheap     cheapest / oracle     beside Optuna's      pick's time / oracle   pick feasible")
    for name in arms:
        every = [run for key, own in runs.items() if key[:2] == (name, "cheap") for run in own]
        columns = [
            ratio(runs, name, "cheap", lambda run: run.cheapest, None),
            ratio(runs, name, "cheap", lambda run: run.cheapest, "optuna"),
            ratio(runs, name, "cheap", lambda run: run.pick, None),
        ]
        print(f"  {name:14} {'  '.join(columns)}  {statistics.fmean(run.feasible for run in every):.2f}")


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
    parser.add_argument("--jobs", type=int, default=1, help="processes")
    options = parser.parse_args()

    folder = options.folder or installed()
    arms = ["optuna", *(name for name in options.arms.split(",") if name != "optuna")]
    seeds = range(options.first_seed, options.first_seed + options.seeds)
    asked = [
        (name, question, of, 100 * place + seed)
        for place, of in enumerate(TABLES)
        for question in ("best", "cheap")
        if question == "best" or not of.startswith("hpolib")
        for name in arms
        for seed in seeds
    ]
    runs: Runs = {}
    with ProcessPoolExecutor(options.jobs) as pool:
        act = partial(searched, folder, options.trials)
        for (name, question, of, _), run in zip(
            asked, pool.map(act, asked, chunksize=options.seeds), strict=True
        ):
            runs.setdefault((name, question, of), []).append(run)
    print(
        f"n = {len(TABLES)} tables x {options.seeds} seeds x {options.trials} trials; "
        "ratios to Optuna's TPE, 95 %"
    )
    told(runs, arms, options.trials)


if __name__ == "__main__":
    main()
