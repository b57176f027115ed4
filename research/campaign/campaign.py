"""What proposing and reviewing need of a campaign: its charter, what was tried, the vocabulary, the team."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from pydantic import ValidationError

from refusal import Refusal
from research.campaign.admission import Admission
from research.campaign.bench import Arm, Bench
from research.campaign.budget import Spend
from research.campaign.charter import Charter, charter
from research.metrics import screening_objective, untested
from research.tasks.answer import Reference
from research.tasks.desk import Desk
from research.tasks.show import row_of

if TYPE_CHECKING:
    from research.campaign.bench import Run
    from research.run.runner import Outcome

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager
from functools import cached_property
from typing import TYPE_CHECKING, final

from research.campaign.council import Recall
from research.compose.yaml import parsed, text_of
from research.metrics import rank
from research.propose.proposer import Proposer, Seen, SeenStatus, State, made
from research.space.domain import Domain, Scope, narrowed, read
from research.store.store import Store
from research.tasks.desk import CONF
from research.team.review import Thresholds
from research.types import Proposal

if TYPE_CHECKING:
    from research.campaign.bench import Bench
    from research.llm.client import Client
    from research.memory.memory import Memory
    from research.team.roles import Phase

SETTLED = ("queued", "proposed", "dropped", "failed", "screened", "promoted", "supported", "refuted", "open")
"""statuses of experiments that nobody need propose again"""


def _nothing_runs(jobs: Sequence[Any]) -> Iterator[Any]:
    raise AssertionError("proposing runs no trial")


@final
class Scene:
    """One goal in one field, and what the database knows of it; nothing is run here.

    Raises `Refusal` for a goal that is not understood, and a field with nothing to turn.
    """

    def __init__(
        self,
        desk: Desk,
        client: "Client | None" = None,
        memory: "Memory | None" = None,
        charter: Charter | None = None,
    ) -> None:
        """`charter` is what an experiment was proposed under; None is what is asked now."""
        self.desk, self.client, self.memory = desk, client, memory
        self.charter: Charter = agreed(desk) if charter is None else charter
        self.field = desk.domain if charter is None else _field(charter)
        self._recall = None if memory is None else Recall(memory, self.charter)
        spend(desk)  # a budget of zero is refused before anything is proposed
        self.thresholds = Thresholds.model_validate(desk.config["review"])
        self.scope = Scope(self.field)
        self.objective = screening_objective(self.charter.goal.objective)
        whole = narrowed(desk.space, self.charter.fixed)
        self.vocabulary = self.scope.narrowed(whole, self.charter.fixed)
        """what may be turned: the field's part of the space"""
        self.bench: Bench = bench(desk, self.charter, _nothing_runs)

    def under(self, charter: Charter) -> "Scene":
        """The same desk, model and memory with the charter of an experiment that waits."""
        return Scene(self.desk, self.client, self.memory, charter)

    @cached_property
    def tried(self) -> list[tuple[Proposal, Seen]]:
        """Experiments of the same question, oldest first, with their screened means."""
        rows = self.desk.store.proposals() if self.desk.exists else []
        alike = (row for row in rows if row["status"] in SETTLED and self._alike(row))
        return [(row["proposal"], self._seen(row)) for row in alike]

    @cached_property
    def admission(self) -> Admission:
        """Lets proposals in: what passes the gate, lies in the field, and was never proposed before."""
        doubted = (lambda config: None) if self._recall is None else self._recall.doubted
        admission = Admission(self.bench, None, self.thresholds, doubted=doubted, outside=self.scope.outside)
        admission.objective = self.objective
        admission.seen = [seen for _, seen in self.tried]
        rows = self.desk.store.proposals() if self.desk.exists else []
        known = {str(row["facts"]["signature"]) for row in rows if row["facts"].get("signature")}
        for signature in known | {self.bench.signature(())}:
            admission.tried(signature, "")
        return admission

    @property
    def state(self) -> State:
        """The search as proposers see it: validation figures only."""
        seen = self.admission.seen
        done = [one for one in seen if one.metrics]
        best = min(done, key=lambda one: rank(self.objective, one.metrics), default=None)
        return State(
            goal=self.charter.goal.text,
            objective=self.objective,
            fixed=self.charter.fixed,
            control=None,
            incumbent=best,
            seen=tuple(seen),
        )

    def lessons(self, phase: "Phase") -> Sequence[str]:
        """What memory has learnt for a phase; nothing without one."""
        return () if self._recall is None else self._recall.lessons(phase)

    def _alike(self, row: Mapping[str, Any]) -> bool:
        """Whether an experiment was made for the same metric under the same fixed overrides."""
        kept = row["facts"].get("charter") or self._charters.get(row["sprint_id"])
        if not kept:
            return False
        same = sorted(kept["fixed"]) == sorted(self.charter.fixed)
        return same and kept["goal"]["objective"]["metric"] == self.charter.goal.objective.metric

    @cached_property
    def _charters(self) -> dict[int, Any]:
        return {row["id"]: row["facts"].get("charter") for row in self.desk.store.sprints()}

    def _seen(self, row: Mapping[str, Any]) -> Seen:
        proposal: Proposal = row["proposal"]
        store: Store = self.desk.store
        ids = [number for number in row["facts"].get("screened", ()) if number is not None]
        results = list(store.results(ids).values()) if ids else []
        keys = set.intersection(*(set(one.metrics) for one in results)) if results else set()
        means = {key: sum(one.metrics[key] for one in results) / len(results) for key in sorted(keys)}
        reasons = row["facts"].get("reasons") or [None]
        status: SeenStatus = "done" if means else "failed" if row["status"] == "failed" else "refused"
        return Seen(
            overrides=proposal.overrides,
            proposer=proposal.proposer,
            status=status,
            metrics=untested(means),
            reason=reasons[0],
        )


