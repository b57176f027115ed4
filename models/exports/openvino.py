"""Networks in OpenVINO's own format (IR): a graph in XML and its weights beside it."""

import tempfile
from pathlib import Path

from torch import Tensor, nn

from models.compress.exported import first_line, quiet
from models.exports.onnx import needed, to_onnx
from refusal import Refusal

NEEDS = ("openvino", "onnx", "onnxscript")


def to_openvino(network: nn.Module, example: Tensor, path: Path) -> None:
    """Write `path`, which ends in .xml, with its weights in .bin beside it, in the types that they have.

    By way of ONNX, which OpenVINO reads itself. Arguments as `models.exports.onnx.to_onnx` takes them.

    Raises:
        Refusal: a package is missing, or the network cannot be written so.
    """
    needed(NEEDS, "openvino")
    import openvino

    with tempfile.TemporaryDirectory() as folder:
        between = Path(folder) / "model.onnx"
        to_onnx(network, example, between)
        try:
            with quiet():
                openvino.save_model(openvino.convert_model(between), path, compress_to_fp16=False)
        except Exception as error:  # OpenVINO's are plain RuntimeErrors and its own
            raise Refusal(
                f"OpenVINO does not take {type(network).__name__} ({first_line(error)}): choose format=onnx."
            ) from error
