"""`task=export id=12 format=onnx path=FOLDER`: a trial's network for elsewhere, with a loader and a card."""

import math
import shutil
import tempfile
from collections.abc import Mapping
from importlib import import_module
from pathlib import Path
from typing import Any, final

from construct import is_trusted, refuse_untrusted, renamed
from refusal import Refusal
from research.campaign.campaign import Campaign
from research.metrics import quantity
from research.page import put
from research.report.card import Card, configuration
from research.space import identity
from research.store.claims import refuse_edited
from research.store.queries import first_of_each_seed, siblings
from research.store.store import Store
from research.tasks.answer import Answer, absent, pairs, reference
from research.types import Result, Trial

_CHANGE = 0.02
"""of a score, against what the trial's row says: another processor, or another precision"""
_SCORES = ("test/accuracy", "test/bits_per_byte", "test/rmse")
FORMATS = ("safetensors", "torch_export", "onnx", "openvino")


@final
class Delivered(Answer):
    """A network as it was written and measured again, in a process without the lab."""

    trial: int
    format: str
    path: Path
    files: dict[str, int]
    """name -> bytes"""
    scores: dict[str, float]
    """on the test split, by what was written"""
    recorded: dict[str, float]
    """the same of the trial's row"""
    error: float
    """of its answers against the network's in the lab: root mean square, as a share"""
    latency: dict[str, float]
    """seconds of one example and of a batch, median and 95th percentile"""
    batch: int
    size: float
    """bytes of the weights in the trial's own folder"""

    def measured(self) -> dict[str, str]:
        """What it measured, in words."""
        score = next((key for key in _SCORES if key in self.scores), "test/loss")
        row = (
            f"{quantity(score, self.scores[score])}; the trial's row: {quantity(score, self.recorded[score])}"
        )
        told = {score: row, "answers off by": f"{self.error:.2g} (root mean square, as a share)"}
        for name, what in (("", "one example"), ("_batch", f"{self.batch} examples")):
            median, late = (
                quantity("infer/latency_s_p50", self.latency[f"{p}{name}"]) for p in ("p50", "p95")
            )
            told[f"latency of {what}"] = f"{median}, 95th percentile {late}"
        network = sum(size for name, size in self.files.items() if name.startswith("model."))
        return told | {"bytes of the network": f"{network:,}; the trial's weights: {self.size:,.0f}"}

    def text(self) -> str:
        """Where it lies, what it measured there, and how it is asked."""
        head = f"trial {self.trial} as {self.format} in {self.path}: it answers without the lab"
        return "\n".join([head, *pairs(self.measured(), "  "), "  card      README.md; ask it by load.py"])


def deliver(
    campaign: Campaign, id: int | str, form: str | None, path: str | None, licence: str | None
) -> Delivered:
    """Write the folder, whole and proven or not at all.

    Raises `Refusal` for a trial that cannot be exported, a folder that holds something, and as
    `models.delivery`.
    """
    if form not in FORMATS:
        shown = f"format={form} is unknown" if form else "format is missing"
        raise Refusal(f"{shown}: choose format={'|'.join(FORMATS)}.")
    store, wanted = campaign.known, reference(id, "id", ("trial",))
    trials = store.trials(ids=[wanted.number])
    if not trials:
        raise absent(wanted)
    trial, to = trials[0], _empty(path)
    _check(trial)
    result = store.results([trial.id])[trial.id]
    new = Path(tempfile.mkdtemp(prefix=f".{to.name}.", suffix=".new", dir=to.parent))
    try:
        found = _proven(trial, result, new, form, to)
        _agrees(found)
        others = siblings(store, trial)
        results = store.results([other.id for other in others])
        others = [*(first_of_each_seed(others, results) | {trial.seed: trial}).values()]
        arm = [results[other.id] for other in others if other.id in results]
        card = Card(trial, result, arm, others, verdicts_of(store, trial.id))
        card = card._replace(form=form, measured=found.measured(), licence=licence)
        put(card.text(), new, "README.md")
        put(configuration(trial), new, "config.json")
        for file in new.rglob("*"):
            file.chmod(0o700 if file.is_dir() else 0o600)
        files = {file.name: file.stat().st_size for file in sorted(new.iterdir())}
        new.rename(to)
        return found.model_copy(update={"files": files})
    finally:
        shutil.rmtree(new, ignore_errors=True)


def _empty(path: str | None) -> Path:
    """The folder that is asked for, which is not there yet or empty."""
    if not path:
        raise Refusal("path is missing: name a folder for the network, as path=out.")
    to = Path(path).expanduser().absolute()
    if to.is_file() or (to.is_dir() and any(to.iterdir())):
        raise Refusal(f"{path} is there already and holds something: name a folder that is not there yet.")
    try:
        to.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise Refusal(f"{path} cannot be written ({error.strerror}): choose another path.") from error
    return to


def _check(trial: Trial) -> None:
    if trial.status != "done":
        raise Refusal(f"Trial {trial.id} is {trial.word}: only what was trained to its end can be exported.")
    refuse_edited(trial)
    own = (trial.config.get("model") or {}).get("target")
    if own is not None and not is_trusted(own):
        raise Refusal(f"Trial {trial.id} trained a network of your own: if you mean it, say target={own!a}.")
    refuse_untrusted(trial.config)
    if trial.folder is None or not (Path(trial.folder) / "weights.pt").is_file():
        raise Refusal(
            f"The weights of trial {trial.id} are not in {trial.folder} any more: "
            f"task=reproduce id={trial.id} trains it again."
        )
    if identity.data_digest(trial.config["data"]) != identity.data_alone(trial.key):
        raise Refusal(
            f"The data of trial {trial.id} are not what they were when it was trained, so nothing could be "
            "measured against its row: bring them back, or train anew."
        )


def _proven(trial: Trial, result: Result, new: Path, form: str, to: Path) -> Delivered:
    # By name, as in a trial's own process: research imports nothing that touches a tensor.
    made = getattr(import_module("train"), "deliver")  # noqa: B009
    threads = result.facts.get("threads")
    found: Mapping[str, Any] = made(
        renamed(trial.config), Path(str(trial.folder)), new, form, int(threads) if threads else None
    )
    figures = dict(found["figures"])
    return Delivered(
        trial=trial.id,
        format=form,
        path=to,
        files={file.name: file.stat().st_size for file in sorted(new.iterdir())},
        scores=found["scores"],
        recorded={key: result.metrics[key] for key in found["scores"] if key in result.metrics},
        error=found["error"],
        latency={key: value for key, value in figures.items() if key.startswith("p")},
        batch=int(figures["batch"]),
        size=result.metrics.get("size/bytes", math.nan),
    )


def _agrees(found: Delivered) -> None:
    """Raise `Refusal` where the trial's row tells another score than its weights have here."""
    for key in [key for key in _SCORES if key in found.recorded]:
        before, after = found.recorded[key], found.scores[key]
        if math.isfinite(before) and abs(after - before) > _CHANGE * max(1.0, abs(before)):
            raise Refusal(
                f"The row of trial {found.trial} says {key} {before:.4f}, and its weights answer {after:.4f} "
                "here, so nothing was kept: task=reproduce says what has changed."
            )


def verdicts_of(store: Store, number: int) -> list[str]:
    """What was found in which a trial took part: the verdict's word, then the claim."""
    rows = [row for row in store.insights() if number in row["insight"].verdict.trial_ids]
    return [f"{row['word']} (insight {row['id']}): {row['insight'].claim}" for row in rows]
