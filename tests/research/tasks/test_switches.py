"""A true or false where a number belongs, and a number that lets nothing happen, are one sentence each."""

from collections.abc import Iterator
from typing import Any

import pytest

from cases import each
from refusal import Refusal
from research.campaign.campaign import CONF
from research.campaign.charter import charter
from research.compose import typed
from research.tasks.line import settings
from research.tasks.task import composer, refuse_switches, tasks, usual

FILES = composer(CONF).files


def checked(typed: list[str], task: str = "research") -> None:
    refuse_switches(settings([f"task={task}", *typed], CONF), usual(FILES, task))


def leaves(node: dict[str, Any], path: str = "") -> Iterator[tuple[str, Any]]:
    for key, value in node.items():
        if isinstance(value, dict):
            yield from leaves(value, f"{path}{key}.")
        else:
            yield f"{path}{key}", value


KEYS = sorted(
    {
        (key, task)
        for task in tasks(FILES)
        for key, value in leaves(usual(FILES, task))
        if not isinstance(value, bool | list)
        and key not in (*typed._SPOKEN, "objective.constraints")
        and not key.startswith(("task.", "hydra."))
        and (task == "research" or key not in usual(FILES, "research"))
    }
)


@each(("key", "task"), KEYS)
@each("value", ["true", "false"])
def test_no_number_text_or_list_takes_true_or_false(key: str, task: str, value: str) -> None:
    with pytest.raises(Refusal) as refused:
        checked([f"{key}={value}"], task)
    said = str(refused.value)
    assert key in said and "takes no" in said and "\n" not in said


@pytest.mark.parametrize(
    "typed",
    ["screen.seeds=[0,true]", "promote.seeds=[true]", "proposer.shares.tpe=true", "llm.caps.calls=true"],
)
def test_nor_does_a_list_or_a_number_of_a_group(typed: str) -> None:
    with pytest.raises(Refusal, match="takes no true or false"):
        checked(["llm=ollama", typed])


@pytest.mark.parametrize(
    "typed",
    [
        ["json=true"],
        ["llm=ollama", "llm.cache=true"],
        ["memory=on", "memory.mode=off"],
        ["memory=on", "memory.mode=true"],
    ],
)
def test_what_is_a_switch_is_taken(typed: list[str]) -> None:
    checked(typed)


@each(
    ("typed", "named"),
    [
        ("screen.turns=0", "screen.turns"),
        ("screen.turns=-3", "screen.turns"),
        ("screen.at_once=0", "screen.at_once"),
        ("promote.seeds=[]", "promote.seeds"),
        ("promote.arms=0", "promote.arms"),
        ("screen.seeds=[]", "screen.seeds"),
        ("confirm.seeds=2", "confirm.seeds"),
        ("sprint.minutes=0", "sprint.minutes"),
        ("alpha=0", "alpha"),
        ("proposer.shares=null", "proposer.shares"),
        ("proposer.shares={tpe: x}", "shares.tpe"),
        ("budget.dollars=-1", "budget.dollars"),
        ("budget.seconds=abc", "budget.seconds"),
    ],
)
def test_a_number_that_lets_nothing_happen_is_refused_by_its_name(typed: str, named: str) -> None:
    config = settings([typed], CONF)
    with pytest.raises(Refusal) as refused:
        charter(config, CONF)
    assert named in str(refused.value) and "\n" not in str(refused.value)
