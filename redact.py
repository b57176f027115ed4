"""Secrets are taken out of whatever leaves the process: rows, Weights & Biases, prompts, the terminal."""

import re
from typing import Any

_SECRET_NAME = re.compile(r"(?i)(api[_-]?key|access[_-]?token|auth[_-]?token|secret|password|credential)")
_SECRET_VALUE = re.compile(r"\b(?:sk|pk|hf|ghp|xoxb)[-_][A-Za-z0-9_-]{16,}")
# A password may hold @ and /, so all up to the last @ is taken for it; in prose it ends at a blank.
_URL_PASSWORD = re.compile(r"(://[^:/@\s]*):\S+@")
_WHOLE_URL = re.compile(r"([\w.]+=)?['\"]?\w+(?:\+\w+)?://[^:/@\s]*:.+@[^@]*", re.DOTALL)
_ASKED_PASSWORD = re.compile(r"(?i)([?&](?:password|passwd|sslpassword)=)[^&\s'\"]+")
UNSEEN = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\xad\u061c\u200b\u200e\u200f\u2028-\u202e\u2060-\u206f\ufeff\ud800-\udfff]"
)
"""what moves a cursor, changes colours, turns the direction of a text, or cannot be seen or printed"""
MASK = "***"


def redact(value: Any, name: str = "") -> Any:
    """Return a copy of plain nested data with secret values and the passwords inside URLs masked."""
    if isinstance(value, dict):
        return {key: redact(item, str(key)) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [redact(item, name) for item in value]
    if not isinstance(value, str):
        return value
    # The name of the environment variable that holds a key (`key_env`) is no secret, its value would be.
    if _SECRET_NAME.search(name) and not name.endswith("_env"):
        return MASK
    if _WHOLE_URL.fullmatch(value):
        value = f"{value[: value.index(':', value.index('://') + 3)]}:{MASK}{value[value.rindex('@') :]}"
    value = _ASKED_PASSWORD.sub(rf"\1{MASK}", _URL_PASSWORD.sub(rf"\1:{MASK}@", value))
    return _SECRET_VALUE.sub(MASK, value)


def shown(text: str) -> str:
    r"""A text for a terminal or a log: nothing secret in it, and what would act on the terminal is spelt out.

    What a person, a model or a log says may hold control characters and marks that turn a line around:
    `\x1b[2J` is read then, not obeyed. Line breaks and tabs stay.
    """
    return UNSEEN.sub(lambda found: ascii(found[0])[1:-1], str(redact(text)))
