"""Asking until a reply is a record that the gate accepts: at most two repairs with the exact complaints.

A reply that was refused goes back inside a marked block, next to what was wrong with it. A refusal by the
model or by a content filter is not argued with. What is still wrong after the last repair is dropped: the
caller counts it, nothing replaces it. Of a reply in several parts those without fault are taken, where the
caller can tell them apart: one bad arm costs no other.
"""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from math import inf, isinf
from typing import Generic, TypeVar, final

from research.llm.client import Client
from research.llm.endpoint import Messages, ServerReply
from research.llm.prompt import data
from research.llm.replies import Outcome, ReadReply, read
from research.types import Record

T = TypeVar("T", bound=Record)
_REPLY = 2000
"""characters of a refused reply that are shown again"""


@final
@dataclass(frozen=True)
class Dialogue(Generic[T]):
    """How it went: the record, None when it was dropped, and the outcome of each reply in order."""

    record: T | None
    outcomes: tuple[Outcome, ...]
    complaints: tuple[str, ...]
    """what was wrong with the last reply"""
    notes: tuple[str, ...] = ()
    """what was left out of the record"""


def ask_for(
    client: Client,
    kind: type[T],
    messages: Messages,
    *,
    role: str,
    check: Callable[[T], Sequence[str]],
    spare: Callable[[T], T | None] = lambda record: None,
    repairs: int = 2,
    model: str | None = None,
    temperature: float | None = None,
    deadline_s: float | None = None,
) -> Dialogue[T]:
    """Ask for a `kind` that `check` has no complaint about; passes on what `Client.ask` raises.

    `spare` gives what is left of a record without its faulty parts, None where that is nothing.
    `deadline_s` bounds the repairs too: what is not mended by then raises `LlmUnavailable`.
    """
    end = inf if deadline_s is None else time.monotonic() + deadline_s
    outcomes: list[Outcome] = []
    replies: list[str | None] = []

    def reader(answer: ServerReply) -> ReadReply[T]:
        replies.append(answer.text)
        return _checked(read(answer.text, answer.finish_reason, kind), check, spare)

    reading: ReadReply[T] = ReadReply("empty")
    turn = list(messages)
    for _ in range(1 + repairs):
        left_s = None if isinf(end) else end - time.monotonic()
        reading = client.ask(
            turn, kind, reader, role=role, model=model, temperature=temperature, deadline_s=left_s
        )
        outcomes.append(reading.outcome)
        if not reading.repairable:
            break
        turn = [*messages, {"role": "user", "content": _repair(reading, replies[-1])}]
    return Dialogue(reading.record, tuple(outcomes), reading.complaints, reading.notes)


def _checked(
    reading: ReadReply[T], check: Callable[[T], Sequence[str]], spare: Callable[[T], T | None]
) -> ReadReply[T]:
    """The reading after `check` has seen its record: as it is, without faulty parts, or refused."""
    complaints = tuple(check(reading.record)) if reading.record is not None else ()
    if reading.record is None or not complaints:
        return reading
    left = spare(reading.record)
    if left is None:
        return ReadReply("gate", complaints=complaints, fenced=reading.fenced)
    return replace(reading, record=left, notes=(*reading.notes, *complaints))


def _repair(reading: ReadReply[T], reply: str | None) -> str:
    complaints = data("\n".join(reading.complaints), "what is wrong with it")
    return (
        f"Your last reply was refused.\n{data(reply or '', 'your last reply', _REPLY)}\n{complaints}\n"
        "Answer again with one JSON object that mends this, and nothing around it."
    )
