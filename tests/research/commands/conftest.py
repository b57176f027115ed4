"""A room for the tests of commands: a lab of their own, with nothing in it."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from command_lab import Room, opened


@pytest.fixture
def room(tmp_path: Path) -> Iterator[Room]:
    with opened(tmp_path) as made:
        yield made
