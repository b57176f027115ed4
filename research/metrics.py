"""The one table of figures: what each is, in which unit, which way is better, and what it may stand beside.

Whoever wants to know what a figure is asks here, where its row tells it and never the letters of its name. A
score has a twin on the other split, and only this file tells the two apart: no search sees the test split.
"""

import math
from collections.abc import Mapping
from functools import partial
from typing import Literal, NamedTuple

from refusal import Refusal
from research.page import exact
from research.types import Constraint, Direction, Objective, Scale, Verdict

Kind = Literal["score", "energy", "cpu", "clock", "exact", "other"]
"""`score`: depends on which examples are tested. `energy`: joules and their carbon, which need one method and
basis. `cpu`: time that the process itself worked. `clock`: wall time and rates, which neighbours distort too.
`exact`: a network has it whatever the seed, so it has no spread."""
Window = Literal["train", "infer", "compress", "harness"]
TIMED: tuple[Kind, ...] = ("energy", "cpu", "clock")


class Metric(NamedTuple):
    """One figure: what it is, which way is better, its unit, its words, and when it is taken."""

    kind: Kind
    better: Direction
    unit: str
    words: str
    window: Window | None = None
    """the window of a trial that it is taken in; None for the whole trial, and for the finished network's"""
    tasks: tuple[str, ...] = ()
    """the tasks that have it; empty is all"""
    claimed: bool = True
    """whether a goal may ask for it: the machine's standing draw and the harness are no training's merit"""


_part = partial(Metric, "clock", "max", "share")
_joules, _cpu = partial(Metric, "energy", "min", "joules"), partial(Metric, "cpu", "min", "seconds")
_time, _rate = partial(Metric, "clock", "min", "seconds"), partial(Metric, "clock", "max", "per second")
_CLASSES = ("classification", "multilabel")
_ANSWERS = (*_CLASSES, "language", "recall")
METRICS: dict[str, Metric] = {
    "test/accuracy": Metric("score", "max", "share", "accuracy", tasks=_ANSWERS),
    "test/f1": Metric("score", "max", "share", "F1 score", tasks=_CLASSES),
    "test/precision": Metric("score", "max", "share", "precision", tasks=_CLASSES),
    "test/recall": Metric("score", "max", "share", "recall", tasks=_CLASSES),
    "test/auroc": Metric("score", "max", "share", "AUROC", tasks=_CLASSES),
    "test/f1_micro": Metric("score", "max", "share", "micro F1 score", tasks=("multilabel",)),
    "test/average_precision": Metric("score", "max", "share", "average precision", tasks=("multilabel",)),
    "test/loss": Metric("score", "min", "nats", "loss"),
    "test/bits_per_byte": Metric("score", "min", "bits", "bits per byte", tasks=("language",)),
    "test/rmse": Metric("score", "min", "unit", "root of the mean squared error", tasks=("regression",)),
    "test/mae": Metric("score", "min", "unit", "mean absolute error", tasks=("regression",)),
    "test/r2": Metric("score", "max", "share", "R2", tasks=("regression",)),
    "test/own_score": Metric("score", "max", "unit", "own metric"),
    "test/own_error": Metric("score", "min", "unit", "own error"),
    "test/own_loss": Metric("score", "min", "unit", "own loss"),
    "train/energy_j": _joules("training energy", "train"),
    "train/co2_kg": Metric("energy", "min", "kg", "carbon of training", "train"),
    "train/cpu_seconds": _cpu("CPU time of training", "train"),
    "train/energy_standing_j": _joules("standing draw while training", "train", claimed=False),
    "train/seconds": _time("training time", "train"),
    "train/steps_per_second": _rate("training steps per second", "train"),
    "train/samples_per_second": _rate("examples trained on per second", "train"),
    "train/energy_j_per_sample": _joules("energy of training on one example", "train"),
    "train/steps_to_target": Metric("other", "min", "count", "steps to the target", "train"),
    "train/peak_bytes": Metric("other", "min", "bytes", "peak memory of training", "train"),
    "train/activation_bytes": Metric("exact", "min", "bytes", "memory held for the backward pass", "train"),
    "train/optimizer_bytes": Metric("exact", "min", "bytes", "state of the optimizer", "train"),
    "train/fraction_of_peak": _part("share of the machine's peak that training used", "train"),
    "step/energy_j": _joules("energy of a training step", "train"),
    "infer/latency_s_p50": _time("median latency of one example", "infer"),
    "infer/latency_s_p95": _time("95th percentile of the latency of one example", "infer"),
    "infer/samples_per_second": _rate("examples inferred per second", "infer"),
    "infer/energy_j_per_sample": _joules("energy of inferring one example", "infer"),
    "infer/cpu_seconds_per_sample": _cpu("CPU time of inferring one example", "infer"),
    "compress/speedup": Metric("clock", "max", "ratio", "speed-up of inference by compression", "compress"),
    "compress/bytes_ratio": Metric("other", "min", "ratio", "bytes on disk, of the uncompressed network's"),
    "size/bytes": Metric("exact", "min", "bytes", "size of the weights on disk"),
    "size/parameters": Metric("exact", "min", "count", "parameters"),
    "size/nonzeros": Metric("exact", "min", "count", "non-zero weights"),
    "compute/flops_forward": Metric("exact", "min", "flops", "FLOPs of a forward pass"),
    "compute/flops_train": Metric("exact", "min", "flops", "FLOPs of training on one example"),
    "harness/seconds": _time("time of validations and checkpoints", "harness", claimed=False),
    "harness/cpu_seconds": _cpu("CPU time of validations and checkpoints", "harness", claimed=False),
    "harness/energy_j": _joules("energy of validations and checkpoints", "harness", claimed=False),
}
"""what the lab can be asked for, in the order in which it is told"""
VALIDATION = {
    key.replace("test/", "val/"): row._replace(words=f"validation {row.words}")
    for key, row in METRICS.items()
    if row.kind == "score"
}
"""what may be looked at while searching: the twins of the scores"""
_TOLD = {
    f"compress/{key}": METRICS[f"train/{key}"]
    for key in ("seconds", "cpu_seconds", "energy_j", "energy_standing_j", "co2_kg")
} | {
    "compress/speedup_single": METRICS["compress/speedup"],
    "infer/latency_s_p50_batch": METRICS["infer/latency_s_p50"],
    "infer/latency_s_p95_batch": METRICS["infer/latency_s_p95"],
    "trial/seconds": _time("time of the whole trial"),
    "trial/fit_seconds": _time("time of the whole training"),
    "trial/cpu_seconds": _cpu("CPU time of the whole trial"),
    "projected/cpu_seconds": _cpu("CPU time that the training would have come to"),
    "distill/teacher_energy_j": _joules("energy of training the teacher"),
    "state/bytes": Metric("other", "min", "bytes", "state that a sequence carries along"),
    "moe/active_parameters": Metric("other", "min", "count", "parameters that one token uses"),
    "moe/active_flops": Metric("other", "min", "flops", "FLOPs of one token"),
}
"""what is told beside them and has a unit or a clock; a network's other figures are plain numbers"""
_ROWS = METRICS | VALIDATION | _TOLD


