"""What a notebook shows of trials, sweeps and campaigns: tables in HTML, figures as DataFrames of pandas."""

import importlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, final

from refusal import Refusal
from research.metrics import quantity
from research.page import in_html
from research.run import sweep_table
from research.run.given import is_given
from research.run.lines import rows as told_of
from research.run.runner import Job, Outcome
from research.run.sweep_table import arms
from research.store.store import Store
from research.tasks.research import Figures, Researched
from research.types import Trial

if TYPE_CHECKING:
    import pandas

_SHOWN = ("test/accuracy", "test/bits_per_byte", "test/rmse", "train/energy_j", "train/seconds", "size/bytes")
"""what a campaign's table has of each arm; its frame has all figures"""


@final
@dataclass(frozen=True, repr=False)
class TrialView:
    """One trial: the number of its row, what was typed, its figures in SI units, and how they were taken."""

    outcome: Outcome
    folder: Path
    """of its weights, its configuration and its curve"""

    @property
    def id(self) -> int:
        """The number of its row."""
        return self.outcome.trial_id or 0

    @property
    def overrides(self) -> tuple[str, ...]:
        """What was typed for it."""
        return tuple(self.outcome.job.overrides)

    @property
    def metrics(self) -> dict[str, float]:
        """Its figures."""
        return self.outcome.metrics

    @property
    def facts(self) -> dict[str, Any]:
        """How they were taken, and what else is known of it."""
        return self.outcome.facts

    @property
    def frame(self) -> "pandas.DataFrame":
        """One row, a column for each figure."""
        return _framed([self])

    def __repr__(self) -> str:
        return f"trial {self.id}: {' '.join(self.overrides) or 'defaults'}"

    def _repr_html_(self) -> str:
        told = {"trial_id": self.id, "status": self.outcome.status, "folder": str(self.folder)}
        lines = told_of(told | {"metrics": self.metrics, "facts": self.facts}, self.overrides)
        return in_html(f"trial {self.id}", [], lines)


@final
@dataclass(frozen=True, repr=False)
class SweepView:
    """A sweep; its table has an arm a row, mean ± 95 % t-interval over seeds."""

    name: str
    outcomes: Sequence[Outcome]
    """also of those that failed, with the reason"""
    trials: tuple[TrialView, ...]
    """those that have figures"""

    @property
    def frame(self) -> "pandas.DataFrame":
        """A row for each trial that has figures: its arm as in the table, its seed, a column for each."""
        return _framed(self.trials)

    def __repr__(self) -> str:
        return f"sweep {self.name}: {len(self.trials)} of {len(self.outcomes)} trials have figures"

    def _repr_html_(self) -> str:
        if not self.outcomes:
            return in_html(f"sweep {self.name}: nothing was run", [], [])
        compared, config = arms(self.outcomes), self.outcomes[0].job.config
        given, score = is_given(config), str(config.get("score") or "val/accuracy")
        heads, texts = sweep_table.rows(compared, score, given)
        return in_html(f"sweep {self.name}", heads, texts, sweep_table.caption(compared, given))


@final
@dataclass(frozen=True, repr=False)
class CampaignView:
    """A campaign; `found` has its sprints, insights and figures, and the path of its report."""

    found: Researched

    @property
    def frame(self) -> "pandas.DataFrame":
        """A row for each arm: its stage, the number of its seeds, and the mean of each figure over them."""
        told = [{"arm": one.arm, "stage": one.stage, "n": one.n} | one.means for one in self.found.figures]
        return pandas_of().DataFrame(told)

    def __repr__(self) -> str:
        return f"campaign {self.found.campaign}: {self.found.text()}"

    def _repr_html_(self) -> str:
        found = self.found
        told = [[insight.word, insight.claim] for insight in found.insights]
        lines = [["asked", found.asked], *(told or [["found", "nothing was confirmed"]])]
        head = in_html(f"campaign {found.campaign}", [], [*lines, ["report", str(found.report)]])
        keys = [key for key in _SHOWN if any(key in one.means for one in found.figures)]
        texts = [
            [arm.arm, arm.stage, str(arm.n)] + [_mean(arm, key) for key in keys] for arm in found.figures
        ]
        methods = sorted({arm.energy_method for arm in found.figures if arm.energy_method})
        how = f"joules: {' / '.join(methods)}" if methods else ""
        return head + in_html("means over seeds", ["arm", "stage", "n", *keys], texts, how)


def _mean(arm: Figures, key: str) -> str:
    """A mean, and of how many seeds it is where others were disturbed."""
    few = f" (n = {arm.fewer[key]})" if key in arm.fewer else ""
    return f"{quantity(key, arm.means[key])}{few}" if key in arm.means else "-"


def views(store: Store, outcomes: Iterable[Outcome]) -> tuple[TrialView, ...]:
    """Outcomes that have figures, with their folders."""
    found = [one for one in outcomes if one.ok]
    rows = {row.id: row.folder for row in store.trials(ids=[one.trial_id or 0 for one in found])}
    return tuple(TrialView(one, Path(rows.get(one.trial_id or 0) or "")) for one in found)


def known(store: Store, trials: Iterable[Trial]) -> list[Outcome]:
    """Trials of the database as outcomes, those without figures left out."""
    rows = list(trials)
    results = store.results([row.id for row in rows])
    return [
        Outcome(
            Job(row.config, list(row.overrides), row.sweep),
            "known",
            trial_id=row.id,
            score=results[row.id].metrics.get(row.config.get("score", "")),
            metrics=dict(results[row.id].metrics),
            facts=dict(results[row.id].facts),
        )
        for row in rows
        if row.id in results
    ]


def _framed(trials: Sequence[TrialView]) -> "pandas.DataFrame":
    compared = arms([one.outcome for one in trials])
    named = {id(outcome): row.name for row in compared for outcome in row.outcomes}
    told = [
        {"trial": one.id, "arm": named[id(one.outcome)], "seed": one.outcome.job.config["seed"]} | one.metrics
        for one in trials
    ]
    return pandas_of().DataFrame(told)


def pandas_of() -> Any:
    """The module pandas. Raises `Refusal` without it."""
    try:
        return importlib.import_module("pandas")
    except ModuleNotFoundError as error:
        raise Refusal('A table of figures needs pandas: pip install -e ".[notebook]".') from error
