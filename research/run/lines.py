"""What is told while trials run: a line for each that ended, the objective first, the panel of one trial."""

import shlex
import sys
from collections.abc import Collection, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self, final

from redact import shown
from research.compose.typed import as_typed
from research.metrics import is_energy, quantity
from research.page import fitted, written
from research.run.lookup import grid_of
from research.run.runner import Job, Outcome
from research.stats.comparable import how_taken
from research.stats.sentences import stopped
from research.types import Result

if TYPE_CHECKING:
    from rich.console import Console


@final
class Lines:
    """Lines on a terminal; `shown` are the metrics of a trial that its line tells."""

    def __init__(self, console: "Console | None" = None) -> None:
        from rich.console import Console

        self._console = console or Console(highlight=False, soft_wrap=True)
        self.shown: tuple[str, ...] = ()
        self.count = 0
        self._failed: tuple[str | None, ...] = ()

    def say(self, text: str, style: str = "") -> None:
        """One line, foreign text included: nothing in it is markup, and nothing acts on the terminal."""
        told = shown(text)
        if self._console.is_terminal:
            told = fitted(told, self._console.width)
        self._console.print(told, style=style or None, markup=False, emoji=False)

    def trial(
        self,
        overrides: Sequence[str],
        proposer: str,
        seed: int,
        status: str,
        metrics: Mapping[str, float],
        reason: str | None,
        by: str | None = None,
    ) -> None:
        """One ended trial; an arm that fails in the same way for another seed is told once.

        `by` is who has run it where that was another process.
        """
        self.count += 1
        failure = (*overrides, reason)
        if reason and failure == self._failed:
            return
        self._failed = failure
        arm = " ".join(overrides) or "control"
        known = " (known)" if status == "known" else f" (by {by})" if by else ""
        told = "   ".join(self._figure(key, metrics) for key in self.shown if key in metrics)
        won_not = stopped(reason)
        ended = told if metrics else f"stopped: {won_not}" if won_not else f"{status}: {reason}"
        style = "" if metrics else "yellow"
        self.say(f"{self.count:4d}  {proposer:8s}  seed {seed:<4d}  {ended}{known}   {arm}", style)

    def _figure(self, key: str, metrics: Mapping[str, float]) -> str:
        figure = quantity(key, metrics[key])
        if not is_energy(key):
            return f"{key} {figure}"
        return f"{figure} {'training' if key == 'train/energy_j' else key}"


_WEAKEST = 5
"""classes that a panel tells"""
_SCORES = "test/accuracy val/accuracy test/f1_micro test/bits_per_byte test/rmse val/rmse test/r2 test/loss"
_TRAINING = "train/seconds train/cpu_seconds train/steps_per_second train/steps_to_target train/peak_bytes"


def show_trial(answer: dict[str, Any], overrides: Sequence[str]) -> None:
    """Print the panel of one finished or known trial; what is too long for a line goes on in the next."""
    from rich.console import Console
    from rich.panel import Panel
    from rich.table import Table
    from rich.text import Text

    table = Table.grid(padding=(0, 2))
    table.add_column(style="bold", no_wrap=True)
    table.add_column(overflow="fold")
    for name, text in rows(answer, overrides):
        table.add_row(name, Text(shown(text)))  # as it is: brackets are no markup
    panel = Panel(table, title=f"trial {answer['trial_id']}", expand=False, highlight=False)
    Console(highlight=False, emoji=False).print(panel)


def rows(answer: dict[str, Any], overrides: Sequence[str]) -> list[tuple[str, str]]:
    """Return the panel's lines as (name, text); a figure that was not taken is left out, never invented."""
    metrics, facts, folder = answer["metrics"], answer["facts"], Path(answer["folder"])
    how = how_taken(Result(trial_id=answer["trial_id"], metrics=metrics, facts=facts))
    method, basis = how["energy_method"] or "not measured", how["energy_basis"] or ""
    known = "nothing was trained; force=true runs it again" if answer["status"] == "known" else ""
    figures, grid = partial(_join, metrics), grid_of(facts)
    lines = [
        ("known", known),
        ("score", figures(_SCORES)),
        ("baseline", _baseline(facts)),
        ("classes", _classes(facts)),
        ("size", figures("size/parameters size/bytes")),
        ("compute", figures("compute/flops_forward compute/flops_train")),
        ("latency", figures("infer/latency_s_p50 infer/latency_s_p95 infer/samples_per_second")),
        ("vs dense", figures("compress/bytes_ratio compress/speedup compress/accuracy_lost")),
        ("training", figures(_TRAINING)),
        ("energy", figures("train/energy_j infer/energy_j_per_sample") + f" [{method}]   {basis}"),
        ("standing", figures("train/energy_standing_j")),
        ("carbon", figures("train/co2_kg") + (f"   grid {grid}" if grid else "")),
        ("harness", figures("harness/seconds harness/cpu_seconds harness/energy_j")),
    ]
    for name, why in (facts.get("disturbed") or {}).items():
        lines.append(("disturbed", f"{name}: {why}; its times and joules are compared nowhere"))
    offline = folder / "wandb"
    lines += [("note", note) for note in facts.get("notes", [])]
    lines += [("files", str(folder))] if folder.exists() else []
    lines += [("upload", f"wandb sync {offline}/offline-run-*")] if any(offline.glob("offline-run-*")) else []
    return [line for line in lines if line[1]] + [("next", _next(overrides))]