@contextmanager
def scene(desk: Desk) -> Iterator[Scene]:
    """The scene with the language model and the memory that the config names; exchanges become rows."""
    from research.llm.client import connect

    with ExitStack() as stack:
        client, memory = None, _memory(desk)
        if memory is not None:
            stack.enter_context(closing(memory))
        if desk.config["llm"].get("model") is not None:
            client = connect(desk.config["llm"], record=desk.store.add_interaction, store=desk.store)
            if client is not None:
                stack.enter_context(client)
        yield Scene(desk, client, memory)


def _field(charter: Charter) -> Domain | None:
    """The field that a charter was agreed on in, by its file of today."""
    name = charter.team.get("domain")
    path = CONF / "domain" / f"{name}.yaml"
    return None if name is None else read(parsed(text_of(path), path)).focused(charter.team.get("focus"))


def _memory(desk: Desk) -> "Memory | None":
    """None where memory is off: then no database is made to remember nothing."""
    if (desk.config.get("memory") or {}).get("mode") in (None, "off", False):
        return None
    from research.memory.memory import opened

    return opened(desk.config["memory"], desk.store, inert=desk.space.file.inert)


def proposers(here: Scene) -> list[Proposer]:
    """The proposers of the config that can work with what is at hand."""
    at_hand = {
        "vocabulary": here.vocabulary,
        "fixed": here.charter.fixed,
        "seed": here.charter.seed,
        "conf": here.desk.conf,
        "client": here.client,
        "check": here.admission.complaints,
        "memory": here.memory,
    }
    return made(here.desk.config["proposer"]["sources"], at_hand)


def agreed(desk: Desk) -> Charter:
    """The charter of what was asked. Raises `Refusal` for a goal that is not understood."""
    return charter(desk.asked, desk.conf, desk.asked["proposer"]["shares"])


def charter_of(desk: Desk, row: Mapping[str, Any]) -> Charter:
    """The charter that the experiment was proposed under; the present one where none was kept.

    Raises `Refusal` for one that another version kept.
    """
    kept = row["facts"].get("charter")
    if kept is None and row["sprint_id"] is not None:
        kept = row_of(desk.known, Reference("sprint", row["sprint_id"]))["facts"].get("charter")
    if kept is None:
        return agreed(desk)
    try:
        return Charter.model_validate(kept)
    except ValidationError:
        raise Refusal(
            f"experiment {row['id']} was queued by another version of joulelab: suggest it again."
        ) from None


def spend(desk: Desk) -> Spend:
    """What may be spent. Raises `Refusal` for a budget of zero."""
    return Spend(**{name: desk.config["budget"][name] for name in ("trials", "seconds", "joules")})


def bench(desk: Desk, found: Charter, run: "Run") -> Bench:
    """What runs the arms of a charter, telling each trial in a line."""
    wanted = screening_objective(found.goal.objective)
    desk.lines.shown = (wanted.metric, *(bound.metric for bound in wanted.constraints))
    made: Bench | None = None

    def ended(arm: Arm, seed: int, outcome: "Outcome") -> None:
        result = made.result(outcome.trial_id) if made and outcome.ok else None
        metrics: dict[str, Any] = result.metrics if result else {}
        desk.lines.trial(arm.overrides, arm.proposer, seed, outcome.status, metrics, outcome.reason)

    made = Bench(
        space=desk.space,
        store=desk.store,
        run=run,
        spend=spend(desk),
        fixed=found.fixed,
        quiet=found.quiet,
        harness={"store": desk.config["store"], "root": desk.config["root"]},
        sweep=found.name,
        report=ended,
        fresh=found.confirm.first_seed,
        watched=(wanted.metric, *(bound.metric for bound in wanted.constraints)),
    )
    return made
