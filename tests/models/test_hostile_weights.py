"""Weights that somebody else has written run no code, wherever a file of weights may be named."""

import hashlib
import io
import pickle
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

import train
from cases import each
from models.compress import artefact, teacher
from models.inference import restore
from models.own.weights import load
from models.training.checkpoint import OURS, Checkpoints, newest, tensors
from refusal import Refusal
from research.run.row import claimed
from research.store.store import Store


class Bomb:
    """Writes a file when it is unpickled."""

    def __init__(self, marker: Path) -> None:
        self.marker = marker

    def __reduce__(self) -> Any:
        return Path.write_text, (self.marker, "code ran")


def swapped(content: dict[str, Any], bomb: Bomb) -> bytes:
    """A file of torch's whose tensors are as they should be, and whose pickle is another."""
    whole, out = io.BytesIO(), io.BytesIO()
    torch.save(content, whole)
    with zipfile.ZipFile(whole) as good, zipfile.ZipFile(out, "w") as bad:
        for entry in good.namelist():
            bad.writestr(entry, pickle.dumps(bomb) if entry.endswith("data.pkl") else good.read(entry))
    return out.getvalue()


def saved(content: Any, **how: Any) -> bytes:
    out = io.BytesIO()
    torch.save(content, out, **how)
    return out.getvalue()


def script() -> bytes:
    out = io.BytesIO()
    with pytest.warns(DeprecationWarning):
        torch.jit.save(torch.jit.script(nn.Linear(2, 2)), out)
    return out.getvalue()


USUAL = {OURS: {"format": 1}, "state_dict": {"net.weight": torch.ones(1, 1)}, "weights": {}, "global_step": 0}
KINDS: dict[str, Callable[[Bomb], bytes]] = {
    "alone": saved,
    "among the weights": lambda bomb: saved(USUAL | {"state_dict": {"net.weight": bomb}}),
    "beside them": lambda bomb: saved(USUAL | {"hyper_parameters": [bomb]}),
    "of the old format": lambda bomb: saved(USUAL | {"a": bomb}, _use_new_zipfile_serialization=False),
    "a bare pickle": pickle.dumps,
    "a pickle of protocol 0": lambda bomb: pickle.dumps(bomb, 0),
    "a swapped pickle": lambda bomb: swapped(USUAL, bomb),
    "a module": lambda bomb: saved(nn.Linear(2, 2)),
    "a script": lambda bomb: script(),
    "cut": lambda bomb: saved(USUAL)[:-200],
    "empty": lambda bomb: b"",
    "text": lambda bomb: b"weights",
    "a list": lambda bomb: saved([1, 2]),
}
READERS: dict[str, Callable[[Path], Any]] = {
    "ckpt_path": lambda path: Checkpoints().load_checkpoint(path),
    "a teacher": lambda path: teacher.load(nn.Linear(1, 1, bias=False), str(path)),
    "a finished trial": artefact.load,
    "an inference": lambda path: restore(nn.Linear(1, 1), {}, path, torch.ones(1)),
    "model.weights": lambda path: load(nn.Linear(1, 1), path, classes=1),
}


@each("reader", READERS)
@each("kind", KINDS)
def test_a_file_of_weights_is_refused_in_a_sentence_and_runs_nothing(
    kind: str, reader: str, tmp_path: Path
) -> None:
    marker, path = tmp_path / "marker", tmp_path / "weights.pt"
    path.write_bytes(KINDS[kind](Bomb(marker)))
    with pytest.raises(Refusal, match=r"weights\.pt") as refused:
        READERS[reader](path)
    assert not marker.exists()
    assert "\n" not in str(refused.value)


def test_the_bomb_would_have_gone_off(tmp_path: Path) -> None:
    path = tmp_path / "weights.pt"
    path.write_bytes(KINDS["among the weights"](Bomb(tmp_path / "marker")))
    torch.load(path, weights_only=False)
    assert (tmp_path / "marker").exists()


def test_a_teacher_is_the_file_that_the_result_names(tmp_path: Path) -> None:
    path = tmp_path / "weights.pt"
    path.write_bytes(saved(USUAL))
    assert tensors(path).keys() == USUAL.keys()
    net = nn.Linear(1, 1, bias=False)
    with pytest.raises(Refusal, match="was changed while this trial was set up"):
        teacher.load(net, str(path), "0" * 64)
    assert teacher.load(net, str(path), hashlib.sha256(path.read_bytes()).hexdigest()).weight.item() == 1.0


def test_the_file_that_a_training_began_at_is_named_in_its_result(
    resolve: Callable[..., dict[str, Any]], tmp_path: Path
) -> None:
    Checkpoints().save_checkpoint(USUAL, tmp_path / "checkpoints" / "step_0.ckpt")
    file, _ = newest(tmp_path / "checkpoints")
    config = resolve(f"ckpt_path={tmp_path}")
    with claimed(config, overrides=[], sweep=None, source="person") as row:
        row.finish({"test/accuracy": 1.0}, {}, [])
    (known,) = Store(config["store"]["url"]).results([row.trial_id]).values()
    sha = hashlib.sha256(file.read_bytes()).hexdigest()
    assert known.facts["files"] == {"ckpt_path": {"path": str(file), "sha256": sha}}


@pytest.mark.slow
@pytest.mark.parametrize("named", ["ckpt_path", "model.weights", "teacher"])
def test_a_training_that_begins_at_a_bomb_ends_in_a_sentence(
    resolve: Callable[..., dict[str, Any]], tmp_path: Path, named: str
) -> None:
    marker, path = tmp_path / "marker", tmp_path / "weights.pt"
    path.write_bytes(KINDS["among the weights"](Bomb(marker)))
    if named != "teacher":
        config = resolve("model.width=8", "budget.steps=2", f"{named}={path}")
    else:
        config = resolve("model.width=8", "budget.steps=2", "compress=[distill]")
        recipe = ["data=digits", "model.width=8"]
        config["compress"]["distill"]["teacher"] |= {"checkpoint": str(path), "recipe": recipe}
    with pytest.raises(Refusal, match="code in a file is never run"):
        train.trial(config, overrides=[])
    assert not marker.exists()
    (row,) = Store(config["store"]["url"]).trials()
    assert row.status == "failed" and "weights.pt cannot be read as a checkpoint" in str(row.reason)
