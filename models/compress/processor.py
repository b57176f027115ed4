"""What the processor does with numbers of few bits, found by asking it: masks of instruction sets count."""

import os
import platform
from functools import cache

import torch

X86 = ("x86_64", "AMD64")
MASKS = ("ONEDNN_MAX_CPU_ISA", "ATEN_CPU_CAPABILITY")
"""environment variables that hide instruction sets from oneDNN and from torch; read once by each process"""


@cache
def saturates() -> bool:
    """Whether oneDNN's int8 kernels answer wrongly where two products of 8 by 8 bits exceed 16 bits.

    So they do on x86 without VNNI (vpmaddubsw; oneDNN's guide "Nuances of int8 computations"), and where
    ONEDNN_MAX_CPU_ISA masks it. By one product: 2 x 255 x 127 = 64,770 comes out as 32,767 there.
    """
    weight = torch.ops.onednn.qlinear_prepack(torch.full((1, 2), 127, dtype=torch.int8), [1, 2])
    ones, zeros = torch.ones(1), torch.zeros(1, dtype=torch.int64)
    scales = (1.0, 0, weight, ones, zeros, None, 1.0, 0, torch.float32)
    inputs = torch.full((1, 2), 255, dtype=torch.uint8)
    product = torch.ops.onednn.qlinear_pointwise(inputs, *scales, "none", [], "")
    return float(product) != 2 * 255 * 127


def largest_activation() -> int:
    """Of an activation in 8 bits without a sign: 127 where sums of two full products would be cut off."""
    return 127 if saturates() else 255


@cache
def multiplies_bfloat16() -> bool:
    """Whether products in bfloat16 are instructions; elsewhere they take 5 to 30 times those of 32 bits."""
    if platform.machine() in X86:
        return bool(torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported())
    return bool(torch.ops.mkldnn._is_mkldnn_bf16_supported())


@cache
def unpacks_by_vectors() -> bool:
    """Whether torch's product with int8 weights has vector code here; the plain one is 10 times slower."""
    return platform.machine() not in X86 or torch.backends.cpu.get_cpu_capability() != "DEFAULT"


@cache
def instructions() -> str:
    """The instruction sets that decide about few bits, and the masks on them: AVX2 without VNNI, say."""
    found = torch.backends.cpu.get_cpu_capability()
    if platform.machine() in X86:
        found += " without VNNI" if saturates() else " with VNNI"
        found += " and AMX" if torch.cpu._is_amx_tile_supported() else ""
    masks = [f"{name}={os.environ[name]}" for name in MASKS if os.environ.get(name)]
    return ", ".join([found, *masks])
