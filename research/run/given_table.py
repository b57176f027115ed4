"""The table of a model that a person has: as it was given, and what was made of it."""

import math
from collections.abc import Sequence
from typing import Any

from research.metrics import quantity, twin
from research.run.sweep_table import SweepRow, held_up, joules_of, lower_is_better
from research.space.signature import steps_of
from research.stats.draws import outcomes
from research.stats.intervals import Summary, summary
from research.types import Result


def rows(compared: Sequence[SweepRow], score: str) -> tuple[list[str], list[list[str]]]:
    """Column heads and the text of each row: a model as it was given, then what was made of it."""
    metric = twin(score)
    batch = next((facts["batch"] for row in compared for facts in [_facts(row, "infer")] if facts), "n")
    heads = ["arm", "backend", metric, "lost", "bytes", "one: p50, p95", "times as fast"]
    heads += [f"{batch}: p50, p95", "times as fast", "CPU s of 1,000", "J of 1,000"]
    first = next((row for row in compared if _untouched(row)), None)
    failures = any(row.failed for row in compared)
    texts = []
    for row in compared:
        latencies = [
            _pair(row, f"infer/latency_s_p50{end}", f"infer/latency_s_p95{end}") for end in ("", "_batch")
        ]
        speeds = [_ratio(row, f"compress/speedup{end}") for end in ("_single", "")]
        told = [row.name, backend(row), _score(row, metric), _lost(row, first, metric), _bytes(row)]
        told += [latencies[0], speeds[0], latencies[1], speeds[1]]
        told += [
            _of_thousand(row, "infer/cpu_seconds_per_sample"),
            _of_thousand(row, "infer/energy_j_per_sample"),
        ]
        texts.append([*told, *[str(row.failed or "")] * failures])
    return [*heads, *["failed"] * failures], texts


def caption(compared: Sequence[SweepRow]) -> str:
    """How to read the table, and how its joules were taken."""
    below = joules_of(compared) + held_up(compared, "infer/latency_s_p50")
    return (
        "score ± 95 % interval over the test's examples; lost: beside the given model, by example; times as "
        f"fast as the given model, called in turns{below}"
    )


def backend(row: SweepRow) -> str:
    """What the row's networks answered by."""
    steps = _facts(row, "compress") or {}
    named = [facts["backend"] for facts in steps.values() if "backend" in facts]
    return named[-1] if named else "torch"


def _untouched(row: SweepRow) -> bool:
    return bool(row.arm.results) and not any(steps_of(outcome.job.config) for outcome in row.outcomes)


def _facts(row: SweepRow, name: str) -> Any:
    return next((result.facts[name] for result in row.arm.results if name in result.facts), None)


def _score(row: SweepRow, metric: str) -> str:
    told = row.arm.of(metric)
    if not told.n:
        return "-"
    values = _by_example(row.arm.results, metric)
    return quantity(metric, told.mean) + _half(summary(values)) if values else quantity(metric, told.mean)


def _lost(row: SweepRow, first: SweepRow | None, metric: str) -> str:
    """What the score is worse by than the given model's, with its interval over the examples of the test."""
    if first is None or row is first or not row.arm.of(metric).n:
        return ""
    sign = -1.0 if lower_is_better(metric) else 1.0
    mean = sign * (first.arm.of(metric).mean - row.arm.of(metric).mean)
    before, after = (_by_example(one.arm.results, metric) for one in (first, row))
    if not before or len(before) != len(after):
        return f"{mean:+.4f}"
    return f"{mean:+.4f}" + _half(summary(old - new for old, new in zip(before, after, strict=True)))


def _by_example(results: Sequence[Result], metric: str) -> list[float]:
    """What each example of the test came to, mean over the seeds; nothing where it was not kept."""
    kept = [outcomes(metric, result) for result in results]
    if not kept or any(row is None for row in kept):
        return []
    columns = zip(*(row for row in kept if row is not None), strict=False)
    return [math.fsum(column) / len(column) for column in columns]


def _half(told: Summary) -> str:
    return "" if told.half_width is None else f" ± {told.half_width:.2g}"


def _pair(row: SweepRow, *metrics: str) -> str:
    told = [row.arm.of(metric) for metric in metrics]
    if not all(one.n for one in told):
        return "disturbed" if row.arm.disturbed(metrics[0]) else "-"
    return ", ".join(quantity(metric, one.mean) for metric, one in zip(metrics, told, strict=True))


def _ratio(row: SweepRow, metric: str) -> str:
    told = row.arm.of(metric)
    if not told.n:
        return "disturbed" if row.arm.disturbed(metric) else ""
    return f"{told.mean:.2f}"


def _bytes(row: SweepRow) -> str:
    share = _ratio(row, "compress/bytes_ratio")
    told = row.arm.of("size/bytes")
    return (quantity("size/bytes", told.mean) if told.n else "-") + (f" ({share})" if share else "")


def _of_thousand(row: SweepRow, metric: str) -> str:
    told = row.arm.of(metric)
    if not told.n:
        return "disturbed" if row.arm.disturbed(metric) else "-"
    return quantity(metric, 1000 * told.mean)
