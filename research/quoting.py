"""A goal on the command line as Hydra can read it: its grammar knows no `>` and takes commas for lists."""

import re
from collections.abc import Sequence


def quoted(arguments: Sequence[str]) -> list[str]:
    """The arguments with the goal in quotes, so that it is text and nothing else."""
    return [_quoted(one) if one.startswith("goal=") else one for one in arguments]


def _quoted(argument: str) -> str:
    text = argument.removeprefix("goal=")
    if re.fullmatch(r"'[^'$\\]*'|\"[^\"$\\]*\"", text):
        return argument
    # `${...}` would be looked up and a backslash would escape: in words neither means anything.
    return "goal='" + re.sub(r"[$\\]", " ", text).replace("'", "\u2019") + "'"
