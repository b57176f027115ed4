import pytest
from hypothesis import given
from hypothesis import strategies as st

from cases import each
from models.training.budget import Budget, Target
from refusal import Refusal


def test_one_limit_must_stay():
    with pytest.raises(Refusal, match="never end"):
        Budget(target=0.9)


@each("name", ["epochs", "steps", "seconds", "joules"])
@each("limit", [0, -3, "abc"])
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


def test_a_target_is_a_bound_in_words_and_a_number_is_of_the_accuracy():
    accuracy = Target("val/accuracy", ">=", 0.9)
    assert (
        Budget(steps=5, target=0.9).bound == Budget(steps=5, target="val/accuracy >= 0.9").bound == accuracy
    )
    assert Budget(steps=5, target="val/bits_per_byte<=3.4").bound == Target("val/bits_per_byte", "<=", 3.4)
    assert Budget(steps=5).bound is None
    assert accuracy.kept_by({"val/accuracy": 0.9}) and not accuracy.kept_by({"val/accuracy": 0.8999})
    assert not accuracy.kept_by({"val/accuracy": float("nan")}) and not accuracy.kept_by({"step": 3.0})


@each(
    "target",
    [
        *("test/accuracy >= 0.9", "val/f1 >= 0.9", "val/accuracy > 0.9", "val/accuracy >=", "0.9", "", True),
        *("val/accuracy <= 0.9", "val/loss >= 1", "val/loss <= 1e999", float("nan"), [0.9]),
    ],
)
def test_what_is_no_bound_on_the_curve_is_refused_before_anything_is_trained(target):
    with pytest.raises(Refusal, match=r"budget\.target"):
        Budget(steps=5, target=target)
