"""`task=export path=...`: all trials with metrics and flattened configurations, or one trial's network."""

import json
import marshal
import math
import os
import stat
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, final

from pydantic_core import to_json

from construct import trust
from redact import redact
from refusal import Refusal
from research.campaign.campaign import Campaign
from research.page import counted
from research.stats.comparable import how_taken
from research.tasks.answer import Answer
from research.tasks.listing import STATUSES

if TYPE_CHECKING:
    from research.store.store import Store

_AT_ONCE = 500


@final
class Exported(Answer):
    """What was written."""

    path: Path
    trials: int
    columns: int
    bytes: int

    def text(self) -> str:
        """One line."""
        size = f"{self.columns} columns, {self.bytes} bytes"
        return f"{counted(self.trials, 'trial')}, {size} in {self.path}"


def export(
    campaign: Campaign,
    path: str | None,
    status: str | None,
    id: int | str | None,
    format: str | None,
    target: str | None,
    licence: str | None,
) -> Answer:
    """The network of the trial `id` in a folder, or without it all trials in a file.

    Raises `Refusal` as `rows` and `research.tasks.delivered.deliver` do, and for keys of the other kind.
    """
    if id is None:
        given = {"format": format, "target": target, "licence": licence}
        odd = [f"{name}={value}" for name, value in given.items() if value is not None]
        if odd:
            raise Refusal(f"{odd[0]} is for the network of one trial: say which, as id=12.")
        return rows(campaign, path, status)
    if status is not None:
        raise Refusal(f"status={status} chooses among all trials: leave it out, for id={id} names one.")
    from research.tasks.delivered import deliver

    if target is not None:
        trust({}, [f"model.target={target}"])

    return deliver(campaign, id, format, path, licence)


def rows(campaign: Campaign, path: str | None, status: str | None) -> Exported:
    """Write the file, whole or not at all; a file that is there is replaced.

    Raises `Refusal` for another ending than .json or .parquet, and where it cannot be written.
    """
    to = Path(path or "").expanduser()
    writers: dict[str, Callable[[Iterable[dict[str, Any]], Path], None]] = {
        ".json": _json,
        ".parquet": _parquet,
    }
    if to.suffix not in writers:
        shown = f"path={path} is no file to export to" if path else "path is missing"
        raise Refusal(
            f"{shown}: end it in .json or .parquet, as path=trials.json; a network needs id and format."
        )
    refuse_status(status)
    if to.suffix == ".parquet":
        _arrow()
    count, columns = 0, set[str]()

    def seen() -> Iterator[dict[str, Any]]:
        nonlocal count
        for row in collected(campaign.known, status):
            count += 1
            columns.update(row)
            yield row

    _whole(to, lambda beside: writers[to.suffix](seen(), beside))
    return Exported(path=to, trials=count, columns=len(columns), bytes=to.stat().st_size)


def refuse_status(status: str | None) -> None:
    """Raise `Refusal` for a status that no trial has."""
    if status is not None and status not in STATUSES["trials"]:
        raise Refusal(f"No trials have status={status}: choose status={'|'.join(STATUSES['trials'])}.")


def collected(store: "Store", status: str | None = None) -> Iterator[dict[str, Any]]:
    """One flat row for each trial, oldest first: its columns, `config.*`, metrics, how clocks were taken."""
    newest = max((trial.id for trial in store.trials(limit=1)), default=0)
    for first in range(1, newest + 1, _AT_ONCE):
        some = store.trials(ids=range(first, first + _AT_ONCE), word=status)
        results = store.results([trial.id for trial in some])
        for trial in some:
            result = results.get(trial.id)
            row = trial.model_dump(exclude={"key", "config", "lost", "config_sha"})
            row |= {"overrides": None, "status": trial.word} | how_taken(result)
            row = {name: _text(said, name) if type(said) is str else said for name, said in row.items()}
            # One by one: where nothing else is said, a blank is part of a URL's password.
            row["overrides"] = " ".join(_text(said, "overrides") for said in trial.overrides)
            row |= {"config_sha": trial.config_sha} | trial.key._asdict()
            for name, part in trial.config.items():
                # In the format without references, in which equal values are equal bytes.
                row |= _columns(name, marshal.dumps(part, 2))
            yield row | (result.metrics if result else {})


# Thousands of trials say the same again and again.
_text = lru_cache(maxsize=4096)(redact)


@lru_cache(maxsize=4096)
def _columns(name: str, part: bytes) -> dict[str, Any]:
    return flat({name: redact(marshal.loads(part), name)}, "config.")  # noqa: S302  of our own making


def flat(node: Mapping[str, Any], before: str = "") -> dict[str, Any]:
    """Nested mappings as dotted keys; lists, which have no columns of their own, as JSON."""
    columns: dict[str, Any] = {}
    for key, value in node.items():
        if isinstance(value, Mapping):
            columns |= flat(value, f"{before}{key}.")
        else:
            columns[f"{before}{key}"] = json.dumps(value) if isinstance(value, list | tuple) else value
    return columns


def _json(rows: Iterable[dict[str, Any]], path: Path) -> None:
    """A line for each row; what is not finite is null."""
    with path.open("wb") as file:
        for at, row in enumerate(rows):
            file.write(b",\n" if at else b"[\n")
            file.write(_line(row))
        file.write(b"\n]\n" if file.tell() else b"[]\n")


def _line(row: dict[str, Any]) -> bytes:
    try:
        return to_json(row, inf_nan_mode="null")  # in a third of the time of Python's own writer
    except ValueError:  # half of a surrogate pair
        finite = {key: _finite(value) for key, value in row.items()}
        return json.dumps(finite, allow_nan=False).encode()


def _finite(value: Any) -> Any:
    return None if type(value) is float and not math.isfinite(value) else value


def _parquet(found: Iterable[dict[str, Any]], path: Path) -> None:
    arrow, parquet = _arrow()
    rows = list(found)
    names = list(dict.fromkeys(name for row in rows for name in row))
    columns = {name: _column(arrow, [row.get(name) for row in rows]) for name in names}
    parquet.write_table(arrow.table(columns), path)


def _column(arrow: Any, values: Sequence[Any]) -> Any:
    """A column of one type: whole numbers beside floats become floats, any other mixture text."""
    kinds = {type(value) for value in values if value is not None}
    if kinds <= {int, float} and len(kinds) == 2:
        return arrow.array([None if value is None else float(value) for value in values])
    if len(kinds) > 1:
        return arrow.array([None if value is None else str(value) for value in values])
    return arrow.array(values)


def _arrow() -> tuple[Any, Any]:
    try:
        import pyarrow
        from pyarrow import parquet
    except ImportError as error:
        raise Refusal(
            "Parquet needs the package pyarrow: pip install pyarrow, or export to .json."
        ) from error
    return pyarrow, parquet


def _whole(path: Path, write: Callable[[Path], None]) -> None:
    """Write a file beside the one asked for and put it in its place: a reader never sees half of it."""
    try:
        handle, name = tempfile.mkstemp(prefix=f".{path.name}.", suffix=".new", dir=path.parent)
        os.close(handle)
    except OSError as error:
        raise Refusal(f"{path} cannot be written ({error.strerror}): choose another path.") from error
    beside = Path(name)
    try:
        write(beside)
        if path.exists():  # made for this reader only, unless somebody has given it other rights
            beside.chmod(stat.S_IMODE(path.stat().st_mode))
        beside.replace(path)
    except OSError as error:
        raise Refusal(f"{path} cannot be written ({error.strerror}): choose another path.") from error
    finally:
        beside.unlink(missing_ok=True)
