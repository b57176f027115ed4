"""The stand-in for scipy.signal saves an import and leaves no trace."""

import subprocess
import sys
from pathlib import Path

import pytest


@pytest.mark.slow
def test_torchmetrics_loads_without_scipy_signal_and_the_real_one_can_still_be_had() -> None:
    code = """
        import sys
        from models.startup import lean
        import lightning.pytorch
        from torchmetrics.functional.classification import binary_auroc
        assert "torchmetrics" in sys.modules and "scipy.signal" not in sys.modules
        import scipy.signal
        assert scipy.signal.windows.hamming(3)[1] == 1.0
    """
    lines = "\n".join(line.strip() for line in code.splitlines())
    subprocess.run([sys.executable, "-c", lines], cwd=Path(__file__).parents[3], check=True)
