"""The loader that lies beside an export: a few lines of Python that need the format's own backend alone."""

from collections.abc import Mapping
from typing import Any

_TORCH = """import torch
{imports}
HERE = Path(__file__).parent
ABOUT = json.loads((HERE / "data.json").read_text())
network = {network}"""
_NUMPY = """import numpy as np
import {backend}
{imports}
HERE = Path(__file__).parent
ABOUT = json.loads((HERE / "data.json").read_text())
{network}"""
_ROUNDED = "import torch.ao.quantization.fx._decomposed  # noqa: F401 - the operations of int8\n"
_HEADS = {
    "torch_export": _TORCH.replace("{network}", 'torch.export.load(HERE / "model.pt2").module()'),
    "safetensors": _TORCH.replace(
        "{network}", 'runpy.run_path(str(HERE / "network.py"))["load"](HERE / "model.safetensors")'
    ),
    "onnx": _NUMPY.replace("{backend}", "onnxruntime").replace(
        "{network}",
        'session = onnxruntime.InferenceSession(HERE / "model.onnx", providers=["CPUExecutionProvider"])',
    ),
    "openvino": _NUMPY.replace("{backend}", "openvino").replace(
        "{network}", 'compiled = openvino.compile_model(HERE / "model.xml", "CPU", CONFIG)'
    ),
}
_ASKED = {
    "torch_export": "network(x)",
    "safetensors": "network(x)",
    "onnx": 'session.run(None, {"inputs": x})[0]',
    "openvino": "compiled(x)[0]",
}
_TABLE = '''
def table(rows):
    """Rows of the table, dicts by column -> numbers: a word is a column each, a gap has one that says so."""
    about = ABOUT["columns"]
    return [[value for column in about for value in cells(row[column["name"]], column)] for row in rows]


def cells(value, column):
    words, gap = column.get("categories"), value is None or value != value or value == ""
    if words is None and (column["gaps"] or not gap):
        return [float("nan" if gap else value), float(gap)][: 1 + column["gaps"]]
    empty = max((word for word in words or () if not word.strip("?")), key=len, default=None)
    if isinstance(value, float) and not gap and value == int(value):
        value = int(value)
    word = empty if gap else str(value)
    if word not in (words or ()):
        raise ValueError(f"{column['name']} is {value!r}, of which the training has seen nothing")
    return [float(word == one) for one in words]
'''
FORMATS = tuple(_HEADS)
FROM_FILE = ("bpe", "given")
"""tokenizers that lie in a file beside the network"""
NEEDS = {"torch_export": "torch", "safetensors": "torch", "onnx": "onnxruntime", "openvino": "openvino"}
"""what a loader imports"""


def loader(form: str, about: Mapping[str, Any], *, rounded: bool) -> str:
    """The source of `load.py`: `predict(inputs)` takes what the data hold and gives logits, or values.

    `about` is what `data.json` says, `rounded` whether the graph has torch's operations of int8.
    """
    kind = (about.get("tokenizer") or {}).get("kind")
    torch = form in ("torch_export", "safetensors")
    imports = "import tokenizers\n" if kind in FROM_FILE else ""
    imports += _ROUNDED if rounded and form == "torch_export" else ""
    head = _HEADS[form].replace("{imports}", imports)
    head = head.replace("CONFIG", '{"INFERENCE_PRECISION_HINT": "f32"}')
    first = ["json", *(["runpy"] if form == "safetensors" else [])]
    needs = NEEDS[form] + (" and tokenizers" if kind in FROM_FILE else "")
    lines = [f'"""Loads and asks the network of this folder; it needs {needs} alone."""', ""]
    lines += [*(f"import {name}" for name in first), "from pathlib import Path", "", head]
    lines += _scale(about, torch=torch)
    lines += ["", *_TABLE.strip("\n").splitlines()] if about.get("columns") else []
    return "\n".join([*lines, *_tokens(about), *_predict(form, about, torch=torch)])


def _scale(about: Mapping[str, Any], *, torch: bool) -> list[str]:
    """The lines that hold the scale of the inputs, where they have one."""
    if about.get("mean") is None:
        return []
    shape = ", ".join(["1", "-1", *("1" for _ in about["shape"][1:])])
    made = ("torch.tensor({}, dtype=torch.float32)" if torch else "np.array({}, np.float32)") + ".reshape({})"
    return [f"{name.upper()} = " + made.format(f'ABOUT["{name}"]', shape) for name in ("mean", "deviation")]


