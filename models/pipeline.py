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

from models.compress.compression import Compression
from models.compress.context import Context
from models.compress.masks import keep
from models.data.dataset import Dataset
from models.energy.figures import Energy, Reading
from models.energy.meter import Meter
from models.training.budget import Budget
from models.training.fit import Fitted, fit
from models.training.objective import TrainingObjective, objective
from models.training.settings import Settings
from models.training.untouched import untouched
from refusal import Refusal


@final
class Pipeline:
    """The steps of `compress=[...]`, in order, on one trial.

    Args:
        steps: the entries of the list by name.
        parts: what `fit` takes besides the network, its callbacks and loggers, as keywords.

    Raises:
        Refusal: a step cannot be done to this network on this machine; nothing was trained then.
    """

    def __init__(self, steps: Mapping[str, Compression], net: nn.Module, **parts: Any) -> None:
        self.steps, self._parts = dict(steps), parts
        self.dense = copy.deepcopy(net) if steps else net
        """the network as it would be without any compression, with its first weights"""
        self.trained: nn.Module = self.dense
        self.energy: Energy | None = None
        """of all that came after the training"""
        self.harness: Reading | None = None
        """of the validations and checkpoints of fine-tunings"""
        self.finetuned: list[Fitted] = []
        settings: Settings = parts["settings"]
        if steps and settings.devices > 1:
            raise Refusal("compress works on one device: set trainer.devices=1, or compress=[].")
        device = settings.device()
        data: Dataset = parts["data"]
        _check_reads(net, data)
        self.context = Context(
            data=data.to(device),
            device=device,
            seed=parts["seed"],
            precision=settings.precision,
            folder=Path(parts["folder"]),
            train=self._train,
            names=tuple(steps),
        )
        # A check may run the network: what it draws or leaves behind must not change the training.
        with untouched(net.to(device)) if steps else nullcontext():
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
        """Train the network that the steps made of the given one."""
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
