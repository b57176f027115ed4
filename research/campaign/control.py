"""The control of a sprint, which all else is compared with, and the objective as it is screened beside it.

Where the defaults break a bound of the goal, a campaign first claims that something keeps it. That is the
control from then on, so that costs are compared among configurations that do what the goal asks for.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple, final

from refusal import Refusal
from research.campaign.bench import Arm, Bench
from research.campaign.charter import Charter
from research.campaign.rows import Rows
from research.campaign.stopped_control import Climb, Shortest, asked_for, recalled, stopped_arm
from research.metrics import (
    compares,
    described,
    is_timed,
    is_validation,
    quantity,
    rank,
    screening_objective,
    shortfall,
    shown,
    twin,
)
from research.stats.alpha import rate
from research.stats.power import detectable
from research.store.store import Store
from research.types import Constraint, Objective, Proposal, Record


@final
class Baseline(Record):
    """The control of a sprint beside what is fixed."""

    overrides: tuple[str, ...] = ()
    """none: the defaults"""
    sprint: int | None = None
    """the sprint that confirmed it"""

    @property
    def confirmed(self) -> bool:
        """Whether it is known to keep every bound of the goal."""
        return self.sprint is not None


@final
class Room(NamedTuple):
    """What decides how far inside a bound a share must be screened for fresh seeds to settle it."""

    examples: float
    """of one draw: of a split, where each seed draws its own; one, where all are tested on one set"""
    seen: int
    """draws that all contenders are chosen by: what is easy about those is no merit of any"""
    looks: tuple[tuple[int, float], ...]
    """draws that confirm, splits or the examples of the one set, and the one-sided p-value of each look"""

    def inside(self, share: float) -> float:
        """The room of a bound on a share, from which on one of its looks settles it in four of five cases."""
        if not self.examples or not self.seen or not 0 < share < 1:
            return 0.0
        spread = math.sqrt(share * (1 - share) / self.examples)
        return min(detectable(fresh, spread, tail, self.seen) for fresh, tail in self.looks)


def baseline(store: Store, earlier: Sequence[Mapping[str, Any]], metric: str) -> Baseline:
    """The control after the `earlier` sprints of a campaign, whose goal is about `metric`."""
    for number, sprint in reversed(list(enumerate(earlier, start=1))):
        for row in store.insights(sprint_id=sprint["id"]):
            if row["word"] == "supported" and not compares(row["insight"].verdict, metric):
                rows = {own["id"]: own["proposal"] for own in store.proposals(sprint_id=sprint["id"])}
                return Baseline(overrides=rows[row["proposal_id"]].overrides, sprint=number)
    return Baseline()


def control_arm(charter: Charter, bench: Bench, rows: Rows, baseline: Baseline) -> Arm:
    """The control with its screening trials; raises `Refusal` where it cannot be run."""
    hypothesis = "The control: the defaults with what the goal and the person fix."
    if baseline.confirmed:
        hypothesis = f"The control: what sprint {baseline.sprint} has shown to keep the goal's bounds."
    proposal = Proposal(hypothesis=hypothesis, overrides=baseline.overrides, proposer="control")
    control = Arm(baseline.overrides, "control", rows.open(proposal, "running", {}))
    seeds = charter.screen.seeds
    bench.run([(control, seed) for seed in (*seeds, *company(charter))])
    reason = control.failed(seeds)
    bench.note(
        control,
        "failed" if reason else "control",
        reasons=[reason] if reason else [],
        screened=[control.trials[seed] for seed in seeds if seed in control.trials],
    )
    if reason:
        over = "its box was over, give more by sprint.minutes"
        raise Refusal(_no_control(over if control.cut(seeds) else reason))
    return control


def company(charter: Charter) -> range:
    """Seeds that keep the machine as busy as proposals will find it: alone, the control looks cheap."""
    screen, last = charter.screen, charter.confirm.first_seed
    busy = screen.at_once * len(screen.seeds) if is_timed(charter.goal.objective.metric) else 0
    return range(last - max(0, busy - len(screen.seeds)), last)


def wanted_of(
    charter: Charter, bench: Bench, control: Arm, notes: list[str], earlier: Sequence[Mapping[str, Any]]
) -> Objective:
    """The objective as it is screened; raises `Refusal` for a metric that trials here lack."""
    busy = bench.held(control, charter.screen.seeds)
    if busy:
        raise Refusal(f"{busy[:1].upper()}{busy[1:]}; sizes and scores can be asked for meanwhile.")
    insights = [bench.store.insights(sprint_id=row["id"]) for row in earlier]
    unsettled, room = missed(insights), _room(charter, bench, control, sum(map(len, insights)))
    asked, means = screening_objective(charter.goal.objective), bench.means(control, charter.screen.seeds)
    for metric in asked.metrics:
        if metric not in means:
            others = f"name another metric, for example {', '.join(sorted(means))}"
            raise Refusal(f"A trial here does not measure {metric}: {others}.")
    wanted = tightened(asked, room, unsettled, means)
    broken = [bound for bound in asked.constraints if shortfall(bound, means[bound.metric]) > 0]
    notes += [f"the control breaks {shown(one)}: {quantity(one.metric, means[one.metric])}" for one in broken]
    tight = [shown(bound) for bound in wanted.constraints if is_validation(bound.metric)]
    if tight:
        why = "because splits differ by chance and fresh ones must settle it"
        notes.append(f"screened with {' and '.join(tight)}, {why}")
    if unsettled:
        named = " and ".join(sorted(unsettled))
        notes.append(f"screened with a tighter bound on {named}, which no sprint before could settle")
    return wanted


def rebased(
    wanted: Objective, asked: Objective, before: Mapping[str, float], now: Mapping[str, float]
) -> Objective:
    """What is wanted where the control's figures are others, as over other seeds: by the `asked` bounds."""

    def moved(bound: Constraint, own: Constraint) -> Constraint:
        old, new = (figures.get(bound.metric, math.nan) for figures in (before, now))
        if own.of_control is None or not math.isfinite(new - old):
            return bound
        limit = bound.bound * new / old if own.of_control == "ratio" and old else bound.bound + new - old
        return bound.model_copy(update={"bound": limit})

    pairs = zip(wanted.constraints, asked.constraints, strict=True)
    return wanted.model_copy(update={"constraints": tuple(moved(*pair) for pair in pairs)})


