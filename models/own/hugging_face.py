"""Networks of Hugging Face's transformers, of a type or of a folder on this disk: nothing is fetched."""

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any, final

from torch import Tensor, nn

from models.nets.shapes import TOKEN_TASKS
from models.own.network import described, one_line
from models.own.zoo import package
from refusal import Refusal

_PADDING = 0
_WEIGHTS = ("*.safetensors", "pytorch_model*.bin")


@final
class Answers(nn.Module):
    """One of theirs under our one argument: (B, T) int64 tokens or (B, C, H, W) float32 to its logits.

    With `padded` tokens of 0 are padding, which its attention leaves out; the network itself knows it by the
    token `padding`, which stands for its token 0 in turn.
    """

    def __init__(self, net: nn.Module, argument: str, padded: bool, padding: int = _PADDING) -> None:
        super().__init__()
        self.net, self._argument, self._padded, self._padding = net, argument, padded, padding

    def forward(self, x: Tensor) -> Tensor:
        """Logits for a batch."""
        given = {self._argument: x}
        if self._padded:
            given["attention_mask"] = (x != _PADDING).long()
        if self._padding != _PADDING:
            theirs = x.masked_fill(x == self._padding, _PADDING)
            given[self._argument] = theirs.masked_fill(x == _PADDING, self._padding)
        logits: Tensor = self.net(**given, return_dict=True).logits
        return logits


def build(
    path: str | None = None,
    type: str | None = None,
    args: Mapping[str, Any] | None = None,
    *,
    shape: Sequence[int],
    classes: int,
    task: str,
    vocabulary: int | None = None,
    padding: int | None = None,
) -> nn.Module:
    """The network of the folder `path` (its `config.json`, its weights if they lie there), or of a `type`.

    `padding` is its token behind a text where the data have its own tokens, None where they have ours.
    `args` change its configuration. Texts with a class, texts as a language and pictures have the head that
    fits; one that is not among the weights is new, and told.

    Raises:
        Refusal: transformers is missing, there is neither or no usable configuration, or it does not fit.
    """
    library = package("transformers", "hf")
    library.logging.set_verbosity_error()
    library.logging.disable_progress_bar()
    head, argument, known = _head(tuple(shape), classes, task, vocabulary, padding or _PADDING)
    folder = None if path is None else Path(str(path)).expanduser()
    config = _config(library, folder, type, known | dict(args or {}))
    tokens = vocabulary or (classes if task in TOKEN_TASKS else 0)
    if getattr(config, "vocab_size", math.inf) < tokens:
        other = f"data.tokens={config.vocab_size}" if padding is None else "data.tokenizer to its own"
        raise Refusal(f"the network knows {config.vocab_size} tokens and the data has {tokens}: set {other}.")
    if vocabulary is not None and getattr(config, "pad_token_id", None) is None:
        config.pad_token_id = padding or _PADDING  # by which some find where a text ends
    net, notes = _made(getattr(library, head), config, folder)
    if vocabulary is not None and padding is None and folder is not None and _has_weights(folder):
        notes.append(f"tokens are those of data.tokenizer, not those that the weights in {folder} learnt")
    name = f"{config.model_type}{'' if folder is None else f' of {folder}'}"
    return described(
        Answers(net, argument, vocabulary is not None, padding or _PADDING), f"hf {name}", notes=notes
    )


def _head(
    shape: tuple[int, ...], classes: int, task: str, vocabulary: int | None, padding: int
) -> tuple[str, str, dict[str, Any]]:
    """Which of their classes has the head, what its input is called, and what its configuration must say."""
    if task in TOKEN_TASKS:
        return "AutoModelForCausalLM", "input_ids", {"vocab_size": classes}
    labels: dict[str, Any] = {"num_labels": classes}
    if task == "regression":
        labels["problem_type"] = "regression"
    if vocabulary is not None:
        labels |= {"pad_token_id": padding, "vocab_size": vocabulary}
        return "AutoModelForSequenceClassification", "input_ids", labels
    if len(shape) == 3:
        return "AutoModelForImageClassification", "pixel_values", labels
    raise Refusal(f"model=hf takes texts and pictures, and the data has shape {list(shape)}: try model=own.")


def _config(library: ModuleType, folder: Path | None, kind: str | None, known: dict[str, Any]) -> Any:
    if (folder is None) == (kind is None):
        raise Refusal(
            "model=hf needs one of model.path=FOLDER, with a config.json, and model.type=NAME, such as bert."
        )
    try:
        if folder is None:
            return library.AutoConfig.for_model(kind, **known)
        if not (folder / "config.json").is_file():
            raise Refusal(f"model.path={folder} has no config.json: name a folder that save_pretrained left.")
        # What the data say of tokens a folder says better: its table is as its weights have it.
        own = {key: value for key, value in known.items() if key not in ("vocab_size", "pad_token_id")}
        return library.AutoConfig.from_pretrained(
            folder, local_files_only=True, trust_remote_code=False, **own
        )
    except (ValueError, TypeError, KeyError, OSError) as error:
        raise Refusal(f"model=hf: {one_line(error)[:200]}.") from error


def _has_weights(folder: Path) -> bool:
    return any(any(folder.glob(pattern)) for pattern in _WEIGHTS)


def _made(auto: Any, config: Any, folder: Path | None) -> tuple[nn.Module, list[str]]:
    """The network, and what must be said of its weights."""
    try:
        if folder is None or not _has_weights(folder):
            return auto.from_config(config), []
        net, found = auto.from_pretrained(
            folder,
            config=config,
            local_files_only=True,
            trust_remote_code=False,
            ignore_mismatched_sizes=True,
            output_loading_info=True,
        )
    except (ValueError, RuntimeError, OSError, KeyError, AttributeError) as error:
        raise Refusal(f"model=hf cannot be made of this configuration: {one_line(error)[:200]}.") from error
    new = sorted(
        {str(name) for name in found["missing_keys"]} | {str(one[0]) for one in found["mismatched_keys"]}
    )
    shown = ", ".join(new[:3]) + (f" and {len(new) - 3} more" if len(new) > 3 else "")
    return net.float(), [f"{folder} has no {shown} for this data: new"] if new else []
