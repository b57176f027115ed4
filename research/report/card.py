"""The card of a network in Hugging Face's format: front matter that their hub reads, then what a person asks.

Source of the fields: huggingface.co/docs/hub/model-cards and model-cards-co2. Every number is a trial's own.
"""

import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple, final

import yaml

from redact import redact
from research.compose.override import override
from research.metrics import is_score, quantity, words
from research.page import put
from research.report.markdown import code, plain, prose, table
from research.space.signature import steps_of
from research.stats.comparable import comparable, disturbed
from research.stats.draws import outcomes, shared
from research.stats.intervals import spelt, summary
from research.stats.sentences import command
from research.types import Result, Trial

_SHOWN = (
    *("test/accuracy", "test/f1", "test/bits_per_byte", "test/rmse", "test/mae", "test/r2", "test/loss"),
    *("size/bytes", "size/parameters", "compute/flops_forward", "infer/latency_s_p50", "infer/latency_s_p95"),
    *("infer/latency_s_p50_batch", "infer/latency_s_p95_batch", "infer/energy_j_per_sample"),
    *("train/energy_j", "train/co2_kg", "train/cpu_seconds", "train/seconds"),
)
_PIPELINES = {
    ("classification", 1): "tabular-classification",
    ("classification", 2): "audio-classification",
    ("classification", 3): "image-classification",
    ("regression", 1): "tabular-regression",
    ("language", 1): "text-generation",
}
"""(task, axes of an example) -> the hub's name; others it has none for"""
_LIBRARIES = {"onnx": "onnxruntime", "openvino": "openvino"}
_LICENCE = "unknown"


