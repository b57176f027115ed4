"""What Hugging Face's `datasets` leaves on a disk: `save_to_disk`'s folders, and parquet, as Arrow tables.

They are read by Arrow itself: nothing of a data set's own code is run, and rows stay mapped from their files.
"""

import json
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple, final

from reading.decoded import TEST, TRAIN, UNSPLIT, VAL
from reading.digest import walk
from refusal import Refusal

_PARTS = {"train": TRAIN, "training": TRAIN, "test": TEST, "testing": TEST}
_PARTS |= dict.fromkeys(("validation", "valid", "val", "dev"), VAL)
_SHARD = re.compile(r"^(.*?)(?:-(\d{5})-of-(\d{5}))?(?:-[0-9a-f]{16})?$")
_END = b"\xff\xff\xff\xff\0\0\0\0"
"""the last bytes of a whole stream of Arrow"""


@final
class Saved(NamedTuple):
    """The splits of a data set: part -> (its name, its rows), and what is known of the columns."""

    parts: dict[int, tuple[str, Any]]
    features: dict[str, Any]
    """column -> what `datasets` says of it: `_type` (ClassLabel, Image, Audio, Array2D, ...), `names`, ..."""


def saved(path: Path, splits: Sequence[str] | None, place: Path) -> Saved:
    """All splits under `path`, or those that `splits` names; parquet is unpacked into `place` meanwhile.

    Raises `Refusal` for several configurations in one folder, a split that says no part, a missing shard, a
    file that is cut short, and splits of different columns.
    """
    found = _found(path)
    parts = _parts(path, found, splits)
    tables = {part: (name, _table(found[name], place / f"{part}.arrow")) for part, name in parts.items()}
    features = [(name, _features(table)) for name, table in tables.values()]
    first, own = features[0]
    for other, theirs in features[1:]:
        if theirs != own:
            odd = next(name for name in sorted({*own, *theirs}) if own.get(name) != theirs.get(name))
            raise Refusal(f"data.path: the column {odd} is not the same in {first} and {other}: mend one.")
    return Saved(tables, own)


def _found(path: Path) -> dict[str, list[Path]]:
    """Split -> its files; a split of no name is ''."""
    if path.is_file():
        if path.suffix not in (".parquet", ".arrow"):
            raise Refusal(f"{path} is neither parquet nor Arrow: choose data=table or data=text for it.")
        return {"": [path]}
    if (path / "dataset_dict.json").is_file():
        splits = _json(path / "dataset_dict.json").get("splits") or []
        return {str(name): _listed(path / str(name)) for name in splits}
    if (path / "state.json").is_file():
        return {"": _listed(path)}
    inside = sorted({file.parent for file in walk(path) if file.name in ("dataset_dict.json", "state.json")})
    tops = [one for one in inside if not any(other in one.parents for other in inside)]
    if tops:
        raise _several(path, tops)
    return _parquet(path)


def _listed(folder: Path) -> list[Path]:
    """The files of one saved table, in their order."""
    state = _json(folder / "state.json")
    if state.get("_indices_data_files") or state.get("_indices_files"):
        raise Refusal(f"{folder} is saved with an order beside its rows: save flatten_indices() of it.")
    files = [folder / str(one["filename"]) for one in state.get("_data_files") or []]
    if not files:
        raise Refusal(f"{folder / 'state.json'} names no file of rows: save the data anew.")
    return files


def _parquet(path: Path) -> dict[str, list[Path]]:
    splits: dict[str, list[Path]] = {}
    homes: dict[Path, None] = {}
    shards: dict[str, set[tuple[str, str]]] = {}
    others: list[Path] = []
    for file in walk(path):
        if any(one.startswith(".") for one in file.relative_to(path).parts):
            continue
        if file.suffix != ".parquet":
            others.append(file)
            continue
        stem, shard, count = _SHARD.fullmatch(file.stem).groups()  # type: ignore[union-attr]  # it fits all
        # The hub's own conversion has a folder of numbered files for each split.
        numbered = stem.isdigit()
        name = file.parent.name if numbered else stem
        homes[file.parent.parent if numbered else file.parent] = None
        splits.setdefault(name, []).append(file)
        shards.setdefault(name, set()).add((shard or "", count or ""))
    if not splits:
        raise Refusal(f"data.path: {path} holds neither what save_to_disk leaves nor parquet.")
    lost = next((file for file in others if re.split(r"[-_.]", file.name.lower())[0] in _PARTS), None)
    if lost is not None:
        raise Refusal(f"{lost} is called as a split and is no parquet: bring it as parquet, or take it out.")
    if len(homes) > 1:
        raise _several(path, list(homes))
    for name, own in shards.items():
        _check_shards(name, own, splits[name])
    return splits if len(splits) > 1 or next(iter(splits)).lower() in _PARTS else {"": splits.popitem()[1]}


