"""`task=backup`: the whole database as one new file, taken at one moment while others write."""

import time
from pathlib import Path
from typing import final

from research.campaign.campaign import Campaign
from research.store.backup import backup as copied
from research.tasks.answer import Answer, pairs


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
                f"store.url=sqlite:///{self.path} reads it; to go back, put it in the place of the lab's",
            ]
        )


def backup(campaign: Campaign, path: str | None) -> BackedUp:
    """Copy the database to a new file; without a name, to one of this moment in the folder `root`.

    Raises `Refusal` where there is no database, and for a file that is there or cannot be written.
    """
    store = campaign.known
    name = time.strftime("joulelab-%Y%m%d-%H%M%S.db")
    to = (Path(path).expanduser() if path else campaign.root / "backups" / name).absolute()
    rows = copied(store, to)
    return BackedUp(path=to, bytes=to.stat().st_size, rows=rows)
