"""The table that a sweep ends with, a row for each arm: of trainings, or of a model that a person has.

Of trainings it tells the mean ± 95 % t-interval over the seeds; of a given model what was made of it.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, final

from redact import shown
from research.metrics import described, is_ratio, quantity, twin
from research.page import fitted, flowed
from research.run.lines import common
from research.run.runner import Outcome
from research.space.signature import steps_of
from research.stats.arms import Arm
from research.stats.comparable import Provenance, sound, unlike
from research.stats.draws import outcomes as by_example
from research.stats.intervals import Summary, summary
from research.types import Result

if TYPE_CHECKING:
    from rich.console import Console

_WIDE = 160
_COSTS = ("train/energy_j", "train/seconds")
_NAME, _GAP = 22, 3
"""characters that the names of the arms need at least, and what stands between two columns"""


@final
@dataclass(frozen=True)
class SweepRow:
    """One arm of the sweep under its short name."""

    name: str
    outcomes: list[Outcome]

    @cached_property
    def arm(self) -> Arm:
        """Its trials that have numbers; a sweep that goes on may not know their rows."""
        known = (one for one in self.outcomes if one.ok)
        results = (Result(trial_id=one.trial_id or 0, metrics=one.metrics, facts=one.facts) for one in known)
        return Arm((self.name,), results=tuple(results))

    @property
    def failed(self) -> int:
        """How many trials have no numbers."""
        return sum(not one.ok for one in self.outcomes)


Table = tuple[list[str], list[list[str]]]
"""heads of columns, and the text of each row"""


def arms(outcomes: Sequence[Outcome]) -> list[SweepRow]:
    """Outcomes by their overrides without the seed, in the order in which the arms were asked for.

    An arm's name leaves out what all arms share.
    """
    found: dict[str, SweepRow] = {}
    shared = common([one.job for one in outcomes])
    for one in outcomes:
        own = [text for text in one.job.overrides if not text.startswith("seed=") and text not in shared]
        name = " ".join(own) or " ".join(sorted(shared)) or "defaults"
        found.setdefault(name, SweepRow(name, [])).outcomes.append(one)
    return list(found.values())


def best(compared: Sequence[SweepRow], score: str) -> SweepRow | None:
    """The arm with the best mean score; None where fewer than two have one, or not of one instrument."""
    if unlike(score, _sound(score, compared)):
        return None
    scored = [row for row in compared if row.arm.of(score).n]
    if len(scored) < 2:
        return None
    choose = min if lower_is_better(score) else max
    return choose(scored, key=lambda row: row.arm.of(score).mean)


def lower_is_better(metric: str) -> bool:
    """Whether less of a metric is better; validation metrics are as their twins on the test split."""
    known = described(metric)
    return known is not None and known.better == "min"


def _sound(metric: str, compared: Sequence[SweepRow]) -> list[Provenance]:
    """The trials whose figure of a metric may be used."""
    results = [result for row in compared for result in row.arm.results if metric in sound(result)]
    # A known trial may have run beside others than this sweep's: what it was asked with tells nothing of it.
    return [Provenance(result.trial_id, "here", 1, result) for result in results]


def rows(compared: Sequence[SweepRow], score: str, given: bool = False) -> Table:
    """Column heads and the text of each row, the best marked with a star; failures where there are any.

    With `given` it is the table of a model that a person has.
    """
    heads, texts = (_of_given if given else _of_trainings)(compared, score)
    if any(row.failed for row in compared):
        failed = [str(row.failed or "") for row in compared]
        return [*heads, "failed"], [[*text, count] for text, count in zip(texts, failed, strict=True)]
    return heads, texts


def _of_trainings(compared: Sequence[SweepRow], score: str) -> Table:
    metrics = list(dict.fromkeys((score, twin(score))))
    winner, texts = best(compared, score), []
    for row in compared:
        name = f"* {row.name}" if row is winner else row.name
        figures = [_interval(row, metric) for metric in metrics]
        costs = [_cost(row, compared, metric) for metric in _COSTS]
        texts.append([name, str(row.arm.of(score).n), *figures, *costs])
    return ["arm", "n", *metrics, *_COSTS], texts


def show(outcomes: Sequence[Outcome], score: str, given: bool = False) -> None:
    """Print every column of `rows`; where they do not fit side by side each arm has lines of its own."""
    from rich.console import Console

    terminal = Console()
    # A file is not as narrow as rich takes it to be. No markup: the brackets of compress=[a,b] are no style.
    width = terminal.width if terminal.is_terminal else _WIDE
    console = Console(width=width, highlight=False, markup=False, emoji=False)
    compared = arms(outcomes)
    heads, texts = rows(compared, score, given)
    cells = [[shown(cell) for cell in text] for text in texts]
    figures = list(zip(heads, *cells, strict=True))[1:]
    if _NAME + sum(max(map(len, column)) + _GAP for column in figures) < width:
        _print_table(console, heads, cells)
    else:
        _print_stacked(console, heads, cells)
    console.print(fitted(shown(caption(compared, given)), width))


def _print_table(console: "Console", heads: Sequence[str], cells: Sequence[Sequence[str]]) -> None:
    from rich import box
    from rich.table import Table

    table = Table(box=box.SIMPLE_HEAD)
    for at, head in enumerate(heads):
        table.add_column(head, justify="right" if at else "left", overflow="fold", no_wrap=at > 0)
    for text in cells:
        table.add_row(*text, style="bold" if text[0].startswith("* ") else None)
    console.print(table)


def _print_stacked(console: "Console", heads: Sequence[str], cells: Sequence[Sequence[str]]) -> None:
    console.print()
    for name, *figures in cells:
        console.print(fitted(name, console.width), style="bold" if name.startswith("* ") else None)
        told = [f"{head} {figure}" for head, figure in zip(heads[1:], figures, strict=True)]
        console.print("\n".join(flowed(told, console.width, "    ")))
    console.print()


def caption(compared: Sequence[SweepRow], given: bool = False) -> str:
    """How to read the table, how its joules were taken, what is not comparable, and what was disturbed."""
    if given:
        told = (
            "score ± 95 % interval over the test's examples; lost: beside the given model, by example; times"
        )
        told += f" as fast as the given model, called in turns{_joules(compared)}"
        return told + _held_up(compared, "infer/latency_s_p50")
    star = "; * best mean, intervals that overlap decide nothing" if len(compared) > 1 else ""
    told = f"mean ± 95 % t-interval over seeds{star}{_joules(compared)}"
    reasons = (_unlike(row, compared, metric) for metric in _COSTS for row in compared)
    told = "\nnot comparable: ".join([told, *dict.fromkeys(filter(None, reasons))])
    return told + _held_up(compared, "train/seconds")


def _joules(compared: Sequence[SweepRow]) -> str:
    """How the joules of a table were taken, each way once; empty where none were."""
    keys = {"train/energy_j", "infer/energy_j_per_sample"}
    having = [one.facts for row in compared for one in row.outcomes if keys & one.metrics.keys()]
    bases = ((facts.get("energy_method"), facts.get("energy_basis")) for facts in having)
    methods = sorted({f"{method} ({basis})" if basis else str(method) for method, basis in bases})
    return f"; joules: {', '.join(methods)}" if methods else ""


def _held_up(compared: Sequence[SweepRow], metric: str) -> str:
    """A line of the trials whose figure of a metric was disturbed; empty where none was."""
    held = [why for row in compared for why in row.arm.disturbed(metric)]
    of = sum(len(row.arm.results) for row in compared)
    told = f"\ndisturbed, and so in no figure of time or energy: {len(held)} of {of} trials"
    return f"{told} ({held[0]})" if held else ""


def _cell(row: SweepRow, metric: str, tell: Callable[[Summary], str], none: str = "-") -> str:
    """A figure of an arm as `tell` puts it; `none`, or that it was disturbed, where it has no such figure."""
    told = row.arm.of(metric)
    if told.n:
        return tell(told)
    return "disturbed" if row.arm.disturbed(metric) else none


def _interval(row: SweepRow, metric: str) -> str:
    return _cell(row, metric, lambda told: quantity(metric, told.mean) + _half(told, metric))


def _half(told: Summary, metric: str) -> str:
    """Half the interval: of a score in its own unit, of a cost in percent of the mean."""
    if told.half_width is None:
        return ""
    if is_ratio(metric) and told.mean:
        return f" ± {float(f'{100 * told.half_width / abs(told.mean):.2g}'):g} %"
    return f" ± {told.half_width:.2g}"


def _cost(row: SweepRow, compared: Sequence[SweepRow], metric: str) -> str:
    """A cost beside the first arm's, unless it was taken otherwise."""
    return "not comparable" if _unlike(row, compared, metric) else _interval(row, metric)


