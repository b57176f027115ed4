"""Lessons: what several trials say together, counted when it is asked for and never stored."""

import math
import statistics
from collections.abc import Iterable, Sequence
from itertools import combinations
from typing import NamedTuple, final

from research.compose.override import override, values_of
from research.memory.reading import PastTrial
from research.metrics import rank, words
from research.store.index import number
from research.types import Objective, Record

_PAIRS = 3
"""pairs below which two options are not compared"""
_FAILED = 4
"""trials below which failures say nothing"""
_SHARE = 0.6
"""share of wins, or of failures, from which something is told"""
DEFAULT = "the default"


@final
class Lesson(Record):
    """What several episodes say together; made when it is read, never stored."""

    sentence: str
    wins: int
    total: int
    median: float | None = None
    """median relative change of the metric, -0.12 is 12 % less; None for a lesson about failures"""
    trial_ids: tuple[int, ...]


class Pair(NamedTuple):
    """Two trials that differ in one knob, and its options if it is a group."""

    key: str
    one: str
    two: str
    better: bool
    change: float
    """of the metric from two to one, relative"""
    ids: tuple[int, int]


class SharedPart(NamedTuple):
    """What two trials share that differ in one knob."""

    seed: int
    machine: str
    """hardware and instrument"""
    key: str
    rest: tuple[str, ...]


def lessons(
    runs: Sequence[PastTrial], objective: Objective | None, task: str | None, *, all_pairs: bool = False
) -> list[Lesson]:
    """Lessons of one task's trials, the best supported first; `all_pairs` tells also what says nothing."""
    where = f" on {task}" if task else ""
    told = [_compared(where, objective, group) for group in _grouped(runs, objective)] if objective else []
    told += _failures(runs, where)
    kept = [lesson for lesson in told if all_pairs or _tells(lesson)]
    return sorted(kept, key=lambda lesson: (-_strength(lesson), lesson.sentence))


def _tells(lesson: Lesson) -> bool:
    least = _PAIRS if lesson.median is not None else _FAILED
    return lesson.total >= least and lesson.wins >= _SHARE * lesson.total


def _strength(lesson: Lesson) -> float:
    """The lower end of the share of wins: Wilson's interval at one standard error."""
    n, share = lesson.total, lesson.wins / lesson.total
    return (share + 1 / (2 * n) - math.sqrt(share * (1 - share) / n + 1 / (4 * n * n))) / (1 + 1 / n)


def _grouped(runs: Sequence[PastTrial], objective: Objective) -> list[list[Pair]]:
    """Pairs grouped by a knob and two of its options, turned so that the first option won more often."""
    groups: dict[tuple[str, str, str], list[Pair]] = {}
    for pair in _pairs(runs, objective):
        groups.setdefault((pair.key, pair.one, pair.two), []).append(pair)
    return [
        group if sum(pair.better for pair in group) * 2 >= len(group) else list(map(_turned, group))
        for group in groups.values()
    ]


def _turned(pair: Pair) -> Pair:
    change = 1 / (1 + pair.change) - 1 if pair.change != -1 else math.inf
    return Pair(pair.key, pair.two, pair.one, not pair.better, change, pair.ids)


def _pairs(runs: Sequence[PastTrial], objective: Objective) -> Iterable[Pair]:
    """Pairs of trials with the same seed and machine that differ in one key, or in a group's choice.

    A choice is told with the knobs of its group that were turned beside it, so what differs is what is told.
    """
    places: dict[SharedPart, dict[str, PastTrial]] = {}
    measured = [run for run in runs if objective.metric in run.figures]
    for run in measured:
        for key, option, rest in _readings(run.overrides):
            places.setdefault(SharedPart(run.seed, _machine(run), key, rest), {})[option] = run
    plain = {(run.seed, _machine(run), run.overrides): run for run in measured}
    for place, options in places.items():
        untouched = plain.get((place.seed, place.machine, place.rest))
        if untouched is not None:
            options.setdefault(DEFAULT, untouched)
        for one, two in combinations(sorted(options), 2):
            yield _pair(place.key, one, two, options[one], options[two], objective)


def _readings(overrides: Sequence[str]) -> Iterable[tuple[str, str, tuple[str, ...]]]:
    """Each way to split a configuration into one choice and the rest: key, option, the other overrides."""
    for key, text in values_of(overrides).items():
        yield key, text, tuple(one for one in overrides if override(one).key != key)
        beside = [one for one in overrides if override(one).key.startswith(f"{key}.")]
        if beside:
            rest = tuple(one for one in overrides if override(one).key != key and one not in beside)
            yield key, f"{text} with {' '.join(beside)}", rest


def _machine(run: PastTrial) -> str:
    return f"{run.hardware} {run.instrument}"


def _pair(key: str, one: str, two: str, first: PastTrial, second: PastTrial, objective: Objective) -> Pair:
    better = rank(objective, first.figures) < rank(objective, second.figures)
    before, after = second.figures[objective.metric], first.figures[objective.metric]
    change = after / before - 1 if before else 0.0
    return Pair(key, one, two, better, change, (first.id, second.id))


def _compared(where: str, objective: Objective, group: Sequence[Pair]) -> Lesson:
    knob, one, two = group[0][:3]
    wins, median = sum(pair.better for pair in group), statistics.median(pair.change for pair in group)
    sentence = (
        f"{knob}={one} beat {two} in {wins} of {len(group)} paired trials{where}, "
        f"median {100 * median:+.3g} % {words(objective.metric)}"
    )
    ids = tuple(sorted({number for pair in group for number in pair.ids}))
    return Lesson(sentence=sentence, wins=wins, total=len(group), median=median, trial_ids=ids)


def _failures(runs: Sequence[PastTrial], where: str) -> list[Lesson]:
    """For each knob the choice, or the side of the best split, that failed most often."""
    if not any(run.failed for run in runs):
        return []
    values: dict[str, list[tuple[str, PastTrial]]] = {}
    for run in runs:
        for key, text in values_of(run.overrides).items():
            values.setdefault(key, []).append((text, run))
    told = []
    for key, seen in sorted(values.items()):
        for what, group in _sides(key, seen):
            failed = sum(run.failed for run in group)
            sentence = f"{what} failed {failed} of {len(group)} times{where}"
            ids = tuple(sorted(run.id for run in group))
            told.append(Lesson(sentence=sentence, wins=failed, total=len(group), trial_ids=ids))
    return told


def _sides(key: str, seen: Sequence[tuple[str, PastTrial]]) -> list[tuple[str, list[PastTrial]]]:
    numbers = [(value, run) for text, run in seen if (value := number(text)) is not None]
    if len(numbers) < len(seen):
        texts = sorted({text for text, _ in seen})
        return [(f"{key}={one}", [run for text, run in seen if text == one]) for one in texts]
    cuts = sorted({value for value, _ in numbers})
    sides = [(f"{key} above {cut:g}", [run for value, run in numbers if value > cut]) for cut in cuts[:-1]]
    sides += [(f"{key} below {cut:g}", [run for value, run in numbers if value < cut]) for cut in cuts[1:]]
    good = [side for side in sides if len(side[1]) >= _FAILED]
    return [max(good, key=lambda side: _excess(side[1], [run for _, run in numbers]))] if good else []


def _excess(side: Sequence[PastTrial], whole: Sequence[PastTrial]) -> float:
    """Failures on one side beyond what the knob's average would give it."""
    usual = sum(run.failed for run in whole) / len(whole)
    return sum(run.failed for run in side) - usual * len(side)
