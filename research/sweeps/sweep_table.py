"""The table that a sweep ends with: one row per arm, mean ± 95 % t-interval over its seeds."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import final

from research.objective import METRICS, is_ratio
from research.report.quantity import quantity
from research.runner import Outcome
from research.stats import Summary, summary
from research.sweeps.progress import common

_WIDE = 100


@final
@dataclass(frozen=True)
class Arm:
    """What the seeds of one configuration measured."""

    name: str
    outcomes: list[Outcome]

    def over_seeds(self, metric: str) -> Summary:
        """Mean and interval of a metric over the trials that have it; the score is the metric of its name."""
        return summary([one.metrics[metric] for one in self.outcomes if one.ok and metric in one.metrics])

    @property
    def failed(self) -> int:
        """How many trials have no numbers."""
        return sum(not one.ok for one in self.outcomes)

    @property
    def methods(self) -> list[str]:
        """How joules were taken, each way once."""
        return sorted(
            {str(one.facts.get("energy_method")) for one in self.outcomes if "train/energy_j" in one.metrics}
        )


def arms(outcomes: Sequence[Outcome]) -> list[Arm]:
    """Outcomes by their overrides without the seed, in the order in which the arms were asked for.

    An arm's name leaves out what all arms share.
    """
    found: dict[str, Arm] = {}
    shared = common([one.job for one in outcomes])
    for one in outcomes:
        own = [text for text in one.job.overrides if not text.startswith("seed=") and text not in shared]
        name = " ".join(own) or " ".join(sorted(shared)) or "defaults"
        found.setdefault(name, Arm(name, [])).outcomes.append(one)
    return list(found.values())


def best(compared: Sequence[Arm], score: str) -> Arm | None:
    """The arm with the best mean score; None where no arm or only one has a score."""
    scored = [(arm.over_seeds(score), arm) for arm in compared]
    means = [(told.mean, arm) for told, arm in scored if told.n]
    if len(means) < 2:
        return None
    choose = min if lower_is_better(score) else max
    return choose(means, key=lambda pair: pair[0])[1]


def lower_is_better(metric: str) -> bool:
    """Whether less of a metric is better; validation metrics are as their twins on the test split."""
    twin = "test/" + metric.partition("/")[2]
    known = METRICS.get(metric) or METRICS.get(twin)
    return known is not None and known.better == "min"


def rows(compared: Sequence[Arm], score: str) -> tuple[list[str], list[list[str]]]:
    """Column heads and the text of each row, the best marked with a star; failures where there are any."""
    twin = "test/" + score.partition("/")[2]
    metrics = [score, twin] if score.startswith("val/") else [score]
    failures = any(arm.failed for arm in compared)
    heads = ["arm", "n", *metrics, "train/energy_j", "train/seconds", *["failed"] * failures]
    winner = best(compared, score)
    texts = []
    for arm in compared:
        mark = "* " if arm is winner else ""
        figures = [_interval(arm, metric) for metric in metrics]
        counted = [str(arm.over_seeds(score).n), *figures, _joules(arm), _interval(arm, "train/seconds")]
        texts.append([mark + arm.name, *counted, *[str(arm.failed or "")] * failures])
    return heads, texts


def show(outcomes: Sequence[Outcome], score: str) -> None:
    """Print the table; a narrow terminal does without the seconds."""
    from rich import box
    from rich.console import Console
    from rich.table import Table

    terminal = Console()
    # A file is not as narrow as rich takes it to be.
    width = terminal.width if terminal.is_terminal else 160
    # Without markup: the brackets of compress=[a,b] are no style.
    console = Console(width=width, highlight=False, markup=False)
    compared = arms(outcomes)
    heads, texts = rows(compared, score)
    kept = [at for at, head in enumerate(heads) if console.width >= _WIDE or head != "train/seconds"]
    table = Table(box=box.SIMPLE_HEAD, caption=caption(compared), caption_justify="left")
    for at in kept:
        table.add_column(heads[at], justify="right" if at else "left", overflow="fold", no_wrap=at > 0)
    for text in texts:
        style = "bold" if text[0].startswith("* ") else None
        table.add_row(*(text[at] for at in kept), style=style)
    console.print(table)


def caption(compared: Sequence[Arm]) -> str:
    """How to read the table, and how its joules were taken."""
    methods = sorted({method for arm in compared for method in arm.methods})
    joules = f"; joules: {', '.join(methods)}" if methods else ""
    star = "; * best mean, intervals that overlap decide nothing" if len(compared) > 1 else ""
    return f"mean ± 95 % t-interval over seeds{star}{joules}"


def _interval(arm: Arm, metric: str) -> str:
    told = arm.over_seeds(metric)
    if not told.n:
        return "-"
    return quantity(metric, told.mean) + _half(told, metric)


def _half(told: Summary, metric: str) -> str:
    """Half the interval: of a score in its own unit, of a cost in percent of the mean."""
    if told.half_width is None:
        return ""
    if is_ratio(metric) and told.mean:
        return f" ± {100 * told.half_width / abs(told.mean):.2g} %"
    return f" ± {told.half_width:.2g}"


def _joules(arm: Arm) -> str:
    methods = arm.methods
    if len(methods) > 1:
        return "methods differ"  # their figures are never averaged
    return _interval(arm, "train/energy_j") if methods else "-"
