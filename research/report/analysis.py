"""statistical_analysis.md: every comparison in its order, with what it assumes and what was promised."""

import math
from dataclasses import replace

from research.metrics import is_ratio, is_timed
from research.report.answer import opening, power_words, powered
from research.report.cost import as_good
from research.report.findings import Findings, Row
from research.report.markdown import code, plain, prose, section, table
from research.stats.alpha import Errors
from research.stats.arms import Arm, apart, between
from research.stats.claims import Part
from research.stats.intervals import summary
from research.stats.sentences import difference, method_words
from research.stats.verdicts import bound_reason
from research.types import Comparison, Verdict

_MOST = 100


def text(found: Findings) -> str:
    """The analysis as Markdown."""
    parts = [
        f"# Statistical analysis: {plain(found.sprint['goal'])}",
        *opening(found),
        *section("What is promised", _promise(found)),
        *section("Every comparison, in the order in which it was judged", _order(found)),
        *(line for at, row in enumerate(found.found[:_MOST], start=1) for line in _one(found, row, at)),
        *section("What this rests on", _assumptions(found)),
    ]
    return "\n".join([*parts, *section("Arms", found.names.table())]) + "\n"


def _promise(found: Findings) -> list[str]:
    alpha = found.told.charter.get("alpha")
    if alpha is None:
        return ["This was judged without a charter: no error rate of a whole campaign was promised."]
    return [
        f"If nothing that was tried had any effect, at most {100 * float(alpha):g} % of campaigns such as "
        "this would report a finding (family-wise error, A/A guarantee). The budget of errors is handed out "
        "as the comparisons come, by the online fallback procedure (Tian and Ramdas 2021, Statistical "
        "Methods in Medical Research 30): comparison k gets a fixed share of it that shrinks with k, plus "
        "what the comparison before it had if that one was supported. So the campaign may stop when it "
        "likes, and comparisons may share their control. A comparison is judged by one-sided tests, and all "
        "looks at an arm, with more seeds each time, share its rate (Lan and DeMets 1983, Biometrika 70); "
        "the table has the last look at each, and its interval holds over all of them.",
        "",
        "Screening and promotion only choose what is compared. Their figures are of other seeds and of the "
        "validation split, and nothing is claimed from them.",
    ]


def _order(found: Findings) -> list[str]:
    if not found.found:
        return ["None: no contender was compared with the control on fresh seeds."]
    heads = ["#", "arm", "metric", "level", "n", "difference", "effect size", "p", "power", "verdict"]
    rows = [_row(found, row, at) for at, row in enumerate(found.found[:_MOST], start=1)]
    words = found.told.comparisons
    counted = f"{len(words)} ({', '.join(plain(one, 20) for one in words[:40])})"
    looks = [f"Comparisons in all, each test of being as good counted: {counted}."]
    left = len(found.found) - len(rows)
    more = ["", f"{left} more comparisons are in the database."] if left > 0 else []
    return [*table(heads, rows), *(["", *looks] if words else []), *more]


def _row(found: Findings, row: Row, at: int) -> list[str]:
    compared = row["insight"].verdict.comparison
    arm = found.arm_of(row)
    name = found.names(arm) if arm else "-"
    if compared is None:
        return [str(at), name, *["-"] * 7, row["word"]]
    power = powered(found, compared)
    at_least = "-" if power is None or not power.effect else f"{100 * power.power:.0f} %"
    return [
        str(at),
        name,
        plain(f"{compared.metric} [%]" if compared.unit else compared.metric),
        f"{100 * compared.level:.4g} %",
        str(compared.n),
        difference(compared),
        "-" if compared.effect_size is None else f"{compared.effect_size:.3g}",
        "-" if compared.p_value is None else f"{compared.p_value:.3g}",
        at_least,
        row["word"],
    ]


def _one(found: Findings, row: Row, at: int) -> list[str]:
    """A comparison by itself: the pairs, the power, the bounds, what it is worth."""
    insight = row["insight"]
    verdict: Verdict = insight.verdict
    named = found.arm_of(row)
    arm, control = (_decided(side, verdict) for side in (named, found.control_of(row)))
    lines = [
        prose(insight.claim),
        "",
        f"- verdict: {row['word']}, because {plain(verdict.reason)}",
        f"- trials: {_trials(verdict)}; energy: {plain(method_words(insight.energy_method))}",
    ]
    if verdict.comparison is not None and verdict.told is not None:
        lines.append(
            f"- size: {difference(verdict.told)}, {plain(verdict.told_by)}; what decided says "
            f"{difference(verdict.comparison)}, which is too large by having been chosen"
        )
    if verdict.comparison is not None:
        power = powered(found, verdict.comparison)
        lines += [f"- power: {power_words(power, verdict.comparison.unit)}"] if power else []
        lines += _pairs(control, arm, verdict.comparison) if control and arm else []
    lines += _bounds(found, control, arm, verdict)
    lines += _equivalent(row)
    lines.append(f"- again: {code(insight.command, 2000)}")
    name = found.names(named) if named else "an arm"
    return ["", f"### {at}. {name}", "", *lines]


