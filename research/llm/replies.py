"""Strict reading of a model's raw reply into one record: no fishing for braces, no guessing, no repair.

A reply is hostile text until it is a record. It is read in this order: the reason why the model stopped,
the size, one optional code fence, JSON (RFC 8259, stricter than `json.loads`), characters, then pydantic.
Every refusal carries one sentence that tells the model what to change.
"""

import json
import math
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Generic, Literal, NoReturn, TypeVar, final

from pydantic import ValidationError

from research.types import Record

Outcome = Literal[
    "accepted", "empty", "truncated", "filtered", "refused", "transport", "malformed", "invalid", "gate"
]
T = TypeVar("T", bound=Record)

LIMIT = 32_768
"""characters of a reply that are looked at; a longer one is refused before it is parsed"""
_VALUES = 2_000
_DEEP = "the reply is nested too deeply: answer with one flat object."
_FINAL: frozenset[Outcome] = frozenset({"accepted", "filtered", "refused"})
_STOPPED = {"stop", "end_turn", "stop_sequence", "eos"}
_CUT = {"length", "max_tokens"}
_FILTERED = {"content_filter", "safety"}
_BLANK = " \t\r\n"
_FENCE = re.compile(r"```(?:json)?[ \t]*\r?\n(.*)\r?\n[ \t]*```", re.DOTALL | re.IGNORECASE)
_DECLINED = re.compile(
    r"\W*(?:(?:i['’]?m|i am|we['’]?re|we are) (?:\w+ )?(?:sorry|afraid|unable|not able)"
    r"|(?:i|we) (?:can(?:['’]?t|not| not)|won['’]?t|will not|must decline|apologi[sz]e)"
    r"|(?:my )?apologies|sorry\b|unfortunately\b|as an? (?:ai|language model)\b)",
    re.IGNORECASE,
)
# C0 and C1 controls, halves of surrogate pairs, line separators, direction marks, zero-width and tag
# characters, noncharacters: they forge log lines, drive terminals, hide text, or fail in a database.
# The two joiners stay: emoji and several scripts need them.
_UNFIT = re.compile(
    "[\x00-\x1f\x7f-\x9f\u00ad\u061c\u180e\u200b\u200e\u200f\u2028-\u202e\u2060-\u206f"
    "\ud800-\udfff\ufdd0-\ufdef\ufeff\ufff9-\ufffb\ufffe\uffff\U000e0000-\U000e0fff]"
)


@final
@dataclass(frozen=True)
class ReadReply(Generic[T]):
    """What a reply turned out to be: a record, or the sentences that say why not."""

    outcome: Outcome
    record: T | None = None
    complaints: tuple[str, ...] = ()
    fenced: bool = False
    """a code fence around the object was taken off"""

    @property
    def repairable(self) -> bool:
        """Whether asking again with the complaints can help; a refusal is never argued with."""
        return self.outcome not in _FINAL


class _Unreadable(Exception):
    def __init__(self, outcome: Outcome, *complaints: str) -> None:
        super().__init__(*complaints)
        self.outcome: Outcome = outcome
        self.complaints = complaints


def read(text: str | None, finish_reason: str | None, kind: type[T]) -> ReadReply[T]:
    """Read one reply as `kind`; never raises, and takes at most tens of milliseconds whatever the text is."""
    try:
        _finished(finish_reason)
        body, fenced = _unfence(_present(text))
        return ReadReply("accepted", _record(body, kind), fenced=fenced)
    except _Unreadable as refused:
        return ReadReply(refused.outcome, complaints=refused.complaints)


def _finished(reason: str | None) -> None:
    if reason in _STOPPED:
        return
    if reason in _FILTERED:
        raise _Unreadable("filtered", "the provider's content filter stopped the reply.")
    if reason == "refusal":
        raise _Unreadable("refused", "the model declined to answer.")
    if reason in ("tool_calls", "function_call", "tool_use"):
        raise _Unreadable(
            "malformed", "the reply calls a tool, but none is offered: answer with the JSON object."
        )
    if reason in _CUT:
        raise _Unreadable("truncated", "the reply was cut at the token limit: answer with a shorter object.")
    raise _Unreadable("truncated", "the server did not say that the reply was finished.")


