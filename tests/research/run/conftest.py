"""Four trials of one sweep, for tests of who runs them."""

from collections.abc import Callable
from typing import Any

import pytest

from research.run.job import Job


@pytest.fixture
def jobs(resolve: Callable[..., dict[str, Any]]) -> list[Job]:
    return [Job(resolve(f"seed={seed}"), [f"seed={seed}"], "a-sweep") for seed in range(4)]
