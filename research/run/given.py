"""A model that a person has: what `task=compress` stands for on a line of train.py, and what it needs."""

from collections.abc import Mapping, Sequence
from typing import Any

from refusal import Refusal
from research.compose.override import override, values_of
from research.compose.typed import parts

_TASK, _AS_GIVEN = "compress", "[]"
_USUAL = {
    "budget": "budget=given",
    "launcher.jobs": "launcher.jobs=1",
    "data.batch_size": "data.batch_size=64",
}
"""what is set unless it is typed: nothing is trained, trials are timed alone, and on batches of 64"""
_BESIDE = ("weights", "path", "pretrained")
"""keys by which a network comes with weights"""


def spelled(words: Sequence[str]) -> list[str]:
    """A line of train.py with what `task=compress` stands for: a sweep over what is done to a given model.

    The model as it is comes first, whatever else is listed.
    """
    typed = values_of(words)
    if typed.get("task") != _TASK:
        return list(words)
    _refuse_budget(words, typed)
    rest = [word for word in words if override(word).key not in ("task", _TASK)]
    lists = [text for text in parts(typed.get(_TASK, "[int8_static]")) if text != _AS_GIVEN]
    usual = [word for key, word in _USUAL.items() if key not in typed]
    flags = [] if {"-m", "--multirun"} & set(words) else ["-m"]
    return [*flags, f"{_TASK}={','.join([_AS_GIVEN, *lists])}", *usual, *rest]


def _refuse_budget(words: Sequence[str], typed: Mapping[str, str]) -> None:
    """Raise `Refusal` for a length of a training that there is not."""
    if typed.get("budget", "given") != "given":
        return
    for key in (override(word).key for word in words):
        if key.startswith("budget.") and key not in ("budget.finetune", "budget.calibration"):
            raise Refusal(
                f"task=compress trains nothing from scratch, so {key} has nothing to bound: write "
                "budget.finetune=STEPS for each fine-tuning, budget.calibration=BATCHES for the ranges of "
                "int8, or choose a budget that trains, as budget=default."
            )


def is_given(config: Mapping[str, Any]) -> bool:
    """Whether nothing is trained from scratch, since the network is given."""
    return str((config.get("budget") or {}).get("_target_", "")).endswith(".Given")


def check_given(config: Mapping[str, Any]) -> None:
    """Raise `Refusal` where a network is neither trained nor given."""
    model = config.get("model") or {}
    if is_given(config) and not any(model.get(key) for key in _BESIDE):
        raise Refusal(
            "budget=given trains nothing, so it needs the weights of the network: write model.weights=FILE, "
            "or choose another budget."
        )
