"""Strict reading of a model's raw reply into one record: no fishing for braces, no guessing, no repair.

A reply is hostile text until it is a record. It is read in this order: the reason why the model stopped,
the size, one optional code fence, JSON (RFC 8259, stricter than `json.loads`), characters, then pydantic.
Every refusal carries one sentence that tells the model what to change. A field that was not asked for is no
reason to refuse: it is left out, unread, and a note says so.
"""

import json
import math
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Any, Generic, Literal, NoReturn, TypeVar, final, get_args

from pydantic import ValidationError
from pydantic.fields import FieldInfo

from research.types import Record

Outcome = Literal[
    "accepted", "empty", "truncated", "filtered", "refused", "transport", "malformed", "invalid", "gate"
]
T = TypeVar("T", bound=Record)

LIMIT = 32_768
"""characters of a reply that are looked at; a longer one is refused before it is parsed"""
_VALUES = 2_000
_NAMED = 5
"""what a note names of all that it leaves out"""
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
    notes: tuple[str, ...] = ()
    """what was left out of a record that is used all the same"""

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
        record, notes = _record(body, kind)
        return ReadReply("accepted", record, fenced=fenced, notes=notes)
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


def _record(body: str, kind: type[T]) -> tuple[T, tuple[str, ...]]:
    """The record, and notes of what was left out."""
    extra: list[str] = []
    content = _asked(_object(_parse(body), kind), kind, extra)
    for text in _texts(content):
        if _UNFIT.search(text):
            raise _Unreadable(
                "invalid",
                f"{_shown(text)} holds a control, invisible or unpaired character: write one plain line.",
            )
    try:
        return _validated(content, kind), _left_out(extra)
    except ValidationError as error:
        whole, notes = _parts_left(content, kind, error)
        if whole is not None:
            return whole, (*_left_out(extra), *notes)
        if error.errors(include_url=False, include_input=False)[0]["type"] == "json_invalid":
            # pydantic recurses 200 levels, `json` a thousand; all else that is no JSON `_parse` has refused.
            raise _Unreadable("malformed", _DEEP) from None
        raise _Unreadable("invalid", *_sentences(error, extra)) from None


def _validated(content: dict[str, Any], kind: type[T]) -> T:
    # A second parse: pydantic's JSON mode alone is strict about types and takes a list as a tuple.
    return kind.model_validate_json(json.dumps(content), strict=True)


def _parts_left(
    content: dict[str, Any], kind: type[T], error: ValidationError
) -> tuple[T | None, tuple[str, ...]]:
    """The record without the faulty items of the list that a form calls its `parts`, None where none is left.

    The notes say what was wrong with them.
    """
    name = getattr(kind, "parts", None)
    wrong = {fault["loc"][1] for fault in error.errors() if len(fault["loc"]) > 1 and fault["loc"][0] == name}
    elsewhere = any(fault["loc"][:1] != (name,) or len(fault["loc"]) < 2 for fault in error.errors())
    if name is None or elsewhere:
        return None, ()
    kept = [item for place, item in enumerate(content[name]) if place not in wrong]
    try:
        return _validated({**content, name: kept}, kind), tuple(_sentences(error, ()))
    except ValidationError:
        return None, ()


def _asked(content: dict[str, Any], kind: type[Record], extra: list[str], at: str = "") -> dict[str, Any]:
    """`content` with the fields of `kind` alone, at any depth; the places of the others go to `extra`."""
    extra += [f"{at}{name}" for name in content if name not in kind.model_fields]
    kept = {name: content[name] for name in content if name in kind.model_fields}
    for name, value in kept.items():
        kept[name] = value = _first(value, kind.model_fields[name], extra, f"{at}{name}")
        inner = _record_in(kind.model_fields[name].annotation)
        if inner is not None and isinstance(value, dict):
            kept[name] = _asked(value, inner, extra, f"{at}{name}.")
        elif inner is not None and isinstance(value, list):
            kept[name] = [
                _asked(item, inner, extra, f"{at}{name}.{place}.") if isinstance(item, dict) else item
                for place, item in enumerate(value)
            ]
    return kept


def _first(value: Any, field: FieldInfo, extra: list[str], at: str) -> Any:
    """As many items of a list as are asked for, where the form says that the first will do."""
    taken = isinstance(field.json_schema_extra, dict) and field.json_schema_extra.get("first")
    most = next((bound.max_length for bound in field.metadata if hasattr(bound, "max_length")), None)
    if not taken or most is None or not isinstance(value, list) or len(value) <= most:
        return value
    extra.append(f"{at} after {most}")
    return value[:most]


def _record_in(annotation: Any) -> type[Record] | None:
    """The record that a field holds, alone or in a list; None where it holds none."""
    if isinstance(annotation, type) and issubclass(annotation, Record):
        return annotation
    return next(filter(None, map(_record_in, get_args(annotation))), None)


def _left_out(extra: Sequence[str]) -> tuple[str, ...]:
    if not extra:
        return ()
    more = f" and {len(extra) - _NAMED} more" if len(extra) > _NAMED else ""
    named = ", ".join(_shown(place) for place in extra[:_NAMED])
    return (f"not asked for and left out: {named}{more}",)


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
    if len(digits.lstrip("-")) > 19 or not -(2**63) <= int(digits) < 2**63:
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


def _sentences(error: ValidationError, extra: Sequence[str]) -> list[str]:
    """At most five complaints of the form `overrides.0: Input should be a valid string`."""
    found = error.errors(include_url=False, include_input=False, include_context=False)
    # A list of faulty items alone is told as too short besides.
    inside = {item["loc"][:depth] for item in found for depth in range(1, len(item["loc"]))}
    faults = [item for item in found if item["type"] != "too_short" or item["loc"] not in inside][:5]
    return [_sentence(".".join(map(str, item["loc"])), item["type"], item["msg"], extra) for item in faults]


def _sentence(place: str, fault: str, said: str, extra: Sequence[str]) -> str:
    """One complaint; of a field that is missing, which unknown one may be meant."""
    if fault != "missing":
        return f"{_shown(place)}: {said}."
    meant = get_close_matches(place, [name for name in extra if " after " not in name][:_NAMED], n=1)
    return f"the field {_shown(place)} is missing" + (f": you wrote {_shown(meant[0])}." if meant else ".")


def _shown(text: str, limit: int = 60) -> str:
    """A piece of a reply, fit for a log line: printable, short."""
    plain = "".join(
        letter if letter.isprintable() and not _UNFIT.match(letter) else "?" for letter in text[: limit + 1]
    )
    return plain if len(plain) <= limit else plain[: limit - 3] + "..."
