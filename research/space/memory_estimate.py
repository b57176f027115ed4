"""How much memory a training will take, from its config alone: no network is built, torch is not imported.

Bytes = weights x (4 + 4 for gradients + 4 for each state of the optimizer, + 2 for the copy that mixed
precision computes with) + what the forward pass keeps for the backward one. Both are counted from the sizes
in the config (width, depth, expansion, patch, experts), so they are estimates: parameters within a factor of
two of the truth for the networks of conf/model, activations within a factor of three, which a test holds them
to. What the framework itself takes is not in it: that, and the error, are what a profile's margin is for.
"""

import math
from collections.abc import Mapping
from typing import Any, NamedTuple, final

_FLOAT = 4
_STATES = {"SGD": 1, "Lion": 1, "Adafactor": 1, "SOAP": 6}
"""states that an optimizer keeps for each weight, where it is not Adam's two"""
Config = Mapping[str, Any]


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
    weights = parameters(config)
    pieces = max(1, _whole(trainer.get("accumulate_grad_batches"), 1))
    devices = max(1, _whole(trainer.get("devices"), 1))
    examples = max(1.0, data["batch_size"] / pieces / devices)
    kept = floats_kept(config) * (3 if mixed else _FLOAT)
    return MemoryNeed(
        weights * (_FLOAT + 2 * mixed),
        weights * _FLOAT,
        weights * _FLOAT * _states(config.get("optimizer") or {}),
        examples * (kept + 2 * _FLOAT * _logits(config)),
    )


def parameters(config: Config) -> float:
    """How many weights the network has, about."""
    model, data = config["model"], config["data"]
    width, depth = _whole(model.get("width"), 0), _whole(model.get("depth"), 1)
    inputs, classes = math.prod(data["shape"]), data["classes"]
    if not width:
        return float(inputs * classes)
    if "heads" in model:
        experts = _whole(model.get("experts"), 1) + _whole(model.get("shared"), 0)
        block = width * width * (4 + 2 * _whole(model.get("expansion"), 4) * experts)
        blocks = 1 if model.get("sharing") in ("all", "relaxed") else depth
        return float(blocks * block + _tables(config, width))
    if "kernel" in model:
        return _convolutions(config, width, depth)[0]
    if "bidirectional" in model:
        ways = 1 + bool(model["bidirectional"])
        return float(depth * ways * 6 * width * width + _read_out(config, width * ways))
    return float(inputs * width + (depth - 1) * width * width + width * classes)


def multiplications(config: Config) -> float:
    """How many products of two numbers an example's forward pass takes, about: weights times places."""
    model = config["model"]
    width, depth = _whole(model.get("width"), 0), _whole(model.get("depth"), 1)
    if "kernel" in model and width:
        return _products(config, width, depth)
    if "heads" in model:  # every position meets every other, and some experts of many
        places = tokens(config)
        experts = _whole(model.get("chosen"), 1) + _whole(model.get("shared"), 0)
        block = width * width * (4 + 2 * _whole(model.get("expansion"), 4) * experts)
        return float(places * (depth * (block + 2 * places * width) + _tables(config, width)))
    if "bidirectional" in model:
        ways = 1 + bool(model["bidirectional"])
        return float(tokens(config) * depth * ways * 6 * width * width + _read_out(config, width * ways))
    return parameters(config)


def floats_kept(config: Config) -> float:
    """How many floats of one example the forward pass keeps for the backward pass, about."""
    model, data = config["model"], config["data"]
    width, depth = _whole(model.get("width"), 0), _whole(model.get("depth"), 1)
    inputs = math.prod(data["shape"])
    if not width:
        return float(inputs)
    if "heads" in model:
        experts = _whole(model.get("chosen"), 1) + _whole(model.get("shared"), 0)
        block = width * (8 + 2 * _whole(model.get("expansion"), 4) * experts)
        whole = depth if _recomputed(config) is False else 1
        return float(inputs + tokens(config) * (whole * block + depth * width))
    if "kernel" in model:
        return _convolutions(config, width, depth)[1]
    if "bidirectional" in model:
        return float(inputs + tokens(config) * width * 10 * depth * (1 + bool(model["bidirectional"])))
    return float(inputs + 3 * width * depth)


def tokens(config: Config) -> int:
    """Positions that the network sees of one example: tokens, points, or patches."""
    model, shape = config["model"], list(config["data"]["shape"])
    if len(shape) == 1:
        return int(shape[0])
    cut = max(1, _whole(model.get("patch"), 1) if "heads" in model else _whole(model.get("stride"), 1))
    space = shape[1:] if "heads" in model or "kernel" in model else shape[1:2]
    return math.prod(max(1, -(-size // cut)) for size in space)


def _convolutions(config: Config, width: int, depth: int) -> tuple[float, float]:
    """Weights and kept floats of stages that halve each side of the input, after a stem that cuts it."""
    model, (channels, *space) = config["model"], list(config["data"]["shape"])
    taps = _whole(model.get("kernel"), 3) ** len(space)
    cut, growth = _whole(model.get("patch"), 2), _whole(model.get("growth"), 1)
    weights, kept = 0.0, float(channels * math.prod(space))
    places = 1
    for stage in range(depth):
        wide = width * growth**stage
        places = math.prod(-(-side // (cut * 2**stage)) for side in space)
        own, floats = _stage(model, wide, channels, taps)
        weights += own
        kept += places * floats
        channels = wide
    flat = places if model.get("readout") == "flatten" else 1
    return weights + flat * channels * config["data"]["classes"], kept


def _products(config: Config, width: int, depth: int) -> float:
    """Products of convolutions: each stage's weights at each of its points, and the read-out's once."""
    model, (channels, *space) = config["model"], list(config["data"]["shape"])
    taps = _whole(model.get("kernel"), 3) ** len(space)
    cut, growth = _whole(model.get("patch"), 2), _whole(model.get("growth"), 1)
    found, places = 0.0, 1
    for stage in range(depth):
        wide = width * growth**stage
        places = math.prod(-(-side // (cut * 2**stage)) for side in space)
        found += _stage(model, wide, channels, taps)[0] * places
        channels = wide
    flat = places if model.get("readout") == "flatten" else 1
    return float(found + flat * channels * config["data"]["classes"])


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
    if data.get("task") != "classification":
        return float(width * data["classes"] * (1 if model.get("tied") else 2))
    positions = tokens(config)
    features = math.prod(data["shape"]) / positions
    return float(width * (features + positions + data["classes"]))


def _read_out(config: Config, width: int) -> float:
    model, data = config["model"], config["data"]
    flat = data.get("task") == "classification" and model.get("readout") == "flatten"
    embedding = 0 if data.get("task") == "classification" else data["classes"] * width
    return float(embedding + width * data["classes"] * (tokens(config) if flat else 1))


def _logits(config: Config) -> int:
    data = config["data"]
    return int(data["classes"]) * (1 if data.get("task") == "classification" else tokens(config))


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
