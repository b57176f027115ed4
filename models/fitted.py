"""What a training leaves: its network, its numbers, and the facts that a reader needs to judge them."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, final

from torch import nn

from models.figures import Energy
from models.lit import Lit
from models.optim.footprint import state_bytes
from models.trainer import Settings


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
    target = lit.budget.target
    reached = [row["step"] for row in lit.record.curve if _reached(row, target)]
    if reached:
        found["train/steps_to_target"] = reached[0]
    return found | lit.record.metrics()


def facts_of(lit: Lit, found: Path | None) -> dict[str, Any]:
    """How a finished training ran, which went on from the checkpoint `found` if there was one."""
    energy = lit.clock.energy()
    facts: dict[str, Any] = {"energy": energy.facts(), "energy_method": energy.label}
    facts |= {"energy_basis": energy.basis, "disturbed": lit.clock.disturbed()}
    facts |= {"precision": lit.settings.precision, "sessions": lit.clock.sessions}
    if found is not None:
        facts["resumed"] = {"from": str(found), "step": lit.resumed_step}
    if lit.micro.events:
        facts["out_of_memory"] = lit.micro.events
    return facts


def _reached(row: dict[str, float], target: float | None) -> bool:
    return target is not None and row.get("val/accuracy", float("-inf")) >= target
