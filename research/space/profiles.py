"""What a training needs, from its config alone, held against the ceilings of a profile of hardware.

Agents' proposals and people's commands are asked alike. A profile, an option of `budget/`, says what fits a
machine that need not be this one, so a run for a T4 can be planned on a laptop. No network is built for it:

Bytes = weights x (4 + 4 for gradients + 4 for each state of the optimizer, + 2 for the copy that mixed
precision computes with) + what the forward pass keeps for the backward one. Both are counted from the sizes
in the config (width, depth, expansion, patch, experts), so they are estimates: parameters within a factor of
two of the truth for the networks of conf/model, activations within a factor of three, which a test holds them
to. What the framework itself takes is not in it: that, and the error, are what a profile's margin is for.
"""

import math
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple, final

from pydantic import Field, ValidationError

from refusal import Refusal
from research.types import Record

_GIB = 2**30
_FLOAT = 4
_STATES = {"SGD": 1, "Lion": 1, "Adafactor": 1, "SOAP": 6}
"""states that an optimizer keeps for each weight, where it is not Adam's two"""
Config = Mapping[str, Any]


@final
class Ceilings(Record):
    """What one kind of machine takes; None lifts a ceiling."""

    profile: str
    """the option of budget/ that it belongs to"""
    batch_size: int | None = Field(default=None, gt=0)
    length: int | None = Field(default=None, gt=0)
    """positions of one example that the network sees"""
    experts: int | None = Field(default=None, gt=0)
    memory_bytes: float | None = Field(default=None, gt=0)
    margin: float = Field(default=0.2, ge=0, lt=1)
    """share of the memory that is kept free: for the framework, and because the need is an estimate"""
    precisions: tuple[str, ...] | None = None


def complaints(config: Mapping[str, Any]) -> list[str]:
    """Why a resolved config does not fit the profile of its budget; empty when it does or has none.

    Raises `Refusal` for ceilings that make no sense.
    """
    budget = config.get("budget")
    given = budget.get("ceilings") if isinstance(budget, Mapping) else None
    if given is None:
        return []
    try:
        ceilings = Ceilings.model_validate(given)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"]))
        raise Refusal(f"budget.ceilings.{where} is not usable: {first['msg']}.") from None
    return list(_complaints(config, ceilings))


def refuse(config: Mapping[str, Any]) -> None:
    """Raise `Refusal` with the first complaint."""
    for complaint in complaints(config):
        raise Refusal(complaint)


def _complaints(config: Mapping[str, Any], top: Ceilings) -> Iterator[str]:
    name = f"budget={top.profile}"
    batch, experts = config["data"]["batch_size"], config["model"].get("experts")
    if top.batch_size is not None and batch > top.batch_size:
        yield f"{name} allows data.batch_size up to {top.batch_size}: {batch} is more, so lower it."
    if top.length is not None and tokens(config) > top.length:
        yield (
            f"{name} allows sequences of up to {top.length} positions: data.shape "
            f"{list(config['data']['shape'])} gives the network {tokens(config)}, so choose shorter data."
        )
    if top.experts is not None and isinstance(experts, int) and experts > top.experts:
        yield f"{name} allows model.experts up to {top.experts}: {experts} is more, so lower it."
    precision = (config.get("trainer") or {}).get("precision")
    if top.precisions is not None and precision not in (*top.precisions, None):
        said = " or ".join(top.precisions)
        yield f"{name} allows trainer.precision={said}: {precision} is not for this hardware, so change it."
    yield from _memory(config, top, name)


def _memory(config: Mapping[str, Any], top: Ceilings, name: str) -> Iterator[str]:
    if top.memory_bytes is None:
        return
    need, allowed = memory(config), top.memory_bytes * (1 - top.margin)
    if need.total > allowed:
        parts = ", ".join(f"{name} {_gib(value)}" for name, value in need._asdict().items())
        batch = "data.batch_size, or cut it by trainer.accumulate_grad_batches"
        yield (
            f"{name} allows {_gib(allowed)} of memory ({_gib(top.memory_bytes)} less "
            f"{100 * top.margin:g} % to spare): this would take about {_gib(need.total)} ({parts}), "
            f"so lower {batch if need.activations > need.total / 2 else 'model.width or model.depth'}."
        )


