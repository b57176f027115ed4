"""What `agent.py` was asked to do: research a goal, run a recipe's experiment, or list what there is."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from refusal import Refusal
from research.experiments.study import names, recipe

CONF = Path(__file__).resolve().parents[2] / "conf"


def perform(config: Mapping[str, Any]) -> None:
    """Do the task of a resolved `conf/agent.yaml`. Raises `Refusal` for one that does not exist."""
    if config["task"] == "list":
        print(listed(config["what"]))
    elif config["task"] != "research":
        raise Refusal(f"task={config['task']} is unknown: choose research or list.")
    elif config["recipe"] is not None:
        from research.experiments.conduct import conduct

        conduct(config)
    else:
        from research.campaigns.commission import research

        research(config)


def listed(what: Any) -> str:
    """Every experiment with its question, claim, expected result and cost."""
    if what != "experiments":
        raise Refusal(f"what={what} cannot be listed: choose what=experiments.")
    blocks = []
    for name in names(CONF):
        found = recipe(CONF, name)
        if found.study is None:
            continue
        told = {
            "question": found.study.question,
            "claim": found.study.claim,
            "expected": found.header.get("Expected", "not measured yet"),
            "cost": found.header.get("Cost", "unknown"),
            "run": f"python agent.py experiment={name}",
        }
        blocks.append("\n".join([name, *(f"  {key:<9} {text}" for key, text in told.items())]))
    return "\n\n".join(blocks)