def _check_shards(name: str, shards: set[tuple[str, str]], files: list[Path]) -> None:
    counts = {count for _, count in shards}
    if counts == {""} and (len(files) == 1 or all(one.stem.isdigit() for one in files)):
        return
    if len(counts) > 1 or len(files) != int(max(counts) or 0):
        raise Refusal(
            f"{files[0].parent} holds {len(files)} files of {name}, such as {files[0].name}: bring all "
            "shards of one splitting and no other."
        )


def _parts(path: Path, found: dict[str, list[Path]], asked: Sequence[str] | None) -> dict[int, str]:
    """Part -> the name of its split."""
    if list(found) == [""]:
        return {UNSPLIT: ""}
    asked = [asked] if isinstance(asked, str) else asked
    strange = [name for name in asked or () if name not in found]
    if strange:
        raise Refusal(f"data.splits names {strange[0]}, and {path} has {', '.join(found)}.")
    parts: dict[int, str] = {}
    for name in asked or found:
        part = _part(name, chosen=asked is not None)
        if part is None or part in parts:
            raise Refusal(
                f"data.path: {path} has the splits {', '.join(found)}, and {name} is "
                f"{'no part' if part is None else f'beside {parts[part]}'}: choose one each for train, "
                "validation and test by data.splits=[train,test]."
            )
        parts[part] = name
    if TRAIN not in parts:
        raise Refusal(
            f"data.path: {path} has the splits {', '.join(found)}: choose one that is called train."
        )
    return dict(sorted(parts.items()))


def _part(name: str, *, chosen: bool) -> int | None:
    """What a split is for; of what a person chose the first word tells, as in validation_matched."""
    plain = name.lower()
    return _PARTS.get(re.split(r"[_.-]", plain)[0] if chosen else plain)


def _table(files: list[Path], place: Path) -> Any:
    arrow = _arrow()
    with _refusing(files):
        tables = [
            _unpacked(file, place.with_suffix(f".{number}")) if file.suffix == ".parquet" else _stream(file)
            for number, file in enumerate(files)
        ]
        table = arrow.concat_tables(tables)
    if not len(table):
        raise Refusal(f"{files[0]} holds no rows.")
    if len(set(table.column_names)) < len(table.column_names):
        raise Refusal(f"{files[0]} has two columns of one name: give each a name of its own.")
    return table


def _stream(file: Path) -> Any:
    """The rows of a file, mapped."""
    arrow = _arrow()
    with file.open("rb") as content:
        content.seek(max(0, file.stat().st_size - len(_END)))
        # Cut between two batches, a stream would only seem to be shorter.
        if content.read() != _END:
            raise Refusal(f"{file} is cut short: bring it again.")
    return arrow.ipc.open_stream(arrow.memory_map(str(file))).read_all()


def _unpacked(file: Path, place: Path) -> Any:
    """The rows of parquet, batch by batch, in a file of Arrow that is gone when they are."""
    import pyarrow.parquet as parquet

    arrow = _arrow()
    with parquet.ParquetFile(file) as packed:
        schema = packed.schema_arrow
        with arrow.OSFile(str(place), "wb") as sink, arrow.ipc.new_stream(sink, schema) as stream:
            for batch in packed.iter_batches(batch_size=1024):
                stream.write_batch(batch)
    table = arrow.ipc.open_stream(arrow.memory_map(str(place))).read_all()
    place.unlink()
    return table


def _features(table: Any) -> dict[str, Any]:
    """Column -> what is said of it: by `datasets`, else by its type."""
    try:
        told = json.loads((table.schema.metadata or {}).get(b"huggingface", b"{}"))
    except ValueError as error:
        raise Refusal(
            f"data.path: what 'huggingface' says of the columns is damaged ({error}): save the data anew."
        ) from error
    known = (told.get("info") or {}).get("features") or {}
    plain = {field.name: {"_type": "Value", "dtype": str(field.type)} for field in table.schema}
    return {name: known.get(name) or plain[name] for name in plain}


def _several(path: Path, homes: list[Path]) -> Refusal:
    named = ", ".join(str(one.relative_to(path)) for one in sorted(homes)[:10])
    return Refusal(
        f"data.path: {path} holds several configurations or data sets ({named}): set data.path to one of "
        "them."
    )


def _json(file: Path) -> dict[str, Any]:
    try:
        found = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise Refusal(f"{file} cannot be read ({error}): save the data anew.") from error
    return found if isinstance(found, dict) else {}


@contextmanager
def _refusing(files: list[Path]) -> Iterator[None]:
    try:
        yield
    except (OSError, _arrow().ArrowException) as error:
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise Refusal(f"{files[0].parent}: its rows cannot be read ({reason}): bring them again.") from error


def _arrow() -> Any:
    try:
        import pyarrow
        import pyarrow.ipc
    except ImportError as missing:
        raise Refusal("data=hf needs pyarrow: pip install -e '.[data]'.") from missing
    return pyarrow
