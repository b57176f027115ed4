"""One field of research, as conf/domain/NAME.yaml says it: focus areas, what it fixes and asks."""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, final

from pydantic import Field, ValidationError

from refusal import Refusal
from research.compose.yaml import parsed, text_of
from research.types import Record

_WORD = re.compile(r"[a-z0-9]+")
_SHORT = frozenset(
    ("a", "an", "and", "by", "for", "how", "in", "of", "on", "or", "the", "to", "what", "with")
)
"""words of a focus that say nothing of an area"""


@final
class Area(Record):
    """One thing to look at: the groups and keys of conf/space.yaml that belong to it."""

    groups: dict[str, tuple[str, ...] | None] = {}
    """group -> its options that belong here, None for all; the keys of these options come with them"""
    keys: tuple[str, ...] = ()
    words: tuple[str, ...] = ()
    """other words that people name the area by"""


@final
class Domain(Record):
    """A field: its areas by name, the overrides that all its trials need, and its own goal."""

    name: str
    goal: str | None = None
    base: tuple[str, ...] = ()
    areas: dict[str, Area] = Field(min_length=1)

    def focused(self, focus: str | None) -> "Domain":
        """The same field with the areas that a focus names, by their name or words; all without a focus.

        Raises `Refusal` for a focus that names none.
        """
        if not focus:
            return self
        asked = _words(focus)
        fits = {name: area for name, area in self.areas.items() if asked & _words(name, *area.words)}
        exact = {name: area for name, area in fits.items() if name == focus.strip()}
        if not fits:
            raise Refusal(
                f"domain={self.name} has no focus area {focus[:60]!a}: choose one of {', '.join(self.areas)}."
            )
        return self.model_copy(update={"areas": exact or fits})


def chosen(config: Mapping[str, Any]) -> Domain | None:
    """The field that a resolved `conf/agent.yaml` chooses, narrowed to its focus; None for domain=none.

    Raises `Refusal` for a file that is no domain, and for a focus without a domain or outside of it.
    """
    given, focus = config.get("domain"), config.get("focus")
    if not given or given.get("name") is None:
        if focus:
            raise Refusal(f"focus={focus!a} needs a domain: add domain=NAME, as domain=architecture.")
        return None
    return read(given).focused(None if focus is None else str(focus))


def read(content: Mapping[str, Any]) -> Domain:
    """The content of a file as a domain. Raises `Refusal` with the first thing that is wrong."""
    try:
        return Domain.model_validate(dict(content))
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"]))
        raise Refusal(f"domain={content.get('name')} is wrong at '{where}': {first['msg']}.") from None


def named(conf: Path, name: str | None, focus: str | None) -> Domain | None:
    """The field of a name as its file says it today, narrowed to a focus; None for no name."""
    path = conf / "domain" / f"{name}.yaml"
    return None if name is None else read(parsed(text_of(path), path)).focused(focus)


def applied(config: Mapping[str, Any], usual_goal: str) -> dict[str, Any]:
    """The config with what its domain fixes for every trial, and with its goal where nobody said one.

    `usual_goal` is the goal that agent.yaml has by itself. What the person fixes in `base` wins.
    """
    domain = chosen(config)
    if domain is None:
        return dict(config)
    own = [str(line) for line in config["base"]]
    taken = {_key(line) for line in own}
    base = [*(line for line in domain.base if _key(line) not in taken), *own]
    goal = domain.goal if domain.goal and config["goal"] == usual_goal else config["goal"]
    return {**config, "base": base, "goal": goal}


def names(conf: Path) -> list[str]:
    """The names of all domains of a configuration folder."""
    return sorted(path.stem for path in (conf / "domain").glob("*.yaml") if path.stem != "none")


def _key(override: str) -> str:
    return override.partition("=")[0].lstrip("+")


def _words(*texts: str) -> set[str]:
    found = {word for text in texts for word in _WORD.findall(text.lower())} - _SHORT
    return {word.removesuffix("s") for word in found}