def _gib(size: float) -> str:
    return f"{size / _GIB:.3g} GiB"


@final
class MemoryNeed(NamedTuple):
    """Bytes of one training on one device."""

    weights: float
    gradients: float
    optimizer: float
    activations: float

    @property
    def total(self) -> float:
        """All of them."""
        return sum(self)


def memory(config: Config) -> MemoryNeed:
    """The estimate for a resolved config; keys that a network does not have count for nothing."""
    trainer, data = config.get("trainer") or {}, config["data"]
    mixed = str(trainer.get("precision", "32-true")) not in ("32-true", "auto")
    weights, _, floats = counted(config)
    pieces = max(1, _whole(trainer.get("accumulate_grad_batches"), 1))
    devices = max(1, _whole(trainer.get("devices"), 1))
    examples = max(1.0, data["batch_size"] / pieces / devices)
    kept = floats * (3 if mixed else _FLOAT)
    return MemoryNeed(
        weights * (_FLOAT + 2 * mixed),
        weights * _FLOAT,
        weights * _FLOAT * _states(config.get("optimizer") or {}),
        examples * (kept + 2 * _FLOAT * _logits(config)),
    )


@final
class Counted(NamedTuple):
    """What the sizes of a network come to, about."""

    weights: float
    products: float
    """of two numbers in an example's forward pass: weights times the places that they are used at"""
    kept: float
    """floats of one example that the forward pass keeps for the backward pass"""


def counted(config: Config) -> Counted:
    """The counts of a resolved config's network."""
    model, data = config["model"], config["data"]
    width, depth = _whole(model.get("width"), 0), _whole(model.get("depth"), 1)
    inputs, classes = math.prod(data["shape"]), data["classes"]
    if not width:
        return Counted(float(inputs * classes), float(inputs * classes), float(inputs))
    if "vocabulary" in model and not {"heads", "bidirectional"} & model.keys():
        table = _whole(model["vocabulary"], 0) * width
        return Counted(float(table + width * classes), float(width * classes), 2.0 * inputs * width)
    if "heads" in model:
        return _attention(config, width, depth)
    if "kernel" in model:
        return _convolutions(config, width, depth)
    if "bidirectional" in model:
        ways = 1 + bool(model["bidirectional"])
        gates, read_out = depth * ways * 6 * width * width, _read_out(config, width * ways)
        places = tokens(config)
        return Counted(
            gates + read_out, places * gates + read_out, inputs + places * width * 10 * depth * ways
        )
    weights = float(inputs * width + (depth - 1) * width * width + width * classes)
    return Counted(weights, weights, float(inputs + 3 * width * depth))


def _attention(config: Config, width: int, depth: int) -> Counted:
    """Of blocks in which every position meets every other, and some experts of many."""
    model, places, tables = config["model"], tokens(config), _tables(config, width)
    expansion, shared = 2 * _whole(model.get("expansion"), 4), _whole(model.get("shared"), 0)
    own = width * width * (4 + expansion * (_whole(model.get("experts"), 1) + shared))
    used = _whole(model.get("chosen"), 1) + shared
    met = width * width * (4 + expansion * used) + 2 * places * width
    blocks = 1 if model.get("sharing") in ("all", "relaxed") else depth
    whole = 1 if _recomputed(config) else depth
    inside = whole * width * (8 + expansion * used) + depth * width
    inputs = math.prod(config["data"]["shape"])
    return Counted(blocks * own + tables, places * (depth * met + tables), float(inputs + places * inside))


