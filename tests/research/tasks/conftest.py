"""Rooms for the tests of commands: a lab of their own, and one that is shared by those that only read."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from command_lab import Room, opened


@pytest.fixture
def room(tmp_path: Path) -> Iterator[Room]:
    with opened(tmp_path) as made:
        yield made


@pytest.fixture(scope="module")
def empty(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Room]:
    """With nothing in it, for what is refused: whoever writes to it fails the next test."""
    with opened(tmp_path_factory.mktemp("empty")) as made:
        yield made
