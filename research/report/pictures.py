"""Score against what it costs, as a table and as pictures; beside them learning curves against joules."""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import final

from research.metrics import METRICS, is_energy, is_score, is_test, quantity, screening, twin, words
from research.report.arms import ArmNames
from research.report.findings import Findings
from research.report.markdown import capital, section, table
from research.report.svg import Axis, Point, Series, chart
from research.stats.arms import Arm, beside, complaint, method
from research.stats.comparable import disturbed
from research.stats.front import better, dominance, front
from research.stats.intervals import summary
from research.store.store import Store

_SCORES = ("test/accuracy", "test/bits_per_byte", "test/loss")
_COSTS = ("train/energy_j", "infer/latency_s_p50", "size/bytes", "size/parameters")
_CURVES = 5
_CONFIRMED = 6
_CURVE_NOTE = "Learning curves against the joules spent so far; means over seeds"


def drawn_from(asked: Sequence[str]) -> set[str]:
    """The figures from which `of_arms` draws, where these scores are asked for."""
    scores = [*asked, *_SCORES]
    return {*scores, *map(screening, scores), *_COSTS}


def score_among(asked: Sequence[str], arms: Sequence[Arm]) -> str | None:
    """The first score, asked for or usual, that an arm measured on either split; its test key."""
    found = set().union(*(arm.measured for arm in arms))
    scores = [one for one in [*asked, *_SCORES] if is_test(one)]
    return next((one for one in scores if {one, screening(one)} & found), None)


def costs_among(asked: Sequence[str], arms: Sequence[Arm]) -> list[str]:
    """The usual costs and those asked for that all arms measured alike: same machine, same method."""
    wanted = [one for one in asked if one in METRICS and METRICS[one].better == "min" and not is_test(one)]
    found = [one for one in dict.fromkeys([*wanted, *_COSTS]) if all(arm.of(one).n for arm in arms)]
    kept = [one for one in found if complaint(one, arms) is None]
    # Bytes and parameters are one cost told twice, unless it was asked for both.
    twice = {"size/parameters"} - set(wanted) if "size/bytes" in kept else set()
    return [one for one in kept if one not in twice]


def front_of(arms: Sequence[Arm], score: str, cost: str) -> list[Arm]:
    """The arms that no other is at least as good as in both and better in one, the cheapest first."""
    means = [{metric: arm.of(metric).mean for metric in (score, cost) if arm.of(metric).n} for arm in arms]
    kept = front(means, better([score, cost]))
    return sorted((arms[place] for place in kept), key=lambda arm: arm.of(cost).mean)


def fronts(arms: Sequence[Arm], asked: Sequence[str], names: ArmNames) -> list[str]:
    """Which of the confirmed arms are on the front, and the probability that each dominates the control."""
    score = score_among(asked, arms)
    if score is None or not any(arm.control for arm in arms) or len(arms) < 2:
        return []
    costs = costs_among(asked, arms)
    if not costs:
        return []
    metrics = better([score, *costs])
    kept = set(front([arm.means for arm in arms], metrics))
    rows = [
        [names(arm), "yes" if at in kept else "no", *_sure(arm, beside(arm, arms), score, costs)]
        for at, arm in enumerate(arms)
    ]
    both = [f"better in {words(score)} and {words(cost)}" for cost in costs]
    heads = ["arm", "on the front of means", *both, "in all"]
    return [
        *table(heads, rows),
        "",
        "The last columns are the probability that the arm's mean is better than the control's in both at "
        "once, then in all of them, paired by seed; a dash: fewer than three pairs, or no spread.",
    ]


def _sure(arm: Arm, control: Arm | None, score: str, costs: Sequence[str]) -> list[str]:
    if arm.control or control is None:
        return [""] * (len(costs) + 1)
    each = [_better(arm, control, [score, cost]) for cost in costs]
    whole = _better(arm, control, [score, *costs])
    # It may rest on fewer pairs than its parts, and is no likelier than the least likely of those.
    least = min([whole, *(one for one in each if one is not None)]) if whole is not None else None
    return [_words(one) for one in (*each, least)]


