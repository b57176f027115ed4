"""Who searches a table: the lab's sources under its bandit, and the peers."""

import math
import random
import sys
import time
from collections.abc import Iterator, Sequence
from functools import cache, partial
from pathlib import Path
from typing import Any, Protocol

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

import yaml  # noqa: E402  the script runs from any folder
from lcbench_tasks import Configured, Earlier  # noqa: E402
from tables_data import TABLES, Table, uniform  # noqa: E402
from tables_search import Run, Search, bound, questions, span, top  # noqa: E402
from tables_smac import smac  # noqa: E402

from research.metrics import rank  # noqa: E402
from research.propose.bandit import Bandit, gain  # noqa: E402
from research.propose.portfolio import Portfolio  # noqa: E402
from research.propose.proposer import Proposer, Seen, State  # noqa: E402
from research.propose.sampler import gaps  # noqa: E402

MEMORY, TRIES = 60, 12
"""configurations of another table that memory holds; how often a source may ask for what is known"""
AUTO = yaml.safe_load((ROOT / "conf" / "proposer" / "auto.yaml").read_text())


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


def optuna_cmaes(search: Search, trials: int) -> None:
    """Optuna's CmaEsSampler, which draws what is no number independently and knows no bounds."""
    import optuna

    study = optuna.create_study(sampler=optuna.samplers.CmaEsSampler(seed=search.seed))
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
    promises = search.promises = {}
    while len(search.done) < trials and (proposer := bandit.next()):
        promises |= {len(search.done): promise} if (promise := bandit.promise) is not None else {}
        seen, state = turn(proposer, search, state)
        silent[proposer.name] = 0 if seen else silent.get(proposer.name, 0) + 1
        if seen is None:
            if silent[proposer.name] >= 3:
                bandit.rest(proposer)
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

    known = Earlier(remembered(search)) if memory else None
    have = {"vocabulary": search.table.vocabulary(), "fixed": (), "seed": search.seed, "memory": known}
    if known:
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
    """The sources and shares of conf/proposer/auto.yaml, as `research.campaign.charter` has them."""

    def search(asked: Search, trials: int) -> None:
        of_costs = AUTO["of_costs"] if asked.question.name == "cheap" else {}
        shares = {name: share * of_costs.get(name, 1) for name, share in AUTO["shares"].items()}
        names = [name for name in SOURCES if name not in _ALONE and shares[name] > 0]
        own = {name: share for name, share in shares.items() if name in (*names, "portfolio")}
        lab(names, own, memory, asked, trials)

    return search


def arm(name: str) -> Arm:
    """The arm of a name: a peer, `auto`, `auto+memory`, or one of the lab's sources alone."""
    peers: dict[str, Arm] = {
        "uniform": by_lot,
        "optuna": optuna_tpe,
        "optuna_gp": optuna_gp,
        "optuna_cmaes": optuna_cmaes,
        "smac": smac,
    }
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


def ready(folder: Path, names: Sequence[str]) -> None:
    """Read tables and take their means, which each search asks for."""
    for name in names:
        read = table(folder, name)
        for _ in questions(read):
            top(read), span(read)


def searched(folder: Path, trials: int, asked: tuple[str, str, str, int]) -> Run:
    """One run of one arm."""
    named, question, of, seed = asked
    read = table(folder, of)
    search = Search(read, next(each for each in questions(read) if each.name == question), seed)
    start = time.process_time()
    arm(named)(search, trials)
    return search.run(time.process_time() - start)
