"""torch._dynamo waits until it is asked for, and is then the real one for everybody."""

import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow
TRAIN = """
    import sys
    from models.startup import lean
    import lightning.pytorch as pl
    import torch
    from lightning.pytorch.utilities.compile import OptimizedModule

    net = torch.nn.Linear(4, 2)
    optimizer = torch.optim.AdamW(net.parameters(), fused=True)
    net(torch.ones(3, 4)).sum().backward()
    optimizer.step()
    optimizer.zero_grad()
    assert not isinstance(net, OptimizedModule)
    assert "torch._dynamo.eval_frame" not in sys.modules
    step = torch.optim.Optimizer.add_param_group.__wrapped__
    assert step.__dynamo_disable is step
"""
WAYS = {
    "compile": "",
    "module": "import torch._dynamo.config",
    "loaded": "from torch._dynamo.eval_frame import innermost_fn",
    "attribute": "torch._dynamo.reset()",
}
AFTER = """
    compiled = torch.compile(net, backend="eager")
    import torch._dynamo.config
    assert torch._dynamo is sys.modules["torch._dynamo"] and torch._dynamo.__file__
    assert torch._dynamo.config is sys.modules["torch._dynamo.config"]
    assert torch._dynamo.config.recompile_limit == 8
    assert isinstance(compiled, OptimizedModule) and isinstance(compiled, torch._dynamo.OptimizedModule)
    assert not isinstance(net, OptimizedModule)
    assert not hasattr(step, "__dynamo_disable")
    counted = torch._dynamo.utils.counters
    compiled(torch.ones(3, 4)).sum().backward()
    optimizer.step()
    assert counted["stats"]["unique_graphs"] == 1
    torch.optim.SGD(net.parameters(), lr=0.1)
    assert step.__dynamo_disable is not step
"""


@pytest.mark.parametrize("way", WAYS)
def test_eager_training_does_without_and_a_compilation_brings_it(way: str) -> None:
    code = "\n".join([textwrap.dedent(TRAIN), WAYS[way], textwrap.dedent(AFTER)])
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=Path(__file__).parents[3],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
