"""What the trials of two arms on a bench say of a claim: campaigns and recipes ask here."""

from collections.abc import Sequence
from dataclasses import replace

from research.campaign.bench import Arm, Bench
from research.stats.alpha import Errors
from research.stats.arms import between
from research.stats.claims import Claim
from research.stats.comparable import energy_method
from research.stats.draws import Ground
from research.stats.verdicts import PartVerdict


def judge(
    bench: Bench, claim: Claim, control: Arm, arm: Arm, seeds: Sequence[int], rate: Errors
) -> tuple[PartVerdict, ...]:
    """Each part of a claim, at the claim's error rate."""
    own = rate.among(len(claim.all))
    before, after = (taken(bench, side, seeds) for side in (control, arm))
    return tuple(between(part, before, after, own, seeds) for part in claim.all)


def ground(bench: Bench, metric: str, seeds: Sequence[int], arm: Arm, control: Arm | None = None) -> Ground:
    """What the arm's mean over the seeds rests on; with a control, its difference from that."""
    beside = None if control is None else taken(bench, control, seeds)
    return taken(bench, arm, seeds).ground(metric, beside)


def taken(bench: Bench, arm: Arm, seeds: Sequence[int]) -> Arm:
    """The arm with the rows and results of its trials of these seeds."""
    measured = [(trial, bench.result(trial.id)) for trial in bench.trials(arm, seeds)]
    pairs = [(trial, result) for trial, result in measured if result is not None]
    return replace(arm, rows=tuple(row for row, _ in pairs), results=tuple(told for _, told in pairs))


def method(bench: Bench, arm: Arm, seeds: Sequence[int]) -> str:
    """How the joules of the arm's trials were taken."""
    results = bench.results(arm, seeds).values()
    methods = {energy_method(result) for result in results if "train/energy_j" in result.metrics}
    return "+".join(sorted(filter(None, methods))) or "not measured"
