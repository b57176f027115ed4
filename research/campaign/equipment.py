"""Who has a say in a campaign beside its charter: the team, memory, and where discoveries are written."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, final

from research.campaign.admission import Doubted, Outside
from research.campaign.bench import Bench
from research.campaign.bill import Bill, owed
from research.campaign.boxes import Boxes, Name
from research.campaign.charter import Charter
from research.campaign.conclusions import Conclusions
from research.campaign.council import Council
from research.store.store import Store
from research.team.discussion import Queued


@final
@dataclass(frozen=True)
class Equipment:
    """The same for every sprint of a campaign; with nothing in it stand-ins do all."""

    council: Council | None = None
    doubted: Doubted = lambda config: None
    outside: Outside = lambda overrides: ()
    discovered: Path | None = None
    predicted: Callable[[], Mapping[str, Any]] = lambda: {"refused": 0, "false": None}
    """how many proposals memory has refused, and how many of those that it let through were no failures"""
    told: Callable[[], Mapping[str, Any]] = dict
    """what a sprint's facts say of memory and literature"""

    @contextmanager
    def boxed(self, boxes: Boxes, name: Name, bench: Bench) -> Iterator[None]:
        """Open a box: trials and questions to the model end with it, questions with the budget too."""
        client = self.council.team.client if self.council else None
        with boxes.open(name):
            bench.until = boxes.until()
            if client is not None:
                client.left_s = lambda: min(boxes.left_s(), bench.spend.left_s())
            yield
        bench.until = None

    def bill(
        self, store: Store, sprint_id: int, before: Sequence[Mapping[str, Any]], queue: Queued | None
    ) -> Bill:
        """What the model's questions cost in a sprint; `before` are its rows that an earlier run has left."""
        client = self.council.team.client if self.council else None
        if client is None or queue is None:
            return Bill()
        return Bill(lambda: client.ledger.spent, lambda: queue.waiting, owed(store, sprint_id, before))

    def prepare(self) -> None:
        """Get the client ready, whose 5 CPU seconds belong to no box, and to no trial that runs beside it."""
        client = self.council.team.client if self.council else None
        if client is not None:
            client.prepare()

    def conclusions(
        self, charter: Charter, bench: Bench, sprint_id: int, unheld: bool = False
    ) -> Conclusions:
        """What keeps the findings of a sprint; `unheld` as there."""
        council = self.council
        if council is None:
            return Conclusions(charter, bench, sprint_id, discovered=self.discovered, unheld=unheld)
        lessons = council.lessons
        return Conclusions(
            charter, bench, sprint_id, council.team, lambda: lessons("evaluation"), self.discovered, unheld
        )

    def facts(self) -> dict[str, Any]:
        """What a sprint's facts say of them."""
        team = self.council.team.facts() if self.council else None
        return {**({"team": team} if team else {}), **self.told()}
