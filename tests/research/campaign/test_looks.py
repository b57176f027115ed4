"""A recipe with more seeds remembers its looks, and a discovery is judged on seeds that did not choose it."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from research.campaign.recipe import Study, counts, earlier, unseen
from research.stats.alpha import errors

STUDY = {
    "question": "q", "claim": "c", "control": "model.width=128", "arms": ["model.width=64"], "seeds": 5,
    "claims": [{"says": "It is smaller", "all": [{"metric": "size/parameters", "less_by": 0}]}],
}  # fmt: skip


def row(folder: str = "here", **changed) -> dict:
    study = Study.model_validate(STUDY | changed)
    return {"folder": folder, "facts": {"study": study.model_dump(mode="json")}}


def test_more_seeds_of_the_same_claims_are_another_look() -> None:
    more = Study.model_validate(STUDY | {"seeds": 8, "question": "in other words"})
    other = [{"says": "It is smaller", "all": [{"metric": "size/parameters", "less_by": 10}]}]
    rows = [row(), row("elsewhere", seeds=6), row(claims=other, seeds=7), {"folder": "here", "facts": {}}]
    runs = earlier(rows, "here", more)
    assert runs == [(1000, 1001, 1002, 1003, 1004)]
    assert counts(runs, more.seeds) == (5, 8) and counts([], more.seeds) == (8,)
    assert counts([*runs, more.seeds], more.seeds) == (5, 8), "typed again it is the same look"
    first, second = (errors(0.05).at(looks, None).tails[0] for looks in ((5,), (5, 8)))
    assert second < first < 0.85 * 0.05, "what the first look has spent is spent"


@given(st.sets(st.integers(990, 1030)), st.integers(3, 9), st.integers(0, 9))
def test_seeds_of_a_discovery_are_its_own_or_nobodys(seen: set[int], wanted: int, known: int) -> None:
    before = [tuple(range(2000, 2000 + known))] if known else []
    found = unseen(before, range(1000, 1000 + wanted), seen)
    assert len(found) == len(set(found)) == wanted
    assert not seen & set(found) and set(found) >= set((before[0] if before else ())[:wanted])
    assert unseen([found], range(1000, 1000 + wanted), seen | set(found)) == found


def test_seeds_are_read_as_a_study_has_them() -> None:
    with pytest.raises(ValueError, match="3 or more"):
        Study.model_validate(STUDY | {"seeds": 2})
