"""A campaign without effects finds one in at most 5 % of cases, whatever its arms look like."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from refusal import Refusal
from research.statistics.campaign import Campaign, earlier
from research.stats import judge
from research.types import Verdict


def gaussian(rng: np.random.Generator, n: int) -> np.ndarray:
    return rng.normal(0.9, 0.02, n)


def coarse(rng: np.random.Generator, n: int) -> np.ndarray:
    """Accuracies on 90 examples: few different values, many equal differences."""
    return rng.binomial(90, 0.97, n) / 90


def skewed(rng: np.random.Generator, n: int) -> np.ndarray:
    """Costs: a few seeds take much longer than the rest."""
    return rng.lognormal(0, 0.5, n)


def findings(draw, n: int, campaigns: int, comparisons: int) -> float:
    """The share of campaigns with a finding, in either direction; all arms are drawn alike."""
    rng, found = np.random.default_rng(n), 0
    for _ in range(campaigns):
        campaign, words = Campaign(0.05), set()
        control = dict(enumerate(draw(rng, n).tolist()))  # one control for all, as in a sprint
        for _ in range(comparisons):
            verdict = judge(control, dict(enumerate(draw(rng, n).tolist())), metric="m", level=campaign.level)
            campaign.record(verdict)
            words.add(verdict.word)
        found += words != {"open"}
    return found / campaigns


@pytest.mark.parametrize(("draw", "n"), [(gaussian, 3), (coarse, 3), (coarse, 5), (skewed, 5)])
def test_a_campaign_of_a_against_a_seldom_finds_anything(draw, n: int) -> None:
    assert findings(draw, n, 80, 20) <= 0.05 + 3 * math.sqrt(0.05 * 0.95 / 80)


@pytest.mark.slow
@pytest.mark.parametrize(("draw", "n"), [(gaussian, 3), (gaussian, 5), (coarse, 3), (coarse, 5), (skewed, 5)])
def test_a_campaign_of_a_against_a_errs_in_at_most_one_of_twenty_cases(draw, n: int) -> None:
    share = findings(draw, n, 1000, 50)
    print(f"{share:.1%} of 1000 A/A campaigns of 50 comparisons, {draw.__name__}, n = {n}")
    assert share <= 0.05


@given(st.floats(0.001, 0.5), st.integers(1, 300))
def test_without_findings_the_error_rates_add_up_to_at_most_alpha(alpha: float, count: int) -> None:
    campaign, spent = Campaign(alpha), []
    for _ in range(count):
        spent.append(campaign.alpha)
        campaign._count(supported=False)
    assert math.fsum(spent) < alpha and spent == sorted(spent, reverse=True)
    assert campaign.level == 1 - campaign.alpha


@given(st.lists(st.booleans(), max_size=30))
def test_a_finding_hands_its_rate_on_and_a_campaign_is_continued_from_its_history(
    history: list[bool],
) -> None:
    campaign = Campaign(0.05)
    for supported in history:
        before = campaign.alpha
        campaign._count(supported)
        alone = 0.05 * (campaign.count + 1) ** -1.6 / 2.2857656657
        assert campaign.alpha == pytest.approx(alone + (before if supported else 0.0))
    assert Campaign(0.05, history).alpha == campaign.alpha
    assert campaign.alpha <= 0.05


def test_the_first_rates_are_the_published_ones() -> None:
    campaign = Campaign(0.05)
    assert campaign.alpha == pytest.approx(0.05 / 2.285766, rel=1e-6)
    with pytest.raises(Refusal, match="error rate"):
        Campaign(5.0)


def verdict(word: str) -> Verdict:
    return Verdict(word=word, comparison=None, reason="", trial_ids=())  # type: ignore[arg-type]


@settings(max_examples=20)
@given(st.lists(st.lists(st.sampled_from(["supported", "refuted", "open"]), max_size=6), max_size=5))
def test_sprint_by_sprint_a_campaign_is_the_same_as_in_one(sprints: list[list[str]]) -> None:
    whole, rows = Campaign(0.05), []
    for number, words in enumerate(sprints, start=1):
        campaign = Campaign(0.05, earlier(rows, "mine", number))
        for word in words:
            assert campaign.alpha == whole.alpha
            for one in (campaign, whole):
                one.record(verdict(word))
        assert campaign.words == tuple(words)
        facts = {"campaign": "mine", "number": number, "comparisons": list(campaign.words)}
        rows.append({"facts": facts})
        rows.append({"facts": facts | {"comparisons": words[:1]}})  # killed, and typed again
        rows.append({"facts": facts | {"campaign": "another"}})
    assert Campaign(0.05, earlier(rows, "mine", len(sprints) + 1)).alpha == whole.alpha


def test_a_sprint_that_is_run_again_starts_where_its_first_run_did() -> None:
    facts = {"campaign": "mine", "number": 2, "comparisons": ["supported", "open"]}
    rows = [{"facts": {"campaign": "mine"}}, {"facts": facts}, {"facts": {}}]
    assert earlier(rows, "mine", 2) == [] and earlier(rows, "mine", 3) == [True, False]