def _decided(arm: Arm | None, verdict: Verdict) -> Arm | None:
    """The arm with the trials of this comparison alone: others of it may be another sprint's."""
    if arm is None:
        return None
    pairs = zip(arm.rows, arm.results, strict=True)
    kept = [(trial, told) for trial, told in pairs if trial.id in verdict.trial_ids]
    rows, results = tuple(trial for trial, _ in kept), tuple(told for _, told in kept)
    return replace(arm, rows=rows, results=results)


def _trials(verdict: Verdict) -> str:
    shown = ", ".join(map(str, verdict.trial_ids[:40]))
    left = len(verdict.trial_ids) - 40
    return f"{shown} and {left} more" if left > 0 else shown or "none"


def _pairs(control: Arm, arm: Arm, compared: Comparison) -> list[str]:
    """The differences themselves, and what needs no assumption about their distribution: their signs."""
    metric = compared.metric
    before, after = control.by_seed(metric), arm.by_seed(metric)
    seeds = [seed for seed in sorted(set(before) & set(after)) if math.isfinite(after[seed] - before[seed])]
    if not seeds:
        return []
    changes = [_change(metric, before[seed], after[seed]) for seed in seeds]
    shown = ", ".join(f"{one:+.3g}" for one in changes[:30])
    unit = " %" if is_ratio(metric) else ""
    lower = sum(after[seed] < before[seed] for seed in seeds)
    equal = sum(after[seed] == before[seed] for seed in seeds)
    ties = f" and {equal} equal to it" if equal else ""
    told, span = summary(changes), apart([(control.rows, arm.rows)]) if is_timed(metric) else None
    spread = "" if told.std is None else f"; their standard deviation is {told.std:.3g}{unit}"
    return [
        f"- pairs, seed by seed{' in percent' if unit else ''}: {shown}{spread}",
        f"- of {len(seeds)} pairs {lower} are lower than the control{ties}; a sign test, which assumes "
        f"nothing of the distribution, gives p = {_sign_test(lower, len(seeds) - equal):.3g}",
        *([f"- {span}, which is how far the machine may have drifted between them"] if span else []),
    ]


def _change(metric: str, before: float, after: float) -> float:
    return 100 * (after / before - 1) if is_ratio(metric) and before else after - before


def _sign_test(lower: int, n: int) -> float:
    """Two-sided: the chance of a split as uneven as this one, or more, by tossing a coin; n without ties."""
    tail = min(lower, n - lower)
    return float(min(1.0, 2 * sum(math.comb(n, k) for k in range(tail + 1)) / 2**n))


def _bounds(found: Findings, control: Arm | None, arm: Arm | None, verdict: Verdict) -> list[str]:
    """Each bound of the goal as the arm's trials keep it, at the level of the comparison."""
    if arm is None or control is None or verdict.comparison is None:
        return []
    compared = verdict.comparison
    tail = 1 - compared.level if compared.tail is None else compared.tail
    parts = map(Part.keeping, found.objective.constraints)
    judged = [between(part, control, arm, Errors(tail, tail), arm.seeds) for part in parts]
    sure = f"one-sided at {100 * (1 - tail):.4g} %, n = {len(arm.rows)}"
    return [f"- bound: {plain(bound_reason(one)[1])} ({one.word}, {sure})" for one in judged]


def _equivalent(row: Row) -> list[str]:
    """The tests of being no worse than the control in what was to be kept; none where nothing was tested."""
    told = row["facts"].get("equivalent") or {}
    tested = told.items() if isinstance(told, dict) else ()
    return [f"- two one-sided tests of {plain(metric, 60)}: {as_good(one)}" for metric, one in tested]


def _assumptions(found: Findings) -> list[str]:
    compared = [row["insight"].verdict.comparison for row in found.found]
    ratio = any(one is not None and one.scale == "relative" for one in compared)
    lines = [
        "- Arms are paired by seed: what a seed does to both arms alike cancels. Seeds of the confirmation "
        "were used by no screening.",
        "- The interval is Student's t on the differences. It assumes that they are roughly normal, which "
        "few pairs cannot check; that is why the pairs are listed and their signs counted.",
        "- The effect size is Cohen's dz: the mean difference by the standard deviation of the differences.",
        "- Power is that of the smallest effect of interest with the spread that was seen, never of the "
        "effect that was seen.",
    ]
    if ratio:
        lines.append(
            "- Costs are compared by the logarithm of their ratio, and told in percent of the control."
        )
    methods = sorted({plain(method_words(row["insight"].energy_method)) for row in found.found})
    lines += [
        f"- Energy: {one}; figures of two methods or two kinds of machine are not compared."
        for one in methods
    ]
    return [*lines, "- With fewer than 3 pairs nothing is decided."]
