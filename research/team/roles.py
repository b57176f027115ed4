"""The roles of the team: one YAML of conf/role each; the folder's listing is who takes part."""

import importlib
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, Literal, final

import yaml
from pydantic import Field, ValidationError

from refusal import Refusal
from research.team import forms
from research.types import Record

Phase = Literal["planning", "architecture", "optimization", "evaluation"]


@final
class Role(Record):
    """One role: what it is told, what it answers, which model speaks for it."""

    name: str
    prompt: str = Field(min_length=1, pattern=r"\S")
    reply: str = Field(min_length=1)
    """a form of `research/team/forms.py`, or the dotted name of a record of one's own"""
    phase: Phase
    """which lessons of the memory it is given"""
    model: str | None = None
    """None is the one of the group `llm`"""
    temperature: float | None = Field(default=None, ge=0, le=2)

    @property
    def kind(self) -> type[Record]:
        """The record that it answers with."""
        return _kind(self.reply)


def roles(conf: Path) -> tuple[Role, ...]:
    """Every role of `conf/role`, by name. Raises `Refusal` for a file that is no role."""
    return tuple(_role(path) for path in sorted((conf / "role").glob("*.yaml")))


def answering(team: Iterable[Role], kind: type[Record]) -> Sequence[Role]:
    """The roles that answer with a form, or with a record made from it."""
    return [role for role in team if issubclass(role.kind, kind)]


def _role(path: Path) -> Role:
    try:
        content: Any = yaml.safe_load(path.read_text(encoding="utf-8"))
        found = Role.model_validate({"name": path.stem, **(content or {})})
        found.kind  # noqa: B018 - an unknown form is told now, not in the middle of a sprint
    except (ValidationError, yaml.YAMLError, TypeError, ValueError, OSError) as error:
        first = error.errors()[0] if isinstance(error, ValidationError) else None
        said = f"{'.'.join(map(str, first['loc']))}: {first['msg']}" if first else str(error).split("\n")[0]
        raise Refusal(f"conf/role/{path.name} is no role ({said}): give prompt, reply and phase.") from None
    return found


def _kind(name: str) -> type[Record]:
    module, _, last = name.rpartition(".")
    try:
        found = getattr(importlib.import_module(module) if module else forms, last)
    except (ImportError, AttributeError):
        found = None
    if not (isinstance(found, type) and issubclass(found, Record)):
        known = [one for one, value in vars(forms).items() if isinstance(value, type) and "Record" not in one]
        raise ValueError(f"reply: {name} is no form; there are {', '.join(sorted(known))}")
    return found
