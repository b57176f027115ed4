"""A finished trial handed over: its network in a format for elsewhere, with all that is needed to ask it."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from torch import Tensor, nn

from models.compress.compression import Compression
from models.compress.number_format import FORMATS as ROUNDED
from models.data.batches import sequential
from models.data.dataset import Dataset
from models.exports.graph import to_torch_export
from models.exports.loader import FORMATS, FROM_FILE, NEEDS, loader
from models.exports.onnx import needed, to_onnx, to_openvino
from models.exports.proof import Proof, prove
from models.exports.safetensors import to_safetensors
from models.inference import restore
from refusal import Refusal

_FILES: dict[str, tuple[str, Callable[[nn.Module, Tensor, Path], None]]] = {
    "safetensors": ("model.safetensors", to_safetensors),
    "torch_export": ("model.pt2", to_torch_export),
    "onnx": ("model.onnx", to_onnx),
    "openvino": ("model.xml", to_openvino),
}
_INT8 = ("int8_static", "int8_aware", "int8_dynamic")
"""steps whose graphs have operations of int8"""
_DYNAMIC = "torch has no words of theirs for scales that come with each input"
_LACKS = {
    ("onnx", "int8_dynamic"): _DYNAMIC,
    ("openvino", "int8_dynamic"): _DYNAMIC,
    ("onnx", "bf16"): "ONNX Runtime multiplies no bfloat16 on a CPU",
}
"""(format, step) -> why the one cannot carry what the other leaves"""


def check(form: str, steps: Mapping[str, Any]) -> None:
    """Raise `Refusal` for a format that is unknown, lacks its package, or cannot carry such a network."""
    if form not in _FILES:
        raise Refusal(f"format={form} is unknown: choose one of {', '.join(FORMATS)}.")
    for name in steps:
        if (form, name) in _LACKS:
            raise Refusal(
                f"format={form} cannot carry compress=[{name}], for {_LACKS[form, name]}: choose "
                "format=torch_export, or a trial with another compression."
            )
    if form in ("onnx", "openvino"):
        needed((NEEDS[form], "onnx", "onnxscript"), form)


def deliver(
    folder: Path,
    to: Path,
    form: str,
    *,
    data: Dataset,
    model: nn.Module,
    compress: Mapping[str, Compression] | None,
) -> Proof:
    """Write the network of the trial in `folder` into the empty folder `to`, and prove it.

    Beside the network lie `data.json` (shape, classes, scale, tokenizer), `tokenizer.json` where texts have
    one, and `load.py`.

    Raises:
        Refusal: as `check`, `restore`, the formats and `prove` do; what is in `to` is then of no use.
    """
    steps = dict(compress or {})
    check(form, steps)
    example = next(sequential(data.test, 2))[0]
    net = restore(model, steps, folder / "weights.pt", example)
    name, write = _FILES[form]
    write(net, example, to / name)
    about = data.known
    (to / "data.json").write_text(data.spelt())
    if (about.get("tokenizer") or {}).get("kind") in FROM_FILE:
        (to / "tokenizer.json").write_text(about["tokenizer"]["json"])
    (to / "load.py").write_text(loader(form, about, rounded=any(step in _INT8 for step in steps)))
    return prove(net, to, data, about, rounded=any(step in ROUNDED for step in steps))