def _unlike(row: SweepRow, compared: Sequence[SweepRow], metric: str) -> str | None:
    own, first = (_sound(metric, some) for some in ([row], compared[:1]))
    return unlike(metric, [*first, *own])


def _of_given(compared: Sequence[SweepRow], score: str) -> Table:
    """A model as it was given, then what was made of it."""
    metric = twin(score)
    batch = next((facts["batch"] for row in compared if (facts := _facts(row, "infer"))), "n")
    heads = ["arm", "backend", metric, "lost", "bytes", "one: p50, p95", "times as fast"]
    heads += [f"{batch}: p50, p95", "times as fast", "CPU s of 1,000", "J of 1,000"]
    first = next((row for row in compared if _untouched(row)), None)
    texts = []
    for row in compared:
        told = [row.name, _backend(row), _score(row, metric), _lost(row, first, metric), _bytes(row)]
        told += [_latencies(row, ""), _ratio(row, "compress/speedup_single")]
        told += [_latencies(row, "_batch"), _ratio(row, "compress/speedup")]
        told += [_of_thousand(row, f"infer/{cost}_per_sample") for cost in ("cpu_seconds", "energy_j")]
        texts.append(told)
    return heads, texts


def _untouched(row: SweepRow) -> bool:
    return bool(row.arm.results) and not any(steps_of(outcome.job.config) for outcome in row.outcomes)


