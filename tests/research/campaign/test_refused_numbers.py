"""Numbers with which a campaign could do nothing are one sentence before anything is run."""

from pathlib import Path

import pytest

from refusal import Refusal
from research.campaign.charter import charter
from research.tasks.line import settings

CONF = Path(__file__).parents[3] / "conf"


@pytest.mark.parametrize(
    ("typed", "named"),
    [
        ("screen.turns=0", "screen.turns"),
        ("screen.turns=-3", "screen.turns"),
        ("screen.at_once=0", "screen.at_once"),
        ("promote.seeds=[]", "promote.seeds"),
        ("promote.arms=0", "promote.arms"),
        ("screen.seeds=[]", "screen.seeds"),
        ("confirm.seeds=2", "confirm.seeds"),
        ("sprint.minutes=0", "sprint.minutes"),
        ("alpha=0", "alpha"),
        ("proposer.shares=null", "proposer.shares"),
        ("proposer.shares={tpe: x}", "shares.tpe"),
        ("budget.dollars=-1", "budget.dollars"),
        ("budget.seconds=abc", "budget.seconds"),
    ],
)
def test_a_number_that_lets_nothing_happen_is_refused_by_its_name(typed: str, named: str) -> None:
    config = settings([typed], CONF)
    with pytest.raises(Refusal) as refused:
        charter(config, CONF)
    assert named in str(refused.value) and "\n" not in str(refused.value)
