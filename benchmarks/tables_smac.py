"""SMAC 2 on a table, as its users run it: ask and tell with the facade for hyperparameters, a random forest.

Needs `pip install smac`, which builds its forest with swig and a C++ compiler.
"""

import math
import tempfile
from pathlib import Path
from typing import Any

from tables_search import Search

from research.propose.proposer import Seen, State
from research.propose.sampler import gaps


def smac(search: Search, trials: int) -> None:
    """From the same first configuration as the others; a known one is told its known figures.

    It knows no bounds: what misses one is told as the dearest that was seen, and more by how far it misses.
    """
    import ConfigSpace
    from smac import HyperparameterOptimizationFacade, Scenario
    from smac.runhistory import TrialInfo, TrialValue

    vocabulary = search.table.vocabulary()["keys"]
    space = ConfigSpace.ConfigurationSpace(seed=search.seed)
    space.add([encoded(key, entry) for key, entry in vocabulary.items()])
    with tempfile.TemporaryDirectory() as folder:
        scenario = Scenario(
            space, deterministic=True, n_trials=10 * trials, seed=search.seed, output_directory=Path(folder)
        )
        optimizer = HyperparameterOptimizationFacade(
            scenario, lambda config, seed=0: 0.0, logging_level=False, overwrite=True
        )
        asked = TrialInfo(space.get_default_configuration(), seed=0)
        for _ in range(10 * trials):
            overrides = [f"{key}={asked.config[key]}" for key in vocabulary]
            search.seen(overrides, "smac")
            optimizer.tell(asked, TrialValue(cost=cost(search, overrides)))
            if len(search.done) >= trials:
                return
            asked = optimizer.ask()


def encoded(key: str, entry: dict[str, Any]) -> Any:
    """A key as SMAC has it: the ranges, logarithms and choices that the other arms are given."""
    from ConfigSpace import Categorical, Float, Integer

    if entry["type"] == "enum":
        return Categorical(key, [str(value) for value in entry["of"]], default=str(entry["default"]))
    kind = Integer if entry["type"] == "int" else Float
    default = (int if entry["type"] == "int" else float)(entry["default"])
    return kind(key, (entry["low"], entry["high"]), log=entry["scale"] == "log", default=default)


def cost(search: Search, overrides: list[str]) -> float:
    """What is to be small: log seconds or the score, and beyond the dearest where a bound is missed."""
    objective = search.question.objective
    metrics = search.told(search.done[search.table.cell(overrides)])
    state = State(goal="", objective=objective, fixed=(), control=None, incumbent=None)
    seen = Seen(overrides=tuple(overrides), proposer="smac", status="done", metrics=metrics)
    missed = max([0.0, *gaps(seen, state).values()])
    if objective.metric != "train/seconds":
        return search.table.sign * metrics[objective.metric] + missed
    dearest = max(figures.seconds for figures in search.done.values())
    return math.log(metrics["train/seconds"]) if missed <= 0 else math.log(dearest) + missed
