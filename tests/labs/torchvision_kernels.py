"""What torchvision looks for as it is imported, where its wheel is not for this build of torch.

There is no build of it for the CPU's torch: beside that its kernels are missing, and Lightning, which looks
in at it, cannot be imported. Here they are names without a body: no network of it needs one.
"""

import importlib.util
import os
from pathlib import Path

_NAMES = """
    nms qnms roi_align qroi_align _roi_align_backward ps_roi_align _ps_roi_align_backward roi_pool
    _roi_pool_backward ps_roi_pool _ps_roi_pool_backward deform_conv2d _deform_conv2d_backward
"""


def define() -> None:
    """Define them where torchvision is installed and finds none."""
    if importlib.util.find_spec("torchvision") is None:
        return
    import torch

    if torch.version.cuda is None:
        for name in _NAMES.split():
            torch.library.define(f"torchvision::{name}", "(Tensor x) -> Tensor")


def for_commands(folder: Path) -> dict[str, str]:
    """The environment of commands that find them too, by what Python imports first of all, in `folder`."""
    folder.mkdir()
    (folder / "sitecustomize.py").write_text("import torchvision_kernels\n\ntorchvision_kernels.define()\n")
    places = [str(folder), str(Path(__file__).parent), os.environ.get("PYTHONPATH", "")]
    return os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, places))}