def _baseline(facts: dict[str, Any]) -> str:
    """What the best constant answer scores on the test split."""
    known = dict(facts.get("baseline") or {})
    answer = known.pop("answer", "")
    told = "   ".join(f"{name} {value:.4g}" for name, value in known.items())
    return f"{told} ({answer})" if told else ""


def _classes(facts: dict[str, Any]) -> str:
    """The classes by name with their F1, the weakest first, for the test split."""
    named = list(zip(facts.get("classes") or (), facts.get("f1_per_class") or (), strict=False))
    weakest = sorted(named, key=lambda one: one[1])[:_WEAKEST]
    more = f"   and {len(named) - len(weakest)} more" if len(named) > len(weakest) else ""
    return "   ".join(f"{name} F1 {f1:.2f}" for name, f1 in weakest) + more


def _join(metrics: dict[str, float], keys: str) -> str:
    return "   ".join(f"{key} {quantity(key, metrics[key])}" for key in keys.split() if key in metrics)


def _next(overrides: Sequence[str]) -> str:
    chosen = [as_typed(text) for text in overrides if not text.startswith(("seed=", "optimizer="))]
    return f"python train.py -m {shlex.join([*chosen, 'optimizer=adam,adamw,lion', 'seed=0,1,2'])}"


@final
class Progress:
    """Prints each outcome as it comes; a context manager, so that the bar ends before other prints."""

    def __init__(self, jobs: Sequence[Job], *, bar: bool = True) -> None:
        self._wanted = bar and sys.stdout.isatty()
        self._total = len(jobs)
        self._common = common(jobs)
        self._seen = 0
        self._bar: Any = None
        self._task: Any = None

    def __enter__(self) -> Self:
        if self._wanted:
            from rich import progress

            columns = (progress.BarColumn(), progress.MofNCompleteColumn(), progress.TimeRemainingColumn())
            self._bar = progress.Progress(*columns, transient=True)
            self._task = self._bar.add_task("trials", total=self._total)
            self._bar.start()
        return self

    def __exit__(self, *error: object) -> None:
        if self._bar is not None:
            self._bar.stop()

    def show(self, outcome: Outcome) -> None:
        """Print the line of one outcome."""
        self._seen += 1
        text = written(line(outcome, self._seen, self._total, self._common), sys.stdout)
        if self._bar is None:
            print(text, flush=True)
            return
        style = None if outcome.ok else "red"
        self._bar.console.print(text, markup=False, highlight=False, emoji=False, style=style)
        self._bar.advance(self._task)


def common(jobs: Sequence[Job]) -> frozenset[str]:
    """The overrides that all jobs share, and so need not be told of each; none of a single job's."""
    if len(jobs) < 2:
        return frozenset()
    return frozenset.intersection(*(frozenset(job.overrides) for job in jobs))


def line(outcome: Outcome, number: int, total: int, shared: Collection[str] = ()) -> str:
    """For example `3/9  done  optimizer=adam seed=2  val/accuracy 0.9722  1.3 s  12 J [estimated]`."""
    what = " ".join(text for text in outcome.job.overrides if text not in shared) or "defaults"
    parts = [f"{number:{len(str(total))}d}/{total}", f"{outcome.status:<6}", what]
    if not outcome.ok:
        return "  ".join([*parts, outcome.reason or ""])
    score = outcome.job.config.get("score", "score")
    parts.append("no score" if outcome.score is None else f"{score} {quantity(score, outcome.score)}")
    if outcome.status == "done":
        parts.append(f"{outcome.wall_s:.1f} s" + (f" by {outcome.by}" if outcome.by else ""))
    joules = outcome.metrics.get("train/energy_j")
    if joules is not None:
        parts.append(f"{quantity('train/energy_j', joules)} [{outcome.facts.get('energy_method')}]")
    if outcome.facts.get("disturbed"):
        parts.append(f"disturbed: {', '.join(outcome.facts['disturbed'])}")
    return "  ".join(parts)
