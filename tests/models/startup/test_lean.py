"""The stand-ins for what torchmetrics looks in at save imports, and the real ones can still be had."""

import os
import subprocess
import sys
from pathlib import Path

import pytest


def run(code: str, *, path: Path | None = None) -> None:
    lines = "\n".join(line.strip() for line in code.splitlines())
    own = {} if path is None else {"PYTHONPATH": str(path)}
    root = Path(__file__).parents[3]
    subprocess.run([sys.executable, "-c", lines], cwd=root, env=os.environ | own, check=True)


@pytest.mark.slow
def test_torchmetrics_loads_without_scipy_signal_and_torchvision_which_can_still_be_had(tmp_path) -> None:
    # As beside a torch for which it was not built: it is there, and ends in an error.
    (tmp_path / "torchvision").mkdir()
    (tmp_path / "torchvision" / "__init__.py").write_text("raise RuntimeError('no operator nms')")
    metadata = "Metadata-Version: 2.1\nName: torchvision\nVersion: 0.28.0\n"
    (tmp_path / "torchvision-0.28.0.dist-info").mkdir()
    (tmp_path / "torchvision-0.28.0.dist-info" / "METADATA").write_text(metadata)
    run(
        """
        import sys
        from models.startup import lean
        import lightning.pytorch
        from torchmetrics.functional.classification import binary_auroc
        assert "torchmetrics" in sys.modules and not {"scipy.signal", "torchvision"} & set(sys.modules)
        import scipy.signal
        assert scipy.signal.windows.hamming(3)[1] == 1.0
        late = sys.modules["torchmetrics.functional.image.arniqa"].resnet50
        import pytest
        pytest.raises(RuntimeError, late).match("no operator nms")
        """,
        path=tmp_path,
    )


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
        late = lean._Classes("transformers")
        net = late.BertModel(BertConfig(vocab_size=9, **small))
        assert isinstance(net, late.BertModel) and not isinstance(net, late.CLIPModel)
    """)
