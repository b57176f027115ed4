"""The stand-ins for scipy.signal and transformers save imports, and the real ones can still be had."""

import subprocess
import sys
from pathlib import Path

import pytest


def run(code: str) -> None:
    lines = "\n".join(line.strip() for line in code.splitlines())
    subprocess.run([sys.executable, "-c", lines], cwd=Path(__file__).parents[3], check=True)


@pytest.mark.slow
def test_torchmetrics_loads_without_scipy_signal_and_the_real_one_can_still_be_had() -> None:
    run("""
        import sys
        from models.startup import lean
        import lightning.pytorch
        from torchmetrics.functional.classification import binary_auroc
        assert "torchmetrics" in sys.modules and "scipy.signal" not in sys.modules
        import scipy.signal
        assert scipy.signal.windows.hamming(3)[1] == 1.0
    """)


@pytest.mark.slow
def test_metrics_of_texts_bring_transformers_when_they_are_used() -> None:
    pytest.importorskip("transformers")
    run("""
        import sys
        from models.startup import lean
        import lightning.pytorch
        assert "torchmetrics" in sys.modules and "transformers" not in sys.modules
        late = sys.modules["torchmetrics.functional.text.bert"].AutoModel
        from transformers import AutoModel, BertConfig
        assert late is not AutoModel and late.from_pretrained == AutoModel.from_pretrained
        small = dict(num_hidden_layers=1, num_attention_heads=2, hidden_size=8, intermediate_size=8)
        net = lean._Late("BertModel", (), {})(BertConfig(vocab_size=9, **small))
        assert isinstance(net, lean._Late("BertModel", (), {}))
        assert not isinstance(net, lean._Late("CLIPModel", (), {}))
    """)
