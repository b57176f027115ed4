"""What a training leaves: its network, its numbers, and the facts that a reader needs to judge them."""

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any, final

from torch import nn

from models.energy.figures import Energy
from models.optim.footprint import state_bytes
from models.training.lit import Lit
from models.training.resume import Origin
from models.training.settings import Settings


@final
@dataclass(frozen=True)
class Fitted:
    """A trained network and how it came to be."""

    net: nn.Module
    """the network that was given, with its final weights, on the device"""
    steps: int
    seconds: float
    """of the steps of all sessions"""
    energy: Energy
    """of all sessions, by the method of the last"""
    curve: list[dict[str, float]]
    metrics: dict[str, float]
    facts: dict[str, Any]
    settings: Settings
    """as they were in the end: with the precision that was chosen, and nothing left to find"""


def metrics_of(lit: Lit, steps: int) -> dict[str, float]:
    """The `train/`, `harness/`, `step/` and `stability/` keys of a training of `steps` optimizer steps.

    Seconds and joules of a step or an example are those of all steps over their number, so they have their
    part of what choosing the precision took, and none of validations, checkpoints and logging, which are
    `harness/`.
    """
    found = lit.clock.metrics()
    found["train/steps_per_second"] = steps / found["train/seconds"]
    found["train/samples_per_second"] = steps * lit.batches.batch_size / found["train/seconds"]
    if "train/energy_j" in found:
        found["step/energy_j"] = found["train/energy_j"] / steps
        found["train/energy_j_per_sample"] = found["step/energy_j"] / lit.batches.batch_size
    found["train/optimizer_bytes"] = float(state_bytes(lit.trainer.optimizers[0]))
    reached = _reached(lit)
    if reached is not None:
        found["train/steps_to_target"] = reached
    return found | lit.record.metrics()


def facts_of(lit: Lit, found: Path | None) -> dict[str, Any]:
    """How a finished training ran, which went on from the checkpoint `found` if there was one."""
    energy = lit.clock.energy()
    facts: dict[str, Any] = {"energy": energy.facts(), "energy_method": energy.label}
    facts |= {"energy_basis": energy.basis, "disturbed": lit.clock.disturbed()}
    facts |= {"precision": lit.settings.precision, "sessions": lit.clock.sessions}
    if found is not None:
        own = Origin(str(found), lit.resumed_step, lit.identity.signature)
        facts["resumed"] = (lit.origin or own).facts()
    if lit.micro.events:
        facts["out_of_memory"] = lit.micro.events
    notes = [lit.origin.note()] if lit.origin is not None else []
    notes += [*lit.micro.notes(lit.net), *_missed(lit)]
    return facts | ({"notes": notes} if notes else {})


def _reached(lit: Lit) -> float | None:
    """The step at which the curve first kept the budget's target; None where it never did, or has none."""
    bound = lit.budget.bound
    kept = (row["step"] for row in lit.record.curve if bound is not None and bound.kept_by(row))
    return next(kept, None)


def _missed(lit: Lit) -> list[str]:
    """A sentence where the training has ended without its target."""
    bound = lit.budget.bound
    if bound is None or _reached(lit) is not None:
        return []
    values = [row[bound.metric] for row in lit.record.curve if bound.metric in row]
    best = (max if bound.op == ">=" else min)(values, default=math.nan)
    return [
        f"budget.target was not reached: the best of {bound.metric} was {best:.4g}, "
        f"{bound.op} {bound.bound:g} was asked"
    ]
