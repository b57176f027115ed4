"""What an exchange with a model's server is made of: messages, a response form, an answer or a failure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, final

from research.llm.prompt import one_line
from research.types import Record

Messages = Sequence[Mapping[str, str]]
Form = Literal["schema", "json", "text"]
Failure = Literal["form", "long", "filtered", "key", "model", "busy", "server", "lost", "timeout"]
FORMS: tuple[Form, ...] = ("schema", "json", "text")
"""the ways to ask for an object, the strictest first"""


@final
@dataclass(frozen=True)
class ServerReply:
    """A server's answer, not yet read; token counts are None where the server told none."""

    text: str | None
    finish_reason: str | None
    tokens_in: int | None = None
    tokens_out: int | None = None


class WireFailure(Exception):
    """No answer came; `billed` when it may have been charged for, `wait_s` when a pause was asked for."""

    def __init__(
        self, kind: Failure, sentence: str, *, billed: bool = False, wait_s: float | None = None
    ) -> None:
        super().__init__(one_line(sentence))
        self.kind: Failure = kind
        self.billed = billed
        self.wait_s = wait_s


def response_format(form: Form, kind: type[Record]) -> dict[str, Any] | None:
    """OpenAI's `response_format` for a record; None for plain text."""
    if form == "text":
        return None
    if form == "json":
        return {"type": "json_object"}
    schema = {"name": kind.__name__.lower(), "strict": True, "schema": _strict(kind.model_json_schema())}
    return {"type": "json_schema", "json_schema": schema}


_SHAPE = ("type", "enum", "const", "anyOf", "$ref", "description", "items", "properties", "$defs")


def _strict(node: dict[str, Any]) -> dict[str, Any]:
    """The shape alone, all properties required: what the servers' strict modes have in common.

    Lengths, patterns and defaults are refused by some of them; pydantic checks those on the reply.
    """
    kept = {name: node[name] for name in _SHAPE if name in node}
    for name in ("properties", "$defs"):
        if name in kept:
            kept[name] = {key: _strict(value) for key, value in kept[name].items()}
    if "items" in kept:
        kept["items"] = _strict(kept["items"])
    if "anyOf" in kept:
        kept["anyOf"] = [_strict(choice) for choice in kept["anyOf"]]
    if "properties" in kept:
        kept |= {"required": list(kept["properties"]), "additionalProperties": False}
    return kept


def prompt_bound(messages: Messages, kind: type[Record]) -> int:
    """An upper bound of a prompt's tokens: at most one of a byte, and some for the chat template."""
    texts = [message["content"] for message in messages] + [str(response_format("schema", kind))]
    return sum(len(text.encode("utf-8", "replace")) + 16 for text in texts)
