"""All backends that are installed here, of which the fastest that keeps the score is taken."""

from collections.abc import Callable
from importlib.util import find_spec
from typing import final

from models.backends.inductor import Inductor
from models.backends.onnx import OnnxRuntime
from models.backends.openvino import OpenVino
from models.compress.backend import Backend
from refusal import Refusal

_NEEDS: dict[Callable[[], Backend], tuple[str, ...]] = {
    Inductor: (),
    OnnxRuntime: ("onnxruntime", "onnx", "onnxscript"),
    OpenVino: ("openvino", "nncf", "onnx", "onnxscript"),
}


@final
class Auto:
    """Stands for the backends of this machine; `lose` is the most that one's code may lose of the score.

    Raises `Refusal` for a loss that is none.
    """

    def __init__(self, lose: float = 0.005) -> None:
        if not (isinstance(lose, int | float) and 0 <= lose < 1):
            raise Refusal(f"backend.lose={lose} is no loss of the score: give a number from 0 to below 1.")
        self.lose = float(lose)

    def candidates(self) -> tuple[Backend, ...]:
        """Those whose packages are installed."""
        return tuple(
            kind() for kind, packages in _NEEDS.items() if all(find_spec(package) for package in packages)
        )
