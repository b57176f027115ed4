"""From watts at several loads to what one busy core adds, with its error."""

from collections.abc import Sequence
from statistics import linear_regression
from typing import NamedTuple, final

from refusal import Refusal
from research.stats.intervals import summary


@final
class Sample(NamedTuple):
    """Watts of the machine while so many cores were asked to be busy."""

    cores: int
    watts: float
    busy: float
    """cores that were busy by the machine's own count, whoever's they were"""
    round: int


@final
class CorePower(NamedTuple):
    """What the samples say together; `error` is the relative half-width of `core_w`."""

    idle_w: float
    busy_w: dict[str, float]
    core_w: float
    error: float
    why: str
    """what the error is made of"""


def fitted(samples: Sequence[Sample], resolution_w: float = 0.0) -> CorePower:
    """Least squares of watts on busy cores; the idle power is the mean at rest.

    The error is the widest of three: Student's 95 % half-width over the rounds, how far one level's watts for
    each core lie from the slope (cores share what wakes with the first of them), and the meter's resolution.
    Raises `Refusal` for less than idle and one load, and where more load draws no more.
    """
    levels = sorted({sample.cores for sample in samples})
    if len(levels) < 2 or levels[0] != 0:
        raise Refusal(
            "A calibration needs the watts at rest and at one load or more: idle and 1, for example."
        )
    core_w = _slope(samples)
    if not core_w > 0:
        raise Refusal(
            f"With more busy cores the machine drew no more power ({core_w:.3g} W a core): read the meter "
            "again, when nothing else works on the machine."
        )
    at = {level: [sample for sample in samples if sample.cores == level] for level in levels}
    watts = {level: summary(sample.watts for sample in own).mean for level, own in at.items()}
    busy = {level: summary(sample.busy for sample in own).mean for level, own in at.items()}
    each = [(watts[level] - watts[0]) / max(busy[level] - busy[0], 1e-9) for level in levels[1:]]
    bend = max(abs(one - core_w) for one in each) if len(each) > 1 else 0.0
    errors = {
        "spread over the repeats": _spread(samples) / core_w,
        "watts a core at different loads": bend / core_w,
        "the resolution of the readings": resolution_w / (core_w * levels[-1]),
    }
    why = max(errors, key=lambda name: errors[name])
    busy_w = {str(level): round(watts[level], 3) for level in levels[1:]}
    return CorePower(watts[0], busy_w, core_w, errors[why], why)


def _slope(samples: Sequence[Sample]) -> float:
    """Watts for each busy core."""
    busy, watts = [sample.busy for sample in samples], [sample.watts for sample in samples]
    return linear_regression(busy, watts).slope if len(set(busy)) > 1 else 0.0


def _spread(samples: Sequence[Sample]) -> float:
    """Half-width of the slope over rounds that have a slope each; 0 where there is only one round."""
    numbers = {sample.round for sample in samples}
    rounds = [[sample for sample in samples if sample.round == number] for number in numbers]
    slopes = [_slope(some) for some in rounds if len({sample.cores for sample in some}) > 1]
    return summary(slopes).half_width or 0.0
