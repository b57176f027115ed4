"""Secrets are taken out of whatever leaves the process: rows, Weights & Biases, prompts, logs, sentences.

The shapes of keys are those of detect-secrets (Yelp, Apache-2.0), and of services that it does not know. It
takes 0.2 CPU seconds to import, so it is asked only about a text that has something as long as a key in it.
"""

import functools
import importlib
import re
from typing import Any

MASK = "***"
UNSEEN = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\xad\u061c\u200b\u200e\u200f\u2028-\u202e\u2060-\u206f\ufeff\ud800-\udfff]"
)
"""what moves a cursor, changes colours, turns the direction of a text, or cannot be seen or printed"""
_STRONG = r"passw(?:or)?d|passphrase|secret|credential|(?:api|access|private|signing)[_-]?key"
"""within the name of what holds a secret"""
_LAST = r"token|auth|authorization|bearer|pwd|cookie"
"""the last word of such a name: `hf_token`, and not `tokens` or `token_joules`"""
_WITHIN = re.compile(rf"(?i){_STRONG}")
_ENDING = re.compile(rf"(?:^|[^A-Za-z])(?i:{_LAST})[^A-Za-z]*$|[a-z](?:Token|Auth|Cookie)$")
_VALUE = r"""(?:(?P<quote>["'])[^"']{1,2000}(?P=quote)|[^\s&;,"'\])}]{1,2000})"""
_NAME = rf"(?:[\w.-]{{0,200}}[._-])?(?i:{_LAST})|[\w.-]{{0,200}}[a-z](?:Token|Auth|Cookie)"
_ASSIGNED = re.compile(
    rf"(?<![\w.-])(?P<said>(?:[\w.-]{{0,200}}?(?i:{_STRONG})[\w-]{{0,60}}(?<!_env)[\"']?\s?[=:]|"
    rf"(?:{_NAME})(?:[\"']?\s?=|[\"']\s?:)|"
    rf"(?i:authorization\s?:\s{{0,2}}(?:bearer|basic|token)?|bearer\s))\s{{0,2}})(?!null\b|None\b|\.\.\.|<){_VALUE}"
)
"""`password=x`, `"token": "x"`, `Authorization: Bearer x`; a word and a colon alone may be prose"""
_URL_PASSWORD = re.compile(r"""(://[^\s:/@"']{0,200}):(?!\d{1,5}(?:[/?\#\s]|$))[^\s"']{1,500}@""")
"""up to the last @, for a password may hold one; a port before a path with an @ is none"""
_WHOLE_URL = re.compile(
    r"""(?s)((?:[\w.]+=)?['"]?\w+(?:\+\w+)?://[^:/@\s]{0,200}):(?!\d{1,5}(?:[/?\#\s]|$)).+(@[^@]*)"""
)
"""where nothing else is said, a blank is part of the password"""
_PEM = re.compile(
    r"-----BEGIN [A-Z0-9 ]*PRIVATE KEY[A-Z ]*-----.*?(?:-----END [A-Z0-9 ]*-----|\Z)", re.DOTALL
)
_OTHERS = re.compile(
    r"\b(?:sk|pk|rk|hf|gsk|xai|pplx|r8|nvapi|wandb_v\d|ghp|github_pat|gl(?:pat|oas|dt|rt|rtr|cbt|ptt|ft|imt|agent|soat|ffct|wt)|xox[a-z]|xapp|ya29|GOCSPX)[-_.]"
    r"(?:(?=[\w.-]*\d)[A-Za-z0-9_.-]{16,}|[A-Za-z]{16,})"
    r"|\bAIza[A-Za-z0-9_-]{30,}|\beyJ[\w=-]{8,}\.[\w=-]+(?:\.[\w=-]*)?"
)
"""OpenAI, Anthropic, Hugging Face, Groq, xAI, Perplexity, Replicate, NVIDIA, GitLab, Slack, Google, JWT"""
_WANDB = re.compile(r"(?i)((?:wandb|w&b)[\w\s:=\"'-]{0,30})\b[0-9a-f]{40}\b")
"""a key of its first kind looks like a commit, so only its name tells"""
_LONG = re.compile(r"[A-Za-z0-9_-]{16,200}")
_LIKELY = re.compile(
    r"(?=.*[A-Z])(?=.*[a-z])(?=.*\d)|.*?(?=[A-Za-z]*\d)(?![0-9a-f]+(?:[_-]|$))[A-Za-z0-9]{16}|.*-us\d"
)
"""upper and lower case and digits, or one long word with a digit that is no digest: no name of a folder"""
_PLUGINS = (
    *("artifactory", "aws", "azure_storage_key", "cloudant", "discord", "github_token", "gitlab_token"),
    *("ibm_cloud_iam", "ibm_cos_hmac", "jwt", "mailchimp", "pypi_token", "sendgrid", "slack"),
    *("softlayer", "square_oauth", "stripe", "telegram_token", "twilio"),
)
"""those of detect-secrets that go by a shape, and take no quadratic time as `npm` and `openai` do"""
_PIECE = re.compile(r"(?s).{1,4000}(?!\S)|\S{1,20000}|\s")
"""a regular expression of others is not run over more at once"""
_SHORT = 100
"""below it a text is remembered: the thousand configs of an export say the same again and again"""


