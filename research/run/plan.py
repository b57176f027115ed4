"""What a command would run, what of it is known, and what the rest would cost by the trials already done."""

import math
import sys
from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from statistics import fmean
from typing import Any, final

from research.metrics import quantity
from research.page import counted, written
from research.run import lookup, machine
from research.run.checks import check
from research.run.runner import Job
from research.space import identity
from research.stats.comparable import disturbed, energy_method, instrument, sound
from research.stats.draws import configuration, drawn_anew
from research.store.store import Store
from research.types import Result, Trial

_LOOKED_AT = 2000
_NEAR = ("data", "model", "trainer", "budget")
"""groups that set the cost of a trial: the rest changes it little"""


@final
@dataclass(frozen=True)
class Prediction:
    """Seconds and joules of one trial, None where nothing tells; `how` says from what."""

    seconds: float | None
    joules: float | None
    method: str | None
    how: str


@final
class Predictor:
    """Predicts from the trials of one database, where there is one, that ran on this kind of machine."""

    def __init__(self, store: Store | None) -> None:
        trials = store.trials(status="done", limit=_LOOKED_AT) if store else []
        results = store.results([trial.id for trial in trials]) if store else {}
        self._done = [(trial, results[trial.id]) for trial in trials if trial.id in results]

    def predict(self, config: Mapping[str, Any]) -> Prediction:
        """Predict by other seeds of this arm, else by trials with equal data, model, trainer and budget."""
        hardware = identity.hardware_class(config["trainer"])
        here = [pair for pair in self._done if pair[0].key.hardware == hardware]
        arm = _arm(config)
        same = [pair for pair in here if _arm(pair[0].config) == arm]
        if same:
            return _mean(same, "of this arm")
        near = [pair for pair in here if all(_part(pair[0].config, g) == _part(config, g) for g in _NEAR)]
        if near:
            return _mean(near, f"with the same {', '.join(_NEAR)}")
        return Prediction(None, None, None, "unknown: no trial like it is done")


def _arm(config: Mapping[str, Any]) -> str:
    """What makes two trials cost the same: of data that can be drawn anew, the split is no part of it."""
    return configuration(config, own=drawn_anew(config))


def _part(config: Mapping[str, Any], group: str) -> Any:
    part = config.get(group)
    if group != "data" or not isinstance(part, Mapping):
        return part
    return {key: value for key, value in part.items() if key != "split_seed"}


def show(configs: Sequence[dict[str, Any]], overrides: Sequence[Sequence[str]]) -> None:
    """Print the plan of these trials; nothing is trained, and no database is made."""
    for config in configs:
        check(config)
    jobs = [Job(config, list(typed)) for config, typed in zip(configs, overrides, strict=True)]
    done = lookup.known(jobs)
    buried = [index for index, dead in enumerate(lookup.dead(jobs)) if dead]
    asked = [index for index, one in enumerate(done) if one is None and index not in buried]
    twins = lookup.twins(jobs, asked)
    first = {index: group[0] for group in twins for index in group}
    with closing(Store(jobs[0].config["store"]["url"], late=True)) as store:
        predictor = Predictor(None if store.is_new else store)
        predicted = {group[0]: predictor.predict(jobs[group[0]].config) for group in twins}
    width = len(machine.places(configs, configs[0]["launcher"]["jobs"]))
    for index, (job, one) in enumerate(zip(jobs, done, strict=True)):
        if one:
            about = f"known: trial {one.trial_id}"
        elif index in buried:
            about = "dead: it failed for good, and only force=true runs it once more"
        else:
            about = _line(predicted[index]) if index in predicted else f"the same as {first[index] + 1}"
        number = f"{index + 1:{len(str(len(jobs)))}d}/{len(jobs)}"
        print(written(f"{number}  {' '.join(job.overrides) or 'defaults'}  {about}", sys.stdout))
    same = len(first) - len(predicted)
    print(total(list(predicted.values()), len(jobs), min(width, len(jobs)), same, len(buried)))


def total(to_run: Sequence[Prediction], count: int, width: int, same: int = 0, dead: int = 0) -> str:
    """The last line of a plan: `9 trials: 3 known, 6 to run, 2 at a time: about 12.3 s, 81 J [estimated]`."""
    twice = f", {same} the same as another" if same else ""
    known = count - len(to_run) - same - dead
    over = f", {dead} dead" if dead else ""
    said = f"{counted(count, 'trial')}: {known} known{twice}{over}, {len(to_run)} to run"
    if to_run:
        seconds, joules = ([getattr(one, name) for one in to_run] for name in ("seconds", "joules"))
        methods = sorted({str(one.method) for one in to_run if one.joules is not None})
        wall = _sum(seconds, "train/seconds", width)
        method = f" [{', '.join(methods)}]" if methods else ""
        said += f", {width} at a time: {wall}, {_sum(joules, 'train/energy_j')}{method}"
    return f"{said}; nothing was trained"


def _sum(values: Sequence[float | None], key: str, share: int = 1) -> str:
    """The sum of what is predicted, over `share` at a time, and for how many there is no prediction."""
    told = [value for value in values if value is not None]
    missing = len(values) - len(told)
    if not told:
        return f"unknown {'joules' if 'energy' in key else 'seconds'}"
    about = f"about {quantity(key, sum(told) / share)}"
    return f"{about} and {missing} unknown" if missing else about


def _line(expected: Prediction) -> str:
    if expected.seconds is None:
        return expected.how
    joules = "unknown joules"
    if expected.joules is not None:
        joules = f"{quantity('train/energy_j', expected.joules)} [{expected.method}]"
    return f"about {quantity('train/seconds', expected.seconds)}, {joules} (mean of {expected.how})"


def _mean(pairs: Sequence[tuple[Trial, Result]], like: str) -> Prediction:
    # A trial that was held up tells what a neighbour costs; where all were, that is better than nothing.
    undisturbed = [pair for pair in pairs if not disturbed("train/seconds", pair[1])]
    calm = undisturbed or pairs
    seconds = [trial.finished - trial.started for trial, _ in calm if trial.finished is not None]
    told = [result for _, result in calm if math.isfinite(sound(result).get("train/energy_j", math.nan))]
    comparable = len({instrument(result) for result in told}) == 1
    return Prediction(
        fmean(seconds) if seconds else None,
        fmean(result.metrics["train/energy_j"] for result in told) if comparable else None,
        str(energy_method(told[0])) if comparable else None,
        f"{len(calm)} done {like}" + ("" if undisturbed else ", all disturbed"),
    )
