"""The search that a person would write with Optuna: sample, train, prune, and confirm what looks good enough.

It draws every dimension of the lab's own space by Optuna, trains in this process through the lab's own
`train.measure`, and asks the pruner at each point of the learning curve. What seems to meet the target on one
seed is confirmed as the lab confirms: paired with the control on fresh seeds and the test split, over the
whole search at one error rate. Every joule of training is counted, those of pruned and failed trials too.
"""

import random
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, final

import optuna
from lightning.pytorch import Callback, LightningModule, Trainer

import train
from benchmarks.alpha_ledger import AlphaLedger
from refusal import Ended, Refusal
from research.goal.goal import Goal
from research.metrics import METRICS, screening, screening_objective, shortfall
from research.propose.dimensions import Dimension, Dimensions, typed
from research.space.gate import Space
from research.stats.claims import Claim
from research.stats.verdicts import judged, verdict
from research.types import Verdict

CONF = Path(__file__).resolve().parents[1] / "conf"
_FRESH = 1000
_PAIRS = 5
_LONGEST_S = 60.0
"""of a training, as in the lab, whose trials may take a fifth of its seconds and at least this"""


@final
class Pruned(Ended):
    """Optuna's pruner ended this training."""


@final
class Late(Ended):
    """The training took longer than one trial may."""