def redact(value: Any, name: str = "") -> Any:
    """Return a copy of plain nested data with secret values and the passwords inside URLs masked."""
    if isinstance(value, dict):
        return {key: redact(item, name if is_secret(name) else str(key)) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [redact(item, name) for item in value]
    if isinstance(value, bool | float) or value is None or value == "":
        return value
    if is_secret(name):
        # A number under such a name may be a size; a password of digits is none.
        return MASK if isinstance(value, str) or _WITHIN.search(name) else value
    return text(value) if isinstance(value, str) else value


def text(said: str) -> str:
    """A text with keys, passwords of URLs, and the values of names such as `password=` masked."""
    return _of_a_config(said) if len(said) < _SHORT else _masked(said)


def shown(said: str) -> str:
    r"""A text for a terminal or a log: nothing secret in it, and what would act on the terminal is spelt out.

    What a person, a model or a log says may hold control characters and marks that turn a line around:
    `\x1b[2J` is read then, not obeyed. Line breaks and tabs stay.
    """
    return UNSEEN.sub(lambda mark: ascii(mark[0])[1:-1], text(said))


def _masked(said: str) -> str:
    return "".join(_without_keys(url(piece)) for piece in _PIECE.findall(_PEM.sub(MASK, said)))


_of_a_config = functools.lru_cache(maxsize=4096)(_masked)


def url(address: str) -> str:
    """A URL as it may be shown: no password, whether before the host or among its parameters."""
    if whole := _WHOLE_URL.fullmatch(address):
        address = f"{whole[1]}:{MASK}{whole[2]}"
    return _ASSIGNED.sub(rf"\g<said>\g<quote>{MASK}\g<quote>", _URL_PASSWORD.sub(rf"\1:{MASK}@", address))


def has_key(said: str) -> bool:
    """Whether a text holds something of the shape of a key."""
    return _without_keys(_PEM.sub(MASK, said)) != said


@functools.lru_cache(maxsize=4096)
def is_secret(name: str) -> bool:
    """Whether what has this name is a secret.

    The name of the environment variable that holds a key (`key_env`) is none, its value would be.
    """
    return not name.endswith("_env") and bool(_WITHIN.search(name) or _ENDING.search(name))


def _without_keys(said: str) -> str:
    said = _WANDB.sub(rf"\1{MASK}", said)
    if not any(map(_LIKELY.match, _LONG.findall(said))):
        return _OTHERS.sub(MASK, said)
    for shape in (_OTHERS, *_shapes()):
        said = shape.sub(MASK, said)
    return said


@functools.cache
def _shapes() -> tuple[re.Pattern[str], ...]:
    found: dict[re.Pattern[str], None] = {}
    for plugin in _PLUGINS:
        module = importlib.import_module(f"detect_secrets.plugins.{plugin}")
        for detector in vars(module).values():
            if isinstance(detector, type) and detector.__module__ == module.__name__:
                found |= dict.fromkeys(getattr(detector, "denylist", ()))
    # Some end before the key does.
    return tuple(re.compile(f"(?:{shape.pattern})[A-Za-z0-9_=-]*", shape.flags) for shape in found)
