"""Every option that shapes a trial trains two steps, reports its cost, saves, and loads again."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

import own_data
import own_nets
import train
from models.data.batches import sequential
from models.inference import restore
from models.training.evaluate import evaluate
from refusal import Refusal

CONF = Path(__file__).parent.parent / "conf"
COSTS = {
    "size/bytes", "size/parameters", "compute/flops_forward", "infer/latency_s_p50",
    "infer/samples_per_second", "train/seconds", "train/activation_bytes",
    "train/optimizer_bytes", "test/loss",
}  # fmt: skip
TOKENS = ["data=mqar", "data.train_size=64", "data.val_size=64", "data.test_size=64", "data.batch_size=16"]
SIGNALS = [
    "data=mnist1d",
    "data.train_size=256",
    "data.val_size=128",
    "data.test_size=128",
    "data.batch_size=32",
]
OF_TOKENS = ("gpt", "moe_gpt")
OF_FEATURES = ("linear", "mlp")
ON_GPU = ("two_four",)
TAUGHT = {"distill": ["compress.distill.teacher.recipe=['data=digits','budget.steps=2']"]}
ALONE = {"distill_self": "structured,distill_self"}


def options(group: str) -> list[tuple[str, str]]:
    return [(group, path.stem) for path in sorted((CONF / group).glob("*.yaml"))]


DECODER = [("decoder", name) for _, name in options("compress") if name not in (*TAUGHT, *ON_GPU)]
"""compressions of the blocks of a language model, whose layers other code looks into"""


def brought(group: str, name: str, place: Path) -> list[str]:
    """The same of an option that a person must name something to."""
    own_nets.at_hand(name)
    texts = own_data.line("text", place / "own") if name == "hf" else []
    data = SIGNALS if (group, name) == ("model", "own") else [text for text in texts if text != "model=bag"]
    return [*data, f"{group}={name}", *own_nets.NEEDS[group, name]]


def line(group: str, name: str, place: Path) -> list[str]:
    """Overrides for a trial with this option on data that fit it."""
    if name == "squared_error":
        return own_data.values(place / "own")
    if name == "binary_cross_entropy":
        return own_data.several(place / "own")
    if (group, name) in own_nets.NEEDS:
        return brought(group, name, place)
    if name == "bag":
        return own_data.line("text", place / "own")
    if group == "decoder":
        return ["model=gpt_micro", "model.depth=1", *TOKENS, f"compress=[{ALONE.get(name, name)}]"]
    if group == "compress":
        return [f"compress=[{ALONE.get(name, name)}]", *TAUGHT.get(name, [])]
    if group != "model" or name.startswith(OF_FEATURES):
        return [f"{group}={name}"]
    return [f"model={name}", *(TOKENS if name.startswith(OF_TOKENS) else SIGNALS)]


def shortened(config: dict[str, Any]) -> dict[str, Any]:
    """No fine-tuning longer than two steps."""
    for step in (config.get("compress") or {}).values():
        if "finetune_steps" in (step or {}):
            step["finetune_steps"] = 2
    return config


@pytest.mark.slow
@pytest.mark.parametrize(
    ("group", "name"),
    [
        *options("model"),
        *options("optimizer"),
        *options("scheduler"),
        *options("loss"),
        *options("metric"),
        *options("compress"),
        *DECODER,
    ],
)
def test_it_trains_saves_loads_and_reports_its_cost(
    resolve: Callable[..., Any], tmp_path: Path, group: str, name: str
) -> None:
    config = shortened(resolve("budget.steps=2", *line(group, name, tmp_path)))
    if name in ON_GPU and not torch.cuda.is_available():
        with pytest.raises(Refusal, match="GPU"):
            train.trial(config, overrides=[])
        return
    answer = train.trial(config, overrides=[])
    assert answer["metrics"].keys() >= COSTS
    path = Path(answer["folder"]) / "weights.pt"
    assert path.stat().st_size == answer["metrics"]["size/bytes"]

    data, steps = train.build(config["data"]), train.build(as_loaded(config.get("compress")))
    example = next(sequential(data.test, 1))[0]
    net = restore(train.build(config["model"]), steps, path, example)
    scores, _ = evaluate(net, data.test, data.task, data.batch_size, data.classes)
    assert scores["loss"] == pytest.approx(answer["metrics"]["test/loss"], rel=1e-4)
    score = "rmse" if data.task == "regression" else "accuracy"
    assert scores[score] == pytest.approx(answer["metrics"][f"test/{score}"], rel=1e-4, abs=2e-3)


def as_loaded(compress: dict[str, Any] | None) -> dict[str, Any]:
    """The compressions without a teacher, which only a training needs."""
    return {name: step for name, step in (compress or {}).items() if not name.startswith("distill")}