def _present(text: str | None) -> str:
    if not isinstance(text, str) or not text.strip():
        raise _Unreadable("empty", "the reply is empty: answer with the JSON object.")
    if len(text) > LIMIT:
        raise _Unreadable("malformed", f"the reply has {len(text)} characters, at most {LIMIT} are read.")
    return text.strip(_BLANK)


def _unfence(body: str) -> tuple[str, bool]:
    fence = _FENCE.fullmatch(body)
    return (fence[1].strip(_BLANK), True) if fence else (body, False)


def _record(body: str, kind: type[T]) -> T:
    content = _object(_parse(body), kind)
    for text in _texts(content):
        if _UNFIT.search(text):
            raise _Unreadable(
                "invalid",
                f"{_shown(text)} holds a control, invisible or unpaired character: write one plain line.",
            )
    try:
        # A second parse: pydantic's JSON mode alone is strict about types and takes a list as a tuple.
        return kind.model_validate_json(body, strict=True)
    except ValidationError as error:
        if error.errors(include_url=False, include_input=False)[0]["type"] == "json_invalid":
            # pydantic recurses 200 levels, `json` a thousand; all else that is no JSON `_parse` has refused.
            raise _Unreadable("malformed", _DEEP) from None
        raise _Unreadable("invalid", *_sentences(error)) from None


def _parse(body: str) -> Any:
    try:
        return json.loads(
            body, object_pairs_hook=_once, parse_constant=_no_constant, parse_int=_whole, parse_float=_finite
        )
    except RecursionError:
        raise _Unreadable("malformed", _DEEP) from None
    except ValueError as error:
        if "{" not in body and _DECLINED.match(body):
            raise _Unreadable("refused", "the model declined to answer.") from None
        raise _Unreadable(
            "malformed", f"the reply is not one JSON object and nothing else: {_shown(str(error), 120)}."
        ) from None


def _object(content: Any, kind: type[T]) -> dict[str, Any]:
    if not isinstance(content, dict):
        name = {list: "a list", str: "a string", bool: "a truth value", type(None): "null"}
        found = name.get(type(content), "a number")
        raise _Unreadable("malformed", f"the reply must be one JSON object, not {found}.")
    if not content:
        raise _Unreadable("empty", f"the object is empty: it must hold {', '.join(kind.model_fields)}.")
    if content.keys() & {"error", "choices"} and not content.keys() & kind.model_fields.keys():
        raise _Unreadable("transport", "the reply is a server's message, not a model's answer.")
    return content


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    content = dict(pairs)
    if len(content) < len(pairs):
        raise _Unreadable("malformed", "a key stands twice in one object: write each key once.")
    return content


def _no_constant(name: str) -> NoReturn:
    raise _Unreadable("malformed", f"{name} is not a JSON number: write a finite number.")


def _whole(digits: str) -> int:
    # int() raises above 4300 digits, and no database column holds more than 64 bits.
    if len(digits) > 19 or not -(2**63) <= int(digits) < 2**63:
        raise _Unreadable("malformed", "a whole number does not fit in 64 bits: write a smaller one.")
    return int(digits)


def _finite(digits: str) -> float:
    number = float(digits)
    if not math.isfinite(number):
        raise _Unreadable("malformed", "a number overflows: write a finite number.")
    return number


def _texts(content: dict[str, Any]) -> Iterator[str]:
    """All keys and strings at any depth; raises above `_VALUES` values, without recursion."""
    waiting: list[Any] = [content]
    seen = 0
    while waiting:
        value = waiting.pop()
        seen += 1
        if seen + len(waiting) > _VALUES:
            raise _Unreadable("invalid", f"the object holds more than {_VALUES} values: write fewer.")
        if isinstance(value, str):
            yield value
        elif isinstance(value, list):
            waiting.extend(value)
        elif isinstance(value, dict):
            waiting.extend([*value.keys(), *value.values()])


def _sentences(error: ValidationError) -> list[str]:
    """At most five complaints of the form `overrides.0: Input should be a valid string`."""
    faults = error.errors(include_url=False, include_input=False, include_context=False)[:5]
    return [f"{_shown('.'.join(map(str, item['loc'])))}: {item['msg']}." for item in faults]


def _shown(text: str, limit: int = 60) -> str:
    """A piece of a reply, fit for a log line: printable, short."""
    plain = _UNFIT.sub("?", text)
    return plain if len(plain) <= limit else plain[: limit - 3] + "..."