def _tokens(about: Mapping[str, Any]) -> list[str]:
    """What makes tokens of texts, where the network reads texts."""
    length = about["shape"][0]
    kinds = {"bpe": "tokenizer.encode(text).ids", "byte": "[1 + one for one in text.encode()]"}
    kinds["bytes"] = "list(text.encode())"
    kind = text_kind(about)
    if kind is None:
        return []
    if padding := (about.get("tokenizer") or {}).get("padding"):
        # A tokenizer that is given has another padding than the 0 of the data.
        places = f"{{0: {padding}, {padding}: 0}}"
        kinds["given"] = f"[{places}.get(one, one) for one in tokenizer.encode(text).ids]"
    else:
        kinds["given"] = kinds["bpe"]
    lower = ["    texts = [text.lower() for text in texts]"] if about.get("lowercase") else []
    made = ['tokenizer = tokenizers.Tokenizer.from_file(str(HERE / "tokenizer.json"))', "", ""]
    return [
        *(made if kind in FROM_FILE else ["", ""]),
        "def tokens(texts):",
        f'    """Texts -> rows of {length} tokens: what is longer is cut, what is shorter filled with 0."""',
        *lower,
        f"    rows = [{kinds[kind]}[:{length}] for text in texts]",
        f"    return [row + [0] * ({length} - len(row)) for row in rows]",
    ]


def text_kind(about: Mapping[str, Any]) -> str | None:
    """How texts become tokens; None where the network reads none."""
    kind = (about.get("tokenizer") or {}).get("kind")
    return "bytes" if kind is None and about["task"] == "language" else kind


def _predict(form: str, about: Mapping[str, Any], *, torch: bool) -> list[str]:
    array, wide = ("torch.as_tensor", "torch") if torch else ("np.asarray", "np")
    kind = "int64" if _reads_tokens(about) else "float32"
    lines = ["", "", "def predict(inputs):", f'    """{described(about)}"""']
    if text_kind(about):
        lines.append("    inputs = [inputs] if isinstance(inputs, str) else inputs")
        lines.append("    inputs = tokens(inputs) if isinstance(inputs[0], str) else inputs")
    if about.get("columns"):
        lines.append('    inputs = inputs.to_dict("records") if hasattr(inputs, "to_dict") else inputs')
        lines.append("    inputs = [inputs] if isinstance(inputs, dict) else inputs")
        lines.append("    inputs = table(inputs) if isinstance(inputs[0], dict) else inputs")
    # Grey pictures and columns, which people hold without the axis of one.
    spread = f".reshape(len(inputs), {_sizes(about)})" if 1 in about["shape"] and kind == "float32" else ""
    lines.append(f"    x = {array}(inputs, dtype={wide}.{kind}){spread}")
    if about.get("mean") is not None:
        lines.append("    x = (x - MEAN) / DEVIATION")
    if about.get("gaps"):
        lines.append("    x = x.nan_to_num(0.0)" if torch else "    x = np.nan_to_num(x, nan=0.0)")
    values = about.get("answer_mean") is not None
    unit = ' * ABOUT["answer_deviation"] + ABOUT["answer_mean"]' if values else ""
    if not torch:
        return [*lines, f"    return {_ASKED[form]}{unit}", ""]
    return [*lines, "    with torch.inference_mode():", f"        return {_ASKED[form]}{unit}", ""]


def _sizes(about: Mapping[str, Any]) -> str:
    return ", ".join(str(size) for size in about["shape"])


def _reads_tokens(about: Mapping[str, Any]) -> bool:
    return about["task"] in ("language", "recall") or "tokenizer" in about


def described(about: Mapping[str, Any]) -> str:
    """What `predict` takes and gives, in a line."""
    shape = _sizes(about)
    held = ", ".join(str(size) for size in about["shape"] if size > 1) or "1"
    given = f"(N, {shape}) tokens" if _reads_tokens(about) else f"(N, {held}) values as the data have them"
    given = f"texts, or {given}" if text_kind(about) else given
    given = f"rows as dicts by column, or {given}" if about.get("columns") else given
    if about["task"] == "regression":
        return f"{given} -> (N, 1) values in the unit of the answers."
    if about["task"] in ("language", "recall"):
        return f"{given} -> (N, {shape}, {about['classes']}) logits, at each place of the token after it."
    named = ', whose names are ABOUT["names"]' if about.get("names") else ""
    return f"{given} -> (N, {about['classes']}) logits of the classes{named}."
