"""The roles of the team, one YAML of conf/role each, and how the model is asked for a role's answer."""

import importlib
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any, TypeVar, final

import yaml
from pydantic import Field, ValidationError

from refusal import Refusal
from research.llm.client import Client, LlmUnavailable
from research.llm.dialogue import Dialogue, ask_for
from research.llm.ledger import CapReached
from research.llm.prompt import RULE
from research.memory.retrieval import Phase
from research.team import forms
from research.team.brief import Part
from research.team.forms import shape
from research.types import Record

_USUAL: tuple[Part, ...] = ("setting", "left", "history", "spread", "verdicts", "lessons", "sources")


@final
class Role(Record):
    """One role: what it is told, what it answers, which model speaks for it."""

    name: str
    prompt: str = Field(min_length=1, pattern=r"\S")
    reply: str = Field(min_length=1)
    """a form of `research/team/forms.py`, or the dotted name of a record of one's own"""
    phase: Phase
    """which lessons of the memory it is given"""
    told: tuple[Part, ...] | None = None
    """the parts of the brief that it is given, in this order; None is what its reply usually needs"""
    model: str | None = None
    """None is the one of the group `llm`"""
    temperature: float | None = Field(default=None, ge=0, le=2)

    @property
    def kind(self) -> type[Record]:
        """The record that it answers with."""
        return _kind(self.reply)

    @property
    def parts(self) -> tuple[Part, ...]:
        """The parts of the brief that it is given."""
        if self.told is not None:
            return self.told
        turns = issubclass(self.kind, forms.Hypotheses | forms.Builds | forms.Revision)
        return (*_USUAL, "vocabulary") if turns else _USUAL


def roles(conf: Path) -> tuple[Role, ...]:
    """Every role of `conf/role`, by name. Raises `Refusal` for a file that is no role."""
    return tuple(_role(path) for path in sorted((conf / "role").glob("*.yaml")))


def answering(team: Iterable[Role], kind: type[Record]) -> Sequence[Role]:
    """The roles that answer with a form, or with a record made from it."""
    return [role for role in team if issubclass(role.kind, kind)]


def _role(path: Path) -> Role:
    try:
        content: Any = yaml.safe_load(path.read_text(encoding="utf-8"))
        role = Role.model_validate({"name": path.stem, **(content or {})})
        role.kind  # noqa: B018 - an unknown form is told now, not in the middle of a sprint
    except (ValidationError, yaml.YAMLError, TypeError, ValueError, OSError) as error:
        first = error.errors()[0] if isinstance(error, ValidationError) else None
        said = f"{'.'.join(map(str, first['loc']))}: {first['msg']}" if first else str(error).split("\n")[0]
        raise Refusal(f"conf/role/{path.name} is no role ({said}): give prompt, reply and phase.") from None
    return role


def _kind(name: str) -> type[Record]:
    module, _, last = name.rpartition(".")
    try:
        form = getattr(importlib.import_module(module) if module else forms, last)
    except (ImportError, AttributeError):
        form = None
    if not (isinstance(form, type) and issubclass(form, Record)):
        known = [
            title for title, value in vars(forms).items() if isinstance(value, type) and "Record" not in title
        ]
        raise ValueError(f"reply: {name} is no form; there are {', '.join(sorted(known))}")
    return form


T = TypeVar("T", bound=Record)
_LEFT_OUT = 5
"""notes of a role that a report tells"""


@final
class Team:
    """Who takes part, and the client that speaks for them; with `client=None` all have stand-ins.

    An unanswered question gives None, is counted in `outcomes`, and its last reason is in `silence`.
    """

    def __init__(self, roles: Sequence[Role], client: Client | None) -> None:
        self.roles, self.client = tuple(roles), client
        self.outcomes: dict[str, Counter[str]] = {}
        self.silence: dict[str, str] = {}
        self.left_out: dict[str, Counter[str]] = {}
        """role -> what was left out of answers that were used"""

    def of(self, kind: type[Record]) -> Sequence[Role]:
        """The roles that answer with `kind`, by name; none when no model speaks."""
        return answering(self.roles, kind) if self.client is not None else ()

    def ask(
        self,
        role: Role,
        kind: type[T],
        parts: Sequence[str],
        check: Callable[[T], Sequence[str]] = lambda answer: (),
        spare: Callable[[T], T | None] = lambda answer: None,
    ) -> T | None:
        """The role's answer to `parts`, with which `check` finds no fault; None when there is none.

        Of an answer with faults `spare` gives what is left without them, None where that is nothing.
        """
        assert self.client is not None and issubclass(role.kind, kind)
        system = f"{role.prompt.strip()}\nAnswer with one JSON object and nothing around it:\n"
        messages = [
            {"role": "system", "content": f"{system}{shape(role.kind)}\n{RULE}"},
            {"role": "user", "content": "\n".join(parts)},
        ]
        form: Any = role.kind
        how: Any = {"role": role.name, "model": role.model, "temperature": role.temperature}
        try:
            told: Dialogue[T] = ask_for(self.client, form, messages, check=check, spare=spare, **how)
        except (LlmUnavailable, CapReached) as reason:
            self._count(role, "unanswered", str(reason))
            return None
        for outcome in told.outcomes:
            self._count(role, outcome)
        self.left_out.setdefault(role.name, Counter()).update(told.notes)
        if told.record is None:
            self._count(role, "dropped", " ".join(told.complaints))
        return told.record

    def _count(self, role: Role, outcome: str, reason: str | None = None) -> None:
        self.outcomes.setdefault(role.name, Counter())[outcome] += 1
        if reason:
            self.silence[role.name] = reason

    def facts(self) -> dict[str, Any]:
        """What a report says of it: for each role how its questions ended, and why it was last silent."""
        counts = {role: dict(sorted(outcomes.items())) for role, outcomes in sorted(self.outcomes.items())}
        left_out = {
            role: dict(notes.most_common(_LEFT_OUT)) for role, notes in self.left_out.items() if notes
        }
        told = {"outcomes": counts, "silence": self.silence, "left_out": left_out}
        return {"roles": [role.name for role in self.roles], **told}
