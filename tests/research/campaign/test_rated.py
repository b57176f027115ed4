"""What a finding is worth beside earlier ones of the same store."""

import pytest

from campaign_lab import Lab, Scripted, energy

pytestmark = pytest.mark.slow


def test_a_finding_on_other_trials_is_reproduced_and_no_longer_new(lab: Lab) -> None:
    rated = []
    for seed in (1, 2):
        found = lab.campaign(
            lab.charter(energy(), seed=seed), [Scripted("optimizer.lr=0.01 budget.steps=60")]
        )
        (row,) = [row for row in found.found if row["word"] == "supported"]
        rubric = row["facts"]["rubric"]
        rated.append({name: rubric[name]["holds"] for name in ("new", "reproduced")})
    assert rated == [{"new": True, "reproduced": False}, {"new": False, "reproduced": True}]
