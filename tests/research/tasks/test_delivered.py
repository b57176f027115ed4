"""`task=export id=...` writes a network whole and proven or not at all; its card says what was measured."""

import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import yaml

import train
from refusal import Refusal
from research.lab import Lab
from research.report.card import Card
from research.run.given import spelt_out
from research.store.store import Store, TrialClaim
from research.tasks.delivered import Delivered
from research.types import Key

CONF = Path(train.__file__).parent / "conf"
TYPED = ["model=mlp", "model.width=16", "budget.steps=30"]


def front(folder: Path) -> dict[str, Any]:
    read: dict[str, Any] = yaml.safe_load((folder / "README.md").read_text().split("---\n")[1])
    return read


@pytest.mark.parametrize(
    ("shape", "task", "called"),
    [
        ([18, 1], "classification", "tabular-classification"),
        ([11, 1], "regression", "tabular-regression"),
        ([1, 4000], "classification", "audio-classification"),
        ([1, 8, 8], "classification", "image-classification"),
        ([64], "language", "text-generation"),
    ],
)
def test_a_card_says_what_its_data_are(shape: list[int], task: str, called: str) -> None:
    data = {"shape": shape, "task": task, "source": "table"}
    trial: Any = SimpleNamespace(config={"data": data})
    assert Card(trial, SimpleNamespace())._task() == called  # type: ignore[arg-type]


@pytest.mark.slow
def test_a_folder_is_whole_or_not_there(resolve: Callable[..., Any], tmp_path: Path) -> None:
    answer = train.trial(resolve(*TYPED), overrides=TYPED)
    metrics, own = answer["metrics"], Path(answer["folder"])
    about = front(own)
    assert about["co2_eq_emissions"]["emissions"] == pytest.approx(1000 * metrics["train/co2_kg"], rel=1e-3)
    told = about["model-index"][0]["results"][0]["metrics"]
    assert {one["type"]: one["value"] for one in told}["accuracy"] == metrics["test/accuracy"]
    assert about["co2_eq_emissions"]["hardware_used"] and about["pipeline_tag"] == "image-classification"
    card = (own / "README.md").read_text()
    assert "python train.py model=mlp model.width=16 budget.steps=30 seed=0" in card
    assert (
        "a single trial claims nothing" in card and "359 examples" in card and (own / "config.json").exists()
    )

    lab, out = Lab(store=tmp_path / "lab.db", root=str(tmp_path / "runs")), tmp_path / "out"
    found = lab.deliver(1, out, "safetensors", licence="mit")
    assert "answers without the lab" in found.text() and front(out)["license"] == "mit"
    assert sum(path.stat().st_size for path in out.iterdir()) == sum(found.files.values())
    # A row that says another score than its weights have, and weights that are damaged, leave nothing.
    with closing(sqlite3.connect(tmp_path / "lab.db")) as sql, sql:
        sql.execute("update metric set value = 0.2 where key = 'test/accuracy' and trial_id = 1")
    there = sorted(tmp_path.iterdir())
    with pytest.raises(Refusal, match=r"says test/accuracy 0\.2000, and its weights answer"):
        lab.deliver(1, tmp_path / "again", "safetensors")
    assert sorted(tmp_path.iterdir()) == there
    weights = own / "weights.pt"
    weights.write_bytes(weights.read_bytes()[:-1] + b"\0\0")
    with pytest.raises(Refusal, match="is damaged"):
        lab.deliver(1, tmp_path / "again", "safetensors")
    weights.unlink()
    with pytest.raises(Refusal, match=r"are not in .* any more: task=reproduce id=1"):
        lab.deliver(1, tmp_path / "again", "safetensors")
    assert sorted(tmp_path.iterdir()) == there


@pytest.mark.parametrize(
    ("keys", "said"),
    [
        ({"id": 1}, r"format is missing: choose format=safetensors\|torch_export\|onnx\|openvino"),
        ({"id": 1, "format": "gguf"}, "format=gguf is unknown"),
        ({"id": 1, "format": "onnx"}, "path is missing: name a folder"),
        ({"id": 7, "format": "onnx", "path": "out"}, "trial 7"),
        ({"id": 1, "format": "onnx", "path": "out"}, "Trial 1 is failed: only what was trained to its end"),
        ({"id": 1, "status": "done"}, "status=done chooses among all trials"),
        ({"target": "a.B"}, "target=a.B is for the network of one trial"),
        ({"format": "onnx"}, "format=onnx is for the network of one trial: say which, as id=12"),
    ],
)
def test_what_cannot_be_exported_is_said(keys: dict[str, Any], said: str, tmp_path: Path) -> None:
    store = Store(f"sqlite:///{tmp_path}/lab.db")
    claim = store.claim(Key("s", "c", "d", "h"), config={})
    assert isinstance(claim, TrialClaim)
    store.fail(claim, "diverged")
    keys = keys | ({"path": str(tmp_path / keys["path"])} if "path" in keys else {})
    with pytest.raises(Refusal, match=said):
        Lab(store=tmp_path / "lab.db")._do("export", Delivered, **{"path": None, **keys})
    assert {path.stem for path in tmp_path.iterdir()} == {"lab"}
    store.close()


def test_from_is_what_would_be_typed(tmp_path: Path) -> None:
    url, folder = f"sqlite:///{tmp_path}/lab.db", tmp_path / "kept"
    folder.mkdir()
    (folder / "weights.pt").touch()
    store = Store(url)
    overrides = ["model=cnn", "model.width=8", "data=mnist1d", "optimizer=lion", "seed=3"]
    for steps in ({}, {"prune50": {}}, {"structured": {}, "int8_static": {}}):
        key = Key(f"s{steps}", "c", "d", "h")
        claim = store.claim(key, config={"compress": steps}, overrides=overrides, folder=str(folder))
        assert isinstance(claim, TrialClaim)
        store.finish(claim, {})
    store.close()
    own, begins = f"store.url={url}", f"model.weights={folder}/weights.pt"
    network = ["model=cnn", "model.width=8", "data=mnist1d"]
    assert spelt_out([own, "from=1", "seed=0"], CONF) == [own, "seed=0", *network, begins]
    assert spelt_out(["-m", own, "from=2", "data=digits"], CONF) == [
        "-m",
        own,
        "data=digits",
        *network[:2],
        begins,
    ]
    assert spelt_out([own, "seed=0"], CONF) == [own, "seed=0"]
    for words, said in (
        (["from=3"], r"compress=\[structured,int8_static\] left, whose weights fit no network"),
        (["from=9"], "has no finished trial 9"),
        (["from=1,2"], "begin from one trial"),
        (["from=x"], "begin from one trial"),
    ):
        with pytest.raises(Refusal, match=said):
            spelt_out([own, *words], CONF)
    (folder / "weights.pt").unlink()
    with pytest.raises(Refusal, match="its weights are not in"):
        spelt_out([own, "from=1"], CONF)
