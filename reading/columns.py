"""What the columns of a saved data set hold, and which of them are read."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, final

from reading.cell import Cell
from reading.frames import ANSWERS, column, tidied
from reading.saved import Saved
from reading.sources.text import TEXTS
from refusal import Refusal

_INDEX = re.compile(r"__index_level_\d+__$")
_WHOLE = {"picture": "pictures", "sound": "sounds", "list": "lists", "text": "text"}
"""kinds of which one column is all of an input -> what they are called"""


@final
class SavedColumns:
    """The columns of the data set that lies at `path`.

    A column of more than `most_categories` different words is text.
    """

    def __init__(self, path: Path, data: Saved, most_categories: int) -> None:
        self.path, self._data, self._most = path, data, most_categories
        self.rows = sum(len(rows) for _, rows in data.parts.values())

    def answers(self, target: Any) -> list[str]:
        """The columns of the answers. Raises `Refusal` where none is told."""
        names = list(self._data.features)
        asked = list(target) if isinstance(target, list | tuple) else [target]
        classes = [name for name in names if self._said(name) == "ClassLabel"]
        if asked == [None] and len(classes) == 1:
            return classes
        return [column(self.path, names, name, ANSWERS, "target") for name in asked]

    def inputs(self, answers: list[str], asked: Any) -> tuple[str, list[str], list[str]]:
        """(what the inputs are, their columns, the columns that are not read).

        Raises `Refusal` where several columns could be all of an input, and for one that is nothing known.
        """
        # What pandas numbers its rows by would tell the answers of a table that is sorted by them.
        others = [name for name in self._data.features if name not in answers]
        rest = [name for name in others if not _INDEX.match(name)]
        chosen = list(map(str, [asked] if isinstance(asked, str | int) else asked or ()))
        strange = [name for name in chosen if name not in rest]
        if strange:
            raise Refusal(
                f"data.columns names {strange[0]}, and {self.path} has {', '.join(rest)} for inputs."
            )
        pool = chosen or rest
        kinds = {name: self._kind(name, alone=len(chosen) == 1) for name in pool}
        for what, called in _WHOLE.items():
            own = [name for name in pool if kinds[name] == what]
            if len(own) > 1 or (own and len(chosen) > 1):
                raise Refusal(
                    f"{self.path}: {' and '.join((own if len(own) > 1 else chosen)[:5])} cannot be read "
                    f"together, as there are {called} among them: choose one by data.columns=NAME."
                )
            if own:
                return what, own, [name for name in others if name not in own]
        plain = [name for name in pool if kinds[name] == "plain"]
        if not plain or (chosen and len(plain) < len(chosen)):
            shown = ", ".join(name for name in pool if name not in plain) or "nothing"
            raise Refusal(
                f"{self.path} holds {shown} beside {answers[0]}, which is no picture, sound, text, number or "
                "list of numbers."
            )
        return "table", plain, [name for name in others if name not in plain]

    def names(self, name: str) -> list[str]:
        """The names of the classes of a column, in their order; none where it has words or numbers."""
        return [str(one) for one in self._classes(self._data.features[name]) or ()]

    def frames(self, names: list[str]) -> dict[int, tuple[Any, Any]]:
        """Part -> (what a sentence calls it, pandas frame of these columns, with classes by their names)."""
        frames = {}
        for part, (split, rows) in self._data.parts.items():
            frame = rows.select(names).to_pandas()
            for name in names:
                frame[name] = _named(frame[name], self.names(name))
            frames[part] = (split or self.path, frame)
        return frames

    def cells(self, name: str) -> list[Cell]:
        """All rows of a column of pictures or sounds."""
        return [
            Cell(rows.column(name), row, split or str(self.path))
            for split, rows in self._data.parts.values()
            for row in range(len(rows))
        ]

    def chunks(self, name: str) -> Iterator[Any]:
        """All rows of a column, as arrays of Arrow."""
        for _, rows in self._data.parts.values():
            yield from (chunk for chunk in rows.column(name).chunks if len(chunk))

    def _said(self, name: str) -> str | None:
        feature = self._data.features[name]
        return feature.get("_type") if isinstance(feature, dict) else None

    def _classes(self, feature: Any) -> list[str] | None:
        """Of a column of classes, or of lists of them."""
        if isinstance(feature, list):
            return self._classes(feature[0]) if feature else None
        if not isinstance(feature, dict):
            return None
        return feature.get("names") or self._classes(feature.get("feature"))

    def _kind(self, name: str, *, alone: bool) -> str:
        """`picture`, `sound`, `list`, `text`, `plain` (numbers and words), or `other`."""
        told = {"Image": "picture", "Audio": "sound"}.get(self._said(name) or "")
        if told is not None:
            return told
        from pyarrow import types

        kind = self._type(name)
        if types.is_struct(kind):
            fields = {kind.field(at).name for at in range(kind.num_fields)}
            return "picture" if fields == {"bytes", "path"} else "other"
        if types.is_binary(kind) or types.is_large_binary(kind):
            return "picture"
        if "list" in str(kind):
            return "list" if _is_number(_innermost(kind)) else "other"
        value = kind.value_type if types.is_dictionary(kind) else kind
        if types.is_string(value) or types.is_large_string(value):
            return "text" if alone or name.lower() in TEXTS or self._many(name) else "plain"
        return "plain" if _is_number(kind) or types.is_decimal(kind) else "other"

    def _type(self, name: str) -> Any:
        _, rows = next(iter(self._data.parts.values()))
        kind = rows.schema.field(name).type
        return getattr(kind, "storage_type", kind)

    def _many(self, name: str) -> bool:
        import pyarrow.compute as compute
        from pyarrow import types

        columns = (rows.column(name) for _, rows in self._data.parts.values())
        plain = (one.cast(one.type.value_type) if types.is_dictionary(one.type) else one for one in columns)
        return any(compute.count_distinct(one).as_py() > self._most for one in plain)


def _is_number(kind: Any) -> bool:
    from pyarrow import types

    return bool(types.is_integer(kind) or types.is_floating(kind) or types.is_boolean(kind))


def _innermost(kind: Any) -> Any:
    return _innermost(kind.value_type) if "list" in str(kind) else kind


def _named(values: Any, names: list[str]) -> Any:
    """Numbers of classes by their names; one that has none, as the -1 of who labelled nothing, stays."""
    plain = tidied(values)
    if not names:
        return plain

    def name(value: Any) -> Any:
        if isinstance(value, tuple):
            return tuple(name(None if one == "None" else float(one)) for one in value)
        if value is None or value != value:
            return None
        return names[int(value)] if 0 <= int(value) < len(names) else str(int(value))

    return plain.astype(object).map(name)
