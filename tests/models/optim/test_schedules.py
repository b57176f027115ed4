import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cases import each
from models.optim.schedules import constant, cosine, linear, onecycle, wsd
from refusal import Refusal

ALL = [constant, cosine, linear, wsd]
shares = st.floats(0.0, 1.0)


@pytest.mark.parametrize("schedule", ALL)
@given(progress=shares, warmup=st.floats(0.0, 0.5))
def test_factors_lie_between_0_and_1(schedule, progress, warmup):
    assert 0.0 <= schedule(progress, warmup=warmup) <= 1.0 + 1e-12


@pytest.mark.parametrize("schedule", ALL)
def test_warm_up_is_a_line_that_meets_the_full_rate(schedule):
    assert schedule(0.05, warmup=0.2) == pytest.approx(0.25)
    assert schedule(0.2, warmup=0.2) == pytest.approx(1.0)
    assert schedule(0.0, warmup=0.0) == 1.0


@pytest.mark.parametrize("schedule", [cosine, linear, wsd])
@given(floor=shares, one=st.floats(0.3, 1.0), other=st.floats(0.3, 1.0))
def test_after_the_warm_up_rates_never_rise_and_end_at_the_floor(schedule, floor, one, other):
    early, late = sorted((one, other))
    assert schedule(early, floor=floor) >= schedule(late, floor=floor) - 1e-9
    assert schedule(1.0, floor=floor) == pytest.approx(floor, abs=1e-9)


def test_halfway_values():
    assert cosine(0.5, warmup=0.0) == pytest.approx(0.5)
    assert cosine(0.25, warmup=0.0) == pytest.approx(0.5 * (1 + math.cos(math.pi / 4)))
    assert linear(0.75, warmup=0.0, floor=0.2) == pytest.approx(0.4)
    assert wsd(0.79, decay=0.2) == 1.0
    assert wsd(0.85, decay=0.2) == pytest.approx(1 - math.sqrt(0.25))
    assert wsd(1.0, decay=0.0) == 1.0


@pytest.mark.parametrize("schedule", ALL)
@pytest.mark.parametrize("warmup", [-0.1, 1.1])
def test_a_warm_up_that_is_no_share_is_refused(schedule, warmup):
    with pytest.raises(Refusal, match=r"scheduler\.warmup"):
        schedule(0.5, warmup=warmup)


def test_shares_that_overlap_are_refused():
    with pytest.raises(Refusal, match="overlap"):
        wsd(0.5, warmup=0.6, decay=0.6)


@each(
    ("schedule", "wrong"),
    [
        *(
            (schedule, {"floor": value})
            for schedule in (cosine, linear, wsd, onecycle)
            for value in (2.0, -1)
        ),
        (wsd, {"decay": math.nan}),
        (onecycle, {"start": 1.5}),
    ],
)
def test_what_only_the_end_needs_is_refused_at_the_first_step(schedule, wrong):
    with pytest.raises(Refusal, match=rf"scheduler\.{next(iter(wrong))}"):
        schedule(0.001, **wrong)
