"""The team in a sprint: what it is told, its discussion in the discuss box, and the queue that it fills."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, final

from research.campaign.admission import Admission
from research.campaign.screening import Screening
from research.literature.library import Source
from research.store.store import Store
from research.team.brief import Brief
from research.team.discussion import Discussion, discuss
from research.team.judges import Judges
from research.team.roles import Phase
from research.team.team import Team
from research.types import Proposal

_RECENT = 30
"""latest insights that may be cited"""


@final
@dataclass(frozen=True)
class Council:
    """What a team has at hand in every sprint of a campaign."""

    team: Team
    vocabulary: dict[str, Any]
    lessons: Callable[[Phase], Sequence[str]] = lambda phase: ()
    recalled: Callable[[], frozenset[str]] = frozenset
    """ids that the lessons named: they may be cited"""
    sources: Callable[[], tuple[Source, ...]] = lambda: ()
    domain: str = "optimization"
    focus: str = ""
    count: int = 4
    """proposals that a discussion aims at"""

    def brief(self, screening: Screening, evidence: frozenset[str]) -> Brief:
        """What the roles are told now."""
        return Brief(
            state=screening.state(),
            vocabulary=self.vocabulary,
            sources=self.sources(),
            evidence=evidence,
            domain=self.domain,
            focus=self.focus,
            count=self.count,
        )

    def convene(
        self, screening: Screening, admission: Admission, evidence: frozenset[str]
    ) -> tuple[list[Proposal], Discussion]:
        """Discuss, review and improve; what is accepted stands in the queue, its row says so."""
        self.lessons("planning")  # what it recalls may be cited
        brief = self.brief(screening, evidence | self.recalled())
        found = discuss(self.team, brief, self.lessons, admission.complaints)
        judges = Judges(self.team, brief, self.lessons, admission.complaints)
        queued = []
        for proposal in found.proposals:
            admitted = admission.admit(proposal, judges, "queued")
            if admitted.arm:
                queued.append(admitted.proposal)
        return queued, found


def evidence(store: Store) -> frozenset[str]:
    """Ids that may be cited: the latest insights of the database, and the trials that they rest on."""
    rows = store.insights()[-_RECENT:]
    trials = {f"trial {number}" for row in rows for number in row["insight"].verdict.trial_ids}
    return frozenset({f"insight {row['id']}" for row in rows} | trials)