def _facts(row: SweepRow, name: str) -> Any:
    return next((result.facts[name] for result in row.arm.results if name in result.facts), None)


def _backend(row: SweepRow) -> str:
    """What the row's networks answered by."""
    steps = _facts(row, "compress") or {}
    named = [facts["backend"] for facts in steps.values() if "backend" in facts]
    return named[-1] if named else "torch"


def _score(row: SweepRow, metric: str) -> str:
    values = _by_example(row, metric)
    half = _half(summary(values), metric) if values else ""
    return _cell(row, metric, lambda told: quantity(metric, told.mean) + half)


def _lost(row: SweepRow, first: SweepRow | None, metric: str) -> str:
    """What the score is worse by than the given model's, with its interval over the examples of the test."""
    if first is None or row is first or not row.arm.of(metric).n:
        return ""
    sign = -1.0 if lower_is_better(metric) else 1.0
    mean = sign * (first.arm.of(metric).mean - row.arm.of(metric).mean)
    before, after = _by_example(first, metric), _by_example(row, metric)
    if not before or len(before) != len(after):
        return f"{mean:+.4f}"
    lost = summary(old - new for old, new in zip(before, after, strict=True))
    return f"{mean:+.4f}{_half(lost, metric)}"


def _by_example(row: SweepRow, metric: str) -> list[float]:
    """What each example of the test came to, mean over the seeds; nothing where it was not kept."""
    kept = [by_example(metric, result) for result in row.arm.results]
    known = [own for own in kept if own is not None]
    if len(known) < len(kept):
        return []
    return [math.fsum(column) / len(column) for column in zip(*known, strict=False)]


def _latencies(row: SweepRow, of: str) -> str:
    """Median and 95th percentile, which are taken together."""
    p50, p95 = (f"infer/latency_s_p{share}{of}" for share in (50, 95))
    return _cell(row, p50, lambda told: f"{quantity(p50, told.mean)}, {quantity(p95, row.arm.of(p95).mean)}")


def _ratio(row: SweepRow, metric: str) -> str:
    return _cell(row, metric, lambda told: f"{told.mean:.2f}", none="")


def _bytes(row: SweepRow) -> str:
    share = _ratio(row, "compress/bytes_ratio")
    return _cell(row, "size/bytes", lambda told: quantity("size/bytes", told.mean)) + (
        f" ({share})" if share else ""
    )


def _of_thousand(row: SweepRow, metric: str) -> str:
    return _cell(row, metric, lambda told: quantity(metric, 1000 * told.mean))
