"""A true or false at a key that takes a number is one sentence; those that take one keep taking it."""

from collections.abc import Iterator
from typing import Any

import pytest
import yaml

from refusal import Refusal
from research.tasks.desk import CONF
from research.tasks.line import settings
from research.tasks.task import checked

USUAL = yaml.safe_load((CONF / "agent.yaml").read_text())


def leaves(node: dict[str, Any], path: str = "") -> Iterator[tuple[str, Any]]:
    for key, value in node.items():
        if isinstance(value, dict):
            yield from leaves(value, f"{path}{key}.")
        else:
            yield f"{path}{key}", value


_WORDS = ("goal", "focus")
"""quoted as words before they are read, whatever they are"""
KEYS = [
    key
    for key, value in leaves({one: USUAL[one] for one in USUAL if one not in ("defaults", "hydra", "task")})
    if not isinstance(value, bool | list) and key not in (*_WORDS, "objective.constraints")
]


@pytest.mark.parametrize("key", KEYS)
@pytest.mark.parametrize("value", ["true", "false"])
def test_no_number_text_or_list_takes_true_or_false(key: str, value: str) -> None:
    with pytest.raises(Refusal) as refused:
        checked(settings([f"{key}={value}"], CONF), USUAL)
    said = str(refused.value)
    assert key in said and "takes no" in said and "\n" not in said


@pytest.mark.parametrize(
    "typed",
    ["screen.seeds=[0,true]", "promote.seeds=[true]", "proposer.shares.tpe=true", "llm.caps.calls=true"],
)
def test_nor_does_a_list_or_a_number_of_a_group(typed: str) -> None:
    with pytest.raises(Refusal, match="takes no true or false"):
        checked(settings(["llm=ollama", typed], CONF), USUAL)


@pytest.mark.parametrize(
    "typed",
    [
        ["json=true"],
        ["task=suggest", "queue=true"],
        ["llm=ollama", "llm.cache=true"],
        ["memory=on", "memory.mode=off"],
        ["memory=on", "memory.mode=true"],
    ],
)
def test_what_is_a_switch_is_taken(typed: list[str]) -> None:
    assert checked(settings(typed, CONF), USUAL)
