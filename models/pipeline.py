"""Runs the steps of a compression around a training, and counts what they cost."""

import copy
import functools
from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path
from typing import Any, final

from lightning.pytorch import Callback
from torch import nn

from models.backends.auto import Auto
from models.backends.inductor import Inductor
from models.compress.backend import Backend
from models.compress.compression import Compression
from models.compress.context import Context
from models.compress.masks import keep
from models.compress.raising import check_tolerance
from models.data.dataset import Dataset
from models.energy.figures import Energy, Reading, Tally
from models.energy.meter import Meter
from models.training.budget import Budget, Given
from models.training.fit import Fitted, fit
from models.training.objective import TrainingObjective, objective
from models.training.settings import Settings
from models.training.untouched import untouched
from refusal import Refusal

_BRIEF_S = 0.1
"""a window below the tick of a counter, of which joules may be taken by the training's mean power"""
_ENERGY = ("train/energy_j", "train/co2_kg")
_ADDED = {"seconds": "seconds", "cpu_seconds": "cpu_seconds", "energy_standing_j": "standing_j"}
"""what a compression adds to a training in any case: metric -> figure of a window"""


@final
class Pipeline:
    """The steps of `compress=[...]`, in order, on one trial.

    Args:
        steps: the entries of the list by name, and the `tolerance` of all that are int8.
        backend: what makes the code of the final network; None is inductor.
        parts: what `fit` takes besides the network, its callbacks and loggers, as keywords.

    Raises:
        Refusal: a step cannot be done to this network on this machine; nothing was trained then.
    """

    def __init__(
        self, steps: Mapping[str, Any], net: nn.Module, backend: Backend | Auto | None = None, **parts: Any
    ) -> None:
        self.steps: dict[str, Compression] = only_steps(steps)
        self._parts = parts
        check_tolerance(steps.get("tolerance"))
        self.dense = copy.deepcopy(net) if self.steps else net
        """the network as it would be without any compression, with its first weights"""
        self.trained: nn.Module = self.dense
        self.energy: Energy | None = None
        """of all that came after the training"""
        self.harness: Reading | None = None
        """of the validations and checkpoints of fine-tunings"""
        self.finetuned: list[Fitted] = []
        settings: Settings = parts["settings"]
        if self.steps and settings.devices > 1:
            raise Refusal("compress works on one device: set trainer.devices=1, or compress=[].")
        device = settings.device()
        data: Dataset = parts["data"]
        _check_reads(net, data)
        budget, chosen = parts["budget"], backend or Inductor()
        self.context = Context(
            data=data.to(device),
            device=device,
            seed=parts["seed"],
            precision=settings.precision,
            folder=Path(parts["folder"]),
            train=self._train,
            names=tuple(self.steps),
            backends=chosen.candidates(),
            given=budget if isinstance(budget, Given) else None,
            tolerance=steps.get("tolerance"),
            lose=chosen.lose if isinstance(chosen, Auto) else 0.0,
        )
        if self.context.given is not None:
            _refuse_training(self.steps)
        # A check may run the network: what it draws or leaves behind must not change the training.
        with untouched(net.to(device)) if self.steps else nullcontext():
            for step in self.steps.values():
                step.check(net, self.context)
        for step in self.steps.values():
            net = step.before(net, self.context)
        self._callbacks = copy.deepcopy(dict(parts["callbacks"]))
        self._objective: TrainingObjective = objective(parts["loss"])
        for step in self.steps.values():
            self._objective = step.objective(self._objective, self.context)
        self.net = net
        """the network that is trained"""

    def fit(self, loggers: Sequence[Any]) -> Fitted:
        """Train the network that the steps made of the given one, unless it is to stay as it is."""
        if self.context.given is not None:
            return self._as_given()
        callbacks: dict[str, Callback] = dict(self._parts["callbacks"])
        for step in self.steps.values():
            callbacks |= step.callbacks()
        own = {"loss": self._objective, "callbacks": callbacks, "loggers": loggers}
        fitted = fit(net=self.net, **(self._parts | own))
        # What was measured to settle how the training runs holds for all that comes after it.
        self._parts["settings"] = fitted.settings
        self.context = replace(self.context, precision=fitted.settings.precision)
        return fitted

    def compress(self, net: nn.Module) -> nn.Module:
        """The final network: each step's `after`, in order, on the trained one; its weights may be reused."""
        if not self.reshapes:
            return net
        self.trained = copy.deepcopy(net)
        for step in self.steps.values():
            step.trained(self.trained, self.context)
        if not self._overridden("after"):
            return net
        meter: Meter = self._parts["meter"]
        with meter.window() as window:
            for step in self.steps.values():
                net = step.after(net, self.context)
        self.energy, self.harness = window.energy, meter.figures(window.aside_tally)
        return net

    @property
    def reshapes(self) -> bool:
        """Whether any step makes the network itself another one; distillation only teaches it."""
        return self._overridden("before") or self._overridden("after") or self._overridden("callbacks")

    def facts(self) -> dict[str, Any]:
        """What each step did, by name."""
        return {name: step.facts for name, step in self.steps.items()}

    def _overridden(self, hook: str) -> bool:
        return any(
            getattr(type(step), hook) is not getattr(Compression, hook) for step in self.steps.values()
        )

    def _as_given(self) -> Fitted:
        """What a training of no step leaves: the network as it is, on its device, with the meter running."""
        settings: Settings = self._parts["settings"]
        if settings.precision == "auto":
            settings = replace(settings, precision="32-true")
        self._parts["settings"] = settings
        self.context = replace(self.context, precision=settings.precision)
        meter: Meter = self._parts["meter"]
        meter.start(self.context.device)
        energy = meter.energy(Tally())
        facts: dict[str, Any] = {"energy_method": energy.label, "energy_basis": energy.basis, "disturbed": {}}
        facts |= {"energy": energy.facts(), "precision": settings.precision, "trained": False}
        net = self.net.to(self.context.device)
        return Fitted(net, 0, 0.0, energy, [], {}, facts, settings)

    def _train(self, net: nn.Module, steps: int, lr_factor: float) -> nn.Module:
        """Further, with what was pruned held at zero whichever step asks for it."""
        stage, whole = f"finetune_{len(self.finetuned) + 1}", self._parts.get("signature")
        own = {
            "loss": self._objective,
            "optimizer": slowed(self._parts["optimizer"], lr_factor),
            "budget": Budget(steps=steps),
            "callbacks": copy.deepcopy(self._callbacks) | keep(net),
            "folder": self.context.folder / stage,
            "ckpt_path": None,
            "signature": None if whole is None else f"{whole} {stage}",
        }
        self.finetuned.append(fit(net=net, loggers=[], **(self._parts | own)))
        return self.finetuned[-1].net


