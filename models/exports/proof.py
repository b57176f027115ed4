"""The proof of an export: a process without the lab loads it and answers as the trial's network does."""

import json
import os
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any, final

import numpy as np
import torch
from torch import Tensor, nn

from models.data.batches import sequential
from models.data.dataset import Dataset
from models.exports import fresh
from models.training.evaluate import evaluate, evaluating
from refusal import Refusal

_LONGEST_S = 900
_KEPT = ("PATH", "HOME", "LANG", "TMPDIR", "LD_LIBRARY_PATH", "OMP_NUM_THREADS", "CUDA_VISIBLE_DEVICES")
"""of the environment, which has nothing of the lab in that process"""
_EXACT, _ROUNDED = (1e-3, 0.002), (0.1, 0.02)
"""largest relative error of the answers (root mean square), and change of a score, of networks in 32 bits and
of rounded ones, whose products backends sum in their own ways"""
_SCORES = ("accuracy", "bits_per_byte", "rmse")


@final
@dataclass(frozen=True)
class Proof:
    """What the export measured there."""

    scores: dict[str, float]
    """on the test split: `test/accuracy` and the like"""
    error: float
    """root mean square of what its answers differ by, over that of the answers"""
    figures: dict[str, Any]
    """seconds of loading and of calls"""


def prove(network: nn.Module, folder: Path, data: Dataset, about: dict[str, Any], *, rounded: bool) -> Proof:
    """Ask `load.py` in `folder` for the test split, in a fresh process; hold its answers beside `network`'s.

    Raises:
        Refusal: it does not load or answer there, or answers otherwise.
    """
    with tempfile.TemporaryDirectory() as place:
        inputs, outputs = Path(place) / "inputs.npy", Path(place) / "outputs.npy"
        np.save(inputs, _raw(data, about), allow_pickle=False)
        figures = _asked(folder, inputs, outputs)
        found = torch.from_numpy(np.load(outputs, allow_pickle=False))
    expected = _answers(network, data)
    if about.get("answer_mean") is not None:
        found = (found.double() - about["answer_mean"]) / about["answer_deviation"]
    return _compared(expected, found, figures, data, rounded=rounded)


def _raw(data: Dataset, about: dict[str, Any]) -> Any:
    """The test split's inputs as the data have them, before any scale."""
    if data.test.scale is None and about.get("mean") is not None:
        inputs, _ = data.test.whole()
        wide = (1, -1, *(1 for _ in about["shape"][1:]))
        mean, deviation = (torch.tensor(about[name]).view(wide) for name in ("mean", "deviation"))
        return (inputs * deviation + mean).numpy()
    rows = data.test.rows
    return (data.test.inputs if rows is None else data.test.inputs.index_select(0, rows)).numpy()


def _answers(network: nn.Module, data: Dataset) -> Tensor:
    net = getattr(network, "eager", network)
    with evaluating(net), torch.inference_mode():
        return torch.cat([net(inputs).float() for inputs, _ in sequential(data.test, 4 * fresh.BATCH)])


def _asked(folder: Path, inputs: Path, outputs: Path) -> dict[str, Any]:
    script = str(Path(fresh.__file__))
    # -I: neither this folder, nor PYTHONPATH, nor a user's own packages are on its path.
    line = [sys.executable, "-I", "-W", "ignore", script, str(folder), str(inputs), str(outputs)]
    environment = {name: os.environ[name] for name in _KEPT if name in os.environ}
    try:
        done = subprocess.run(
            line,
            cwd=inputs.parent,
            env=environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=_LONGEST_S,
            check=False,
        )
    except subprocess.TimeoutExpired as late:
        raise Refusal(f"The export did not answer within {_LONGEST_S} s in a process of its own.") from late
    if done.returncode:
        last = (done.stderr.strip().splitlines() or [f"code {done.returncode}"])[-1][:300]
        raise Refusal(f"The export does not run without the lab ({last}), so it was not kept.")
    figures: dict[str, Any] = json.loads(done.stdout.strip().splitlines()[-1])
    return figures


def _compared(
    expected: Tensor, found: Tensor, figures: dict[str, Any], data: Dataset, *, rounded: bool
) -> Proof:
    if found.shape != expected.shape or not bool(torch.isfinite(found).all()):
        raise Refusal(
            f"The export answers {list(found.shape)} where the trial's network answers "
            f"{list(expected.shape)}, all finite, so it was not kept."
        )
    spread = float(expected.double().square().mean().sqrt()) or 1.0
    error = float((found.double() - expected.double()).square().mean().sqrt()) / spread
    here, there = (_scores(answers, data) for answers in (expected, found))
    most, change = _ROUNDED if rounded else _EXACT
    # What is no number is no proof either.
    if not error <= most:
        raise Refusal(
            f"The export answers otherwise than the trial's network: its answers are {error:.2%} off, where "
            f"{most:.2%} is allowed, so it was not kept."
        )
    for name in [name for name in _SCORES if name in here]:
        # One example of a small split may fall the other way on a tie.
        allowed = max(change * max(1.0, abs(here[name])), 1.01 / len(data.test))
        if abs(there[name] - here[name]) > allowed:
            raise Refusal(
                f"The export has test/{name} {there[name]:.4f} where the trial's network has "
                f"{here[name]:.4f}, so it was not kept."
            )
    return Proof({f"test/{name}": value for name, value in there.items()}, error, figures)


def _scores(answers: Tensor, data: Dataset) -> dict[str, float]:
    return evaluate(_Replay(answers), data.test, data.task, 4 * fresh.BATCH, data.classes, True)[0]


@final
class _Replay(nn.Module):
    """Gives answers that were given before, in their order, whatever it is asked."""

    def __init__(self, answers: Tensor) -> None:
        super().__init__()
        self._answers, self._next = answers.float(), 0

    def forward(self, x: Tensor) -> Tensor:
        begin, self._next = self._next, self._next + len(x)
        return self._answers[begin : self._next]
