"""conf/space.yaml names real keys whose defaults lie in range, and what it lets through really builds."""

import itertools
import random
from pathlib import Path
from typing import Any

import pytest

import own_data
from cases import each
from construct import build
from research.compose.compose import at, holds
from research.space.conditions import family
from research.space.gate import Space
from research.space.signature import INERT, signature

CONF = Path(__file__).parents[3] / "conf"
SPACE = Space(CONF, CONF / "space.yaml")
KEYS = SPACE.file.keys
DATA = [name for name in SPACE.composer.files.options("data") if name not in own_data.MADE]
"""those whose files nobody has to bring"""
NOBODYS = {
    *("seed", "name", "tags", "score", "ckpt_path", "force", "dry_run", "root", "launcher", "question"),
    *("meter", "logger", "store", "callbacks", "experiment", "hydra"),
}


def under(group: str, option: str) -> dict[str, Any]:
    """The config of one option; a person's own data need no files for it."""
    return SPACE.composer.sketch([f"{group}={option}"]).config


def owners(key: str) -> list[str]:
    """The options of the key's group under which it exists."""
    group = key.split(".")[0]
    options = SPACE.composer.files.options(group)
    return [option for option in options if holds(under(group, option), key)]


@each("key", KEYS)
def test_a_key_is_real_and_its_default_lies_in_range_for_each_option(key: str) -> None:
    group = key.split(".")[0]
    assert group in SPACE.composer.chosen and owners(key), f"{key} is a key of no option of {group}"
    for option in owners(key):
        default = at(under(group, option), key)
        knob = KEYS[key].within(option)
        assert knob.takes(default), f"{key}={default!r} under {group}={option}: it takes {knob.wants()}"


@each("key", KEYS)
def test_a_key_is_explained_and_what_differs_is_narrower(key: str) -> None:
    knob = KEYS[key]
    assert knob.help and (knob.unit or knob.type in ("enum", "bool", "list"))
    assert set(knob.per) <= set(owners(key)), f"{key} differs for an option that does not have it"
    for option in knob.per:
        within = knob.within(option)
        assert knob.low <= within.low <= within.high <= knob.high
        assert all(knob.takes(value) for value in within._values())


def test_what_is_the_harnesss_cannot_be_turned() -> None:
    turned = {key.split(".")[0] for key in KEYS} | set(SPACE.options)
    assert not turned & NOBODYS
    assert {key for key in KEYS if key.startswith("data.")} <= {"data.batch_size", "data.augment"}
    assert {key for key in KEYS if key.startswith("budget.")} <= {"budget.steps", "budget.target"}
    assert not {"data", "trainer", "budget"} & set(SPACE.options)
    for text in (
        "seed=1",
        "data=digits",
        "data.split_seed=1",
        "data.val_share=0.1",
        "budget=epochs",
        "trainer=gpu",
    ):
        assert SPACE.check([text]), text


def test_agents_and_people_sign_alike_and_what_is_inert_exists() -> None:
    config = SPACE.resolve([])
    assert SPACE.file.inert == INERT and SPACE.signature(config) == signature(config)
    absent = {"question", "study", "hydra", "budget.ceilings", "callbacks.halving"}
    absent |= {"data.path", "data.cache", "data.memory_bytes", "data.workers"}
    assert {key for key in INERT if not holds(config, key)} <= absent


def fitting(data: str) -> list[str]:
    """The networks that a person could train on the data, those tuned for some data among them."""
    task = SPACE.resolve([f"data={data}"])["data"]["task"]
    convolves = ["cnn", "mobilenet", "resnet", "convnext"]
    classifies = ["linear", "mlp", *convolves, "gru", "transformer"]
    kinds = ["gru", "gpt", "moe"] if task != "classification" else classifies
    return [model for model in SPACE.options["model"] if family(model) in kinds]


@pytest.mark.parametrize("data", DATA)
def test_every_network_that_fits_the_data_is_accepted_as_it_is_and_no_other(data: str) -> None:
    accepted = {
        model
        for model in SPACE.options["model"]
        if not SPACE.check([f"model={model}"], given=[f"data={data}"])
    }
    assert accepted == set(fitting(data))


def test_choices_that_the_hardware_would_change_in_silence_are_refused() -> None:
    assert len(SPACE.check(["trainer.precision=16-mixed"])) == 2, "out of the range for a CPU, and why"
    assert SPACE.check(["trainer.precision=16-mixed"], given=["trainer=gpu"]) == []


def test_lions_learning_rate_is_not_adams() -> None:
    assert SPACE.check(["optimizer=adamw", "optimizer.lr=0.05"]) == []
    (complaint,) = SPACE.check(["optimizer=lion", "optimizer.lr=0.05"])
    assert "optimizer=lion" in complaint and "0.01" in complaint


