"""Who has which share of the turns: by what is asked."""

import pytest

from refusal import Refusal
from research.campaign.campaign import CONF
from research.campaign.charter import charter
from research.tasks import line


def shares(*typed: str) -> dict[str, float]:
    return charter(line.settings(typed, CONF), CONF).shares


@pytest.mark.parametrize("goal", ["90 % accuracy for fewer joules", "smallest network above 90 % accuracy"])
def test_a_cost_within_bounds_of_scores_is_searched_with_little_of_the_forest(goal: str) -> None:
    found = shares(f"goal={goal}")
    assert found["forest"] == 0.1 < found["neighbour"]
    assert shares(f"goal={goal}", "proposer.of_costs={forest: 0.4}")["forest"] == 0.2
    assert shares(f"goal={goal}", "proposer.shares.forest=0")["forest"] == 0, "what was typed holds"


@pytest.mark.parametrize("goal", ["the best accuracy", "best accuracy under 50 J", "fewest parameters"])
def test_any_other_goal_is_searched_with_it(goal: str) -> None:
    assert shares(f"goal={goal}")["forest"] == 0.5


@pytest.mark.parametrize("odd", ["3", "{forest: -1}", "{forest: true}", "{forest: much}"])
def test_what_is_no_factor_of_a_share_is_refused(odd: str) -> None:
    with pytest.raises(Refusal, match=r"proposer\.of_costs=.* must be factors"):
        shares("goal=90 % accuracy for fewer joules", f"proposer.of_costs={odd}")
