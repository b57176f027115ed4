"""The learning curve: validates at fixed points and writes rows against step, second and joule."""

import math
from typing import Any, final

from lightning.pytorch import Callback, Trainer

from models.data.dataset import Dataset
from models.optim.averaging import averaged, settle, unsettle
from models.training.evaluate import Scores, evaluate
from models.training.lit import Lit
from models.training.step import out_of_memory

POINTS = 10
"""points of a curve when the settings leave their distance open"""
AIMED = 50
"""the same of a training that ends at a target: how late its end may be"""


@final
class Curve(Callback):
    """A row every `every` optimizer steps, or at `points` equal shares of the budget, and one at the end.

    Rows hold step, second, cpu_second and joule of the steps alone (where the meter has them), train/loss
    (the mean since the row before) and val/ scores; they go to the record and to the loggers. What it does
    itself is the harness's. Rank 0 validates, on the whole split. An optimizer's averaged weights are what
    is validated, and what is there after the last row. `beside` gives further val/ scores.
    """

    def __init__(
        self,
        data: Dataset,
        every: int | None,
        total: int | None,
        points: int = POINTS,
        beside: Scores | None = None,
    ) -> None:
        self._data, self._points, self._beside = data, points, beside
        self._every = every if every or total is None else max(1, total // points)
        self._by_share = every is None
        self._tenths = 0
        self._batch = 4 * data.batch_size

    def next_stop(self, step: int) -> int | None:
        """The next step to validate at, when that is known beforehand."""
        return None if self._every is None else step + self._every - step % self._every

    def on_train_start(self, trainer: Trainer, pl_module: Any) -> None:
        """Give the loggers what a resumed training has shown before."""
        lit: Lit = pl_module
        unsettle(trainer.optimizers[0])
        self._tenths = self._tenth(lit)
        for row in lit.record.curve:
            self._log(trainer, row)

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: Any, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Add a row where one is due; what other callbacks did after the steps has ended here (`Between`)."""
        lit: Lit = pl_module
        lit.clock.pause()
        tenth = self._tenth(lit)
        due = self._every is not None and trainer.global_step % self._every == 0
        if due or tenth > self._tenths:
            self._add(trainer, lit)
        self._tenths = tenth

    def on_train_end(self, trainer: Trainer, pl_module: Any) -> None:
        """Add the end, unless a row has just been added."""
        lit: Lit = pl_module
        curve = lit.record.curve
        if not curve or curve[-1]["step"] != trainer.global_step:
            self._add(trainer, lit)
        settle(trainer.optimizers[0])

    def _tenth(self, module: Lit) -> int:
        """How many points of a budget of seconds or joules are over."""
        if not (self._by_share and module.timed):
            return 0
        share = module.budget.share(0, None, module.now.second, module.now.joule)
        return math.floor(share * self._points)

    def _add(self, trainer: Trainer, module: Lit) -> None:
        with module.clock.aside():
            self._add_row(trainer, module)

    def _add_row(self, trainer: Trainer, module: Lit) -> None:
        now = module.clock.read()
        used = {"second": now.second, "cpu_second": now.cpu_second, "joule": now.joule}
        row: dict[str, float] = {"step": trainer.global_step}
        row |= {name: value for name, value in used.items() if value is not None}
        if trainer.is_global_zero:
            with averaged(trainer.optimizers[0]):
                row |= {f"val/{name}": value for name, value in self._scores(trainer, module).items()}
        self._log(trainer, module.record.add_row(row))

    def _scores(self, trainer: Trainer, module: Lit) -> dict[str, float]:
        data = self._data
        while True:
            try:
                with trainer.precision_plugin.val_step_context():
                    scores = evaluate(module.net, data.val, data.task, self._batch, data.classes)[0]
                    more = self._beside(module.net, data.val, self._batch) if self._beside else {}
                    return {**scores, **more}
            except RuntimeError as error:
                if not out_of_memory(error) or self._batch == 1:
                    raise
                # Scores are means over the split, so the size of an evaluation's batch changes none.
                self._batch = max(1, self._batch // 2)

    def _log(self, trainer: Trainer, row: dict[str, float]) -> None:
        for logger in trainer.loggers:
            logger.log_metrics(row, step=int(row["step"]))


@final
class Between(Callback):
    """Comes first, as the learning curve comes after all others and stops the clock.

    So what a callback does after steps is part of the training's cost, unless it is known to be the
    harness's: the curve and the checkpoints.
    """

    def next_stop(self, step: int) -> int | None:
        """None: it listens to the calls that others asked for."""
        return None

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: Any, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """What follows counts."""
        lit: Lit = pl_module
        lit.clock.resume()
