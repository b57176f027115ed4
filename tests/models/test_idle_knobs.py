"""What `when` says of a knob is true of the networks: idle it changes not one bit, acting it does."""

from functools import cache
from pathlib import Path
from typing import Any

import pytest
import torch

import train
import trainings
from models.data.batches import sequential
from models.training.fit import fit
from research.space.gate import Space

CONF = Path(__file__).parents[2] / "conf"
SPACE = Space(CONF, CONF / "space.yaml")
SIGNALS = "data=mnist1d data.train_size=64 data.val_size=32 data.test_size=32 data.batch_size=16"
TOKENS = "data=mqar data.train_size=64 data.val_size=32 data.test_size=32 data.batch_size=16"
MLP = f"{SIGNALS} model=mlp model.width=16 model.depth=2"
GPT = f"{TOKENS} model=gpt model.width=16 model.heads=2"
VIT = f"{SIGNALS} model=transformer model.width=16 model.heads=2 model.patch=2"
NEXT = f"{SIGNALS} model=convnext model.width=8"
CASES: list[tuple[str, str, str, str, tuple[str, str]]] = [
    # The key, what every training has, what makes it idle, what makes it act, and two of its values.
    *(
        ("model.growth", f"{SIGNALS} model={net} model.width=8", "model.depth=1", "model.depth=2", ("1", "2"))
        for net in ("cnn", "resnet", "convnext", "mobilenet")
    ),
    ("model.readout", "model=gru model.width=8", TOKENS, SIGNALS, ("flatten", "mean")),
    (
        "model.expansion",
        f"{SIGNALS} model=mobilenet model.width=8 model.depth=2",
        "model.block=separable",
        "model.block=inverted",
        ("2", "3"),
    ),
    *(
        ("model.linear_share", base, f"model.linear={kind}", "model.linear=low_rank", ("0.2", "0.6"))
        for base, kind in ((MLP, "dense"), (GPT, "grouped"), (VIT, "monarch"), (NEXT, "dense"))
    ),
    *(
        ("model.linear_blocks", base, f"model.linear={idle}", f"model.linear={acts}", ("2", "4"))
        for base, idle, acts in (
            (MLP, "dense", "grouped"),
            (GPT, "low_rank", "monarch"),
            (VIT, "low_rank", "grouped"),
            (NEXT, "dense", "grouped"),
        )
    ),
    *(
        ("model.window", base, f"model.pattern={idle}", f"model.pattern={acts}", ("4", "8"))
        for base, idle, acts in ((GPT, "softmax", "window"), (VIT, "linear-softmax", "window-softmax"))
    ),
    ("model.window", GPT, "model.pattern=delta", "model.pattern=window", ("4", "8")),
    ("model.window", GPT, "model.pattern=gated-softmax", "model.pattern=window", ("4", "8")),
    *(
        ("model.shared_blocks", base, f"model.sharing={kind}", "model.sharing=cycle", ("1", "2"))
        for base, kind in ((GPT, "none"), (VIT, "all"), (GPT, "relaxed"))
    ),
    *(
        ("model.delta_rank", base, f"model.sharing={kind}", "model.sharing=relaxed", ("1", "4"))
        for base, kind in ((GPT, "none"), (VIT, "all"), (GPT, "cycle"))
    ),
    (
        "scheduler.start",
        f"{MLP} scheduler=onecycle",
        "scheduler.warmup=0",
        "scheduler.warmup=0.5",
        ("0", "0.4"),
    ),
    *(
        (
            "trainer.recompute_keep",
            base,
            f"trainer.recompute={none}",
            "trainer.recompute=[blocks.*]",
            ("nothing", "matmuls"),
        )
        for base, none in ((GPT, "null"), (VIT, "[]"))
    ),
]


def name(case: tuple[str, str, str, str, tuple[str, str]]) -> str:
    """Key, network and what makes it idle."""
    key, base, idle, *_ = case
    net = next(text for text in base.split() if text.startswith("model="))
    return f"{key} {net} {idle.split()[-1] if key != 'model.readout' else 'tokens'}"


@cache
def data_of(settings: str) -> Any:
    return train.build(SPACE.resolve(settings.split())["data"])


def trained(folder: Path, overrides: list[str]) -> dict[str, torch.Tensor]:
    """Weights and answers after four steps, and the bytes that a step holds."""
    config = SPACE.resolve(overrides)
    data = data_of(" ".join(text for text in overrides if text.startswith("data")))
    torch.manual_seed(0)
    net = train.build(config["model"])
    built = {name: train.build(config[name]) for name in ("optimizer", "scheduler", "loss")}
    settings = {name: config["trainer"][name] for name in ("recompute", "recompute_keep")}
    done = fit(**trainings.parts(folder, steps=4, data=data, net=net, **built, **settings))
    found = {name: weight.detach().clone() for name, weight in done.net.state_dict().items()}
    with torch.no_grad():
        found["answers"] = done.net.eval()(next(sequential(data.val, 32))[0])
    return found | {"bytes": torch.tensor(done.metrics["train/activation_bytes"])}


def same(one: dict[str, torch.Tensor], other: dict[str, torch.Tensor]) -> bool:
    return one.keys() == other.keys() and all(torch.equal(one[name], other[name]) for name in one)


@pytest.mark.slow
@pytest.mark.parametrize(("key", "base", "idle", "acts", "values"), CASES, ids=map(name, CASES))
def test_a_knob_changes_not_one_bit_when_it_is_idle_and_some_when_it_acts(
    tmp_path: Path, key: str, base: str, idle: str, acts: str, values: tuple[str, str]
) -> None:
    equal = {}
    for made in (idle, acts):
        lines = [[*base.split(), *made.split(), f"{key}={value}"] for value in values]
        configs = [SPACE.resolve(line) for line in lines]
        assert [key in SPACE.idle(config) for config in configs] == [made == idle] * 2
        assert len(set(map(SPACE.signature, configs))) == (1 if made == idle else 2)
        first, second = (
            trained(tmp_path / f"{made == idle} {place}", line) for place, line in enumerate(lines)
        )
        equal[made] = same(first, second)
    assert equal == {idle: True, acts: False}


def test_every_knob_that_can_be_idle_is_tried() -> None:
    assert {key for key, *_ in CASES} == set(SPACE.file.conditions)
