"""What the lab can be asked for: the metrics, their better direction and unit, and how far a bound is."""

import math
from collections.abc import Mapping
from typing import NamedTuple

from refusal import Refusal
from research.types import Constraint, Direction, Objective, Verdict


class Metric(NamedTuple):
    """How a metric is read: which way is better, in what unit, and in which words."""

    better: Direction
    unit: str
    words: str
    claimed: bool = True
    """whether a goal may ask for it: the machine's standing draw and the harness are no training's merit"""


METRICS: dict[str, Metric] = {
    "test/accuracy": Metric("max", "share", "accuracy"),
    "test/f1": Metric("max", "share", "F1 score"),
    "test/precision": Metric("max", "share", "precision"),
    "test/recall": Metric("max", "share", "recall"),
    "test/auroc": Metric("max", "share", "AUROC"),
    "test/loss": Metric("min", "nats", "loss"),
    "test/bits_per_byte": Metric("min", "bits", "bits per byte"),
    "train/energy_j": Metric("min", "joules", "training energy"),
    "train/co2_kg": Metric("min", "kg", "carbon of training"),
    "train/cpu_seconds": Metric("min", "seconds", "CPU time of training"),
    "train/energy_standing_j": Metric("min", "joules", "standing draw while training", claimed=False),
    "train/seconds": Metric("min", "seconds", "training time"),
    "train/steps_per_second": Metric("max", "per second", "training steps per second"),
    "train/samples_per_second": Metric("max", "per second", "examples trained on per second"),
    "train/energy_j_per_sample": Metric("min", "joules", "energy of training on one example"),
    "train/steps_to_target": Metric("min", "count", "steps to the target"),
    "train/peak_bytes": Metric("min", "bytes", "peak memory of training"),
    "train/activation_bytes": Metric("min", "bytes", "memory held for the backward pass"),
    "train/optimizer_bytes": Metric("min", "bytes", "state of the optimizer"),
    "train/fraction_of_peak": Metric("max", "share", "share of the machine's peak that training used"),
    "step/energy_j": Metric("min", "joules", "energy of a training step"),
    "infer/latency_s_p50": Metric("min", "seconds", "median latency of one example"),
    "infer/latency_s_p95": Metric("min", "seconds", "95th percentile of the latency of one example"),
    "infer/samples_per_second": Metric("max", "per second", "examples inferred per second"),
    "infer/energy_j_per_sample": Metric("min", "joules", "energy of inferring one example"),
    "infer/cpu_seconds_per_sample": Metric("min", "seconds", "CPU time of inferring one example"),
    "compress/speedup": Metric("max", "ratio", "speed-up of inference by compression"),
    "compress/bytes_ratio": Metric("min", "ratio", "bytes on disk, of the uncompressed network's"),
    "size/bytes": Metric("min", "bytes", "size of the weights on disk"),
    "size/parameters": Metric("min", "count", "parameters"),
    "size/nonzeros": Metric("min", "count", "non-zero weights"),
    "compute/flops_forward": Metric("min", "flops", "FLOPs of a forward pass"),
    "compute/flops_train": Metric("min", "flops", "FLOPs of training on one example"),
    "harness/seconds": Metric("min", "seconds", "time of validations and checkpoints", claimed=False),
    "harness/cpu_seconds": Metric("min", "seconds", "CPU time of validations and checkpoints", claimed=False),
    "harness/energy_j": Metric("min", "joules", "energy of validations and checkpoints", claimed=False),
}

EXACT = ("size/", "compute/", "train/activation_bytes", "train/optimizer_bytes")
"""beginnings of metrics that a network has whatever the seed: no spread, so no interval is needed"""

OF_TASK = {
    **dict.fromkeys(("f1", "precision", "recall", "auroc"), "classification"),
    "bits_per_byte": "language",
}
"""scores of either split that only one task has"""


def elsewhere(metric: str, task: str) -> str | None:
    """The only task that has the metric, when it is another one."""
    split, _, name = metric.partition("/")
    only = OF_TASK.get(name) if split in ("val", "test") else None
    return None if only == task else only


_WINDOWS = {"train": "train", "step": "train", "compress": "train", "infer": "infer", "harness": "harness"}
_CLOCKED = ("energy", "co2", "seconds", "latency", "per_second", "speed", "fraction_of_peak")


