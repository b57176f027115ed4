"""`trainer.precision=auto`: time the same training steps in each precision, and take the fastest."""

import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, final

import torch
from torch import Tensor, nn

from models.training.checkpoint import OURS, Checkpoints
from models.training.record import Diverged
from models.training.untouched import untouched

AUTOCAST = {"32-true": None, "bf16-mixed": torch.bfloat16, "16-mixed": torch.float16}
"""what the forward pass computes in; None is the weights' own 32 bits"""
_ROUNDS = 3
_ROUND_S = 0.01
_GAIN = 1.05
"""how much faster another precision must be to be preferred to 32 bits; less is noise"""


@final
@dataclass(frozen=True)
class Choice:
    """A precision, why it was taken, and seconds of a step (forward and backward) in each that was tried."""

    precision: str
    reason: str
    step_seconds: dict[str, float]

    def facts(self) -> dict[str, Any]:
        """Of the trial."""
        return {"precision_reason": self.reason, "precision_step_seconds": self.step_seconds}


def autocast(precision: str, device: torch.device | str) -> AbstractContextManager[Any]:
    """The forward pass and the loss run inside of it."""
    dtype = AUTOCAST[precision]
    return torch.autocast(torch.device(device).type, dtype, enabled=dtype is not None)


def choose(net: nn.Module, step: Callable[[], Tensor], device: str) -> Choice:
    """The precision whose training steps are the fastest here, among those whose loss is finite.

    `step` runs a forward pass on a batch and returns its loss; backward is timed with it, the optimizer,
    which works in 32 bits in any case, is not. Each is warmed up, then all take three
    turns, and the fastest counts: three steps, or as many as fit in 10 ms if that is more. 32 bits are left
    only for a gain of 5 %.
    The network and all random generators are left as they were.

    Raises:
        Diverged: the loss is not finite in any precision.
    """
    tried = candidates(device)
    with untouched(net), torch.enable_grad():
        finite = [name for name in tried if _finite(net, step, name, device)]
        if not finite:
            raise Diverged("diverged: the first loss is finite in no precision")
        turns = [{name: _seconds(net, step, name, device) for name in finite} for _ in range(_ROUNDS)]
    seconds = {name: min(turn[name] for turn in turns) for name in finite}
    return _best(seconds, [name for name in tried if name not in finite])


def candidates(device: str) -> list[str]:
    """The precisions that `device` can train in; fp16 on a CPU would be bf16 under another name."""
    if torch.device(device).type == "cpu":
        return ["32-true", "bf16-mixed"]
    bf16 = ["bf16-mixed"] if torch.cuda.is_bf16_supported(including_emulation=False) else []
    return ["32-true", *bf16, "16-mixed"]


def taken_over(checkpoint: Path) -> Choice | None:
    """The precision that the training in `checkpoint` was in; None where it does not say."""
    identity = Checkpoints().load_checkpoint(checkpoint)[OURS]["identity"]
    name = identity.get("precision")
    return None if name is None else Choice(name, f"{name}, as the training was begun in it", {})


def _best(seconds: dict[str, float], broken: list[str]) -> Choice:
    best = min(seconds, key=lambda name: seconds[name])
    plain = seconds.get("32-true")
    if plain is not None and plain < _GAIN * seconds[best]:
        best = "32-true"
    shown = ", ".join(f"{name} {1e3 * value:.2f} ms" for name, value in seconds.items())
    left_out = f"; the loss of {' and '.join(broken)} is not finite" if broken else ""
    return Choice(best, f"{best}, the fastest here by a step: {shown}{left_out}", seconds)


def _finite(net: nn.Module, step: Callable[[], Tensor], precision: str, device: str) -> bool:
    """Warm up with one step. Gradients in fp16 may overflow, as the scaler finds its scale while training."""
    loss = _step(net, step, precision, device)
    gradients = [weight.grad for weight in net.parameters() if weight.grad is not None]
    looked_at = [loss] if precision == "16-mixed" else [loss, *gradients]
    return all(bool(torch.isfinite(tensor).all()) for tensor in looked_at)


def _seconds(net: nn.Module, step: Callable[[], Tensor], precision: str, device: str) -> float:
    """Of one step, over a turn of several."""
    _wait(device)
    count, began = 0, time.perf_counter()
    while count < 3 or time.perf_counter() - began < _ROUND_S:
        _step(net, step, precision, device)
        count += 1
    _wait(device)
    return (time.perf_counter() - began) / count


def _step(net: nn.Module, step: Callable[[], Tensor], precision: str, device: str) -> Tensor:
    for weight in net.parameters():
        weight.grad = None
    with autocast(precision, device):
        loss = step()
    loss.backward()
    return loss.detach()


def _wait(device: str) -> None:
    if torch.device(device).type == "cuda":
        torch.cuda.synchronize(device)
