"""Score against what it costs: which arms nothing beats, and how sure it is that an arm beats the control."""

from collections.abc import Mapping, Sequence

from research.metrics import METRICS, is_test, screening, words
from research.report.markdown import table
from research.report.names import ArmNames
from research.stats.arms import Arm, beside, complaint
from research.stats.front import Dominance, better, dominance, front

_SCORES = ("test/accuracy", "test/bits_per_byte", "test/loss")
_COSTS = ("train/energy_j", "infer/latency_s_p50", "size/bytes", "size/parameters")


def score_among(asked: Sequence[str], arms: Sequence[Arm]) -> str | None:
    """The first score, asked for or usual, that an arm measured on either split; its test key."""
    found = {key for arm in arms for key in arm.measured}
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
    each = [_words(dominates(arm, control, [score, cost])) for cost in costs]
    return [*each, _words(dominates(arm, control, [score, *costs]))]


def dominates(arm: Arm, control: Arm, metrics: Sequence[str]) -> Dominance:
    """How sure it is that an arm is better than the control on all metrics at once."""
    return dominance(_values(arm, metrics), _values(control, metrics), better(metrics))


def _values(arm: Arm, metrics: Sequence[str]) -> Mapping[str, Mapping[int, float]]:
    return {metric: arm.by_seed(metric) for metric in metrics}


def _words(found: Dominance) -> str:
    if found.probability is None:
        return "-"
    share = 100 * found.probability
    return "> 99 %" if share > 99 else "< 1 %" if share < 1 else f"{share:.0f} %"
