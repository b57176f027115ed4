"""From what is typed after `agent.py` to its resolved configuration, without Hydra where Hydra is not needed.

Hydra takes half a second to import and leaves global state behind. The gate's composer gives the same
configuration in 20 ms; what it refuses, and flags such as `--cfg`, are left to Hydra, which words it well.
"""

import re
from collections.abc import Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

from refusal import Refusal
from research.compose.compose import Composer
from research.compose.override import override
from research.tasks.quoting import quoted

# conf/experiment/ makes `experiment` a group to Hydra, and agent.yaml chooses from none.
_RECIPE = re.compile(r"^\+?experiment=")
_FLAGS = {
    *("--help", "--hydra-help", "--version", "--cfg", "--resolve", "--package", "--run", "--multirun"),
    *("--shell-completion", "--config-path", "--config-name", "--config-dir", "--info"),
    "--experimental-rerun",
}
"""flags of Hydra's"""


def arguments(typed: Sequence[str]) -> list[str]:
    """The overrides as Hydra can read them: the goal in quotes, `experiment=` as the recipe that it names."""
    return quoted([_RECIPE.sub("recipe=", text) for text in typed])


def settings(typed: Sequence[str], conf: Path) -> dict[str, Any]:
    """The resolved configuration of typed overrides. Raises `Refusal` for what does not compose."""
    return _composer(conf).resolve(arguments(typed)).config


@lru_cache(maxsize=4)
def _composer(conf: Path) -> Composer:
    """The files of a folder, read once: each method of a notebook's lab composes anew."""
    return Composer(conf, "agent")


def quickly(typed: Sequence[str], conf: Path) -> dict[str, Any] | None:
    """The configuration, None where Hydra should read the command line itself: flags, sweeps and mistakes."""
    if any(text.startswith(("-", "hydra")) for text in typed):
        return None
    try:
        return settings(typed, conf)
    except Refusal:
        return None


def refuse_flags(typed: Sequence[str]) -> None:
    """Raise `Refusal` for a word that is neither `key=value` nor a flag: Hydra would tell a page of usage."""
    before = ""
    for text in typed:
        flag = override(text).key
        if text.startswith("--") and flag not in _FLAGS:
            name = flag.strip("-") or "key"
            raise Refusal(f"{flag[:60]} is no option: write {name}=VALUE; --help lists every key.")
        if "=" not in text and not text.startswith(("-", "~")) and not before.startswith("-"):
            raise Refusal(
                f"{text[:60]!a} is no key=value: --help lists every key, --help task=NAME a task's."
            )
        before = text


def overrides(values: Mapping[str, Any], before: str = "") -> list[str]:
    """Python values as overrides: `{"budget": {"seconds": 60}}` is `budget.seconds=60`."""
    found: list[str] = []
    for key, value in values.items():
        name = f"{before}{key}"
        found += overrides(value, f"{name}.") if isinstance(value, Mapping) else [f"{name}={_text(value)}"]
    return found


def _text(value: Any) -> str:
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    if isinstance(value, Sequence) and not isinstance(value, str):
        return "[" + ",".join(map(_text, value)) + "]"
    return str(value)