def only_steps(compress: Mapping[str, Any]) -> dict[str, Compression]:
    """The entries of a `compress` group that are steps: its other keys are about all of them."""
    return {name: step for name, step in compress.items() if isinstance(step, Compression)}


def _refuse_training(steps: Mapping[str, Compression]) -> None:
    """Raise `Refusal` for a step that acts while one trains, where nothing is trained."""
    for name, step in steps.items():
        if step.trains:
            raise Refusal(
                f"compress={name} acts while a network is trained, and budget=given trains none: choose "
                "another option, as compress=[structured], or budget=default."
            )


def _check_reads(net: nn.Module, data: Dataset) -> None:
    """Raise `Refusal` for texts with a class each where the network has no table of tokens."""
    tokens = data.task not in ("language", "recall") and not data.train.inputs.is_floating_point()
    tables = (nn.Embedding, nn.EmbeddingBag)
    if tokens and data.train.scale is None and not any(isinstance(one, tables) for one in net.modules()):
        raise Refusal(
            "The data are tokens, which this network takes for numbers: set model=bag, gru or transformer."
        )


def slowed(optimizer: Callable[..., Any], factor: float) -> Callable[..., Any]:
    """A partial optimizer with every learning rate among its keywords (`lr`, `..._lr`) times `factor`."""
    keywords: dict[str, Any] = getattr(optimizer, "keywords", {})
    rates = {name: rate * factor for name, rate in keywords.items() if name == "lr" or name.endswith("_lr")}
    return functools.partial(optimizer, **rates)


def with_compression(metrics: dict[str, float], pipeline: Pipeline) -> dict[str, float]:
    """The training's metrics, with the seconds, joules and carbon that its compression added.

    What is too short for a counter takes the training's mean power; `doubts` says so in a note. Validations
    and checkpoints of a fine-tuning are added to `harness/`.
    """
    added, around = pipeline.energy, pipeline.harness
    if added is None or around is None:
        return metrics
    if "train/seconds" not in metrics:
        return metrics | alone(added)
    share = added.seconds / metrics["train/seconds"]
    found = {key: getattr(added, name) for key, name in _ADDED.items() if f"train/{key}" in metrics}
    for key, value in (("energy_j", added.joules), ("co2_kg", added.co2_kg)):
        mean = metrics.get(f"train/{key}")
        if mean is not None and ((value is not None and added.valid) or brief(added)):
            found[key] = value if value is not None and added.valid else mean * share
    kept = {key: value for key, value in metrics.items() if key not in _ENERGY or key[6:] in found}
    totals = {f"train/{key}": kept[f"train/{key}"] + value for key, value in found.items()}
    beside = {"seconds": around.seconds, "cpu_seconds": around.cpu_seconds, "energy_j": around.joules}
    totals |= {
        f"harness/{key}": kept[f"harness/{key}"] + value
        for key, value in beside.items()
        if value is not None and f"harness/{key}" in kept
    }
    return kept | totals | {f"compress/{key}": value for key, value in found.items()}


def paid(metrics: Mapping[str, float]) -> dict[str, float]:
    """What a trial used in all, by the metrics of `with_compression`: without a training its compression."""
    known = {key: (f"train/{key}", f"compress/{key}") for key in ("seconds", "cpu_seconds", "energy_j")}
    found = {key: [metrics[name] for name in names if name in metrics] for key, names in known.items()}
    return {f"train/{key}": values[0] for key, values in found.items() if values}


def alone(added: Energy) -> dict[str, float]:
    """What a compression took where nothing was trained: there is no training that it adds to."""
    figures = {key: getattr(added, name) for key, name in _ADDED.items()}
    if added.valid:
        figures |= {"energy_j": added.joules, "co2_kg": added.co2_kg}
    return {f"compress/{key}": value for key, value in figures.items() if value is not None}


def brief(added: Energy) -> bool:
    """Whether a compression was too short to be measured, and too short to matter."""
    return not added.valid and added.seconds < _BRIEF_S