def drawn(draw: random.Random, data: str) -> list[str]:
    """Overrides of the model's keys, uniformly over the space, for a network that fits the data."""
    model = draw.choice(fitting(data))
    keys = [key for key in KEYS if key.startswith("model.") and model in owners(key)]
    values = {key: value_of(KEYS[key].within(model), draw) for key in draw.sample(keys, len(keys) // 2)}
    return [f"model={model}", *(f"{key}={value}" for key, value in values.items())]


def value_of(knob: Any, draw: random.Random) -> str:
    if knob.type == "bool":
        return draw.choice(["true", "false"])
    if knob.type == "enum":
        return str(draw.choice(knob.of))
    return str(draw.randint(knob.low, knob.high) if knob.type == "int" else draw.uniform(knob.low, knob.high))


@pytest.mark.slow
@pytest.mark.parametrize("data", DATA)
def test_every_network_that_the_gate_accepts_builds_and_runs(data: str) -> None:
    import torch

    draw, built = random.Random(0), 0
    for overrides in (drawn(draw, data) for _ in itertools.count()):
        if SPACE.check(overrides, given=[f"data={data}"]):
            continue
        config = SPACE.resolve([f"data={data}", *overrides])
        if config["model"].get("width", 0) > 256:
            continue
        shape = config["data"]["shape"]
        tokens = config["data"]["task"] != "classification"
        x = torch.zeros(2, *shape, dtype=torch.int64) if tokens else torch.zeros(2, *shape)
        logits = build(config["model"])(x)
        assert logits.shape[-1] == config["data"]["classes"], overrides
        built += 1
        if built == 12:
            return


@pytest.mark.parametrize("steps", ["fp16,bf16", "int8_weights,int8_static", "int8_dynamic,compiled"])
def test_agents_are_told_that_a_network_has_one_number_format(steps: str) -> None:
    (complaint,) = SPACE.check([f"compress=[{steps}]"])
    assert "number format" in complaint or "compiler" in complaint
    for kept in ("prune50,int8_static", "bf16,compiled", "low_rank,fp16"):
        assert SPACE.check([f"compress=[{kept}]"]) == []


@pytest.mark.parametrize(
    "value", ["val/accuracy >= 0.9", "val/accuracy>=.925", "val/bits_per_byte <= 3.4", "val/loss<=1"]
)
def test_an_agent_may_end_a_training_at_a_bound_on_its_validation(value: str) -> None:
    of_bytes = ("data=pytext", "model=gpt_micro") if "bits" in value else ()
    assert SPACE.check([f"budget.target='{value}'"], given=of_bytes) == []
    assert bool(SPACE.check([f"budget.target='{value}'"])) == bool(of_bytes)
    assert SPACE.resolve([f"budget.target='{value}'"])["budget"]["target"] == value


@pytest.mark.parametrize(
    "value",
    [
        "test/accuracy >= 0.9",
        "val/accuracy <= 0.9",
        "val/accuracy > 0.9",
        "val/f1 >= 0.9",
        "val/loss <= 1e999",
    ],
)
def test_a_target_that_is_no_bound_on_the_curve_is_refused_in_a_sentence(value: str) -> None:
    (complaint,) = SPACE.check([f"budget.target='{value}'"])
    assert "budget.target" in complaint and "val/accuracy" in complaint


def test_gradual_pruning_has_its_own_end_and_takes_no_target() -> None:
    (complaint,) = SPACE.check(["compress=[gradual]", "budget.target='val/accuracy >= 0.9'"])
    assert "gradual" in complaint and SPACE.check(["compress=[gradual]"]) == []


TOGETHER = "propose one value of it"


@pytest.mark.parametrize(
    ("text", "told"),
    [
        (
            "compress=structured,int8_static",
            f"write compress=[structured,int8_static] to have them together, or {TOGETHER}",
        ),
        (
            "compress=[structured],[int8_static]",
            "write compress=[structured,int8_static] to have them together",
        ),
        ("optimizer.lr=0.001,0.01", f"'optimizer.lr=0.001,0.01' is 2 configurations: {TOGETHER}."),
        ("budget.steps=range(100,400,100)", "is 3 configurations"),
        ("model.width=choice(48)", "'model.width=choice(48)' sweeps over one value: write model.width=48."),
        ("model.width=range(48,49)", "sweeps over one value: write model.width=48."),
        ("compress=choice([fp16])", "write compress=[fp16]."),
    ],
)
def test_a_sweep_is_no_one_configuration(text: str, told: str) -> None:
    assert SPACE.check([text]) == []
    (complaint,) = SPACE.swept(["model.width=16", text])
    assert told in complaint


@pytest.mark.parametrize(
    "text", ["compress=[structured,int8_static]", "compress=structured", "optimizer.lr=0.01"]
)
def test_one_configuration_sweeps_nothing(text: str) -> None:
    assert SPACE.check([text]) == SPACE.swept([text]) == []


@pytest.mark.parametrize(
    "text", ["compress=structured+int8_static", "compress=none", "compress='structured,int8'"]
)
def test_how_a_list_of_options_is_written_is_told(text: str) -> None:
    (complaint,) = SPACE.check([text])
    assert complaint.startswith("compress takes one of, or as [a,b] together at most 4 of, bf16")


@each(
    ("overrides", "given", "says"),
    [
        (["data.augment=[mixup,mixup]"], [], "each one of flip, crop, cutout, mixup, none twice"),
        (["compress=[fp16,fp16]"], [], "'[fp16,fp16]' is not, for each is given once."),
        (["budget.target='val/bits_per_byte <= 1'"], ["data=digits"], "takes val/accuracy or val/loss"),
        (["loss=own"], [], "loss takes one of"),
        (["model.kernel=3"], ["model=mlp"], "does not exist with model=mlp, which the goal fixes: leave it"),
        (["model=linear"], ["model.width=32"], "model.width, which the goal fixes, does not exist with"),
        (["seed=range(0,10,-1)"], [], "its start must lie above its stop."),
        (["seed=range(10,0)"], [], "its start must lie below its stop."),
        (["budget.target=val/accuracy >= 0.9"], [], "which only quotes may hold"),
    ],
)
def test_what_is_refused_is_told_with_what_helps(overrides: list[str], given: list[str], says: str) -> None:
    assert says in " ".join(SPACE.check(overrides, given=given))


@each("text", ["model.squeeze=0", "model.squeeze=0.0", "model.squeeze=0.5"])
def test_zero_is_zero_however_it_is_written(text: str) -> None:
    assert SPACE.check(["model=mobilenet", text]) == []
