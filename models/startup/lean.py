"""Import it before Lightning, which then costs 0.4 instead of 3 CPU seconds on top of torch.

It leaves torch._dynamo (eager.py) and scipy.signal alone. torchmetrics 1.x imports the latter, 1.5 CPU
seconds, only to add an old name to it, `scipy.signal.hamming`, for the speech metric SRMR. It finds that name
on a stand-in here, which is gone again afterwards: whoever imports scipy.signal later gets the real one.
"""

import sys
from types import ModuleType

from models.startup import eager

__all__ = ["eager"]

_NAME = "scipy.signal"

if "torchmetrics" not in sys.modules and _NAME not in sys.modules:
    stand_in = ModuleType(_NAME)
    stand_in.hamming = None  # type: ignore[attr-defined]
    sys.modules[_NAME] = stand_in
    try:
        import torchmetrics  # noqa: F401
    finally:
        del sys.modules[_NAME]
