"""Parts are what Hydra would make of them; what the lab does not define is made by Hydra, under its rules."""

import importlib.util
from pathlib import Path
from typing import Any

import pytest
from hydra.utils import instantiate
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import construct
import own_nets
from cases import each
from refusal import Refusal
from research.space.gate import Space
from target_trees import Call, leaves, nodes, ours, words  # noqa: F401 - a fixture

CONF = Path(__file__).parent.parent / "conf"
SPACE = Space(CONF, CONF / "space.yaml")
GROUPS = sorted(set(SPACE.resolve([])) & {folder.name for folder in CONF.iterdir() if folder.is_dir()})
OPTIONS = [
    (group, file.stem)
    for group in GROUPS
    for file in sorted((CONF / group).glob("*.yaml"))
    if "\nsource: " not in file.read_text()  # one's own data asks where it lies
]


def deferred(node: Any) -> Any:
    """The same config with nothing called: each node becomes what would be called, and with what."""
    if isinstance(node, list):
        return [deferred(item) for item in node]
    if not isinstance(node, dict):
        return node
    return {key: deferred(value) for key, value in node.items()} | (
        {"_partial_": True} if "_target_" in node else {}
    )


def plain(made: Any) -> Any:
    """Partials, ours and Hydra's, as what they hold."""
    if isinstance(made, Call):
        return Call, plain(list(made.args)), plain(made.named)
    if hasattr(made, "func"):
        return made.func, [plain(one) for one in made.args], plain(dict(made.keywords))
    if isinstance(made, dict):
        return {key: plain(value) for key, value in made.items()}
    return [plain(one) for one in made] if isinstance(made, list | tuple) else made


# Hydra would hand a person's target on as its name.
CALLED = [one for one in OPTIONS if one not in own_nets.NAMED]


@pytest.mark.slow
@each(("group", "option"), CALLED)
def test_every_option_is_called_as_by_hydra(group: str, option: str) -> None:
    chosen = f"{group}=[{option}]" if group in ("compress", "callbacks") else f"{group}={option}"
    config = SPACE.composer.sketch([chosen]).config[group]  # of which own data need no files
    # How a network begins is no argument of its constructor.
    alone = {key: value for key, value in config.items() if group != "model" or key not in construct._BEGINS}
    assert plain(construct.build(deferred(config))) == plain(instantiate(deferred(alone), _convert_="all"))


@pytest.mark.slow
@settings(deadline=None, max_examples=200, suppress_health_check=[HealthCheck.too_slow])
@given(st.dictionaries(words, st.recursive(leaves, nodes, max_leaves=12), max_size=3))
def test_any_tree_is_built_as_by_hydra(tree: dict[str, Any]) -> None:
    assert plain(construct.build(tree)) == plain(instantiate(tree, _convert_="all"))


def test_a_target_cannot_change_the_config() -> None:
    config = {"_target_": "own_targets.Call", "kept": [[1]], "_recursive_": False}
    construct.build(config).named["kept"][0].append(2)
    assert config["kept"] == [[1]]


BEFORE = {
    "models.budget.Budget": "models.training.budget.Budget",
    "models.callbacks.checkpoint.Checkpoint": "models.training.callbacks.checkpoint.Checkpoint",
    "models.callbacks.divergence.Divergence": "models.training.callbacks.divergence.Divergence",
    "models.callbacks.halving.Halving": "models.training.callbacks.halving.HalvingStop",
    "models.energy.Meter": "models.energy.meter.Meter",
    "models.loggers.csv": "models.training.loggers.csv",
    "models.losses.CrossEntropy": "models.training.objective.CrossEntropy",
    "models.trainer.Settings": "models.training.settings.Settings",
    "models.training.callbacks.halving.Halving": "models.training.callbacks.halving.HalvingStop",
    "models.training.losses.CrossEntropy": "models.training.objective.CrossEntropy",
    "research.episodes.retrieval.Nearest": "research.memory.retrieval.Nearest",
    "research.proposers.llm.LlmProposer": "research.propose.model.LlmProposer",
    "research.proposers.pattern.Pattern": "research.propose.direct.Pattern",
    "research.proposers.tpe.Tpe": "research.propose.sampler.Tpe",
}
"""what a configuration of the version before this house called -> what it is called now"""


@each(("old", "new"), BEFORE.items())
def test_what_an_earlier_version_stored_leads_where_it_is_now(old: str, new: str) -> None:
    stored = {
        "a": [{"_target_": old, "_partial_": True, "steps": 1}],
        "b": {"_target_": "torch.optim.SGD", "_partial_": True},
    }
    now = {
        "a": [{"_target_": new, "_partial_": True, "steps": 1}],
        "b": {"_target_": "torch.optim.SGD", "_partial_": True},
    }
    assert construct.renamed(stored) == now and construct.renamed(now) == now
    module, _, last = new.rpartition(".")
    found = getattr(importlib.import_module(module), last)
    if old.startswith("models."):
        assert construct.build(stored)["a"][0].func is found


def test_each_old_name_leads_to_something_that_is_there() -> None:
    for old, new in construct.RENAMED.items():
        module, _, last = new.rpartition(".")
        assert hasattr(importlib.import_module(module), last) or importlib.util.find_spec(new)
        assert construct.renamed({"_target_": new}) == {"_target_": new}, old


def test_what_no_version_has_is_refused_by_its_name() -> None:
    for target in ("models.budget.Allowance", "models.gone.Thing"):
        with pytest.raises(
            Refusal,
            match=r"has no 'models\.(training\.budget\.Allowance|gone\.Thing)' among its options: choose",
        ):
            construct.build({"a": [{"_target_": target}]})