def tokens(config: Config) -> int:
    """Positions that the network sees of one example: tokens, points, or patches."""
    model, shape = config["model"], list(config["data"]["shape"])
    if len(shape) == 1:
        return int(shape[0])
    cut = max(1, _whole(model.get("patch"), 1) if "heads" in model else _whole(model.get("stride"), 1))
    space = shape[1:] if "heads" in model or "kernel" in model else shape[1:2]
    return math.prod(max(1, -(-size // cut)) for size in space)


def _convolutions(config: Config, width: int, depth: int) -> Counted:
    """Of stages that halve each side of the input, after a stem that cuts it."""
    model, (channels, *space) = config["model"], list(config["data"]["shape"])
    taps = _whole(model.get("kernel"), 3) ** len(space)
    cut, growth = _whole(model.get("patch"), 2), _whole(model.get("growth"), 1)
    weights, products, kept, places = 0.0, 0.0, float(channels * math.prod(space)), 1
    for stage in range(depth):
        wide = width * growth**stage
        places = math.prod(-(-side // (cut * 2**stage)) for side in space)
        own, floats = _stage(model, wide, channels, taps)
        weights, products, kept = weights + own, products + own * places, kept + places * floats
        channels = wide
    flat = places if model.get("readout") == "flatten" else 1
    read_out = flat * channels * config["data"]["classes"]
    return Counted(weights + read_out, products + read_out, kept)


def _stage(model: Config, wide: int, channels: int, taps: int) -> tuple[float, float]:
    """Weights of one stage, and the floats it keeps for each point."""
    blocks = _whole(model.get("blocks"), 0)
    if model.get("block") == "separable":  # each channel alone, then all at one point
        return float((channels + blocks * wide) * (wide + taps)), float((1 + blocks) * wide * 8)
    if "expansion" in model:  # depthwise, and mixed from channel to channel
        expansion = _whole(model["expansion"], 4)
        own = (1 + blocks) * wide * (2 * expansion * wide + taps) + channels * wide
        return float(own), float((1 + blocks) * wide * (4 * expansion + 4))
    if "norm" in model:  # one convolution, and as many residual ones as asked for
        return float(taps * wide * (channels + 2 * blocks * wide)), float(wide * (3 + 4 * blocks))
    own = taps * wide * (channels + wide + 2 * blocks * wide)
    return float(own), float((1 + blocks) * wide * 6)


def _tables(config: Config, width: int) -> float:
    """Embedding and read-out of a network on tokens or patches."""
    model, data = config["model"], config["data"]
    if _per_token(data):
        return float(width * data["classes"] * (1 if model.get("tied") else 2))
    positions = tokens(config)
    features = data.get("vocabulary") or math.prod(data["shape"]) / positions
    return float(width * (features + positions + data["classes"]))


def _read_out(config: Config, width: int) -> float:
    model, data = config["model"], config["data"]
    flat = not _per_token(data) and model.get("readout") == "flatten"
    embedding = width * (data["classes"] if _per_token(data) else data.get("vocabulary") or 0)
    return float(embedding + width * data["classes"] * (tokens(config) if flat else 1))


def _logits(config: Config) -> int:
    data = config["data"]
    return int(data["classes"]) * (tokens(config) if _per_token(data) else 1)


def _per_token(data: Config) -> bool:
    return data.get("task") in ("language", "recall")


def _states(optimizer: Config) -> float:
    name = str(optimizer.get("_target_", "")).rpartition(".")[2]
    if name == "SGD" and not optimizer.get("momentum"):
        return 0
    return _STATES.get(name, 2)


def _recomputed(config: Config) -> bool:
    """Whether blocks compute their inside again for the gradient."""
    trainer = config.get("trainer") or {}
    return bool(trainer.get("recompute")) and trainer.get("recompute_keep", "nothing") == "nothing"


def _whole(value: Any, default: int) -> int:
    return int(value) if isinstance(value, int | float) and not isinstance(value, bool) else default
