"""`train.py from=12`: a kept trial's network, data and weights as the words that are typed for them.

They are ordinary overrides from then on: the content of the weights is in the identity of what is trained, as
that of any other `model.weights`.
"""

from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING

from refusal import Refusal
from research.compose.override import override

if TYPE_CHECKING:
    from research.types import Trial

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
