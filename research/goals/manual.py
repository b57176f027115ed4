"""The page that `--help` prints: a root config in its own words, without the second that Hydra takes."""

from pathlib import Path

import yaml

ASKED = ("--help", "-h")


def page(root: Path) -> str:
    """The help template of a root config, with its keys as the file explains them in place of $CONFIG."""
    text = root.read_text()
    template = str(yaml.safe_load(text)["hydra"]["help"]["template"])
    return template.replace("$CONFIG", keys(text))


def keys(text: str) -> str:
    """The keys with their comments: what stands between the defaults list and Hydra's own section."""
    lines = text.splitlines()
    first = next(place for place, line in enumerate(lines) if line == "") + 1
    last = next(place for place, line in enumerate(lines) if line.startswith("hydra:"))
    return "\n".join(lines[first:last]).strip()
