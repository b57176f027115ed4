"""The table that a sweep ends with: one row per arm, mean ± 95 % t-interval over its seeds."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, final

from redact import shown
from research.metrics import described, is_ratio, quantity, twin
from research.page import fitted, flowed
from research.run.lines import common
from research.run.runner import Outcome
from research.stats.arms import Arm
from research.stats.comparable import Provenance, sound, unlike
from research.stats.intervals import Summary
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
        return Arm((self.name,), results=tuple(_result(outcome) for outcome in self.outcomes if outcome.ok))

    @property
    def failed(self) -> int:
        """How many trials have no numbers."""
        return sum(not one.ok for one in self.outcomes)

    @property
    def methods(self) -> list[str]:
        """How joules were taken, each way once."""
        joules = ("train/energy_j", "infer/energy_j_per_sample")
        having = [one.facts for one in self.outcomes if any(key in one.metrics for key in joules)]
        return sorted({f"{facts.get('energy_method')}{_basis(facts)}" for facts in having})


def _basis(facts: Mapping[str, Any]) -> str:
    return f" ({facts['energy_basis']})" if facts.get("energy_basis") else ""


Table = tuple[list[str], list[list[str]]]
"""heads of columns, and the text of each row"""
Told = tuple[Callable[[Sequence[SweepRow], str], Table], Callable[[Sequence[SweepRow]], str]]


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
    scored = [(row.arm.of(score), row) for row in compared]
    means = [(told.mean, row) for told, row in scored if told.n]
    if len(means) < 2:
        return None
    choose = min if lower_is_better(score) else max
    return choose(means, key=lambda pair: pair[0])[1]


def lower_is_better(metric: str) -> bool:
    """Whether less of a metric is better; validation metrics are as their twins on the test split."""
    known = described(metric)
    return known is not None and known.better == "min"


def _sound(metric: str, compared: Sequence[SweepRow]) -> list[Provenance]:
    """The trials whose figure of a metric may be used."""
    results = [result for row in compared for result in row.arm.results if metric in sound(result)]
    # A known trial may have run beside others than this sweep's: what it was asked with tells nothing of it.
    return [Provenance(result.trial_id, "here", 1, result) for result in results]


def _result(outcome: Outcome) -> Result:
    return Result(trial_id=outcome.trial_id or 0, metrics=outcome.metrics, facts=outcome.facts)


def rows(compared: Sequence[SweepRow], score: str) -> tuple[list[str], list[list[str]]]:
    """Column heads and the text of each row, the best marked with a star; failures where there are any."""
    metrics = list(dict.fromkeys((score, twin(score))))
    failures = any(row.failed for row in compared)
    heads = ["arm", "n", *metrics, *_COSTS, *["failed"] * failures]
    winner = best(compared, score)
    texts = []
    for row in compared:
        mark = "* " if row is winner else ""
        figures = [_interval(row, metric) for metric in metrics]
        costs = [_cost(row, compared, metric) for metric in _COSTS]
        counted = [str(row.arm.of(score).n), *figures, *costs]
        texts.append([mark + row.name, *counted, *[str(row.failed or "")] * failures])
    return heads, texts


def show(outcomes: Sequence[Outcome], score: str, told: "Told | None" = None) -> None:
    """Print every column of the table; where they do not fit side by side each arm has lines of its own.

    `told` makes the table and what stands below it; None are those of trainings.
    """
    from rich.console import Console

    terminal = Console()
    # A file is not as narrow as rich takes it to be. No markup: the brackets of compress=[a,b] are no style.
    width = terminal.width if terminal.is_terminal else _WIDE
    console = Console(width=width, highlight=False, markup=False, emoji=False)
    compared = arms(outcomes)
    table, below = told or (rows, caption)
    heads, texts = table(compared, score)
    cells = [[shown(cell) for cell in text] for text in texts]
    figures = list(zip(heads, *cells, strict=True))[1:]
    if _NAME + sum(max(map(len, column)) + _GAP for column in figures) < width:
        _print_table(console, heads, cells)
    else:
        _print_stacked(console, heads, cells)
    console.print(fitted(shown(below(compared)), width))


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


def joules_of(compared: Sequence[SweepRow]) -> str:
    """How the joules of a table were taken; empty where none were."""
    methods = sorted({method for row in compared for method in row.methods})
    return f"; joules: {', '.join(methods)}" if methods else ""


def held_up(compared: Sequence[SweepRow], metric: str) -> str:
    """A line of the trials whose figure of a metric was disturbed; empty where none was."""
    held = [why for row in compared for why in row.arm.disturbed(metric)]
    of = sum(len(row.arm.results) for row in compared)
    told = f"\ndisturbed, and so in no figure of time or energy: {len(held)} of {of} trials"
    return f"{told} ({held[0]})" if held else ""


def caption(compared: Sequence[SweepRow]) -> str:
    """How to read the table, how its joules were taken, what is not comparable, and what was disturbed."""
    star = "; * best mean, intervals that overlap decide nothing" if len(compared) > 1 else ""
    told = f"mean ± 95 % t-interval over seeds{star}{joules_of(compared)}"
    reasons = (_unlike(row, compared, metric) for metric in _COSTS for row in compared)
    told = "\nnot comparable: ".join([told, *dict.fromkeys(filter(None, reasons))])
    return told + held_up(compared, "train/seconds")


def _interval(row: SweepRow, metric: str) -> str:
    told = row.arm.of(metric)
    if not told.n:
        return "disturbed" if row.arm.disturbed(metric) else "-"
    return quantity(metric, told.mean) + _half(told, metric)


def _half(told: Summary, metric: str) -> str:
    """Half the interval: of a score in its own unit, of a cost in percent of the mean."""
    if told.half_width is None:
        return ""
    if is_ratio(metric) and told.mean:
        return f" ± {100 * told.half_width / abs(told.mean):.2g} %"
    return f" ± {told.half_width:.2g}"


def _cost(row: SweepRow, compared: Sequence[SweepRow], metric: str) -> str:
    """A cost beside the first arm's: one taken otherwise is neither averaged nor put side by side."""
    return "not comparable" if _unlike(row, compared, metric) else _interval(row, metric)


def _unlike(row: SweepRow, compared: Sequence[SweepRow], metric: str) -> str | None:
    own, first = (_sound(metric, some) for some in ([row], compared[:1]))
    return unlike(metric, [*first, *own])
