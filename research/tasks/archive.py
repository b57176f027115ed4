"""`task=backup` and `task=forget`: the whole database as one new file, and sprints deleted from it."""

import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, final

from refusal import Refusal
from research.campaign.campaign import Campaign
from research.store import forgetting
from research.store.backup import backup as copied
from research.tasks.answer import Answer, Reference, pairs, reference
from research.tasks.show import row_of

_SHOWN = 20
"""folders that are listed"""
_FORMS = "id=sprint:1, id=campaign:NAME, or before=2026-11-01"


@final
class BackedUp(Answer):
    """What was written, and looked through after it was."""

    path: Path
    bytes: int
    rows: dict[str, int]
    """table -> rows"""

    def text(self) -> str:
        """The file, its rows, and how it is used."""
        lines = [f"{self.bytes} bytes in {self.path}, which is sound", *pairs(self.rows, "  ")]
        return "\n".join(
            [
                *lines,
                f"store.url=sqlite:///{self.path} reads it; to go back, stop what uses the lab's, move that "
                "away with its -journal or -wal, and put a copy of this in its place",
            ]
        )


def backup(campaign: Campaign, path: str | None) -> BackedUp:
    """Copy the database to a new file; without a name, to one of this moment under `root`, or in that folder.

    Raises `Refusal` where there is no database, and for a file that is there or cannot be written.
    """
    store = campaign.known
    name = time.strftime("joulelab-%Y%m%d-%H%M%S.db")
    to = (Path(path).expanduser() if path else campaign.root / "backups" / name).absolute()
    to = to / name if path and (path.endswith("/") or to.is_dir()) else to
    rows = copied(store, to)
    return BackedUp(path=to, bytes=to.stat().st_size, rows=rows)


@final
class Forgot(Answer):
    """What was deleted, or with `done` false what would be."""

    done: bool
    rows: forgetting.Forgotten

    def text(self) -> str:
        """How many rows of each table, and what stays."""
        counts = {
            name: len(ids) for name, ids in self.rows.model_dump().items() if isinstance(ids, tuple) and ids
        }
        folders = list(self.rows.folders)
        if not counts:
            return "nothing matches: nothing is deleted"
        head = "deleted" if self.done else "would be deleted; add yes=true to do it"
        lines = [head, *pairs({name: n for name, n in counts.items() if name != "folders"}, "  ")]
        lines += [f"  left on disk  {folder}" for folder in folders[:_SHOWN]]
        more = len(folders) - _SHOWN
        return "\n".join([*lines, *([f"  and {more} more: json=true lists them"] if more > 0 else [])])


def forget(campaign: Campaign, id: str | None, before: str | None, trials: bool, yes: bool) -> Forgot:
    """Delete what was selected, in one transaction, or show what would go.

    Raises `Refusal` without a selection, for what is no date or not there, and for a sprint that runs.
    """
    asked = _selection(id, before)
    _there(campaign, asked)
    wanted = forgetting.Forget(**asked, trials=trials)
    return Forgot(done=yes, rows=forgetting.forget(campaign.known, wanted, dry_run=not yes))


def _selection(given: str | None, before: str | None) -> dict[str, Any]:
    if given is None and before is None:
        raise Refusal(f"task=forget needs a selection: {_FORMS}.")
    asked: dict[str, Any] = {} if before is None else {"before": _moment(before)}
    kind, _, name = str(given or "").partition(":")
    if kind == "campaign" and name:
        return asked | {"campaign": name}
    return asked if given is None else asked | {"ids": (reference(given, "id", ("sprint",)).number,)}


def _there(campaign: Campaign, asked: dict[str, Any]) -> None:
    """Refuse a name that nothing has: it was mistyped, and what was meant would stay."""
    for number in asked.get("ids", ()):
        row_of(campaign.known, Reference("sprint", number))
    name = asked.get("campaign")
    if name and all(row["facts"].get("campaign") != name for row in campaign.known.sprints()):
        raise Refusal(
            f"There is no campaign {name[:80]!a} in this database: task=status lists the sprints, "
            "task=show id=sprint:1 their campaign."
        )


def _moment(text: str) -> float:
    """A date, or a date and time of day, as seconds since 1970; UTC where it says nothing else."""
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise Refusal(f"before={text[:40]} is no date: write it as before=2026-11-01.") from None
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()
