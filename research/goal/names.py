"""The data, network and device that a goal names, as overrides: `a CNN for MNIST` is data=mnist model=cnn."""

import re
from collections.abc import Iterable
from pathlib import Path

import yaml

from refusal import Refusal
from research.compose.compose import Composer
from research.compose.override import override, values_of

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
    "pytext": r"python(?:'s)?(?: standard library| source)?(?: code| sources?| text)?",
}
_MODEL_WORDS = {
    "cnn": r"cnns?|conv(?:olutional)?(?: neural)?[- ]?net(?:work)?s?|convnets?",
    "mlp": r"mlps?|multi-?layer perceptrons?|perceptrons?",
    "gru": r"grus?|rnns?|recurrent (?:neural )?net(?:work)?s?",
    "transformer": r"vision transformers?|vits?|transformers?(?: encoder)?(?: classifier)?",
    "gpt": r"(?:byte(?:-level)? )?(?:gpts?|language model(?:l?ing|s)?)|byte-level model",
    "linear": r"linear (?:model|classifier|network)|logistic regression|softmax regression",
}
_TRAINER = {
    "gpu": r"on (?:an? |the |my |one )?(?:nvidia )?(?:gpu|cuda)",
    "cpu": r"on (?:an? |the |my |one )?cpu",
}


def _options(conf: Path, group: str) -> list[str]:
    return sorted((path.stem for path in (conf / group).glob("*.yaml")), key=len, reverse=True)


def find_names(text: str, conf: Path, fixed: Iterable[str]) -> tuple[tuple[str, ...], str]:
    """The data, network and device that a text names, as overrides, and the text without them.

    Groups that are fixed already keep what they are fixed to. Raises `Refusal` where a text names two options
    of a group, or one that the configuration does not have.
    """
    taken = values_of(fixed)
    # A person's own data need a path, and a goal that speaks of a table or a text names none of them.
    known_data = [name for name in _options(conf, "data") if _content(conf, name).get("source") is None]
    data, text = _named(text, "data", _DATA_WORDS, known_data)
    model, text = _named(text, "model", _MODEL_WORDS, _options(conf, "model"))
    trainer, text = _named(text, "trainer", _TRAINER, [])
    model = ["gpt"] if set(model) == {"gpt", "transformer"} else model
    if "gpt" in model and not data and "data" not in taken:
        data = ["pytext"]
    for group, named in (("data", data), ("model", model), ("trainer", trainer)):
        if len(named) > 1:
            raise Refusal(f"The goal names {' and '.join(named)}: ask for one {group} at a time.")
    known = taken.get("data") or (data[0] if data else DEFAULT_DATA)
    picked = {"data": data, "model": _fitting(model, conf, known), "trainer": trainer}
    names = (f"{group}={named[0]}" for group, named in picked.items() if named and group not in taken)
    return tuple(names), text


def _named(text: str, group: str, aliases: dict[str, str], options: list[str]) -> tuple[list[str], str]:
    named: dict[str, None] = {}
    for option, words in [*aliases.items(), *((option, option.replace("_", "[-_ ]?")) for option in options)]:
        pattern = re.compile(rf"(?<![\w-])(?:{words})(?![\w-]|\.\d)", re.IGNORECASE)
        if pattern.search(text):
            named[option] = None
            text = pattern.sub(" | ", text)
    missing = [option for option in named if options and option not in options]
    if missing:
        raise Refusal(
            f"The goal names {missing[0]}, and conf/{group} has no such option: "
            f"it has {', '.join(sorted(options))}."
        )
    return list(named), text


def _content(conf: Path, data: str) -> dict[str, object]:
    path = conf / "data" / f"{data}.yaml"
    content = yaml.safe_load(path.read_text()) if path.exists() else {}
    return content if isinstance(content, dict) else {}


def _fitting(model: list[str], conf: Path, data: str) -> list[str]:
    """Sequence data take the decoder unless another network is named; the encoder has no answer per token."""
    sequential = _content(conf, data).get("task") in ("language", "recall")
    return ["gpt"] if sequential and (not model or model == ["transformer"]) else model


def task_of(conf: Path, overrides: Iterable[str]) -> str:
    """The task of the data that overrides choose: classification, language or recall."""
    typed = values_of(overrides)
    card = _content(conf, typed.get("data", DEFAULT_DATA))
    if card.get("task") is None and card.get("source") is not None:
        own = (text for text in overrides if override(text).group == "data")
        return str(Composer(conf, "train").resolve(own).config["data"]["task"])
    return str(card.get("task", "classification"))
