"""What a training will cost, from its config and from what others like it have cost.

Fitted is the logarithm of CPU seconds a step: what arithmetic expects of the network, the batch and the
optimizer, corrected by ridge regression (Hoerl and Kennard 1970, Technometrics 12) over what a config says
beside that. With few rows the correction is a level alone, so the first trial of a campaign already tells
something of the second. Steps count in proportion. Joules and wall time follow from CPU seconds, by the watts
of one instrument and by how long a machine took for what it computed. Nothing is built and torch is not
imported: the sizes come from `research/space/profiles.py`.
"""

import math
import statistics
from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any, NamedTuple, final

from research.space import signature
from research.space.profiles import counted, tokens
from research.stats.comparable import instrument, sound
from research.types import Result, Trial

if TYPE_CHECKING:
    import numpy as np

Config = Mapping[str, Any]
_PENALTIES = (0.1, 0.3, 1.0, 3.0)
"""variance of a pair's noise over that of what a knob does to the logarithm"""
_FEW = 6
"""rows below which there is a level and no slopes"""
_COVERED = 0.8
"""share of the rows, each left out in turn, that the told error holds for"""
_UNKNOWN = 3.0
"""the error told where too few rows are there to see one"""
_CALL_S = 5e-4
"""CPU seconds of a step of nothing, with Python and the optimizer around it"""
_FLOPS_S, _CONVOLVED, _DEPTHWISE = 2.5e10, 1.2e10, 5e9
"""operations a CPU second of small matrices and convolutions on one core; the level is fitted anyway"""
_WARM = 20.0
"""steps over which a fresh process is slower"""
_CALM = 12
"""undisturbed rows from which the disturbed are left out: fewer tell less than all with their noise"""


@final
class Case(NamedTuple):
    """One training that was measured."""

    config: Config
    steps: float
    cpu_seconds: float
    joules: float | None
    instrument: str
    train_s: float
    whole_s: float | None
    """wall seconds of the whole trial, its start and its evaluation included"""
    disturbed: bool = False

    @classmethod
    def of(cls, trial: Trial, result: Result) -> "Case | None":
        """The case of a finished trial; None where it has no CPU seconds or its steps are not known."""
        figures, steps = result.metrics, steps_of(trial.config)
        cpu, train_s = figures.get("train/cpu_seconds", 0.0), figures.get("train/seconds", 0.0)
        rate = figures.get("train/steps_per_second", math.nan)
        ended = (trial.config.get("budget") or {}).get("target") or steps is None
        steps = rate * train_s if ended else steps
        known = _sized(trial.config) and cpu > 0 and train_s > 0
        if not known or steps is None or not 0 < steps < math.inf:
            return None
        whole = None if trial.finished is None else trial.finished - trial.started
        calm = "train/cpu_seconds" in sound(result)
        joules = figures.get("train/energy_j")
        return cls(trial.config, steps, cpu, joules, instrument(result), train_s, whole, not calm)


@final
class Forecast(NamedTuple):
    """What one training is expected to cost."""

    cpu_seconds: float
    joules: float | None
    """None where what was measured has none, or is of more than one instrument"""
    seconds: float | None
    """of the whole trial by the clock"""
    error: float
    """four of five of the measured ones, each left out in turn, were predicted within so many times"""
    n: int
    """trainings that this rests on"""


@final
class Costs:
    """Predicts from measured cases; those that a neighbour disturbed count only where there are no others."""

    def __init__(self, cases: Sequence[Case]) -> None:
        calm = [case for case in cases if not case.disturbed]
        self._cases = calm if len(calm) >= _CALM else list(cases)

    def predict(self, config: Config) -> Forecast | None:
        """None before anything was measured, or where the length of the training is not known beforehand."""
        steps = steps_of(config)
        if not self._cases or steps is None or not _sized(config):
            return None
        cpu = steps * math.exp(self._fit.at(config, steps))
        joules = None if self._watts is None else cpu * self._watts
        seconds = None if self._beside is None else self._beside + cpu * self._pace
        return Forecast(cpu, joules, seconds, self._fit.error, len(self._cases))

    @cached_property
    def _fit(self) -> "_Fit":
        return _Fit(self._cases)

    @cached_property
    def _watts(self) -> float | None:
        known = [case for case in self._cases if case.joules is not None]
        if len({case.instrument for case in known}) != 1:
            return None
        return statistics.median(float(case.joules or 0.0) / case.cpu_seconds for case in known)

    @cached_property
    def _pace(self) -> float:
        """Wall seconds of the steps for each of their CPU seconds."""
        return statistics.median(case.train_s / case.cpu_seconds for case in self._cases)

    @cached_property
    def _beside(self) -> float | None:
        """Wall seconds of a trial beside its steps."""
        beside = [case.whole_s - case.train_s for case in self._cases if case.whole_s is not None]
        return max(0.0, statistics.median(beside)) if beside else None


