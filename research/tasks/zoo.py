"""`task=zoo`: of each data set and bound the best networks whose weights are there, to be taken on.

They are chosen by validation, seeds of one configuration together, and told by the test split.
"""

import math
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, final

from refusal import Refusal
from research.campaign.campaign import Campaign
from research.metrics import METRICS, is_energy, is_score, is_timed, quantity, screening_objective
from research.page import counted
from research.report.card import option
from research.space.identity import data_alone
from research.stats.arms import Arm, complaint, method
from research.stats.draws import configuration, has_own_split
from research.store.queries import first_of_each_seed
from research.tasks.answer import Answer, table
from research.types import Constraint, Objective, Record, Trial

if TYPE_CHECKING:
    from research.store.store import Store

_SCORES = {"language": "test/bits_per_byte", "regression": "test/rmse"}
"""task -> the score of its networks; accuracy for others"""
_COSTS = ("size/bytes", "infer/latency_s_p50", "train/energy_j")


@final
class Best(Record):
    """One network that is the best of its data set in one thing."""

    data: str
    bound: str
    """what it had to keep, empty for the best score of all"""
    best: str
    """the metric in which no other of the data set is better"""
    trial: int
    """its seed that is best by validation"""
    seeds: int
    overrides: tuple[str, ...]
    figures: dict[str, float]
    """means over its seeds, those left out that others disturbed"""
    fewer: dict[str, int] = {}
    """of figures that not every seed has: of how many the mean is"""
    energy_method: str | None = None
    """how its joules were taken"""
    score: str
    """the metric of `figures` that tells how good its answers are"""


@final
class Zoo(Answer):
    """The best networks, and how many were looked at."""

    kept: tuple[Best, ...]
    networks: int
    """configurations whose weights are at hand"""
    gone: int
    """finished trials whose weights are not"""

    def text(self) -> str:
        """A table, then how a network is taken on."""
        if not self.kept:
            return f"no network at hand{_told_gone(self.gone)}"
        heads = ("data", "bound", "best by", "trial", "n", "score", "size", "latency", "training", "network")
        rows = [
            (
                one.data,
                one.bound or "-",
                one.best,
                str(one.trial),
                str(one.seeds),
                *_cells(one),
                " ".join(one.overrides),
            )
            for one in self.kept
        ]
        best = self.kept[0].trial
        return "\n".join(
            [
                *table(heads, rows),
                "",
                f"{counted(self.networks, 'configuration')}, chosen by validation, told by test"
                f"{_told_gone(self.gone)}",
                f"python agent.py task=export id={best} format=onnx path=out    python train.py from={best}",
            ]
        )


def zoo(campaign: Campaign, of: str | None, bound: list[Any]) -> Zoo:
    """Look at all finished trials. Raises `Refusal` for a bound that is none, or data that no trial has."""
    from research.goal.goal import read

    store = campaign.known
    said = read("", campaign.conf, metric="size/bytes", direction="min", constraints=map(str, bound))
    beside = [bound.words for bound in said.objective.constraints if bound.of_control]
    if beside:
        raise Refusal(f"bound: '{beside[0]}' asks for a control, and here is none: write 'accuracy >= 0.9'.")
    bounds = list(said.objective.constraints) or _asked(store)
    trials = store.trials(status="done")
    there = [trial for trial in trials if trial.folder and (Path(trial.folder) / "weights.pt").is_file()]
    sets: dict[tuple[str, str], list[Arm]] = {}
    for arm in _arms(store, there):
        first = arm.rows[0]
        sets.setdefault((option(first, "data"), data_alone(first.key)), []).append(arm)
    names = sorted({name for name, _ in sets})
    if of is not None and of not in names:
        raise Refusal(f"of={of}: no network at hand learnt from it; there are {', '.join(names) or 'none'}.")
    chosen = [(name, arms) for (name, _), arms in sorted(sets.items()) if of in (None, name)]
    kept = tuple(one for name, arms in chosen for one in _best(name, arms, bounds))
    return Zoo(kept=kept, networks=sum(map(len, sets.values())), gone=len(trials) - len(there))