def described(metric: str) -> Metric | None:
    """How a metric is read; one of the validation split as its twin on the test split. None is unknown."""
    return METRICS.get(metric) or METRICS.get(twin(metric))


def twin(metric: str) -> str:
    """The test split's twin of a validation metric; any other metric itself."""
    return "test/" + metric.removeprefix("val/") if metric.startswith("val/") else metric


def words(metric: str) -> str:
    """A metric in words, its key where it has none: `training energy`, `validation accuracy`."""
    known = described(metric)
    if known is None:
        return metric
    return f"validation {known.words}" if metric.startswith("val/") else known.words


def is_energy(metric: str) -> bool:
    """Whether a figure's method (`nvml`, `rapl`, `estimated`) decides what it may be compared with."""
    return "energy" in metric or "co2" in metric


def is_cpu_time(metric: str) -> bool:
    """Whether it counts what the process itself used of its processors, and no wall clock."""
    return "cpu_seconds" in metric or is_energy(metric)


def is_timed(metric: str) -> bool:
    """Whether a neighbour on the same machine distorts the figure, so that trials must run alone."""
    return any(part in metric for part in _CLOCKED)


def window(metric: str) -> str | None:
    """The window of a trial that a timed figure was taken in: `train`, `infer` or `harness`.

    None for a figure of no clock, and for one of the whole trial, which every window disturbs.
    """
    if not is_timed(metric):
        return None
    return "infer" if "speed" in metric else _WINDOWS.get(metric.partition("/")[0])


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
    return metric in METRICS and not metric.startswith(("test/", "val/"))


def compares(verdict: Verdict, metric: str) -> bool:
    """Whether a verdict is about this metric, and not about a bound that the control breaks."""
    found = verdict.comparison
    return found is not None and found.metric.removesuffix(" [%]") == metric


def untested(metrics: Mapping[str, float]) -> dict[str, float]:
    """The figures without those of the test split: nothing that is searched for may be chosen by them."""
    return {key: value for key, value in metrics.items() if not key.startswith("test/")}


def screening(metric: str) -> str:
    """The metric that may be looked at while searching: the validation split's twin of a test metric."""
    return "val/" + metric.removeprefix("test/") if metric.startswith("test/") else metric


def screening_objective(objective: Objective) -> Objective:
    """The same objective on the validation split."""
    return Objective(
        metric=screening(objective.metric),
        direction=objective.direction,
        constraints=tuple(
            one.model_copy(update={"metric": screening(one.metric)}) for one in objective.constraints
        ),
    )


def shortfall(constraint: Constraint, value: float) -> float:
    """How far a value is outside its bound, as a share of the bound; zero or less is inside."""
    gap = constraint.bound - value if constraint.op == ">=" else value - constraint.bound
    return gap / (abs(constraint.bound) or 1.0)


def shortfalls(objective: Objective, metrics: Mapping[str, float]) -> list[float]:
    """The shortfall of each constraint; infinite where the trial did not measure the metric."""
    return [shortfall(one, metrics.get(one.metric, math.nan)) for one in objective.constraints]


def rank(objective: Objective, metrics: Mapping[str, float]) -> tuple[float, float]:
    """Sort key, best first: what keeps every bound by its objective, the rest by how far it misses."""
    missed = sum(gap if gap > 0 else 0.0 if gap <= 0 else math.inf for gap in shortfalls(objective, metrics))
    value = metrics.get(objective.metric, math.nan)
    if math.isnan(value):
        return (math.inf, math.inf)
    return (missed, value if objective.direction == "min" else -value)


def shown(constraint: Constraint) -> str:
    """A constraint as a person writes it: `size/parameters <= 50000`."""
    return f"{constraint.metric} {constraint.op} {constraint.bound:g}"


def sentence(objective: Objective) -> str:
    """An objective in one line: `minimise train/energy_j (training energy), keeping test/accuracy >= 0.9`."""
    verb = "minimise" if objective.direction == "min" else "maximise"
    kept = " and ".join(shown(one) for one in objective.constraints)
    line = f"{verb} {objective.metric} ({words(objective.metric)})"
    return f"{line}, keeping {kept}" if kept else line
