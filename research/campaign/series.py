"""A campaign's sprints one after another, until their number, the budget or the target ends it."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import final

from research.campaign.budget import Spend
from research.campaign.charter import Charter
from research.campaign.rows import rows_of
from research.campaign.sprint import Sprint
from research.metrics import compares
from research.propose.proposer import Proposer
from research.report import goal
from research.report.findings import harness
from research.run.lines import Lines
from research.stats.decide import ENOUGH
from research.store.store import Store


@final
class Series:
    """Runs what is missing of a campaign; a finished one is read, not run."""

    def __init__(
        self,
        charter: Charter,
        store: Store,
        spend: Spend,
        lines: Lines,
        sprint: Callable[[int], Sprint],
        proposers: Callable[[int, bool], Sequence[Proposer]],
    ) -> None:
        """`sprint` opens the sprint of a number, `proposers` makes its own, with the model or without."""
        self._charter, self._store, self._spend, self._lines = charter, store, spend, lines
        self._sprint, self._proposers = sprint, proposers

    def run(self, root: Path) -> Path:
        """Run the sprints and write the campaign's papers; returns its report. Raises what a sprint does."""
        for number in range(1, self._charter.sprint.count + 1):
            ended = self._one(number)
            if ended:
                break
        return goal.write(self._store, self._charter.name, root / "agent" / self._charter.name)[0]

    def _one(self, number: int) -> str | None:
        """Run one sprint unless it is done; why the campaign ends with it, None when it goes on."""
        found = self._sprint(number)
        if self._charter.sprint.count > 1:
            done = ", done before" if found.done else ""
            self._lines.say(f"sprint     {number} of {self._charter.sprint.count}{done}")
        if found.done:
            found.run([])
        else:
            try:
                found.run(self._proposers(number, True), self._proposers(number, False))
            except KeyboardInterrupt:
                goal.write(self._store, self._charter.name, found.folder.parent)
                raise
        facts = rows_of(self._store, self._charter.name)[number]["facts"]
        ended = facts.get("ended") or self._over(found, number)
        if ended and not facts.get("ended"):
            self._store.set_sprint(found.id, "done", {**facts, "ended": ended})
        return str(ended) if ended else None

    def _over(self, found: Sprint, number: int) -> str | None:
        """Why no sprint comes after this one."""
        metric = self._charter.goal.objective.metric
        held = [row for row in self._store.insights(sprint_id=found.id) if row["word"] == "supported"]
        if any(compares(row["insight"].verdict, metric) for row in held):
            return "the target is reached: a finding was confirmed"
        if number >= self._charter.sprint.count:
            return "all its sprints are done"
        if not self._moved(found):
            return "nothing that is left fits into the budget"
        # A screened pair, promoted and confirmed on as few seeds as can decide anything.
        least = 2 + len(self._charter.promote.seeds) + ENOUGH
        short = self._spend.short(self._spend.usual(least))
        return None if short is None else f"the budget is spent: {short}"

    def _moved(self, found: Sprint) -> bool:
        """Whether a sprint tried or judged anything of its own; the next one could do no more."""
        rows = self._store.proposals(sprint_id=found.id)
        own = [row for row in rows if not harness(row) and "carried" not in row["facts"]]
        return bool(own or self._store.insights(sprint_id=found.id))