def described(metric: str) -> Metric | None:
    """The row of what can be asked for, on either split. None is unknown."""
    return METRICS.get(metric) or VALIDATION.get(metric)


def _kind(metric: str) -> Kind:
    return _ROWS[metric].kind if metric in _ROWS else "other"


def elsewhere(metric: str, task: str) -> str | None:
    """The task that has the metric, when it is another one."""
    known = described(metric)
    return None if known is None or not known.tasks or task in known.tasks else known.tasks[0]


def words(metric: str) -> str:
    """A metric in words, its key where it has none: `training energy`, `validation accuracy`."""
    known = described(metric)
    return known.words if known else metric


def is_score(metric: str) -> bool:
    """Whether a figure depends on which examples are tested."""
    return _kind(metric) == "score"


def is_exact(metric: str) -> bool:
    """Whether a network has it whatever the seed: no spread, so no interval is needed."""
    return _kind(metric) == "exact"


def is_of_network(metric: str) -> bool:
    """Whether it is read off the finished network alone, however that was trained."""
    return is_exact(metric) and _ROWS[metric].window is None


def is_energy(metric: str) -> bool:
    """Whether a figure's method (`nvml`, `rapl`, `estimated`) decides what it may be compared with."""
    return _kind(metric) == "energy"


def is_carbon(metric: str) -> bool:
    """Whether it depends on the grid, too."""
    return is_energy(metric) and _ROWS[metric].unit == "kg"


def is_cpu_time(metric: str) -> bool:
    """Whether it counts what the process itself used of its processors, and no wall clock."""
    return _kind(metric) in ("cpu", "energy")


def is_timed(metric: str) -> bool:
    """Whether a neighbour on the same machine distorts the figure, so that trials must run alone."""
    return _kind(metric) in TIMED


def window(metric: str) -> Window | None:
    """The window that a timed figure was taken in; None for the whole trial, and for a figure of no clock."""
    return _ROWS[metric].window if is_timed(metric) else None


def is_validation(metric: str) -> bool:
    """Whether it is taken on the split that a search may look at, and that a curve is drawn of."""
    return metric.startswith("val/")


def is_test(metric: str) -> bool:
    """Whether it is taken on the split that nothing was tuned on."""
    return metric.startswith("test/")


def untested(figures: Mapping[str, float]) -> dict[str, float]:
    """The figures that a search may see: those of the test split are left out."""
    return {metric: value for metric, value in figures.items() if not is_test(metric)}


def twin(metric: str) -> str:
    """The test split's twin of a validation metric; any other metric itself."""
    return "test/" + metric.removeprefix("val/") if is_validation(metric) else metric


def screening(metric: str) -> str:
    """The metric that may be looked at while searching: the validation split's twin of a test metric."""
    return "val/" + metric.removeprefix("test/") if is_test(metric) else metric


