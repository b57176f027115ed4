"""Each format carries each kind of network, and its loader answers in a process that has no lab."""

import json
import subprocess
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

import train
from models.data.batches import sequential
from models.data.dataset import Dataset, Scale, Split
from models.delivery import check
from models.exports import fresh
from models.exports.graph import to_torch_export
from models.exports.loader import FORMATS, loader
from models.exports.onnx import to_onnx
from models.exports.proof import _compared, prove
from models.exports.safetensors import to_safetensors, write
from models.nets.bag import Bag
from models.nets.cnn import CNN
from models.nets.gpt import GPT
from models.nets.gru import GRU
from models.nets.mlp import MLP
from models.nets.transformer import Transformer
from refusal import Refusal
from research.lab import Lab

NETS: dict[str, Callable[[], tuple[nn.Module, torch.Tensor]]] = {
    "mlp": lambda: (MLP((1, 8, 8), 10), torch.randn(5, 1, 8, 8)),
    "cnn": lambda: (CNN((1, 8, 8), 10, width=8), torch.randn(5, 1, 8, 8)),
    "signals": lambda: (CNN((2, 16), 3, width=8), torch.randn(5, 2, 16)),
    "transformer": lambda: (Transformer((1, 8, 8), 10, width=16), torch.randn(5, 1, 8, 8)),
    "gru": lambda: (GRU((1, 16), 3, width=8), torch.randn(5, 1, 16)),
    "gpt": lambda: (GPT((12,), 20, width=16), torch.randint(0, 20, (5, 12))),
    "tied": lambda: (GPT((12,), 20, width=16, tied=True), torch.randint(0, 20, (5, 12))),
    "bag": lambda: (Bag((12,), 3, vocabulary=20), torch.randint(0, 20, (5, 12))),
}


def session(path: Path) -> Any:
    onnxruntime = pytest.importorskip("onnxruntime")
    return onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])


@pytest.mark.slow
@pytest.mark.parametrize("name", ["signals", "transformer", "tied", "bag"])
def test_onnx_answers_for_any_batch(name: str, tmp_path: Path) -> None:
    pytest.importorskip("onnxscript")
    torch.manual_seed(0)
    net, x = NETS[name]()
    to_onnx(net.eval(), x, tmp_path / "m.onnx")
    assert [one.name for one in tmp_path.iterdir()] == ["m.onnx"]
    asked = session(tmp_path / "m.onnx")
    with torch.no_grad():
        for inputs in (x, x[:1], torch.cat([x, x])):
            (found,) = asked.run(["outputs"], {"inputs": inputs.numpy()})
            assert np.allclose(found, net(inputs).numpy(), atol=1e-4)


@pytest.mark.slow
@pytest.mark.parametrize("name", NETS)
def test_safetensors_come_with_a_source_of_torch_alone(name: str, tmp_path: Path) -> None:
    torch.manual_seed(0)
    net, x = NETS[name]()
    to_safetensors(net.eval(), x, tmp_path / "model.safetensors")
    made: dict[str, Any] = {}
    source = (tmp_path / "network.py").read_text()
    assert "models" not in source.partition("class Network")[0].split("import")[-1]
    exec(compile(source, "network.py", "exec"), made)
    loaded = made["load"](tmp_path / "model.safetensors")
    with torch.no_grad():
        for inputs in (x, x[:1]):
            assert torch.allclose(loaded(inputs), net(inputs), atol=1e-5)
    # Names and shapes are the network's own, so that weights go back into it.
    own = {key: value.shape for key, value in net.state_dict().items()}
    assert {
        key: value.shape for key, value in loaded.state_dict().items() if key in own
    }.items() <= own.items()
    trained = {key for key, _ in net.named_parameters()}
    assert {key for key, _ in loaded.named_parameters()} == trained
    safetensors = pytest.importorskip("safetensors.torch")
    read = safetensors.load_file(tmp_path / "model.safetensors")
    assert read.keys() == loaded.state_dict().keys()
    assert all(torch.equal(read[key], value) for key, value in loaded.state_dict().items())


