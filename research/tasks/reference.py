"""What a person points at: `12` or `trial:12`, `proposal:3`, `insight:2`, `sprint:1`.

`experiment:3` is read as `proposal:3`: older reports and lines say so.
"""

import re
from collections.abc import Sequence
from typing import Any, NamedTuple

from refusal import Refusal

KINDS = ("trial", "proposal", "insight", "sprint")
_FORMER = {"experiment": "proposal"}


class Reference(NamedTuple):
    """A row of one of the tables."""

    kind: str
    number: int

    def __str__(self) -> str:
        return f"{self.kind}:{self.number}"


def reference(given: Any, key: str, kinds: Sequence[str] = KINDS) -> Reference:
    """Read what was given for `key`; a bare number is of the first of `kinds`. Raises `Refusal`."""
    text = "" if given is None else str(given).strip()
    found = re.fullmatch(r"(?:([a-z]+)[: ])?([1-9][0-9]{0,17})", text)
    kind = (_FORMER.get(found[1], found[1]) or kinds[0]) if found else ""
    if not found or kind not in kinds:
        forms = " or ".join(
            [f"the number of one {kinds[0]}, as {key}=12", *(f"{key}={one}:3" for one in kinds[1:])]
        )
        shown = f"{key}={text} names nothing here" if text else f"{key} is missing"
        raise Refusal(f"{shown}: give {forms}.")
    return Reference(kind, int(found[2]))


def absent(wanted: Reference) -> Refusal:
    """What to say of a row that is not there."""
    what = {"trial": "trials", "proposal": "experiments", "insight": "insights"}.get(wanted.kind)
    hint = f"task=list what={what} lists what there is" if what else "task=status lists what there is"
    return Refusal(f"There is no {wanted.kind} {wanted.number} in this database: {hint}.")
