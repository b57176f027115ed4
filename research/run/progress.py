"""One line per finished trial, and a bar below it where a terminal can show one."""

import sys
from collections.abc import Collection, Sequence
from types import TracebackType
from typing import Any, Self, final

from research.metrics import quantity
from research.page import written
from research.run.runner import Job, Outcome


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

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, where: TracebackType | None
    ) -> None:
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
    return (
        frozenset.intersection(*(frozenset(job.overrides) for job in jobs)) if len(jobs) > 1 else frozenset()
    )


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
