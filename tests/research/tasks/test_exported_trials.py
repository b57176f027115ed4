"""All trials as one file: whole or not at all, and only with what its format can hold."""

import json
import math
from pathlib import Path

import pytest

from command_lab import Room
from refusal import Refusal
from research.types import Key


@pytest.mark.slow
def test_trials_are_exported_whole_with_flat_configurations(room: Room, tmp_path: Path) -> None:
    room.trial("model.width=32"), room.trial("optimizer=lion", seed=1)
    path = tmp_path / "trials.json"
    found = room.ask("export", path=path)
    rows = json.loads(path.read_text())
    assert found.trials == len(rows) == 2 and found.bytes == path.stat().st_size
    assert rows[0]["config.model.width"] == 32 and rows[1]["test/accuracy"] > 0
    assert rows[1]["overrides"] == "data=digits optimizer=lion seed=1"
    assert rows[0]["energy_method"] == "estimated" and [one.name for one in tmp_path.iterdir()] == [path.name]
    assert room.ask("export", path=path, status="failed").trials == 0
    assert json.loads(path.read_text()) == []


def test_a_password_with_a_blank_in_an_override_is_masked(room: Room, tmp_path: Path) -> None:
    key = Key("s", "c", "d", "h")
    room.store.claim(key, config={}, overrides=["seed=0", "x=postgresql://me:two words@host/lab"])
    room.ask("export", path=tmp_path / "x.json")
    (row,) = json.loads((tmp_path / "x.json").read_text())
    assert row["overrides"] == "seed=0 x=postgresql://me:***@host/lab"


def test_an_export_that_cannot_be_written_leaves_nothing(room: Room, tmp_path: Path) -> None:
    room.trial()
    for path, said in (
        (tmp_path / "x.csv", "end it in .json or .parquet"),
        (tmp_path / "missing" / "x.json", "cannot be written"),
        (None, "path is missing: end it in .json or .parquet"),
    ):
        with pytest.raises(Refusal, match=said):
            room.ask("export", path=path)
    assert list(tmp_path.iterdir()) == []


def test_parquet_without_pyarrow_is_refused(
    room: Room, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(__import__("sys").modules, "pyarrow", None)
    with pytest.raises(Refusal, match=r"pip install pyarrow, or export to \.json"):
        room.ask("export", path=tmp_path / "x.parquet")


def test_what_json_cannot_hold_is_null_or_spelt_out(
    room: Room, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Both ways of writing a line: the second is for half of a surrogate pair, as a config may hold."""
    written = [
        {"a": math.nan, "b": -math.inf, "c": 0.1, "d": "é"},
        {"a": math.inf, "b": "\ud800", "c": 1, "d": None},
    ]
    monkeypatch.setattr("research.tasks.export.collected", lambda *about: iter(written))
    room.ask("export", path=tmp_path / "x.json")
    assert json.loads((tmp_path / "x.json").read_text()) == [
        {"a": None, "b": None, "c": 0.1, "d": "é"},
        {"a": None, "b": "\ud800", "c": 1, "d": None},
    ]


@pytest.mark.slow
def test_columns_of_mixed_kinds_are_one_type_in_parquet(room: Room, tmp_path: Path) -> None:
    parquet = pytest.importorskip("pyarrow.parquet")
    from research.tasks.export import _parquet

    _parquet([{"a": 1, "b": 1}, {"a": 2.5, "b": "x"}, {"b": None}], tmp_path / "x.parquet")
    assert parquet.read_table(tmp_path / "x.parquet").to_pydict() == {
        "a": [1.0, 2.5, None],
        "b": ["1", "x", None],
    }
