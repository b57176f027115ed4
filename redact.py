"""Secrets are taken out of whatever leaves the process: database rows, Weights & Biases, prompts."""

import re
from typing import Any

_SECRET_NAME = re.compile(r"(?i)(api[_-]?key|access[_-]?token|auth[_-]?token|secret|password|credential)")
_SECRET_VALUE = re.compile(r"\b(?:sk|pk|hf|ghp|xoxb)[-_][A-Za-z0-9_-]{16,}")
_URL_PASSWORD = re.compile(r"(://[^:/@\s]+):[^@/\s]+@")
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
    return _SECRET_VALUE.sub(MASK, _URL_PASSWORD.sub(rf"\1:{MASK}@", value))
