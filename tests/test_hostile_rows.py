"""Rows that somebody else has written run no code: not by their configs, whatever task reads them.

The marker is a file that the hostile config would write; it must not be there afterwards.
"""

import contextlib
import json
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

import command_lab
import construct
import train
from refusal import Refusal
from research.run.runner import Job, Runner
from research.store.schema import config_sha
from research.store.store import Store, TrialClaim
from research.types import Key


@pytest.fixture
def room(tmp_path: Path) -> Iterator[command_lab.Room]:
    with command_lab.opened(tmp_path) as room:
        yield room


@pytest.fixture
def marker(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Where hostile code writes; a module that writes there when it is imported can be imported."""
    path = tmp_path / "marker"
    (tmp_path / "planted.py").write_text(f"import pathlib\npathlib.Path({str(path)!r}).write_text('here')\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    yield path
    assert not path.exists(), "code of a row ran"


def hostile(marker: Path) -> dict[str, dict[str, Any]]:
    """Nodes each of which writes the marker if its target is called, or its module imported."""
    writes = {
        "_target_": "pathlib.Path.write_text",
        "_args_": [{"_target_": "pathlib.Path", "_args_": [str(marker)]}],
    }
    shell = f"touch {marker}"
    return {
        "called": writes | {"data": "here"},
        "imported": {"_target_": "planted.anything"},
        "partial": {"_target_": "planted.anything", "_partial_": True},
        "by attributes": {"_target_": "models.trial.platform.os.system", "_args_": [shell]},
        "by an old name": {"_target_": "models.losses.os.system", "_args_": [shell]},
        "in a list": {
            "_target_": "models.nets.mlp.MLP",
            "layers": [[{"_target_": "os.system", "_args_": [shell]}]],
        },
        "unbuilt": {
            "_target_": "models.nets.mlp.MLP",
            "_recursive_": False,
            "a": {"_target_": "planted.anything"},
        },
        "by Hydra": {
            "_target_": "hydra.utils.call",
            "_args_": [{"_target_": "os.system", "_args_": [shell]}],
        },
    }


REFUSED = r"no option of conf/ names it|among its options"
CPU = {"accelerator": "cpu", "devices": 1}
KINDS = list(hostile(Path("x")))
PLACES = ("model", "optimizer", "logger", "callbacks", "a key of nobody")


def edit(database: Path, number: int, change: Callable[[dict[str, Any]], Any], *, sealed: bool) -> None:
    """What who can write to the database can do; `sealed` with a digest that fits."""
    with closing(sqlite3.connect(database)) as sql, sql:
        (text, signature) = sql.execute(
            "select config, signature from trial where id = ?", (number,)
        ).fetchone()
        config = json.loads(text)
        change(config)
        sql.execute("update trial set config = ? where id = ?", (json.dumps(config), number))
        if sealed:
            sha = config_sha(signature, config)
            sql.execute("update trial set config_sha = ? where id = ?", (sha, number))


@pytest.mark.parametrize("kind", KINDS)
def test_no_task_calls_what_a_row_names(room: command_lab.Room, marker: Path, kind: str) -> None:
    first, second = (room.trial("budget.steps=200", seed=seed) for seed in range(2))
    node = hostile(marker)[kind]
    database = room.lab.folder / "lab.db"
    edit(database, second, lambda config: config.update(dict.fromkeys(PLACES, node)), sealed=True)
    with pytest.raises(Refusal, match=REFUSED):
        room.ask("reproduce", id=second)
    ran = len(room.lab.ran)
    asked: dict[str, dict[str, Any]] = {
        "show": {"id": second},
        "list": {"what": "trials"},
        "status": {},
        "compare": {"a": first, "b": second},
        "export": {"path": str(room.lab.folder / "out.json")},
        "report": {"sweep": "swept"},
    }
    with closing(sqlite3.connect(database)) as sql, sql:
        sql.execute("update trial set sweep = 'swept'")
    for task, keys in asked.items():
        # Whether a task has an answer for such a row is its own affair.
        with contextlib.suppress(Refusal):
            room.ask(task, **keys)
    assert len(room.lab.ran) == ran


def test_a_config_that_was_changed_is_not_run_again(room: command_lab.Room) -> None:
    number, other = (room.trial("budget.steps=200", seed=seed) for seed in range(2))
    database = room.lab.folder / "lab.db"
    edit(database, number, lambda config: config["budget"].update(steps=100), sealed=False)
    with pytest.raises(Refusal, match=rf"trial {number} was changed in the database after it was written"):
        room.ask("reproduce", id=number)
    # Another row's config with the digest of that row is no config of this one.
    with closing(sqlite3.connect(database)) as sql, sql:
        sql.execute(
            "update trial set (config, config_sha) = (select config, config_sha from trial where id = ?) "
            "where id = ?",
            (other, number),
        )
    with pytest.raises(Refusal, match=rf"trial {number} was changed"):
        room.ask("reproduce", id=number)
    assert room.ask("reproduce", id=other).replicates


@pytest.mark.parametrize(
    ("column", "value", "said"),
    [
        ("seed", 1.5, "holds seed = '1.5'"),
        ("status", "weird", "holds status = 'weird'"),
        ("overrides", "5", "holds overrides = '5'"),
        ("config", "[]", r"holds config = '\[\]'"),
        ("config", "{", "a row that is cut or was edited"),
        ("facts", "[]", r"holds facts = '\[\]'"),
    ],
)
def test_a_row_that_is_no_trial_is_named(
    room: command_lab.Room, column: str, value: object, said: str
) -> None:
    number = room.trial("budget.steps=200")
    with closing(sqlite3.connect(room.lab.folder / "lab.db")) as sql, sql:
        sql.execute(f"update trial set {column} = ? where id = ?", (value, number))
    for task, keys in {"list": {"what": "trials"}, "show": {"id": number}}.items():
        with pytest.raises(Refusal, match=said):
            room.ask(task, **keys)


@pytest.mark.parametrize("kind", KINDS)
def test_a_teacher_named_by_its_run_calls_nothing(
    resolve: Callable[..., dict[str, Any]], tmp_path: Path, marker: Path, kind: str
) -> None:
    taught = resolve("model.width=32")
    store = Store(taught["store"]["url"])
    hostile_config = taught | {"model": hostile(marker)[kind]}
    claim = store.claim(Key("s", "c", "d", "h"), config=hostile_config, folder=str(tmp_path / "teacher"))
    assert isinstance(claim, TrialClaim)
    store.finish(claim, {"train/energy_j": 1.0})
    store.close()
    student = resolve("model.width=8", "compress=[distill]")
    student["compress"]["distill"]["teacher"] |= {"run": claim.trial_id}
    with pytest.raises(Refusal, match=REFUSED):
        train.trial(student, overrides=[])


@pytest.mark.slow
def test_a_trials_process_neither_imports_nor_calls_it(tmp_path: Path, marker: Path) -> None:
    # Those that name a network of the lab would import torch first.
    nodes = [node for node in hostile(marker).values() if "models.nets" not in str(node)]
    configs = [{"trainer": CPU, "model": node} for node in nodes]
    with Runner(1, 1, preload=(), logs=tmp_path / "logs") as runner:
        outcomes = list(runner.run([Job(config, []) for config in configs]))
    assert [one.status for one in outcomes] == ["failed"] * len(configs)
    assert all("is not called" in one.reason or "among its options" in one.reason for one in outcomes)


@pytest.mark.slow
def test_what_a_person_typed_reaches_the_trials_process(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:

    monkeypatch.setattr(construct, "_trusted", {"no.such_module.of_mine"})
    mine = {"_target_": "no.such_module.of_mine"}
    config = {"trainer": CPU, "data": {}, "budget": {}, "mine": mine, "score": "no/score"}
    with Runner(1, 1, preload=(), logs=tmp_path / "logs") as runner:
        (outcome,) = runner.run([Job(config, [])])
    assert "score=no/score is no metric" in str(outcome.reason)
