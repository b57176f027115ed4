"""Cases that share a test are all gone through, and those that fail are told by their names."""

import inspect

import pytest

from cases import each


def test_every_case_is_gone_through_and_what_fails_is_named() -> None:
    seen = []

    @each(("value", "least"), [(3, 2), (1, 2), (5, 4), (0, 9)])
    def check(value: int, least: int, offset: int) -> None:
        seen.append(value)
        assert value + offset >= least, f"{value} is too small"

    with pytest.raises(ExceptionGroup, match=r"2 of 4 cases fail: \(1, 2\), \(0, 9\)") as told:
        check(offset=0)
    assert seen == [3, 1, 5, 0]
    assert ["is too small" in str(error) for error in told.value.exceptions] == [True, True]
    check(offset=9)


def test_what_pytest_itself_finds_wrong_is_a_failure_too() -> None:
    @each("value", ["1", "x"], ids=str.upper)
    def check(value: str) -> None:
        with pytest.raises(ValueError):
            int(value)

    with pytest.raises(BaseExceptionGroup, match=r"1 of 2 cases fail: 1$"):
        check()


def test_a_fixture_is_still_asked_for() -> None:
    @each("value", [1])
    def check(value: int, tmp_path: object) -> None: ...

    assert list(inspect.signature(check).parameters) == ["tmp_path"]
