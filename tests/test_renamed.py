"""Targets of earlier versions lead where they are now, and what no version has is refused by its name."""

import importlib
import importlib.util

import pytest

import construct
from refusal import Refusal

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
    "research.proposers.pattern.Pattern": "research.propose.pattern.Pattern",
    "research.proposers.tpe.Tpe": "research.propose.sampler.Tpe",
}
"""what a configuration of the version before this house called -> what it is called now"""


@pytest.mark.parametrize(("old", "new"), BEFORE.items())
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
