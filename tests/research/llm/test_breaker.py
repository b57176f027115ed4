"""The circuit breaker: failures in a row open it, a rest lets one try through."""

from research.llm.endpoint import Breaker


def test_the_breaker_counts_only_failures_in_a_row() -> None:
    now = [0.0]
    breaker = Breaker(2, 10.0, clock=lambda: now[0])
    breaker.fail("a")
    breaker.succeed()
    breaker.fail("b")
    assert breaker.open is None
    breaker.fail("c")
    assert breaker.open == "c"
    now[0] = 10.0
    assert breaker.open is None
    breaker.fail("d")
    assert breaker.open == "d"
