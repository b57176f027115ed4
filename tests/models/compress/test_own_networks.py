"""Networks of a person's own through compressions: made smaller, saved, and read back as they were."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn.functional import relu

import own_nets
from cases import each
from compressing import compressed, pipeline
from models.compress import artefact
from models.compress.compression import Compression
from models.compress.distill import Distill
from models.compress.gradual import Gradual
from models.compress.low_rank import Factorise
from models.compress.magnitude import Magnitude, magnitude_masks
from models.compress.masks import apply, keep, mark, prunable
from models.compress.rounding import simulate
from models.compress.structured import Structured, prune_once
from models.data.dataset import Dataset, Split
from models.inference import restore
from models.nets.cnn import CNN
from models.own.beginning import freeze
from models.training.objective import BinaryCrossEntropy
from refusal import Refusal


class Residual(nn.Module):
    """Adds and normalises by batch, whose statistics are no parameters."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.norm = nn.Conv2d(2, 16, 3, padding=1), nn.BatchNorm2d(16)
        self.second, self.other = nn.Conv2d(16, 16, 3, padding=1, bias=False), nn.BatchNorm2d(16)
        self.drop, self.head = nn.Dropout(0.3), nn.Linear(16, 4)

    def forward(self, x: Tensor) -> Tensor:
        x = relu(self.norm(self.first(x)))
        return self.head(self.drop(relu(x + self.other(self.second(x))).mean((2, 3))))


class Tied(nn.Module):
    """Two layers have one weight."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.one, self.two, self.head = (
            nn.Linear(*sizes) for sizes in ((12, 24), (24, 24), (24, 24), (24, 4))
        )
        self.two.weight = self.one.weight

    def forward(self, x: Tensor) -> Tensor:
        return self.head(relu(self.two(relu(self.one(relu(self.first(x)))))))


class Reaching(nn.Module):
    """Torch's own block, which takes its layers' weights past the layers."""

    def __init__(self) -> None:
        super().__init__()
        self.block = nn.TransformerEncoderLayer(12, 2, 32, batch_first=True)
        self.head = nn.Linear(12, 4)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.block(x[:, None]).mean(1))


def dataset(shape: tuple[int, ...], task: str = "classification", examples: int = 120) -> Dataset:
    generator = torch.Generator().manual_seed(0)
    targets = torch.arange(examples) % 4
    inputs = torch.randn(examples, *shape, generator=generator) + 0.3 * targets.view(-1, *(1 for _ in shape))
    answers = targets[:, None] >= torch.arange(4) if task == "multilabel" else targets
    cuts = [slice(0, 60), slice(60, 90), slice(90, None)]
    return Dataset(*[Split(inputs[cut], answers[cut]) for cut in cuts], task, shape, 4, 20)


PICTURE, COLUMNS = (2, 6, 6), (12,)
prune, cut, thin = (
    partial(Magnitude, finetune_steps=2),
    partial(Structured, finetune_steps=2),
    partial(Factorise, rank=2, finetune_steps=2),
)
Step = Callable[[], Compression]


@pytest.mark.slow
@each(
    ("make", "shape", "steps"),
    [
        (Residual, PICTURE, (cut,)),
        (Residual, PICTURE, (cut, thin)),
        (Residual, PICTURE, (thin, cut, prune)),
        (Tied, COLUMNS, (cut, thin)),
        (Tied, COLUMNS, (prune,)),
        (Tied, COLUMNS, (partial(Gradual, 0.5), prune)),
    ],
)
def test_the_saved_network_answers_as_the_one_that_was_measured(
    make: Callable[[], nn.Module], shape: tuple[int, ...], steps: Sequence[Step], tmp_path: Any
) -> None:
    torch.manual_seed(0)
    data, done = dataset(shape), [step() for step in steps]
    folder = tmp_path / f"{make.__name__} {len(list(tmp_path.iterdir()))}"
    net, _ = compressed(folder, *done, steps_of_training=4, net=make(), data=data)
    artefact.save(net, folder / "weights" / "weights.pt")
    again = {str(place): step() for place, step in enumerate(steps)}
    inputs = data.test.inputs
    found = restore(make(), again, folder / "weights" / "weights.pt", inputs[:1])
    with torch.no_grad():
        for size in (1, 3, 30):
            assert torch.equal(found(inputs[:size]), net.eval()(inputs[:size]))


@pytest.mark.slow
@each("step", [cut, thin, prune, partial(Gradual, 0.5)])
def test_what_is_held_is_trained_by_no_fine_tuning(step: Step, tmp_path: Any) -> None:
    torch.manual_seed(0)
    net = Tied()
    freeze(net, ["first"])
    bias = net.first.bias.detach().clone()
    folder = tmp_path / str(len(list(tmp_path.iterdir())))
    final, _ = compressed(folder, step(), steps_of_training=4, net=net, data=dataset(COLUMNS))
    held = {name: weight for name, weight in final.named_parameters() if not weight.requires_grad}
    assert {name.partition(".")[0] for name in held} == {"first"} and len(held) >= 2
    left = next(weight for name, weight in held.items() if name.endswith("bias"))
    assert set(left.tolist()) <= set(bias.tolist())
    assert all(weight.requires_grad for name, weight in final.named_parameters() if name not in held)


def test_a_weight_of_two_layers_is_pruned_and_counted_once() -> None:
    net = Tied()
    assert list(prunable(net)) == ["first.weight", "one.weight", "head.weight"]
    assert list(prunable(net, ["two.*"])) == ["first.weight", "head.weight"]
    net = nn.Sequential(nn.Embedding(8, 4), nn.Linear(4, 4), nn.Linear(4, 8, bias=False))
    net[2].weight = net[0].weight
    assert list(prunable(net)) == ["1.weight"]


def test_a_network_that_reaches_into_its_layers_is_refused_before_it_trains(tmp_path: Any) -> None:
    parts = {"net": Reaching(), "data": dataset(COLUMNS)}
    with pytest.raises(Refusal, match=r"skip, as \*\.linear1"):
        pipeline(tmp_path, thin(), **parts)
    final, made = compressed(tmp_path, thin(skip=["*.linear?"]), steps_of_training=4, **parts)
    assert made.facts()["0"]["ranks"].keys() == {"head"} and "block.self_attn.out_proj.weight" in dict(
        final.named_parameters()
    )


def test_what_is_pruned_stays_so_in_a_training_step_of_its_own(tmp_path: Any) -> None:
    net, made = compressed(
        tmp_path, prune(), steps_of_training=4, net=own_nets.Lightning(12, 4), data=dataset(COLUMNS)
    )
    weight = net.net[1].weight
    assert int((weight == 0).sum()) == weight.numel() / 2 and made.finetuned[0].steps == 2


def test_what_is_pruned_stays_so_while_weights_feel_their_rounding() -> None:
    net = Tied()
    weights = prunable(net)
    masks = magnitude_masks(weights, 0.5, "layer")
    apply(weights, masks)
    mark(net, masks)
    before = {name: callback.masks for name, callback in keep(net).items()}["masks"]
    simulate(net, [torch.randn(8, 12)])
    found = keep(net)["masks"].masks
    assert {name.replace("parametrizations.weight.original", "weight") for name in found} == set(before)
    assert all(name in dict(net.named_parameters()) for name in found)
    assert all(torch.equal(*pair) for pair in zip(found.values(), before.values(), strict=True))


class Signals(nn.Module):
    """Normalisations that int8 takes into convolutions and a linear layer."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.norm = nn.Conv1d(2, 16, 5), nn.BatchNorm1d(16)
        self.second, self.hidden = nn.Conv1d(16, 16, 3, bias=False), nn.Linear(16, 16)
        self.inner, self.last, self.head = nn.BatchNorm1d(16), nn.BatchNorm1d(16), nn.Linear(16, 4)

    def forward(self, x: Tensor) -> Tensor:
        x = relu(self.inner(self.second(relu(self.norm(self.first(x))))))
        return self.head(relu(self.last(self.hidden(x.mean(2)))))


