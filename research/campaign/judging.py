"""What the trials of two arms say of a claim: campaigns and recipes judge here, by one policy."""

from collections.abc import Sequence

from research.campaign.bench import Arm, Bench
from research.stats.alpha import Errors
from research.stats.claims import Claim, Part
from research.stats.comparable import comparable, energy_method
from research.stats.draws import Ground, of_arm, of_pair
from research.stats.verdicts import PartVerdict, judged
from research.types import Result, Trial


def judge(
    bench: Bench, claim: Claim, control: Arm, arm: Arm, seeds: Sequence[int], rate: Errors
) -> tuple[PartVerdict, ...]:
    """Each part of a claim, at the claim's error rate; open where its figures must not be compared."""
    own = rate.among(len(claim.all))
    return tuple(_part(bench, part, control, arm, seeds, own) for part in claim.all)


def _part(
    bench: Bench, part: Part, control: Arm, arm: Arm, seeds: Sequence[int], rate: Errors
) -> PartVerdict:
    # A bound is about the arm alone.
    beside = control if part.bound is None else None
    before, after = (bench.values(side, part.metric, seeds) for side in (control, arm))
    found = judged(part, before, after, rate, ground(bench, part.metric, seeds, arm, beside))
    trials = [trial for side in (beside, arm) if side is not None for trial in bench.trials(side, seeds)]
    complaint = comparable(part.metric, trials, _results(bench, trials))
    return PartVerdict(part, "open", complaint, found.comparison) if complaint else found


def ground(bench: Bench, metric: str, seeds: Sequence[int], arm: Arm, control: Arm | None = None) -> Ground:
    """What the arm's mean over the seeds rests on; with a control, its difference from that."""
    after = bench.trials(arm, seeds)
    if control is None:
        return of_arm(metric, after, _results(bench, after))
    before = bench.trials(control, seeds)
    return of_pair(metric, before, after, _results(bench, [*before, *after]))


def _results(bench: Bench, trials: Sequence[Trial]) -> dict[int, Result]:
    return {trial.id: result for trial in trials if (result := bench.result(trial.id)) is not None}


def method(bench: Bench, arm: Arm, seeds: Sequence[int]) -> str:
    """How the joules of the arm's trials were taken."""
    results = bench.results(arm, seeds).values()
    methods = {energy_method(result) for result in results if "train/energy_j" in result.metrics}
    return "+".join(sorted(filter(None, methods))) or "not measured"
