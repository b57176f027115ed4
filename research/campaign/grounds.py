"""What the mean of an arm, or its difference from the control, rests on: the bench's trials, asked once."""

from collections.abc import Sequence

from research.campaign.bench import Arm, Bench
from research.stats.draws import Ground, of_arm, of_pair


def ground(bench: Bench, metric: str, seeds: Sequence[int], arm: Arm, control: Arm | None = None) -> Ground:
    """Of the arm's mean over the seeds; with a control, of the difference from it."""
    sides = [one for one in (control, arm) if one is not None]
    first, *rest = (bench.trials(one, seeds) for one in sides)
    results = {one.trial_id: one for side in sides for one in bench.results(side, seeds).values()}
    return of_pair(metric, first, rest[0], results) if rest else of_arm(metric, first, results)