@each("make", [Signals, Residual, lambda: CNN((2, 20), 4, width=16)])
def test_a_pruned_network_finds_its_sizes_in_what_int8_leaves_of_it(make: Callable[[], nn.Module]) -> None:
    torch.manual_seed(0)
    net = make()
    inputs = torch.randn(2, *(PICTURE if isinstance(net, Residual) else (2, 20)))
    smaller = prune_once(net, inputs[:1], 0.6, 1)
    wanted = {name: value.shape for name, value in smaller.state_dict().items()}
    kinds = dict(smaller.named_modules())
    # Int8 takes batch normalisations into the layer before, and signals for pictures of one row.
    state = {
        name: value.unsqueeze(2) if value.dim() == 3 else value
        for name, value in smaller.state_dict().items()
        if not isinstance(kinds[name.rpartition(".")[0]], nn.BatchNorm1d | nn.BatchNorm2d)
    }
    found = Structured().rebuild(make(), state, inputs[:1])
    assert {name: value.shape for name, value in found.state_dict().items()} == wanted
    assert found(inputs).shape == (2, 4) and wanted != {k: v.shape for k, v in net.state_dict().items()}


def test_units_go_where_an_example_has_several_classes(tmp_path: Any) -> None:
    data = dataset(COLUMNS, "multilabel")
    parts = {"net": Tied(), "data": data, "loss": BinaryCrossEntropy()}
    net, _ = compressed(tmp_path, cut(), steps_of_training=4, **parts)
    assert net(data.test.inputs).shape == (30, 4) and len(net.one.weight) < 24


def test_a_teacher_teaches_mixed_examples(tmp_path: Any) -> None:
    data = replace(dataset(PICTURE), augment=("mixup",))
    made = pipeline(tmp_path, Distill(Residual()), net=Residual(), data=data, steps_of_training=4)
    assert made.fit([]).steps == 4
