"""One line on a terminal while a training runs: how far it is, its latest score, its pace, the time left."""

import shutil
import sys
import time
from typing import Any, final

from lightning.pytorch import Callback, Trainer

from models.training.lit import Lit

_EVERY_S = 0.5
_UNITS = ((86400, "d", 3600, "h"), (3600, "h", 60, "min"), (60, "min", 1, "s"))
"""seconds of a unit and of the one that is told beside it"""


@final
class ProgressLine(Callback):
    """Writes over its own line of stderr, twice a second at most, and takes it away at the end.

    What it does is the harness's and no part of the training's cost. `score` is told where the curve has it,
    else the first validation score there is.
    """

    def __init__(self, score: str) -> None:
        self._score = score
        self._began, self._last, self._share, self._step = 0.0, 0.0, 0.0, 0

    def next_stop(self, step: int) -> int | None:
        """None: it listens to the calls that others asked for."""
        return None

    def on_train_start(self, trainer: Trainer, pl_module: Any) -> None:
        """Note where a resumed training begins: the time left is told by this session's pace."""
        self._began, self._last = time.monotonic(), 0.0
        self._step, self._share = trainer.global_step, _share(trainer, pl_module)

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: Any, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Tell how far it is, where the last line is old."""
        now = time.monotonic()
        if now - self._last < _EVERY_S or not trainer.is_global_zero:
            return
        self._last = now
        lit: Lit = pl_module
        with lit.clock.aside():
            _write(self.line(trainer.global_step, _share(trainer, lit), lit, now - self._began))

    def on_train_end(self, trainer: Trainer, pl_module: Any) -> None:
        """Leave nothing on the terminal."""
        _write("")

    def on_exception(self, trainer: Trainer, pl_module: Any, exception: BaseException) -> None:
        """Leave nothing in front of what is told of it."""
        _write("")

    def line(self, step: int, share: float, lit: Lit, elapsed_s: float) -> str:
        """For example `step 1,200 of 5,000 (24 %)   val/accuracy 0.9722   0.78 steps/s   1 min 12 s left`."""
        of = "" if lit.total is None else f" of {lit.total:,}"
        parts = [f"step {step:,}{of} ({share:.0%})".replace("%)", " %)")]
        row = lit.record.curve[-1] if lit.record.curve else {}
        score = (
            self._score if self._score in row else next((key for key in row if key.startswith("val/")), "")
        )
        parts += [f"{score} {row[score]:.4g}"] if score else []
        if elapsed_s > 0 and step > self._step:
            pace = (step - self._step) / elapsed_s
            parts.append(f"{pace:,.0f} steps/s" if pace >= 100 else f"{pace:.3g} steps/s")
        if share > self._share:
            left_s = elapsed_s * (1.0 - share) / (share - self._share)
            parts.append(f"{'at most ' if lit.budget.bound else ''}{duration(left_s)} left")
        return "   ".join(parts)


def duration(seconds: float) -> str:
    """Seconds in two units at most: `48 s`, `1 min 12 s`, `2 h 5 min`, `3 d 4 h`."""
    whole = round(seconds)
    for size, unit, part, smaller in _UNITS:
        if whole >= size:
            beside = whole % size // part
            return f"{whole // size} {unit}" + (f" {beside} {smaller}" if beside else "")
    return f"{whole} s"


def _share(trainer: Trainer, lit: Lit) -> float:
    return lit.budget.share(trainer.global_step, lit.total, lit.now.second, lit.now.joule)


def _write(line: str) -> None:
    """Over what the line held before; a terminal that is too narrow for all of it has the beginning."""
    widest = shutil.get_terminal_size().columns - 1
    sys.stderr.write(f"\r\x1b[2K{line[:widest]}")
    sys.stderr.flush()
