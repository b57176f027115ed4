"""Latency, CPU time and energy of a network's answers, with its training or later from its weights."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from models.backends import served
from models.compress import artefact
from models.compress.compression import Compression
from models.data.batches import sequential
from models.data.dataset import Dataset
from models.energy.meter import Meter
from models.measure import latency
from models.training.precision import AUTOCAST
from models.training.settings import Settings
from models.training.side import taken
from refusal import Refusal

LEFT_OUT = "infer"
"""what `unmeasured` may name"""

Figures = tuple[dict[str, float], dict[str, Any]]


def check(unmeasured: Sequence[str]) -> None:
    """Raise `Refusal` for what a trial always measures."""
    if unknown := [name for name in unmeasured if name != LEFT_OUT]:
        raise Refusal(f"unmeasured={unknown}: only [{LEFT_OUT}] can be left out and measured later.")


def inference(
    net: nn.Module, data: Dataset, precision: str, meter: Meter, unmeasured: Sequence[str], notes: list[str]
) -> Figures:
    """The `infer/` metrics and facts (`infer`, `disturbed`), or the fact that they were left out."""
    if LEFT_OUT in unmeasured:
        return {}, {"unmeasured": [LEFT_OUT], "disturbed": {}}
    batch = next(sequential(data.test, data.batch_size))[0]
    dtype = AUTOCAST.get(precision)
    with torch.autocast(batch.device.type, dtype, enabled=dtype is not None):
        nothing: Figures = ({}, {})
        timed, infer = taken("infer/", lambda: latency.measure(net, batch, meter), nothing, notes)
    reason = infer.get("energy", {}).get("disturbed")
    return timed, {"infer": infer, "disturbed": {"infer": reason} if reason else {}}


def later(
    folder: Path,
    facts: Mapping[str, Any],
    *,
    data: Dataset,
    model: nn.Module,
    compress: dict[str, Any],
    trainer: Settings,
    meter: Meter,
) -> Figures:
    """What a finished trial with these `facts` left unmeasured, by the weights in its folder alone.

    Returns the new metrics, and the facts that they change. Joules of another basis than the training's are
    left out: a row has one.

    Raises:
        Refusal: the weights are damaged or of another network.
    """
    device, notes = trainer.device(), list(facts.get("notes") or [])
    data = data.to(device)
    example = next(sequential(data.test, 1))[0]
    net = restore(model, compress or {}, folder / "weights.pt", example).to(device)
    meter.start(device)
    try:
        metrics, found = inference(net, data, str(facts["precision"]), meter, (), notes)
    finally:
        meter.stop()
    basis = found["infer"].get("energy", {}).get("basis")
    if basis != facts.get("energy_basis") and metrics.pop("infer/energy_j_per_sample", None) is not None:
        notes.append(f"joules of inference are left out: they are by {basis}, the training's are not")
    held = dict(facts.get("disturbed") or {}) | found["disturbed"]
    return metrics, found | {"disturbed": held, "notes": notes}


def restore(net: nn.Module, steps: Mapping[str, Any], path: Path, example: Tensor) -> nn.Module:
    """A fresh `net` of the same configuration with the structure and the weights in `path`, ready to answer.

    `steps` are the entries of the trial's `compress=[...]`, in order; `example` is one input, (1, *shape).
    What another runtime than torch answered is read from that runtime's own files.


    Raises:
        Refusal: the file is damaged, or of another network or another list of compressions.
    """
    state = artefact.load(path)
    if (answering := served.restored(net, state)) is not None:
        return answering
    steps = {name: step for name, step in steps.items() if isinstance(step, Compression)}
    for step in steps.values():
        net = step.rebuild(net, state, example)
    try:
        getattr(net, "eager", net).load_state_dict(state)
    except (RuntimeError, KeyError) as error:
        reason = str(error).splitlines()[-1].strip()
        raise Refusal(f"{path} is not of this model with compress=[{','.join(steps)}]: {reason}") from error
    return net.eval()
