"""The page that `--help` prints: a root config in its own words, without the second that Hydra takes."""

from collections.abc import Sequence
from pathlib import Path

import yaml

ASKED = ("--help", "-h")


def page(root: Path) -> str:
    """The help template of a root config, with its keys as the file explains them in place of $CONFIG."""
    text = root.read_text()
    template = str(yaml.safe_load(text)["hydra"]["help"]["template"])
    return template.replace("$APP_CONFIG_GROUPS", options(root.parent, text)).replace("$CONFIG", keys(text))


def task_page(root: Path, name: str, about: str, examples: Sequence[str], takes: Sequence[str]) -> str:
    """The help of one task: what it does, how it is typed, and its keys as the root config explains them."""
    typed = [f"  python agent.py task={name} {example}".rstrip() for example in examples]
    lines = [about, "", *typed, "", "== Keys (key=value) ==", *explained(root.read_text(), [*takes, "json"])]
    return "\n".join([*lines, "", "python agent.py --help lists every other key and option."])


def explained(text: str, names: Sequence[str]) -> list[str]:
    """The lines of a root config that explain these keys of its top level, in the order of the names."""
    lines = {line.partition(":")[0].strip('"'): line for line in text.splitlines() if line[:1] not in " #"}
    return [lines[name] for name in names]


def options(folder: Path, text: str) -> str:
    """One line for each group that the root config names: the group and its options."""
    defaults = [entry for entry in yaml.safe_load(text)["defaults"] if isinstance(entry, dict)]
    groups = [name for entry in defaults for name in entry if not str(name).startswith("override ")]
    files = {group: sorted(path.stem for path in (folder / group).glob("*.yaml")) for group in groups}
    return "\n".join(f"{group}: {', '.join(names)}" for group, names in files.items())


def keys(text: str) -> str:
    """The keys with their comments: what stands between the defaults list and Hydra's own section."""
    lines = text.splitlines()
    first = next(place for place, line in enumerate(lines) if line == "") + 1
    last = next(place for place, line in enumerate(lines) if line.startswith("hydra:"))
    return "\n".join(lines[first:last]).strip()
