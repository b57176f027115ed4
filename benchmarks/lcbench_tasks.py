"""LCBench's 34 tasks as a surrogate, the figure that is searched for, and what earlier campaigns remember."""

import json
import random
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple, final

from research.compose.override import values_of
from research.propose.direct import Random
from research.propose.proposer import State
from research.types import Objective

OBJECTIVE = Objective(metric="val/accuracy", direction="max")
EPOCHS = 52.0
"""the surrogate's highest fidelity"""
_REFERENCE = 10_000
"""configurations drawn at random, equal for all tasks: their best and worst define the regret"""
_SECONDS, _ACCURACY = 0, 1
"""columns of the surrogate's answer"""
NOTHING = State(goal="", objective=OBJECTIVE, fixed=(), control=None, incumbent=None)


class Configured(NamedTuple):
    """A configuration that another task has a figure of."""

    task: str
    overrides: tuple[str, ...]
    value: float


class Measured(NamedTuple):
    """What one evaluation gives."""

    accuracy: float
    regret: float
    seconds: float


@final
class Surrogate:
    """YAHPO Gym's network for LCBench in `folder`: about 0.3 ms for one configuration."""

    def __init__(self, folder: Path) -> None:
        import numpy as np
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        self._np = np
        self._session = onnxruntime.InferenceSession(
            str(folder / "model.onnx"), options, providers=["CPUExecutionProvider"]
        )
        self._codes = json.loads((folder / "encoding.json").read_text())["OpenML_task_id"]
        described = json.loads((folder / "config_space.json").read_text())["hyperparameters"]
        entries = {one["name"]: one for one in described}
        self.tasks: list[str] = entries.pop("OpenML_task_id")["choices"]
        entries.pop("epoch")
        # The network's own order of its numeric inputs, behind the epoch.
        order = ("batch_size", "learning_rate", "momentum", "weight_decay", "num_layers", "max_units")
        self._keys = {name: entries[name] for name in (*order, "max_dropout")}
        self._bounds: dict[str, tuple[float, float]] = {}
        self._drawn = self._reference()

    def vocabulary(self) -> dict[str, Any]:
        """The seven hyperparameters as the lab's proposers read a space."""
        return {"groups": {}, "keys": {name: _entry(one) for name, one in self._keys.items()}}

    def predict(self, task: str, points: Sequence[Sequence[float]]) -> Any:
        """Predictions for points (seven numbers each): array of points x 6 figures."""
        np = self._np
        numbers = np.column_stack([np.full(len(points), EPOCHS), np.asarray(points, dtype=float)])
        code = np.full((len(points), 1), self._codes[task], np.int32)
        return self._session.run(None, {"x_cat": code, "x_cont": numbers.astype(np.float32)})[0]

    def measure(self, task: str, overrides: Sequence[str]) -> Measured:
        """One configuration; its regret is (best - y) / (best - worst) of the reference sample."""
        found = self.predict(task, [self._point(overrides)])[0]
        accuracy = float(found[_ACCURACY])
        worst, best = self._span(task)
        return Measured(accuracy, (best - accuracy) / (best - worst), float(found[_SECONDS]))

    def remembered(self, task: str, seed: int, count: int) -> list[Configured]:
        """What a random search of `count` trials leaves of each other task, all with the same draws.

        The draws of earlier campaigns coincide as those of the lab do that are started with the same seed.
        """
        lot = Random(self.vocabulary(), (), 100_000 + seed)
        drawn = [lot.ask(NOTHING).overrides for _ in range(count)]  # type: ignore[union-attr]
        points = [self._point(overrides) for overrides in drawn]
        return [
            Configured(other, overrides, float(row[_ACCURACY]))
            for other in self.tasks
            if other != task
            for overrides, row in zip(drawn, self.predict(other, points), strict=True)
        ]

    def _point(self, overrides: Sequence[str]) -> list[float]:
        given = values_of(overrides)
        return [float(given.get(name, one["default"])) for name, one in self._keys.items()]

    def _span(self, task: str) -> tuple[float, float]:
        if task not in self._bounds:
            found = self.predict(task, self._drawn)[:, _ACCURACY]
            self._bounds[task] = float(found.min()), float(found.max())
        return self._bounds[task]

    def _reference(self) -> Any:
        np = self._np
        shares = np.random.default_rng(0).random((_REFERENCE, len(self._keys)))
        return np.column_stack([_spread(np, one, shares[:, i]) for i, one in enumerate(self._keys.values())])


def shuffled(known: Sequence[Configured], seed: int) -> list[Configured]:
    """Placebo memory: each task's figures dealt out anew among its configurations."""
    lot, found = random.Random(seed), list[Configured]()
    for task in dict.fromkeys(one.task for one in known):
        own = [one for one in known if one.task == task]
        values = [one.value for one in own]
        lot.shuffle(values)
        found += [one._replace(value=value) for one, value in zip(own, values, strict=True)]
    return found


@final
class Earlier:
    """Memory as a portfolio asks for it."""

    def __init__(self, known: Sequence[Configured]) -> None:
        self._known = known

    def elsewhere(self, objective: Objective, data: str) -> Sequence[Configured]:
        """Everything of the other tasks: the task itself was left out when this was made."""
        return self._known


def _entry(one: dict[str, Any]) -> dict[str, Any]:
    kind = "int" if one["type"] == "uniform_int" else "float"
    scale = "log" if one["log"] else "linear"
    span = {"low": one["lower"], "high": one["upper"], "scale": scale, "default": one["default"]}
    return {"type": kind, "group": None, "nullable": False, **span}


def _spread(np: Any, one: dict[str, Any], shares: Any) -> Any:
    low, high = one["lower"], one["upper"]
    values = low * (high / low) ** shares if one["log"] else low + (high - low) * shares
    return np.round(values) if one["type"] == "uniform_int" else values
