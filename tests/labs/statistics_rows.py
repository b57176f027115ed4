"""Rows of trials for tests that need no store."""

from typing import Any

from research.types import Key, Trial


def trial(number: int, *, hardware: str = "cpu:x x2", beside: int = 1, **more: Any) -> Trial:
    fixed = {"replicate": 0, "seed": 0, "overrides": (), "status": "done", "source": "person", "started": 0.0}
    empty = dict.fromkeys(("reason", "name", "sweep", "folder", "finished"))
    config = {"meter": {"concurrent": beside}}
    return Trial(id=number, key=Key("s", "c", "d", hardware), config=config, **{**fixed, **empty, **more})