def _better(arm: Arm, control: Arm, metrics: Sequence[str]) -> float | None:
    """The probability that an arm is better than the control on all metrics at once."""
    return dominance(_values(arm, metrics), _values(control, metrics), better(metrics)).probability


def _values(arm: Arm, metrics: Sequence[str]) -> Mapping[str, Mapping[int, float]]:
    return {metric: arm.by_seed(metric) for metric in metrics}


def _words(probability: float | None) -> str:
    if probability is None:
        return "-"
    share = 100 * probability
    return "> 99 %" if share > 99 else "< 1 %" if share < 1 else f"{share:.0f} %"


@final
@dataclass(frozen=True)
class Picture:
    """One SVG file and what is said of it in the report."""

    file: str
    title: str
    svg: str
    told: str


def of_campaign(found: Findings) -> list[Picture]:
    """The front of what was confirmed, that of what was screened, and curves; each where there is any."""
    confirmed, screened, names = found.arms("confirmed"), found.arms("screened"), found.names
    score = score_among(found.asked, confirmed or screened)
    if score is None:
        return []
    costs = list(dict.fromkeys(["train/energy_j", *_cost(found.objective.metric)]))
    drawn = []
    for cost in costs:
        name = cost.replace("/", "-")
        how = "Screened, validation split"
        drawn.append(_front(f"confirmed-{name}.svg", confirmed, score, cost, "Confirmed, test split", names))
        drawn.append(_front(f"screened-{name}.svg", screened, screening(score), cost, how, names))
    best = [arm for arm in found.best if not arm.stopped][:_CURVES]
    drawn.append(curves("curves.svg", found.store, confirmed or best, screening(score), names))
    return [one for one in drawn if one]


def of_arms(
    store: Store, arms: Sequence[Arm], asked: Sequence[str], stage: str, names: ArmNames
) -> list[Picture]:
    """The front and the curves of arms of one stage, as of a recipe or a sweep; `asked` scores come first."""
    score = score_among([one for one in asked if is_test(one)], arms)
    if score is None:
        return []
    seen = score if any(arm.of(score).n for arm in arms) else screening(score)
    costs = dict.fromkeys(["train/energy_j", *(cost for one in asked for cost in _cost(one))])
    drawn = [_front(f"{cost.replace('/', '-')}.svg", arms, seen, cost, stage, names) for cost in costs]
    return [one for one in [*drawn, curves("curves.svg", store, arms, screening(score), names)] if one]


def _front(
    file: str, arms: Sequence[Arm], score: str, cost: str, stage: str, names: ArmNames
) -> Picture | None:
    """Arms as dots of cost and score with the front; None where fewer than two can stand side by side."""
    shown = [arm for arm in arms if arm.of(score).n and arm.of(cost).n]
    if complaint(cost, arms):  # asked of all at once first, which thousands of arms make a difference to
        shown = [arm for arm in shown if not _apart(arms, arm, cost)]
    if len(shown) < 2 or complaint(cost, shown):
        return None
    best = front_of(shown, score, cost)
    large = [arm for arm in shown if arm.control or arm.stopped or arm.status == "supported"]
    rest = [arm for arm in shown if arm not in large]
    each = len(shown) <= _CONFIRMED and any(arm.of(score).half_width for arm in rest)
    own = [*large, *(rest if each else [])]
    labels = [names.legend(arm) for arm in own if names(arm)]
    series = [
        Series(label, (_point(arm, score, cost),), large=arm in large)
        for label, arm in zip(labels, own, strict=True)
    ]
    if rest and not each:
        series.append(Series(f"other arms ({len(rest)})", tuple(_point(arm, score, cost) for arm in rest)))
    line = tuple(_point(arm, score, cost) for arm in best)
    series.append(Series("front: nothing shown is better in both", line, "front"))
    seeds = sorted({arm.of(score).n for arm in shown})
    n = f"n = {seeds[0]}" if len(seeds) == 1 else f"n = {seeds[0]} to {seeds[-1]}"
    bars = ", bars are 95 % t-intervals" if seeds[-1] > 1 else ""
    title, note = f"{capital(words(twin(score)))} against {words(cost)}", f"{stage}; {n}{bars}"
    told = f"{len(shown)} arms, {len(best)} on the front: {', '.join(map(names, best[:8]))}."
    log = min(arm.of(cost).mean for arm in shown) > 0
    svg = chart(title, note, told, _axis(cost, shown, log), _axis(score, shown), series)
    return Picture(file, f"{title}: {note}", svg, told)