@final
class Reports(Callback):
    """Tells an Optuna trial each new point of the curve, and ends the training when it should be pruned.

    A pruner keeps what is best in the direction of its study, which here is that of joules: a score of which
    more is better is told with its sign turned.
    """

    def __init__(self, trial: optuna.Trial, metric: str, longest_s: float) -> None:
        self._trial, self._metric, self._rows = trial, metric, 0
        self._sign = -1 if METRICS["test/" + metric.removeprefix("val/")].better == "max" else 1
        self._longest_s = longest_s

    def next_stop(self, step: int) -> int | None:
        """The curve's own stops are enough."""
        return None

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Report in percent of the budget: trials of different lengths are compared at equal shares."""
        if pl_module.clock.second() > self._longest_s:
            raise Late("it took longer than a trial may")
        curve = pl_module.record.curve
        for row in curve[self._rows :]:
            share = pl_module.budget.share(row["step"], pl_module.total, row["second"], row.get("joule"))
            self._trial.report(self._sign * row[self._metric], round(100 * share))
            if share < 1 and self._trial.should_prune():
                raise Pruned("pruned")
        self._rows = len(curve)


@final
@dataclass
class Search:
    """One search; `joules` and `trials` count everything that was trained."""

    goal: Goal
    fixed: tuple[str, ...]
    folder: Path
    curve_metric: str
    joules: float = 0.0
    trials: int = 0
    ledger: AlphaLedger = field(default_factory=AlphaLedger)

    def __post_init__(self) -> None:
        self.space = Space(CONF, CONF / "space.yaml")
        self.asked = screening_objective(self.goal.objective)
        self.values: dict[tuple[tuple[str, ...], int], dict[str, float]] = {}

    def run(
        self, study: optuna.Study, dimensions: Dimensions, seconds: float, joules: float
    ) -> Verdict | None:
        """Search until a target is confirmed, or the seconds or the joules are used up (None)."""
        end = time.monotonic() + seconds
        control = self.measured((), 0)
        bar = control[self.asked.metric] * (1 - self.goal.smallest_effect)
        while time.monotonic() < end and self.joules < joules:
            trial = study.ask()
            overrides = typed(dimensions.walk(lambda one, trial=trial: suggested(trial, one)))
            if self.space.check(list(overrides), given=self.fixed):
                study.tell(trial, state=optuna.trial.TrialState.FAIL)
                continue
            try:
                found = self.measured(overrides, 0, Reports(trial, self.curve_metric, _LONGEST_S))
            except Pruned:
                study.tell(trial, state=optuna.trial.TrialState.PRUNED)
                continue
            except (Ended, Refusal, RuntimeError):
                study.tell(trial, state=optuna.trial.TrialState.FAIL)
                continue
            missed = [max(0.0, shortfall(one, found[one.metric])) for one in self.asked.constraints]
            trial.set_constraint("bounds", sum(missed))
            study.tell(trial, found[self.asked.metric])
            if sum(missed) or found[self.asked.metric] > bar:
                continue
            verdict = self.judged(overrides)
            if verdict and verdict.word == "supported":
                return verdict
        return None

    def judged(self, overrides: tuple[str, ...]) -> Verdict | None:
        """The verdict of fresh seeds and the test split; None where one of them cannot be trained."""
        seeds, asked = range(_FRESH, _FRESH + _PAIRS), self.goal.objective
        order = [(one, seed) for seed in seeds for one in random.Random(seed).sample([(), overrides], 2)]
        try:
            for one, seed in order:
                self.measured(one, seed)
        except (Ended, Refusal, RuntimeError):
            return None
        claim = Claim.improvement(
            asked.metric, asked.direction, 100 * self.goal.smallest_effect, asked.constraints
        )
        rate, parts = self.ledger.rate.among(len(claim.all)), []
        for part in claim.all:
            sides = (
                {seed: self.values[line, seed][part.metric] for seed in seeds} for line in ((), overrides)
            )
            parts.append(judged(part, *sides, rate))
        found = verdict(parts)
        self.ledger.record(found)
        return found

    def measured(self, overrides: tuple[str, ...], seed: int, *callbacks: Callback) -> dict[str, float]:
        """Train once for a pair of overrides and seed; what is asked again is not trained again."""
        key = (overrides, seed)
        if key not in self.values:
            self.trials += 1
            config = self.space.resolve(["logger=none", *self.fixed, *overrides, f"seed={seed}"])
            try:
                done = measure(config, self.folder / str(self.trials), callbacks)
            except Ended as ended:
                self.joules += (ended.spent or {}).get("train/energy_j", 0.0)
                raise
            self.joules += done.get("train/energy_j", 0.0)
            self.values[key] = done
        return self.values[key]


def measure(config: dict[str, Any], folder: Path, callbacks: Sequence[Callback]) -> dict[str, float]:
    """The metrics of one trial, trained here with callbacks beside its own."""
    from models import trial
    from models.training import loggers

    trial.prepare(folder, config["seed"], 1)
    parts = {part: train.build(config.get(part) or {}) for part in train.PARTS}
    parts["callbacks"] = (parts["callbacks"] or {}) | {f"peer{at}": one for at, one in enumerate(callbacks)}
    run = loggers.Run(folder, "peer", "peer", None, (), {})
    return dict(trial.run(run=run, seed=config["seed"], ckpt_path=None, **parts).metrics)


def suggested(trial: optuna.Trial, one: Dimension) -> str:
    """A dimension drawn by Optuna."""
    if one.values:
        return str(trial.suggest_categorical(one.name, list(one.values)))
    if one.whole:
        return one.text(trial.suggest_int(one.name, int(one.low), int(one.high), log=one.log))
    return one.text(trial.suggest_float(one.name, one.low, one.high, log=one.log))


def studies(seed: int) -> dict[str, Callable[[], optuna.Study]]:
    """The peers: random search, and TPE with the Hyperband pruner."""
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    samplers = optuna.samplers
    hyperband = optuna.pruners.HyperbandPruner(min_resource=10, max_resource=100, reduction_factor=3)
    return {
        "random": lambda: optuna.create_study(
            sampler=samplers.RandomSampler(seed=seed), pruner=optuna.pruners.NopPruner()
        ),
        "tpe+hyperband": lambda: optuna.create_study(
            sampler=samplers.TPESampler(seed=seed), pruner=hyperband
        ),
    }


__all__ = ["Search", "screening", "studies"]
