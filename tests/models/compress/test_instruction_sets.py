"""Number formats on the instruction sets of other processors, as far as masks let this one stand for them."""

import json
import os
import platform
import subprocess
import sys
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import torch
from torch.backends.cpu import get_cpu_capability

from models.compress import processor
from models.compress.int8_weights import Int8Linear

ALONE = Path(__file__).parents[2] / "labs" / "instruction_sets.py"
MASKS = [
    {},
    {"ONEDNN_MAX_CPU_ISA": "AVX2"},
    # A mask of what the processor has anyway would make the same code again.
    *({"ATEN_CPU_CAPABILITY": own} for own in ("avx2", "default") if own != get_cpu_capability().lower()),
]
OPTIONS = {
    "int8_static": 0.1,
    "int8_aware": 0.1,
    "int8_dynamic": 0.1,
    "int8_weights": 0.04,
    "bf16": 0.03,
    "fp16": 0.004,
}
"""and the largest error of a logit against 32 bits, relative to the largest of its example"""
X86 = pytest.mark.skipif(platform.machine() not in processor.X86, reason="int8 kernels are for x86")


@cache
def masked(*mask: tuple[str, str]) -> dict[str, Any]:
    """All options under a mask, in a process of their own: a mask is read once."""
    environment = {name: value for name, value in os.environ.items() if name not in processor.MASKS}
    done = subprocess.run(
        [sys.executable, str(ALONE)],
        env=environment | dict(mask),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    return json.loads(done.stdout.splitlines()[-1])


@X86
@pytest.mark.slow
@pytest.mark.parametrize("mask", MASKS, ids=lambda mask: "".join(map("=".join, mask.items())) or "none")
@pytest.mark.parametrize("option", OPTIONS)
def test_a_masked_processor_answers_as_the_graph_and_near_32_bits(mask, option) -> None:
    found = masked(*mask.items())[option]
    # One step of int8 in a hidden unit may fall to either side; sums cut off at 16 bits are off by far more.
    assert found["against_its_graph"] < 0.02
    assert 0 < found["against_32_bits"] < OPTIONS[option]
    if option in ("int8_static", "int8_aware", "int8_dynamic"):
        expected = 7 if "ONEDNN_MAX_CPU_ISA" in mask or processor.saturates() else 8
        assert found["facts"]["activation_bits"] == expected
        assert all(f"{name}={value}" in found["facts"]["instructions"] for name, value in mask.items())


@X86
@pytest.mark.parametrize(("batch", "inputs", "outputs"), [(1, 8, 4), (32, 64, 64), (33, 255, 17)])
def test_no_product_of_the_range_that_was_found_is_cut_off(batch, inputs, outputs) -> None:
    largest = processor.largest_activation()
    for weight in (127, -128):
        weights = torch.full((outputs, inputs), weight, dtype=torch.int8)
        packed = torch.ops.onednn.qlinear_prepack(weights, [batch, inputs])
        scales = (1.0, 0, packed, torch.ones(outputs), torch.zeros(outputs, dtype=torch.int64), None, 1.0, 0)
        activations = torch.full((batch, inputs), largest, dtype=torch.uint8)
        product = torch.ops.onednn.qlinear_pointwise(activations, *scales, torch.float32, "none", [], "")
        assert product.unique().tolist() == [float(largest * weight * inputs)]


@X86
def test_the_range_is_the_full_one_where_the_processor_has_vnni() -> None:
    flags = Path("/proc/cpuinfo").read_text() if Path("/proc/cpuinfo").exists() else pytest.skip("no cpuinfo")
    if any(os.environ.get(name) for name in processor.MASKS):
        pytest.skip("masked")
    vnni = any(name in flags for name in ("avx512_vnni", "avx_vnni"))
    assert processor.largest_activation() == (255 if vnni else 127)
    assert ("with VNNI" in processor.instructions()) is vnni


@pytest.mark.parametrize("inputs", [1, 7, 8, 14, 16, 17, 33])
@pytest.mark.parametrize("rows", [1, 8, 40])
def test_int8_weights_take_any_number_of_inputs(inputs, rows) -> None:
    torch.manual_seed(0)
    linear, x = torch.nn.Linear(inputs, 32), torch.randn(rows, inputs)
    made = Int8Linear(linear)
    exact = x @ (made.weight.float() * made.weight_scale[:, None]).T + linear.bias
    assert float((made(x) - exact).detach().abs().max() / exact.detach().abs().max()) < 0.02