def tightened(
    objective: Objective,
    room: Room,
    unsettled: Mapping[str, float] | None = None,
    control: Mapping[str, float] | None = None,
) -> Objective:
    """The screening objective as figures, with bounds on shares tighter by the `room` that each needs.

    A search goes to the bound. What just keeps it on the validation split misses it on every second test
    split, and what keeps it there by little is settled by no few of them. What sprints before could not
    settle is tightened by what was missing too: `unsettled`, by the metric of the test split. A bound
    relative to the control becomes a figure by the `control`'s own; both arms meet the same examples, so
    chance tightens it by half of a margin at most.
    """

    def tight(bound: Constraint) -> Constraint:
        known, more = described(bound.metric), (unsettled or {}).get(twin(bound.metric), 0.0)
        own = bound.resolved(control or {}).bound
        if bound.op == "<=":
            return _at(bound, own - more)
        if known is None or known.unit != "share":
            return _at(bound, own + more)
        margin, most = room.inside(own), max(own, (1 + own) / 2)
        far = 1.0 if bound.of_control is None else (control or {}).get(bound.metric, own)
        near = min(margin, (far - own) / 2) if far > own else margin
        return _at(bound, round(min(own + near + more, most), 5))

    return objective.model_copy(update={"constraints": tuple(map(tight, objective.constraints))})


def _room(charter: Charter, bench: Bench, control: Arm, judged: int) -> Room:
    """The room in a campaign that has judged so many contenders before."""
    screen, confirm = charter.screen.seeds, charter.confirm
    examples = min(result.facts.get("scored", 0) for result in bench.results(control, screen).values())
    counts, own = (
        [confirm.seeds * (look + 1) for look in range(confirm.looks)],
        rate(charter.alpha, judged + 1),
    )
    tails = [own.at(counts[:look], confirm.looks).tails[0] for look in range(1, confirm.looks + 1)]
    if bench.typed.split(control.overrides):
        return Room(examples, 1, tuple(zip(counts, tails, strict=True)))
    return Room(1.0, int(examples), tuple((int(examples), tail) for tail in tails))


def _at(bound: Constraint, limit: float) -> Constraint:
    return bound.model_copy(update={"bound": limit, "of_control": None})


def missed(sprints: Iterable[Iterable[Mapping[str, Any]]]) -> dict[str, float]:
    """Metric -> by how much more a bound must be kept that whole sprints left open, from their insights.

    A sprint counts by its narrowest interval; not where a contender kept all bounds or was refuted otherwise.
    """
    missing: dict[str, float] = {}
    for rows in sprints:
        told = [row["facts"].get("unsettled") or {} for row in rows]
        for metric in set.intersection(*map(set, told)) if told else ():
            missing[metric] = missing.get(metric, 0.0) + min(distances[metric] for distances in told)
    return missing


def stopped_control(
    charter: Charter,
    bench: Bench,
    rows: Rows,
    control: Arm,
    wanted: Objective,
    earlier: Sequence[Mapping[str, Any]],
) -> tuple[Shortest | None, Arm | None]:
    """What the control's ladder came to, and the arm of it; no ladder where it is no answer to the goal.

    What `earlier` sprints found is not looked for again.
    """
    if charter.ladder is None or not asked_for(wanted):
        return None, None
    screen = charter.screen.seeds
    if rank(wanted, bench.means(control, screen))[0]:
        return None, None
    seeds = (*screen, *company(charter))
    asked, means = screening_objective(charter.goal.objective), bench.means(control, screen)
    over = rebased(wanted, asked, means, bench.means(control, seeds))
    climb = Climb(bench, control, over, charter.ladder, seeds, charter.promote.seeds)
    shortest = recalled(earlier, control) or climb.run()
    # Where the budget has ended the ladder, nothing more is trained for it here.
    known = seeds if shortest.unknown else (*seeds, *charter.promote.seeds)
    return shortest, stopped_arm(bench, rows, shortest, screen, known)


def _no_control(reason: str) -> str:
    said = reason.split(" [printed:")[0].rstrip(".")
    if "launcher.timeout_s" in said:
        hint = "give more by budget.seconds, or make trials shorter, as by base=[budget.steps=100]"
    else:
        hint = "what belongs to train.py goes into base=[key=value]"
    return f"The control cannot be run, so nothing can be compared: {said} ({hint})."