@final
class Card(NamedTuple):
    """What a card is made of."""

    trial: Trial
    result: Result
    arm: Sequence[Result] = ()
    """of all seeds of its configuration, itself among them"""
    arm_trials: Sequence[Trial] = ()
    verdicts: Sequence[str] = ()
    """what was found in which it took part: word and claim"""
    form: str | None = None
    measured: Mapping[str, Any] = {}
    """of an export: what it measured in a process without the lab"""
    licence: str | None = None

    def text(self) -> str:
        """The file."""
        front = yaml.safe_dump(self._front(), sort_keys=False, allow_unicode=True, width=110)
        parts = [self._title(), self._use(), self._figures(), self._elsewhere(), self._made(), self._again()]
        return "\n".join(["---", front + "---", "", *("\n".join([*part, ""]) for part in parts if part)])

    @property
    def _data(self) -> dict[str, Any]:
        return dict(self.trial.config.get("data") or {})

    @property
    def _named(self) -> dict[str, str]:
        return {group: option(self.trial, group) for group in ("data", "model")}

    def _front(self) -> dict[str, Any]:
        known = {key: value for key, value in self.result.metrics.items() if key in _SHOWN}
        scores = {key: value for key, value in known.items() if key.startswith("test/") and is_score(key)}
        task = self._task()
        steps = list(steps_of(self.trial.config))
        front: dict[str, Any] = {"license": self.licence or _LICENCE}
        front |= {"library_name": _LIBRARIES.get(self.form or "", "pytorch")}
        front |= {"tags": ["joulelab", self._named["model"], *steps]}
        front |= {"pipeline_tag": task} if task else {}
        front |= {"datasets": [self._data["hub"]]} if self._data.get("hub") else {}
        front |= {"metrics": [key.removeprefix("test/") for key in scores]}
        front |= self._carbon()
        named = self._named["data"]
        data = {"name": named, "type": self._data.get("hub") or named, "split": "test"}
        told = [
            {"type": key.removeprefix("test/"), "value": value, "name": words(key)}
            for key, value in scores.items()
        ]
        result = {"task": {"type": task or self._data.get("task")}, "dataset": data, "metrics": told}
        return front | {"model-index": [{"name": f"trial {self.trial.id}", "results": [result]}]}

    def _task(self) -> str | None:
        if self._data.get("vocabulary") is not None and self._data.get("task") == "classification":
            return "text-classification"
        shape = tuple(self._data.get("shape") or ())
        # Columns are (F, 1) to the lab's own networks.
        axes = 1 if shape[1:] == (1,) else len(shape)
        return _PIPELINES.get((str(self._data.get("task")), axes))

    def _carbon(self) -> dict[str, Any]:
        carbon = self.result.metrics.get("train/co2_kg")
        if carbon is None or not math.isfinite(carbon):
            return {}
        energy = self.result.facts.get("energy") or {}
        where = f"{energy.get('grid_source', 'unknown')}, {energy.get('grid_g_per_kwh', '?')} gCO2e/kWh"
        method = self.result.facts.get("energy_method") or "estimated"
        weights = (self.trial.config.get("model") or {}).get("weights")
        held = "; others disturbed it" if disturbed("train/co2_kg", self.result) else ""
        begun = bool(self.trial.config.get("ckpt_path") or weights)
        return {
            "co2_eq_emissions": {
                "emissions": float(f"{1000 * carbon:.4g}"),  # grams
                "source": f"joulelab, training alone; joules {method}{held}",
                "training_type": "fine-tuning" if begun else "pre-training",
                "geographical_location": where,
                "hardware_used": self.trial.key.hardware,
            }
        }

    def _title(self) -> list[str]:
        steps = list(steps_of(self.trial.config))
        made = f", compressed by {', '.join(map(code, steps))}" if steps else ""
        of = f"{code(self._named['model'])} on {code(self._named['data'])}{made}"
        return [f"# {of}", "", f"Trial {self.trial.id} of a joulelab database, seed {self.trial.seed}."]

    def _use(self) -> list[str]:
        if self.form is None:
            return []
        shape = ", ".join(map(str, self._data.get("shape") or ()))
        return [
            "## Use",
            "",
            "```python",
            "from load import predict  # in this folder",
            "",
            f"answers = predict(inputs)  # {self._read()}(N, {shape})",
            "```",
            "",
            "`load.py` has the network, its scale and its tokenizer; `data.json` the names of the classes, "
            "`config.json` the whole configuration. Nothing of the lab is needed, and no file is a pickle.",
        ]

    def _read(self) -> str:
        """What the loader takes beside numbers."""
        if self._data.get("source") == "table":
            return "rows as dicts by column, or "
        return "texts, or " if self._task() in _TEXTS else ""

    def _figures(self) -> list[str]:
        rows = [self._row(key) for key in _SHOWN if key in self.result.metrics]
        note = "Intervals are of 95 %, over the seeds of the configuration, or over the test examples of one."
        return ["## Figures", "", *table(("figure", "value"), rows), "", note]

    def _row(self, key: str) -> tuple[str, str]:
        held = " (disturbed)" if disturbed(key, self.result) else ""
        return code(key), f"{quantity(key, self.result.metrics[key])}{self._interval(key)}{held}"

    def _interval(self, key: str) -> str:
        """Mean and half-width over the seeds of its configuration, else half-width over its test examples."""
        values = [one.metrics[key] for one in self.arm if key in one.metrics and disturbed(key, one) is None]
        known = {one.trial_id: one for one in self.arm if key in one.metrics and disturbed(key, one) is None}
        if comparable(key, [one for one in self.arm_trials if one.id in known], known):
            values = []
        over = f"{len(values)} seeds"
        if len(values) < 2:
            values = list(outcomes(key, self.result) or ())
            over = f"{len(values)} examples"
        told = summary(values)
        if not told.half_width:
            return ""
        mean = f"; {quantity(key, told.mean)}" if over.endswith("seeds") else ""
        alone = is_score(key) or not told.mean
        half = spelt(told.half_width) if alone else f"{told.half_width / told.mean:.1%}"
        return f"{mean} ± {half}, {over}"

    def _elsewhere(self) -> list[str]:
        if self.form is None:
            return []
        lines = [f"- {name}: {value}" for name, value in self.measured.items()]
        return ["## Measured without the lab", "", *lines]

    def _made(self) -> list[str]:
        facts = self.result.facts
        lines = [f"- hardware: {plain(self.trial.key.hardware)}, {facts.get('threads', '?')} threads"]
        lines += [f"- joules: {plain(facts.get('energy_method'))}, {plain(facts.get('energy_basis'))}"]
        lines += [f"- data: {code(self._named['data'])}, SHA-256 {code(self.trial.key.data[:16])}"]
        sizes = [f"{size} {part}" for part, size in (facts.get("examples_of") or {}).items()]
        lines += [f"- examples: {', '.join(sizes)}"] if sizes else []
        names = facts.get("classes") or ()
        lines += [f"- classes: {', '.join(plain(name, 60) for name in names[:50])}"] if names else []
        licence = self.licence or "none was given; say licence=NAME as the hub names it"
        lines += [f"- licence: {plain(licence)}"]
        verdicts = [f"- verdict: {prose(said)}" for said in self.verdicts]
        lines += verdicts or ["- verdict: none; a single trial claims nothing"]
        lines += [f"- note: {prose(note)}" for note in facts.get("notes") or ()]
        return ["## Made of", "", *lines]

    def _again(self) -> list[str]:
        seeds = () if any(text.startswith("seed=") for text in self.trial.overrides) else (self.trial.seed,)
        line = command([*self.trial.overrides, *shared(self.arm_trials)], seeds)
        return ["## Repeat", "", f"    {plain(line, 2000) if chr(10) in line else line}"]


def leave(trial: Trial, result: Result) -> None:
    """Write the card and the configuration of a trial into its own folder; `Refusal` when that cannot be."""
    folder = Path(str(trial.folder))
    put(Card(trial, result).text(), folder, "README.md")
    put(configuration(trial), folder, "config.json")


def configuration(trial: Trial) -> str:
    """The whole resolved configuration, and what the trial is known by."""
    about = {"trial": trial.id, "overrides": list(trial.overrides), **trial.key._asdict()}
    return json.dumps({"joulelab": about} | redact(trial.config), indent=1, default=str) + "\n"


_TEXTS = ("text-classification", "text-generation")


def option(trial: Trial, group: str) -> str:
    """The option that was chosen of a group, by what was typed, else by what its target is called."""
    own = trial.config.get(group) or {}
    typed = [given.value for given in map(override, trial.overrides) if given.key == group and given.value]
    *before, last = str(own.get("_target_") or "?").split(".")
    called = before[-1] if group == "data" and before else last
    return str(typed[-1] if typed else own.get("source") or called.lower())
