"""The data, network and device that a goal names, as overrides: `a CNN for MNIST` is data=mnist model=cnn."""

import re
from collections.abc import Iterable
from functools import lru_cache
from pathlib import Path
from typing import final

from refusal import Refusal
from research.compose.compose import Composer
from research.compose.override import override, values_of
from research.compose.trees import parsed, text_of

DEFAULT_DATA = "digits"
# Aliases only: every option of conf/data and conf/model is understood by its own name too.
_DATA_WORDS = {
    "fashion_mnist": r"fashion[- _]?mnist",
    "mnist1d": r"mnist[- _]?1d",
    "mnist": r"mnist",
    "cifar100": r"cifar[- _]?100",
    "cifar10": r"cifar[- _]?10",
    "digits": r"(?:handwritten |sklearn |scikit-learn )?digits?",
    "mqar": r"(?:multi-query )?associative recall",
    # `in python` is the language that is programmed in.
    "pytext": r"python(?:'s)?(?: standard library| source)?(?: code| sources?| text)"
    r"|(?<!in )(?<!with )(?<!using )python(?:'s)?(?: standard library| source)?",
}
_MODEL_WORDS = {
    "cnn": r"cnns?|conv(?:olutional)?(?: neural)?[- ]?net(?:work)?s?|convnets?",
    "mlp": r"mlps?|multi-?layer perceptrons?|perceptrons?",
    "gru": r"grus?|rnns?|recurrent (?:neural )?net(?:work)?s?",
    "transformer": r"vision transformers?|vits?|transformers?(?: encoder)?(?: classifier)?",
    "gpt": r"(?:byte(?:-level)? )?(?:gpts?|language model(?:l?ing|s)?)|byte-level model",
    # `a linear reduction` names no network.
    "linear": r"linear (?:model|classifier|network|net)|logistic regression|softmax regression"
    r"|linear(?=\s*(?:$|[,;.:)!?]|(?:on|with|for|at|in|under|above|below)\b))",
}
_TRAINER = {
    "gpu": r"on (?:an? |the |my |one )?(?:nvidia )?(?:gpu|cuda)",
    "cpu": r"on (?:an? |the |my |one )?cpu",
}

_BROUGHT = ("own", "timm", "torchvision", "hf")
"""networks that a person must name: the word in a goal means something else"""
_WORDS = {"data": _DATA_WORDS, "model": _MODEL_WORDS, "trainer": _TRAINER}


@final
class Names:
    """What the options of a configuration folder are called in a goal."""

    def __init__(self, conf: Path) -> None:
        self.conf = conf
        # One's own data need a path, and a goal that speaks of a table or a folder names none of them.
        data = [name for name in _options(conf, "data") if _content(conf, name).get("source") is None]
        self.options = {
            "data": data,
            "model": [name for name in _options(conf, "model") if name not in _BROUGHT],
        }
        said = [(option, group, word) for group, words in _WORDS.items() for option, word in words.items()]
        said += [
            (option, group, option.replace("_", "[-_ ]?"))
            for group, options in self.options.items()
            for option in options
            if option != "linear"
        ]
        said.sort(key=lambda entry: -len(entry[0]))
        self._said = [(re.compile(pattern, re.IGNORECASE), group, option) for option, group, pattern in said]
        self.pattern = "|".join(f"(?:{pattern})" for _, _, pattern in said)

    def option(self, said: str) -> tuple[str, str]:
        """The group and option that a name stands for."""
        return next((group, option) for pattern, group, option in self._said if pattern.fullmatch(said))

    def chosen(self, named: Iterable[tuple[str, str]], fixed: Iterable[str]) -> tuple[str, ...]:
        """What a goal names as overrides; groups that are fixed already keep what they are fixed to.

        Raises `Refusal` for two options of a group, and for one that the configuration does not have.
        """
        taken, named = values_of(fixed), list(named)
        found = {group: [option for own, option in dict.fromkeys(named) if own == group] for group in _WORDS}
        for group, options in self.options.items():
            missing = [option for option in found[group] if options and option not in options]
            if missing:
                raise Refusal(
                    f"the goal names {missing[0]}, and conf/{group} has no such option: "
                    f"it has {', '.join(sorted(options))}"
                )
        data, model = found["data"], found["model"]
        model = ["gpt"] if set(model) == {"gpt", "transformer"} else model
        if "gpt" in model and not data and "data" not in taken:
            data = ["pytext"]
        for group, options in (("data", data), ("model", model), ("trainer", found["trainer"])):
            if len(options) > 1:
                raise Refusal(f"the goal names {' and '.join(options)}: ask for one {group} at a time")
        known = taken.get("data") or (data[0] if data else DEFAULT_DATA)
        picked = {"data": data, "model": _fitting(model, self.conf, known), "trainer": found["trainer"]}
        return tuple(
            f"{group}={options[0]}" for group, options in picked.items() if options and group not in taken
        )


def names_of(conf: Path) -> Names:
    """The names of a configuration folder, made anew only where its options have changed."""
    return _kept(conf, *(tuple(_options(conf, group)) for group in ("data", "model")))


@lru_cache(maxsize=8)
def _kept(conf: Path, *options: tuple[str, ...]) -> Names:
    return Names(conf)


def _options(conf: Path, group: str) -> list[str]:
    return sorted((path.stem for path in (conf / group).glob("*.yaml")), key=len, reverse=True)


def _content(conf: Path, data: str) -> dict[str, object]:
    path = conf / "data" / f"{data}.yaml"
    return _parsed(path, path.stat().st_mtime_ns) if path.exists() else {}


@lru_cache(maxsize=32)
def _parsed(path: Path, changed: int) -> dict[str, object]:
    """A data set's file, parsed anew when it has changed: that takes longer than to read a goal."""
    return parsed(text_of(path), path)


def _fitting(model: list[str], conf: Path, data: str) -> list[str]:
    """Sequence data take the decoder unless another network is named; the encoder has no answer per token."""
    sequential = _content(conf, data).get("task") in ("language", "recall")
    return ["gpt"] if sequential and (not model or model == ["transformer"]) else model


def task_of(conf: Path, overrides: Iterable[str], own: str | Path | None = None) -> str:
    """The task of the data that overrides choose, which may be an option of a person's `own` folder."""
    typed = values_of(overrides)
    card = _content(conf, typed.get("data", DEFAULT_DATA))
    if own is not None or (card.get("task") is None and card.get("source") is not None):
        said = (text for text in overrides if override(text).group == "data")
        return str(Composer(conf, "train", own).resolve(said).config["data"]["task"])
    return str(card.get("task", "classification"))
