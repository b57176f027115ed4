"""Every number format on small networks, for a process of its own: errors and facts as JSON on stdout."""

import copy
import json
import sys
from pathlib import Path

import torch

sys.path[:0] = [str(Path(__file__).parents[2])]

from models.backends.inductor import Inductor  # noqa: E402  a process of its own finds them by itself
from models.compress.compression import Compression  # noqa: E402
from models.compress.context import Context  # noqa: E402
from models.compress.gains import error  # noqa: E402
from models.compress.half import Half  # noqa: E402
from models.compress.int8_aware import Int8Aware  # noqa: E402
from models.compress.int8_dynamic import Int8Dynamic  # noqa: E402
from models.compress.int8_static import Int8Static  # noqa: E402
from models.compress.int8_weights import Int8Weights  # noqa: E402
from models.data.dataset import Dataset, Split  # noqa: E402
from models.nets.cnn import CNN  # noqa: E402
from models.nets.mlp import MLP  # noqa: E402

SIGNALS = {"int8_static": Int8Static(2), "int8_aware": Int8Aware(1, batches=2), "bf16": Half("bfloat16")}
FEATURES = {"int8_dynamic": Int8Dynamic(), "int8_weights": Int8Weights(1), "fp16": Half("float16")}


def told(name: str, step: Compression, net: torch.nn.Module, shape: tuple[int, ...]) -> dict[str, object]:
    """Of one option: the largest error of a logit against 32 bits, and of code against its graph."""
    inputs = torch.randn(64, *shape, generator=torch.Generator().manual_seed(1))
    split = Split(inputs, torch.arange(64) % 10)
    data = Dataset(split, split, split, "classification", shape, 10, 32)
    context = Context(data, "cpu", 0, "32-true", Path(), lambda net, *_: net, (name,), (Inductor(),))
    step.check(net, context)
    final = step.after(copy.deepcopy(net), context)
    graph = getattr(final, "eager", final)
    sizes = (1, 7, 64)
    return {
        "against_32_bits": max(error(net, final, inputs[:size]) for size in sizes),
        "against_its_graph": max(error(graph, final, inputs[:size]) for size in sizes),
        "facts": step.facts,
    }


def main() -> None:
    torch.manual_seed(0)
    torch.set_num_threads(1)
    convolutions, layers = CNN((1, 40), 10, width=16, depth=2).eval(), MLP((14,), 10, width=64).eval()
    found = {name: told(name, step, convolutions, (1, 40)) for name, step in SIGNALS.items()}
    found |= {name: told(name, step, layers, (14,)) for name, step in FEATURES.items()}
    print(json.dumps(found))


if __name__ == "__main__":
    main()