@pytest.mark.parametrize("kind", ["float32", "bfloat16", "float16", "int8", "uint8", "int64", "bool"])
def test_every_type_is_written_as_it_is(kind: str, tmp_path: Path) -> None:
    safetensors = pytest.importorskip("safetensors.torch")
    tensor = (torch.arange(12) % 2).view(3, 4).to(getattr(torch, kind))
    state = {
        "odd": torch.ones(3, dtype=torch.int8),
        "one": tensor,
        "none": tensor[:0],
        "scalar": tensor[0, 0],
    }
    write(state | {"turned": tensor.T}, tmp_path / "x.safetensors")
    read = safetensors.load_file(tmp_path / "x.safetensors")
    assert read.keys() == {*state, "turned"} and torch.equal(read["turned"], tensor.T)
    assert all(torch.equal(read[name], value) for name, value in state.items())


@pytest.mark.slow
def test_a_graph_of_torch_holds_no_pickle(tmp_path: Path) -> None:
    net, x = NETS["cnn"]()
    to_torch_export(net, x, tmp_path / "m.pt2")
    with zipfile.ZipFile(tmp_path / "m.pt2") as archive:
        contents = {name: archive.read(name) for name in archive.namelist()}
    assert any("weight_0" in name for name in contents)
    assert [name for name, content in contents.items() if content[:2] in (b"\x80\x02", b"PK")] == []


