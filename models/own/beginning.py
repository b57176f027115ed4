"""How a network begins: from weights of a person's, with some of it held as it is."""

import fnmatch
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, final

from torch import nn

from models.data.dataset import Dataset
from models.own import fits, lora
from models.own.apart import Kept, needed
from models.own.network import DESCRIBED
from models.own.weights import load
from refusal import Refusal

_SHOWN = 3


@final
@dataclass(frozen=True)
class Beginning:
    """`model.weights`, `freeze` and `lora`; `sha256` is of the file as the trial's identity has it."""

    weights: str | None = None
    freeze: Sequence[str] | None = ()
    lora: int | None = None
    sha256: str | None = None

    def begin(self, net: nn.Module, data: Dataset) -> "Begun":
        """Give `net` its weights, and hold what is to be held.

        One that a person brought is tried on a batch first.

        Raises:
            Refusal: as `fits.check`, `load` and `freeze` do.
        """
        facts: dict[str, Any] = {}
        notes: list[str] = []
        apart: Kept = {}
        if DESCRIBED in vars(net):
            apart = fits.check(net, data)
            described = dict(vars(net)[DESCRIBED])
            notes = described.pop("notes", [])
            facts["network"] = described
        if self.weights is not None:
            path = Path(str(self.weights)).expanduser()
            loaded = load(net, path, classes=data.classes, sha256=self.sha256)
            facts["weights"], notes = loaded.facts, notes + loaded.notes
        if self.lora is not None:
            lora.adapt(net, self.lora, data.classes, fits.few(data))
        held = freeze(net, self.freeze or ())
        if held or self.lora is not None:
            trained = (weight.numel() for weight in net.parameters() if weight.requires_grad)
            facts["trainable_parameters"] = sum(trained)
        return Begun(held, facts, notes, self.lora is not None, apart)


@final
@dataclass(frozen=True)
class Begun:
    """What is held, and what is to be told of a beginning."""

    held: list[nn.Parameter] = field(default_factory=list)
    facts: dict[str, Any] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)

    adapted: bool = False
    """whether low-rank adapters stand beside its layers"""
    apart: Kept = field(default_factory=dict)
    """of a network that a person brought: what it keeps beside its parameters and buffers"""

    def check(self, net: nn.Module, steps: Sequence[str]) -> None:
        """Raise `Refusal` where the `steps` of a compression have put others in place of what is held."""
        if self.adapted and steps:
            raise Refusal(
                "model.lora trains beside layers that a compression takes as they are: leave compress out, "
                "then type task=compress with the weights.pt that this leaves."
            )
        if self.held and not {id(weight) for weight in net.parameters()} >= set(map(id, self.held)):
            raise Refusal(
                f"model.freeze holds layers that compress=[{','.join(steps)}] puts others in place of before "
                "the training: leave one of the two out."
            )

    def doubts(self, net: nn.Module, data: Dataset) -> list[str]:
        """A sentence where the trained network answers by what no checkpoint and no file of weights holds."""
        names = needed(net, self.apart, fits.few(data))
        if not names:
            return []
        shown = f"{', '.join(names[:_SHOWN])}{f' and {len(names) - _SHOWN} more' if names[_SHOWN:] else ''}"
        return [
            f"the network answers by {shown}, which training changes and which no parameter and no buffer "
            "holds: checkpoints, weights.pt and exports are without it, so a killed training goes on with "
            "its first value; self.register_buffer keeps a tensor"
        ]

    def ended(self, net: nn.Module) -> nn.Module:
        """The trained network as it stays, its adapters merged into it."""
        if self.adapted:
            lora.merge(net)
        return net


def freeze(net: nn.Module, patterns: Sequence[str]) -> list[nn.Parameter]:
    """Have the parameters that a pattern names trained no more; returns them.

    A pattern is the name of a parameter or of a module, which stands for all in it; `*` stands for anything,
    dots too. They get no gradient and no state of the optimizer. Where both parameters of a batch
    normalisation are held its statistics are too (`models.training.fit`).

    Raises:
        Refusal: a pattern names nothing, or nothing would be left to train.
    """
    if isinstance(patterns, str):
        raise Refusal(f"model.freeze must be a list of names: write model.freeze=[{patterns}].")
    held: dict[int, nn.Parameter] = {}
    for pattern in patterns:
        found = _named(net, str(pattern))
        if not found:
            names = ", ".join(name for name, _ in net.named_children())
            raise Refusal(
                f"model.freeze '{pattern}' names no parameter or module of this network, which has {names}: "
                "* stands for anything, as in *.bias."
            )
        for weight in found:
            held[id(weight)] = weight
            weight.requires_grad_(False)
    if held and not any(weight.requires_grad for weight in net.parameters()):
        raise Refusal("model.freeze holds every parameter, so nothing is left to train: name fewer.")
    return list(held.values())


def _named(net: nn.Module, pattern: str) -> list[nn.Parameter]:
    modules = [
        module
        for name, module in net.named_modules(remove_duplicate=False)
        if name and fnmatch.fnmatchcase(name, pattern)
    ]
    inside = [weight for module in modules for weight in module.parameters()]
    by_name = net.named_parameters(remove_duplicate=False)
    return inside + [weight for name, weight in by_name if fnmatch.fnmatchcase(name, pattern)]