def screening_objective(objective: Objective) -> Objective:
    """The same objective on the validation split."""
    bounds = (bound.model_copy(update={"metric": screening(bound.metric)}) for bound in objective.constraints)
    return objective.model_copy(update={"metric": screening(objective.metric), "constraints": tuple(bounds)})


def refuse_unclaimed(metric: str) -> None:
    """Raise `Refusal` for a figure that is told beside others and is no merit of what was trained."""
    known = METRICS.get(metric)
    if known is not None and not known.claimed:
        raise Refusal(
            f"{metric} ({known.words}) is told and never claimed: it is the machine's or the lab's and no "
            "training's; ask for train/energy_j or train/cpu_seconds."
        )


def is_ratio(metric: str) -> bool:
    """Whether arms are compared by their ratio: a cost is halved or doubled, a score is shifted."""
    return metric in METRICS and not is_score(metric)


def scale(metric: str) -> Scale:
    """How a change of a metric is told."""
    return "relative" if is_ratio(metric) else "absolute"


def compares(verdict: Verdict, metric: str) -> bool:
    """Whether a verdict is about this metric, and not about a bound that the control breaks."""
    return verdict.comparison is not None and verdict.comparison.metric == metric


def shortfall(constraint: Constraint, value: float) -> float:
    """How far a value is outside its bound, as a share of it; NaN where the control of a bound is unknown."""
    if constraint.of_control is not None:
        return math.nan
    gap = constraint.bound - value if constraint.op == ">=" else value - constraint.bound
    return gap / (abs(constraint.bound) or 1.0)


def shortfalls(objective: Objective, metrics: Mapping[str, float]) -> list[float]:
    """The shortfall of each constraint; infinite where the trial did not measure the metric."""
    return [shortfall(bound, metrics.get(bound.metric, math.nan)) for bound in objective.constraints]


def rank(objective: Objective, metrics: Mapping[str, float]) -> tuple[float, float]:
    """Sort key, best first: what keeps every bound by its objective, the rest by how far it misses."""
    missed = sum(gap if gap > 0 else 0.0 if gap <= 0 else math.inf for gap in shortfalls(objective, metrics))
    value = metrics.get(objective.metric, math.nan)
    signed = value if objective.direction == "min" else -value
    return (math.inf, math.inf) if math.isnan(value) else (missed, signed)


def shown(constraint: Constraint) -> str:
    """A constraint as a person writes it: `size/parameters <= 50000`, `test/accuracy >= control - 0.01`."""
    bound = exact(constraint.bound)
    return constraint.words if constraint.of_control else f"{constraint.metric} {constraint.op} {bound}"


_PREFIXES = {1e12: "T", 1e9: "G", 1e6: "M", 1e3: "k", 1.0: "", 1e-3: "m", 1e-6: "µ", 1e-9: "n"}
_UNITS = {"joules": "J", "kg": "g", "per second": "/s", "seconds": "s", "bytes": "B", "flops": "FLOP"}
_UNITS["count"] = ""
"""what stands behind the number; a unit that is not here is a share or a plain number"""
_LONG = {86400.0: "d", 3600.0: "h", 60.0: "min"}
"""how long times are told, from two of a unit on"""


def quantity(key: str, value: float) -> str:
    """A value in its unit with three significant digits, others with four decimals where these show any."""
    if not math.isfinite(value):
        return "not a number" if math.isnan(value) else "infinite"
    unit = _UNITS.get(_ROWS[key].unit) if key in _ROWS else None
    if unit is None:
        return f"{value:.4f}" if abs(value) >= 5e-5 or not value else f"{value:.3g}"
    if unit == "g":
        value *= 1000.0
    if unit == "s" and abs(value) >= 999.5:
        size, name = next((size, name) for size, name in _LONG.items() if abs(value) >= 2 * size)
        return f"{value / size:,.3g} {name}"
    if unit == "/s":
        return _rate_told(value, key.rpartition("/")[2].removesuffix("_per_second"))
    factor, prefix = _prefix(value)
    if not unit and factor < 1.0:  # a mean of counts
        factor, prefix = 1.0, ""
    return f"{value / factor:.3g} {prefix}{unit}".strip()


def _rate_told(value: float, what: str) -> str:
    """A pace as people say it: `0.78 steps/s`, `1,150 steps/s`, `1.69 M samples/s`."""
    factor, prefix = _prefix(value) if abs(value) >= 1e4 else (1.0, "")
    number = f"{value / factor:,.0f}" if abs(value / factor) >= 999.5 else f"{value / factor:.3g}"
    return f"{number} {prefix}{' ' if prefix else ''}{what}/s"


def _prefix(value: float) -> tuple[float, str]:
    size = float(f"{abs(value):.3g}")  # 999.9 is told as 1 k
    if size == 0:
        return 1.0, ""
    return next(((factor, name) for factor, name in _PREFIXES.items() if size >= factor), (1e-9, "n"))