@final
class _Fit:
    """Logarithm of CPU seconds a step, as a level and slopes on what the config says."""

    def __init__(self, cases: Sequence[Case]) -> None:
        import numpy as np

        told = [_told(case.config, case.steps) for case in cases]
        self._names = sorted({name for row in told for name in row}) if len(cases) >= _FEW else []
        rows = np.array([[row.get(name, 0.0) for name in self._names] for row in told], dtype=np.float64)
        rows = rows.reshape(len(cases), len(self._names))
        taken = np.log([case.cpu_seconds / case.steps for case in cases])
        wanted = taken - [_expected(case.config) for case in cases]
        self._centre = rows.mean(axis=0)
        self._level = float(np.median(wanted)) if len(cases) < _FEW else float(wanted.mean())
        self._slopes = np.zeros(len(self._names))
        self.error = _UNKNOWN
        if self._names:
            self._slopes, left = _ridge(rows - self._centre, wanted - wanted.mean())
            self.error = float(np.exp(np.quantile(np.abs(left), _COVERED)))

    def at(self, config: Config, steps: float) -> float:
        """The fitted logarithm for a config."""
        import numpy as np

        told = _told(config, steps)
        row = np.array([told.get(name, 0.0) for name in self._names])
        return _expected(config) + self._level + float((row - self._centre) @ self._slopes)


def _ridge(
    rows: "np.ndarray[Any, Any]", wanted: "np.ndarray[Any, Any]"
) -> tuple["np.ndarray[Any, Any]", "np.ndarray[Any, Any]"]:
    """Slopes of the penalty that predicts left-out rows best, and what it misses them by."""
    import numpy as np

    best: tuple[float, Any, Any] | None = None
    for penalty in _PENALTIES:
        inner = np.linalg.inv(rows.T @ rows + penalty * np.eye(rows.shape[1]))
        hat = rows @ inner @ rows.T + 1 / len(rows)  # the level is fitted as well
        left = (wanted - rows @ (inner @ rows.T @ wanted)) / np.maximum(1 - np.diag(hat), 1e-3)
        missed = float(np.mean(np.abs(left)))
        if best is None or missed < best[0]:
            best = missed, inner @ rows.T @ wanted, left
    assert best is not None
    return best[1], best[2]


def _sized(config: Config) -> bool:
    """Whether the data of a config says how large an example and a batch are, which arithmetic needs."""
    data = config.get("data") or {}
    return "model" in config and all(data.get(name) for name in ("batch_size", "shape", "classes"))


def steps_of(config: Config) -> float | None:
    """Optimizer steps that a config allows; None where its budget counts in something else."""
    steps = (config.get("budget") or {}).get("steps")
    return float(steps) if steps else None


def _expected(config: Config) -> float:
    """Logarithm of CPU seconds a step by arithmetic: three forward passes, the optimizer, and the calls."""
    batch = float(config["data"]["batch_size"])
    rate, model = _FLOPS_S, config["model"]
    if "kernel" in model and "heads" not in model:
        rate = _DEPTHWISE if "expansion" in model or "block" in model else _CONVOLVED
    network = counted(config)
    seconds = 6 * network.products * batch / rate + 20 * network.weights / _FLOPS_S
    return math.log(_CALL_S * _calls(config) + seconds)


def _calls(config: Config) -> float:
    """How many calls of torch a step takes, relative to those of a perceptron with one hidden layer."""
    model = config["model"]
    depth = float(model.get("depth") or 1) * (1 + float(model.get("blocks") or 0))
    if "heads" in model:
        return 1 + 2 * depth
    if "bidirectional" in model:
        return 1 + 0.5 * tokens(config) * depth * (1 + bool(model["bidirectional"]))
    return 1 + 0.4 * (depth - 1) if "kernel" not in model else 1 + 1.7 * depth


def _told(config: Config, steps: float) -> dict[str, float]:
    """What a config says beside that, as numbers: logarithms of sizes, and one for each choice that acts."""
    batch, model = float(config["data"]["batch_size"]), config["model"]
    trainer, network = config.get("trainer") or {}, counted(config)
    told = {
        "flops": math.log1p(6 * network.products * batch / (_CALL_S * _FLOPS_S)),
        "weights": math.log1p(network.weights / 1e5),
        "kept": math.log1p(network.kept * batch / 1e6),
        "batch": math.log(batch),
        "calls": math.log(_calls(config)),
        "warm": math.log1p(_WARM / steps),
        "pieces": math.log(float(trainer.get("accumulate_grad_batches") or 1)),
    }
    told |= {f"{part} {_name(config.get(part) or {})}": 1.0 for part in ("model", "optimizer", "loss")}
    for key in ("linear", "pattern", "block", "readout", "bidirectional", "activation"):
        if model.get(key) is not None:
            told[f"{key} {model[key]}"] = 1.0
    told[f"precision {trainer.get('precision')}"] = 1.0
    told["recompute"] = float(bool(trainer.get("recompute")))
    told |= {f"compress {name}": 1.0 for name in signature.steps_of(config)}
    return told


def _name(part: Config) -> str:
    return str(part.get("_target_", "")).rpartition(".")[2]
