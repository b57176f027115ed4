"""Every YAML under conf/ has its card, names a real target, and passes arguments that the target takes."""

import inspect
import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from hydra.utils import get_object

ROOT = Path(__file__).parent.parent
# What campaigns wrote on this machine is no part of the house.
FILES = sorted(path for path in (ROOT / "conf").rglob("*.yaml") if path.parent.name != "discovered")


def name(path: Path) -> str:
    return str(path.relative_to(ROOT / "conf"))


def targets(node: Any) -> list[dict[str, Any]]:
    """All mappings with a `_target_`, at any depth."""
    if isinstance(node, list):
        return [found for item in node for found in targets(item)]
    if not isinstance(node, dict):
        return []
    own = [node] if "_target_" in node else []
    return own + [found for value in node.values() for found in targets(value)]


def test_line_one_says_what_it_is_and_when_to_choose_it() -> None:
    for path in FILES:
        lines = [line for line in path.read_text().splitlines() if not line.startswith("# @package")]
        assert re.match(r"# \S.{20,}", lines[0]), f"{name(path)}: the first line is its card"


def arguments(node: dict[str, Any]) -> None:
    """Raise `TypeError` where the target of a node does not take what the node gives it."""
    signature = inspect.signature(get_object(node["_target_"]))
    given = {key: None for key in node if not (key.startswith("_") and key.endswith("_"))}
    bind = signature.bind_partial if node.get("_partial_") else signature.bind
    bind(**given)


@pytest.mark.slow
def test_targets_exist_and_take_their_arguments() -> None:
    for path in FILES:
        for node in targets(yaml.safe_load(path.read_text())):
            try:
                arguments(node)
            except Exception as error:
                pytest.fail(f"{name(path)}: {node['_target_']}: {error}")


def test_nothing_secret_is_in_a_config() -> None:
    secret = re.compile(r"\b(?:sk|pk|hf|ghp)[-_][A-Za-z0-9_-]{16,}|oc\.env")
    assert [name(path) for path in FILES if secret.search(path.read_text())] == []


def test_a_recipe_chooses_and_sets_no_number_inside_a_group() -> None:
    groups = {folder.name for folder in (ROOT / "conf").iterdir() if folder.is_dir()}
    for path in sorted((ROOT / "conf" / "experiment").glob("*.yaml")):
        swept = (
            groups
            & {"model", "optimizer", "scheduler", "loss"}
            & (yaml.safe_load(path.read_text()) or {}).keys()
        )
        assert not swept, f"{name(path)} sets numbers inside {swept}: make them an option of their own"
