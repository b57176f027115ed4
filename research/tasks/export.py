"""`task=export path=...`: all trials with metrics and flattened configurations, or one trial's network."""

import json
import math
import os
import stat
import tempfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, final

from construct import trust
from redact import redact
from refusal import Refusal
from research.campaign.campaign import Campaign
from research.stats.comparable import how_taken
from research.tasks.answer import Answer
from research.tasks.listing import STATUSES

if TYPE_CHECKING:
    from research.store.store import Store


@final
class Exported(Answer):
    """What was written."""

    path: Path
    trials: int
    columns: int
    bytes: int

    def text(self) -> str:
        """One line."""
        return f"{self.trials} trials, {self.columns} columns, {self.bytes} bytes in {self.path}"


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
    writers: dict[str, Callable[[Sequence[dict[str, Any]], Path], None]] = {
        ".json": _json,
        ".parquet": _parquet,
    }
    if to.suffix not in writers:
        shown = f"path={path} is no file to export to" if path else "path is missing"
        raise Refusal(
            f"{shown}: end it in .json or .parquet, as path=trials.json; a network needs id and format."
        )
    if status is not None and status not in STATUSES["trials"]:
        raise Refusal(f"No trials have status={status}: choose status={'|'.join(STATUSES['trials'])}.")
    if to.suffix == ".parquet":
        _arrow()
    found = collected(campaign.known, status)
    _whole(to, lambda beside: writers[to.suffix](found, beside))
    columns = {name for row in found for name in row}
    return Exported(path=to, trials=len(found), columns=len(columns), bytes=to.stat().st_size)


def collected(store: "Store", status: str | None = None) -> list[dict[str, Any]]:
    """One flat row for each trial: its columns, `config.*`, its metrics, how clocks were taken."""
    trials = store.trials(word=status)
    results, rows = store.results([trial.id for trial in trials]), list[dict[str, Any]]()
    for trial in trials:
        result = results.get(trial.id)
        row = trial.model_dump(exclude={"key", "config", "lost"}) | trial.key._asdict()
        row |= {"overrides": " ".join(trial.overrides), "status": trial.word} | how_taken(result)
        config = flat(redact(trial.config), "config.")
        rows.append(redact(row) | config | (result.metrics if result else {}))
    return rows


def flat(node: Mapping[str, Any], before: str = "") -> dict[str, Any]:
    """Nested mappings as dotted keys; lists, which have no columns of their own, as JSON."""
    columns: dict[str, Any] = {}
    for key, value in node.items():
        if isinstance(value, Mapping):
            columns |= flat(value, f"{before}{key}.")
        else:
            columns[f"{before}{key}"] = json.dumps(value) if isinstance(value, list | tuple) else value
    return columns


def _json(rows: Sequence[dict[str, Any]], path: Path) -> None:
    finite = [
        {k: None if isinstance(v, float) and not math.isfinite(v) else v for k, v in row.items()}
        for row in rows
    ]
    path.write_text(json.dumps(finite, indent=1, allow_nan=False))


def _parquet(rows: Sequence[dict[str, Any]], path: Path) -> None:
    arrow, parquet = _arrow()
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