class Choosing(nn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x if x.sum() > 0 else -x


@pytest.mark.parametrize("write", [to_safetensors, to_torch_export])
def test_a_network_whose_data_choose_its_path_is_refused(write: Any, tmp_path: Path) -> None:
    with pytest.raises(Refusal, match="needs Choosing as one graph, and torch makes none"):
        write(Choosing(), torch.randn(4, 3), tmp_path / "m")
    assert list(tmp_path.iterdir()) == []


def test_what_a_format_cannot_carry_is_refused_before_work() -> None:
    with pytest.raises(Refusal, match=r"cannot carry compress=\[int8_dynamic\]"):
        check("onnx", {"int8_dynamic": {}})
    with pytest.raises(Refusal, match="ONNX Runtime multiplies no bfloat16"):
        check("onnx", {"bf16": {}})
    with pytest.raises(Refusal, match="format=gguf is unknown: choose one of"):
        check("gguf", {})
    check("torch_export", {"int8_dynamic": {}})


def small() -> Dataset:
    """Raw values on no scale, three classes."""
    rng = torch.Generator().manual_seed(0)
    inputs = torch.randn(60, 4, generator=rng) * 30 + 200
    scale = Scale(torch.full((1, 4), 200.0), torch.full((1, 4), 30.0))
    part = Split(inputs, torch.arange(60) % 3, None, scale)
    about = {"mean": [200.0] * 4, "deviation": [30.0] * 4, "names": ["a", "b", "c"]}
    return Dataset(part, part, part, "classification", (4,), 3, 20, about)


def placed(net: nn.Module, data: Dataset, folder: Path) -> Path:
    to_safetensors(net, next(sequential(data.test, 2))[0], folder / "model.safetensors")
    (folder / "data.json").write_text(data.spelt())
    (folder / "load.py").write_text(loader("safetensors", data.known, rounded=False))
    return folder


def test_what_is_no_number_is_held_beside_nothing() -> None:
    # Right answers but for one that the trial's network does not give: accuracy stays within a tie.
    data = small()
    found = torch.nn.functional.one_hot(torch.arange(60) % 3, 3).double()
    expected = found.clone()
    expected[0] = torch.nan
    with pytest.raises(Refusal, match="answers otherwise than the trial's network"):
        _compared(expected, found, {}, data, rounded=False)


@pytest.mark.slow
def test_a_deviation_is_no_proof(tmp_path: Path) -> None:
    data, net = small(), MLP((4,), 3, width=8).eval()
    proof = prove(net, placed(net, data, tmp_path), data, data.known, rounded=False)
    assert proof.error < 1e-5 and proof.scores["test/accuracy"] > 0 and proof.figures["lab"] == []
    # Of other weights.
    with pytest.raises(Refusal, match="answers otherwise than the trial's network"):
        prove(MLP((4,), 3, width=8).eval(), tmp_path, data, data.known, rounded=False)
    # Of a scale that is lost.
    (tmp_path / "data.json").write_text(data.spelt().replace("200.0", "0.0"))
    with pytest.raises(Refusal, match="answers otherwise"):
        prove(net, tmp_path, data, data.known, rounded=False)
    # Of a loader that needs the lab, wherever that is installed.
    (tmp_path / "load.py").write_text("import models\n")
    with pytest.raises(Refusal, match=r"does not run without the lab .*is the lab's"):
        prove(net, tmp_path, data, data.known, rounded=False)


def test_the_process_of_the_proof_imports_nothing_of_the_lab() -> None:
    source = Path(fresh.__file__).read_text()
    lines = [
        line.split()[1].partition(".")[0]
        for line in source.splitlines()
        if line.startswith(("import", "from"))
    ]
    assert set(lines) <= sys.stdlib_module_names | {"numpy"}
    root = {path.stem for path in Path(train.__file__).parent.glob("*.py")}
    folders = {path.parent.name for path in Path(train.__file__).parent.glob("*/__init__.py")}
    assert root | (folders - {"tests"}) <= set(fresh.LAB)


CARRIED = [
    ("torch_export", "model=mlp compress=[structured]"),
    ("onnx", "model=cnn compress=[structured,int8_static]"),
    ("openvino", "model=cnn"),
]


@pytest.mark.slow
@pytest.mark.parametrize(("form", "line"), CARRIED)
def test_a_trial_answers_elsewhere(form: str, line: str, resolve: Callable[..., Any], tmp_path: Path) -> None:
    if form in ("onnx", "openvino"):
        pytest.importorskip("onnxscript"), pytest.importorskip("onnxruntime"), pytest.importorskip("openvino")
    typed = [*line.split(), "budget.steps=30"]
    answer = train.trial(resolve(*typed), overrides=typed)
    lab = Lab(store=tmp_path / "lab.db", root=str(tmp_path / "runs"))
    found = lab.deliver(answer["trial_id"], tmp_path / "out", form, licence="mit")
    assert found.scores["test/accuracy"] == pytest.approx(answer["metrics"]["test/accuracy"], abs=0.02)
    files = {path.name: path for path in (tmp_path / "out").iterdir()}
    assert {"README.md", "load.py", "data.json", "config.json"} < files.keys() and not (
        tmp_path / "out.new"
    ).exists()
    assert all(path.stat().st_mode & 0o077 == 0 for path in [tmp_path / "out", *files.values()])
    assert json.loads(files["data.json"].read_text())["names"] == [str(digit) for digit in range(10)]
    asked = """
import numpy as np
from load import predict
pictures = np.linspace(0, 16, 192).reshape(3, 8, 8)  # as people hold grey ones
print(predict(pictures).shape, np.array_equal(predict(pictures), predict(pictures[:, None])))
"""
    done = subprocess.run(
        [sys.executable, "-c", asked], cwd=tmp_path / "out", capture_output=True, text=True, check=True
    )
    assert "3, 10" in done.stdout and "True" in done.stdout
    with pytest.raises(Refusal, match="is there already and holds something"):
        lab.deliver(answer["trial_id"], tmp_path / "out", form)


def test_formats_are_named_alike() -> None:
    from models import delivery
    from research.tasks import delivered

    assert set(FORMATS) == set(delivered.FORMATS) == set(delivery._FILES)
