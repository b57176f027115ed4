"""A lab of its own for each test of campaigns: trials are computed by hand, see `campaign_lab`."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from campaign_lab import Lab, opened


@pytest.fixture
def lab(tmp_path: Path) -> Iterator[Lab]:
    with opened(tmp_path) as made:
        yield made
