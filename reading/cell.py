"""Where the bytes of one picture or sound lie: a file, or a cell of a table."""

import io
from pathlib import Path
from typing import Any, BinaryIO, final

from refusal import Refusal


@final
class Cell:
    """One value of an Arrow column that holds bytes, alone or beside the path that they once had."""

    def __init__(self, column: Any, row: int, where: str) -> None:
        self._column, self._row, self._where = column, row, where

    def __str__(self) -> str:
        return f"{self._where}, row {self._row + 1}"

    @property
    def name(self) -> str:
        """What a sentence calls it."""
        return f"row {self._row + 1}"

    def open(self) -> BinaryIO:
        """Its bytes. Raises `Refusal` where there are none, only the path of a file of another machine."""
        value = self._column[self._row].as_py()
        content = value.get("bytes") if isinstance(value, dict) else value
        if not content:
            said = value.get("path") if isinstance(value, dict) else None
            held = f"names the file {said} and does not hold it" if said else "is empty"
            raise Refusal(
                f"{self} {held}: save the data with its files in it, as save_to_disk does, or leave it out."
            )
        return io.BytesIO(content)


File = Path | Cell


def opened(file: File) -> BinaryIO:
    """The bytes of either, to be closed by who asks."""
    return file.open("rb") if isinstance(file, Path) else file.open()


@final
class Undecodable(Refusal):
    """A file that cannot be read, which a person may choose to leave out."""
