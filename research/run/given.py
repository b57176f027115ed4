"""A network that is there already: what `task=compress` and `from=12` stand for on a line of train.py.

These are ordinary overrides: a trial is identified by the content of its weights, as by any `model.weights`.
"""

from collections.abc import Mapping, Sequence
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Any

from refusal import Refusal
from research.compose.override import override, values_of
from research.compose.typed import parts

if TYPE_CHECKING:
    from research.types import Trial

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
    """Raise `Refusal` where a training is given a length and nothing is trained."""
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


_KEY = "from"
_TAKEN = ("data", "model")
"""groups whose overrides are the kept trial's, unless some are typed"""
_RESHAPES = ("structured", "low_rank", "int8")
"""compressions after which weights have other shapes or types"""


def spelt_out(words: Sequence[str], conf: Path) -> list[str]:
    """The words of a command line without `from=12`, and what it stands for in its place.

    Raises:
        Refusal: there is no such finished trial, its weights are gone, or cannot be trained on.
    """
    given = [word for word in words if override(word).key == _KEY]
    if not given:
        return list(words)
    others = [word for word in words if word not in given]
    trial = _trial(given, others, conf)
    said = {override(word).group for word in others}
    own = [text for text in map(override, trial.overrides) if text.group in _TAKEN and text.group not in said]
    kept = [text.spelling for text in own if text.key != "model.weights"]
    return [*others, *kept, f"model.weights={Path(str(trial.folder)) / 'weights.pt'}"]


def _trial(given: Sequence[str], others: Sequence[str], conf: Path) -> "Trial":
    # Most commands begin anew, and the database costs 0.4 s to import.
    from research.compose.compose import Composer
    from research.store.claims import refuse_edited
    from research.store.store import Store

    value = override(given[-1]).value or ""
    if len(given) > 1 or not value.isdecimal():
        raise Refusal(f"{given[-1]}: begin from one trial, by its number, as from=12.")
    store = [word for word in others if override(word).group == "store"]
    url = Composer(conf, "train").resolve(store).config["store"]["url"]
    with closing(Store(url, late=True)) as database:
        trials = [] if database.is_new else database.trials(ids=[int(value)], status="done")
    if not trials:
        raise Refusal(f"from={value}: {url} has no finished trial {value}: task=zoo lists what is at hand.")
    refuse_edited(trials[0])
    _refuse_fixed(trials[0])
    return trials[0]


def _refuse_fixed(trial: "Trial") -> None:
    if trial.folder is None or not (Path(trial.folder) / "weights.pt").is_file():
        raise Refusal(
            f"from={trial.id}: its weights are not in {trial.folder} any more: train it again, by force=true."
        )
    steps = [name for name in trial.config.get("compress") or {} if name.startswith(_RESHAPES)]
    if steps:
        raise Refusal(
            f"from={trial.id}: its network is what compress=[{','.join(steps)}] left, whose weights fit no "
            "network of a configuration: name a trial without."
        )