def curves(file: str, store: Store, arms: Sequence[Arm], metric: str, names: ArmNames) -> Picture | None:
    """Means over seeds of a metric against the joules spent so far; None where nothing took them."""
    shown = [arm for arm in arms[:_CONFIRMED] if not _apart(arms, arm, "train/energy_j")]
    drawn = [(arm, curve(store, arm, metric)) for arm in shown if names(arm)]
    series = [Series(names.legend(arm), line, "line") for arm, line in drawn if len(line) > 1]
    if not series:
        return None
    title, note = f"{capital(words(twin(metric)))} while training", _CURVE_NOTE
    told = f"{'; '.join(_end(one, metric) for one in series)}."
    svg = chart(title, note, told, _axis("train/energy_j", shown), _axis(metric, shown), series)
    return Picture(file, f"{title}: {note[:1].lower()}{note[1:]}", svg, told)


def _end(one: Series, metric: str) -> str:
    last = one.points[-1]
    return f"{one.name} ends at {quantity(metric, last.y)} after {quantity('train/energy_j', last.x)}"


def shown(drawn: Sequence[Picture]) -> list[str]:
    """The pictures as the report shows them, what each tells beneath it."""
    lines = [line for one in drawn for line in (f"![{one.title}]({one.file})", "")]
    return section("Pictures", lines[:-1])


def _apart(arms: Sequence[Arm], arm: Arm, cost: str) -> bool:
    """Whether the arm's cost was taken otherwise than the first arm's."""
    return complaint(cost, [arms[0], arm]) is not None


def _cost(metric: str) -> list[str]:
    known = METRICS.get(metric)
    return [metric] if known and known.better == "min" and not is_test(metric) else []


def _point(arm: Arm, score: str, cost: str) -> Point:
    across, up = arm.of(cost), arm.of(score)
    own, reached = " ".join(arm.overrides) or "defaults", quantity(score, up.mean)
    label = f"{own}: {reached} at {quantity(cost, across.mean)}, n = {up.n}"
    return Point(across.mean, up.mean, across.half_width or 0.0, up.half_width or 0.0, label)


def _axis(metric: str, arms: Sequence[Arm], log: bool = False) -> Axis:
    how = f" [{method(arms)}]" if is_energy(metric) else ""
    plain = is_score(metric)
    return Axis(
        f"{capital(words(metric))}{how}",
        (lambda value: f"{value:g}") if plain else (lambda value: quantity(metric, value)),
        log,
    )


_SEEDS = 10
"""curves of an arm that are read: ten tell its mean, and each is a query"""


def curve(store: Store, arm: Arm, metric: str, axis: str = "joule") -> tuple[Point, ...]:
    """Mean of the metric and of the axis (`joule`, `second` or `step`) at each step that all seeds have.

    Empty where a trial has no such point, or no figure of the axis. Trials whose training was disturbed are
    left out of an axis that a clock takes.
    """
    pairs = zip(arm.rows, arm.results, strict=True)
    kept = [one for one, told in pairs if axis == "step" or not disturbed("train/seconds", told)]
    return tuple(_points([store.curve(trial.id) for trial in kept[:_SEEDS]], metric, axis))


def _points(found: list[list[dict[str, float]]], metric: str, axis: str) -> Iterator[Point]:
    by_step = [{point["step"]: point for point in one if metric in point} for one in found]
    steps = sorted(set.intersection(*map(set, by_step))) if by_step else []
    for step in steps:
        points = [one[step] for one in by_step]
        across, up = summary(point[axis] for point in points), summary(point[metric] for point in points)
        if across.n == up.n == len(points) and math.isfinite(up.mean):
            yield Point(across.mean, up.mean, up=0.0, label=f"step {step:g}")
