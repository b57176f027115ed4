"""The roles with a voice: asks the model for a role's answer, and counts what came of every question."""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar, final

from research.llm.client import Client, LlmUnavailable
from research.llm.dialogue import Dialogue, ask_for
from research.llm.ledger import CapReached
from research.llm.prompt import RULE
from research.team.forms import shape
from research.team.roles import Role, answering
from research.types import Record

T = TypeVar("T", bound=Record)


@final
class Team:
    """Who takes part, and the client that speaks for them; with `client=None` all have stand-ins.

    A question that is not answered, by an outage, a refusal, a cap or replies that two repairs do not mend,
    gives None, is counted in `outcomes` under the role's name, and its last reason is in `silence`.
    """

    def __init__(self, roles: Sequence[Role], client: Client | None) -> None:
        self.roles, self.client = tuple(roles), client
        self.outcomes: dict[str, Counter[str]] = {}
        self.silence: dict[str, str] = {}

    @property
    def speaks(self) -> bool:
        """Whether a model speaks for the roles."""
        return self.client is not None

    def of(self, kind: type[Record]) -> Sequence[Role]:
        """The roles that answer with `kind`, by name; none when no model speaks."""
        return answering(self.roles, kind) if self.speaks else ()

    def ask(
        self,
        role: Role,
        kind: type[T],
        parts: Sequence[str],
        check: Callable[[T], Sequence[str]] = lambda answer: (),
    ) -> T | None:
        """The role's answer to `parts`, with which `check` finds no fault; None when there is none."""
        assert self.client is not None and issubclass(role.kind, kind)
        system = f"{role.prompt.strip()}\nAnswer with one JSON object and nothing around it:\n"
        messages = [
            {"role": "system", "content": f"{system}{shape(role.kind)}\n{RULE}"},
            {"role": "user", "content": "\n".join(parts)},
        ]
        try:
            told = self._told(role, kind, messages, check)
        except (LlmUnavailable, CapReached) as reason:
            self._count(role, "unanswered", str(reason))
            return None
        for outcome in told.outcomes:
            self._count(role, outcome)
        if told.record is None:
            self._count(role, "dropped", " ".join(told.complaints))
        return told.record

    def drop(self, role: Role, reason: str) -> None:
        """Count an answer that code refused in the end."""
        self._count(role, "dropped", reason)

    def _told(
        self, role: Role, kind: type[T], messages: Sequence[Mapping[str, str]], check: Any
    ) -> Dialogue[T]:
        assert self.client is not None
        form: Any = role.kind
        return ask_for(
            self.client,
            form,
            messages,
            role=role.name,
            check=check,
            model=role.model,
            temperature=role.temperature,
        )

    def _count(self, role: Role, outcome: str, reason: str | None = None) -> None:
        self.outcomes.setdefault(role.name, Counter())[outcome] += 1
        if reason:
            self.silence[role.name] = reason

    def facts(self) -> dict[str, Any]:
        """What a report says of it: for each role how its questions ended, and why it was last silent."""
        counts = {role: dict(sorted(found.items())) for role, found in sorted(self.outcomes.items())}
        return {"roles": [role.name for role in self.roles], "outcomes": counts, "silence": self.silence}
