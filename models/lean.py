"""Import it before Lightning: torchmetrics then leaves scipy.signal alone, 1.5 of Lightning's 4 CPU seconds.

torchmetrics 1.x imports the package only to add an old name to it, `scipy.signal.hamming`, for the speech
metric SRMR. It finds that name on a stand-in here, which is gone again afterwards: whoever imports
scipy.signal later gets the real one.
"""

import sys
from types import ModuleType

_NAME = "scipy.signal"

if "torchmetrics" not in sys.modules and _NAME not in sys.modules:
    stand_in = ModuleType(_NAME)
    stand_in.hamming = None  # type: ignore[attr-defined]
    sys.modules[_NAME] = stand_in
    try:
        import torchmetrics  # noqa: F401
    finally:
        del sys.modules[_NAME]