def _arms(store: "Store", trials: Sequence[Trial]) -> list[Arm]:
    """One for each configuration as one code trained it; a replicate is no seed of its own."""
    alike: dict[tuple[str, ...], list[Trial]] = {}
    results = store.results([trial.id for trial in trials])
    for trial in trials:
        if trial.id in results:
            like = configuration(trial.config, has_own_split(trial))
            alike.setdefault((like, *trial.key[1:]), []).append(trial)
    seeds = [first_of_each_seed(own, results).values() for own in alike.values()]
    return [Arm((), rows=tuple(own), results=tuple(results[trial.id] for trial in own)) for own in seeds]


def _asked(store: "Store") -> list[Constraint]:
    """The bounds on scores that campaigns had, each once; one against a control is none of a network."""
    found: dict[str, Constraint] = {}
    for sprint in store.sprints():
        for bound in Objective.model_validate(sprint["objective"]).constraints:
            if bound.of_control is None and is_score(bound.metric):
                found.setdefault(bound.words, bound)
    return list(found.values())


def _best(name: str, arms: Sequence[Arm], bounds: Sequence[Constraint]) -> list[Best]:
    score = _SCORES.get(str(arms[0].rows[0].config["data"].get("task")), "test/accuracy")
    kept = [_kept(name, "", score, score, arms)]
    asked = Objective(metric=score, direction="max", constraints=tuple(bounds))
    for bound, screened in zip(bounds, screening_objective(asked).constraints, strict=True):
        holding = [arm for arm in arms if _holds(screened, arm)]
        kept += [_kept(name, bound.words, cost, score, holding) for cost in _COSTS]
    return [one for one in kept if one is not None]


def _holds(bound: Constraint, arm: Arm) -> bool:
    value = _mean(bound.metric, arm)
    return value >= bound.bound if bound.op == ">=" else value <= bound.bound


def _mean(metric: str, arm: Arm) -> float:
    """Over its seeds; NaN where one came to none, or a clock took no two of them alike."""
    told = arm.of(metric)
    lacking = not is_timed(metric) and told.n < len(arm.rows)
    return math.nan if lacking or complaint(metric, [arm]) else told.mean


def _kept(name: str, bound: str, best: str, score: str, arms: Sequence[Arm]) -> Best | None:
    """The arm that is best in one metric; of what a clock takes among those that the newest stands beside."""
    by = best.replace("test/", "val/")
    able = [arm for arm in arms if math.isfinite(_mean(by, arm))]
    if able and is_timed(best):
        newest = max(able, key=lambda arm: max(trial.id for trial in arm.rows))
        able = [arm for arm in able if complaint(best, [newest, arm]) is None]
    if not able:
        return None
    sign = 1 if METRICS[best].better == "max" else -1
    arm = max(able, key=lambda arm: sign * _mean(by, arm))
    shown = {key: _mean(key, arm) for key in (score, *_COSTS)}
    figures = {key: value for key, value in shown.items() if math.isfinite(value)}
    return Best(
        data=name,
        bound=bound,
        best=best,
        trial=_first(arm, score).id,
        seeds=len(arm.rows),
        overrides=tuple(text for text in arm.rows[0].overrides if not text.startswith("seed=")),
        figures=figures,
        fewer={key: arm.of(key).n for key in figures if arm.of(key).n < len(arm.rows)},
        energy_method=method([arm]) if "train/energy_j" in figures else None,
        score=score,
    )


def _first(arm: Arm, score: str) -> Trial:
    by, sign = score.replace("test/", "val/"), 1 if METRICS[score].better == "max" else -1
    pairs = zip(arm.rows, arm.results, strict=True)
    return max(pairs, key=lambda pair: sign * pair[1].metrics.get(by, -sign * math.inf))[0]


def _cells(one: Best) -> list[str]:
    return [_cell(one, key) for key in (one.score, *_COSTS)]


def _cell(one: Best, key: str) -> str:
    if key not in one.figures:
        return "-"
    few = f" (n = {one.fewer[key]})" if key in one.fewer else ""
    how = f" [{one.energy_method}]" if is_energy(key) else ""
    return f"{quantity(key, one.figures[key])}{few}{how}"


def _told_gone(gone: int) -> str:
    return f"; the weights of {counted(gone, 'more trial')} are gone" if gone else ""
