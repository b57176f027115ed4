import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.budget import Budget
from refusal import Refusal


def test_one_limit_must_stay():
    with pytest.raises(Refusal, match="never end"):
        Budget(target=0.9)


@pytest.mark.parametrize("name", ["epochs", "steps", "seconds", "joules"])
@pytest.mark.parametrize("limit", [0, -3, "abc"])
def test_limits_are_numbers_above_zero(name, limit):
    with pytest.raises(Refusal, match=rf"budget\.{name}"):
        Budget(**{name: limit})


def test_steps_and_epochs_end_at_the_smaller():
    assert Budget(steps=500).total_steps(32, 1000) == 500
    assert Budget(epochs=2).total_steps(32, 1000) == 62
    assert Budget(epochs=2, steps=10).total_steps(32, 1000) == 10
    assert Budget(epochs=1e-6).total_steps(32, 1000) == 1
    assert Budget(seconds=3).total_steps(32, 1000) is None


positive = st.floats(0.01, 1e6)


@given(step=st.floats(0, 2000), second=st.floats(0, 1e6), joule=st.none() | st.floats(0, 1e6), limit=positive)
def test_progress_is_the_largest_share(step, second, joule, limit):
    budget = Budget(steps=1000, seconds=limit, joules=limit)
    share = budget.share(step, 1000, second, joule)
    shares = [step / 1000, second / limit, 0.0 if joule is None else joule / limit]
    assert share == pytest.approx(min(1.0, max(shares)))
    assert budget.spent(second, joule) == (max(shares[1:]) >= 1.0)


def test_what_is_not_limited_is_never_spent():
    budget = Budget(steps=10)
    assert not budget.spent(1e9, 1e9)
    assert budget.share(5, 10, 1e9, 1e9) == 0.5
