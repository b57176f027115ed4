"""A network begins from a person's file: every weight of it, by its own names, or not at all."""

from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn

import train
from models.compress import artefact
from models.own.weights import load
from models.training.checkpoint import OURS
from refusal import Refusal
from research.run import teachers
from research.space.signature import signature


def net(classes: int = 3, seed: int = 0) -> nn.Module:
    torch.manual_seed(seed)
    layers = [("body", nn.Linear(5, 4)), ("norm", nn.BatchNorm1d(4)), ("head", nn.Linear(4, classes))]
    return nn.Sequential(OrderedDict(layers))


def state(classes: int = 3) -> dict[str, Tensor]:
    """Weights that no fresh network has."""
    return {
        name: torch.full_like(value, place + 2)
        for place, (name, value) in enumerate(net(classes).state_dict().items())
    }


def same(one: dict[str, Any], other: dict[str, Any]) -> bool:
    return one.keys() == other.keys() and all(torch.equal(one[name], other[name]) for name in one)


@pytest.mark.parametrize(
    "inside",
    [
        lambda state: state,
        lambda state: {"epoch": 3, "state_dict": state},
        lambda state: {"model": state, "optimizer": {"state": {}, "param_groups": []}},
        lambda state: {"model_state_dict": state, "loss": torch.ones(())},
        lambda state: {OURS: {"format": 1}, "global_step": 0, "weights": artefact.pack(state)},
        lambda state: {OURS: {}, "state_dict": {f"net.{name}": value for name, value in state.items()}},
    ],
)
def test_every_form_of_a_state_dict_is_read(inside: Callable[..., Any], tmp_path: Path) -> None:
    torch.save(inside(state()), path := tmp_path / "given.pt")
    made = net()
    told = load(made, path, classes=3)
    assert same(dict(made.state_dict()), state())
    assert told.facts["tensors"] == len(state()) and told.facts["new"] == []


@pytest.mark.slow
@given(st.lists(st.sampled_from(["module.", "model.", "net.", "_orig_mod."]), max_size=3))
def test_prefixes_of_others_are_taken_off_and_told(prefixes: list[str]) -> None:
    import tempfile

    before = "".join(prefixes)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "given.pt"
        torch.save({f"{before}{name}": value for name, value in state().items()}, path)
        made = net()
        told = load(made, path, classes=3)
    assert same(dict(made.state_dict()), state())
    assert bool(told.notes) == bool(prefixes) and set(told.facts["prefix"]) == set(before)


def test_a_network_that_has_such_a_prefix_itself_keeps_it(tmp_path: Path) -> None:
    torch.save({f"model.{name}": value for name, value in state().items()}, path := tmp_path / "given.pt")
    outer = nn.ModuleDict({"model": net()})
    assert load(outer, path, classes=3).facts["prefix"] == ""
    assert same(dict(outer["model"].state_dict()), state())


def test_a_read_out_for_other_classes_stays_new_and_is_told(tmp_path: Path) -> None:
    torch.save(state(classes=10), path := tmp_path / "given.pt")
    made, fresh = net(), net().state_dict()
    told = load(made, path, classes=3)
    assert told.facts["new"] == ["head.weight", "head.bias"]
    (note,) = told.notes
    assert "read-out head is new" in note and "10 classes" in note and "data has 3" in note
    for name, value in made.state_dict().items():
        assert torch.equal(value, fresh[name] if name.startswith("head") else state()[name])


def without(*names: str) -> dict[str, Tensor]:
    return {name: value for name, value in state().items() if name not in names}


LAYERS = {f"layer{place}": torch.ones(1) for place in range(9)}


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (without("body.bias"), "it lacks body.bias"),
        (state() | {"extra.weight": torch.ones(2)}, "the network has no extra.weight"),
        (without("head.weight", "head.bias"), "it lacks head.weight, head.bias"),
        (state() | {"body.weight": torch.ones(4, 7)}, "body.weight is 4 x 7 there and 4 x 5 here"),
        (state() | {"head.weight": torch.ones(10, 9)}, "head.weight is 10 x 9 there and 3 x 4 here"),
        (LAYERS, r"lacks body.weight, body.bias, norm.weight and \d more"),
        (LAYERS, "has no layer0, layer1, layer2 and 6 more"),
        ({"epoch": 3}, "holds no weights by name"),
    ],
)
def test_what_does_not_match_is_refused_with_the_first_names(given: Any, said: str, tmp_path: Path) -> None:
    torch.save(given, path := tmp_path / "given.pt")
    with pytest.raises(Refusal, match=said):
        load(net(), path, classes=3)


def test_a_table_of_other_tokens_is_no_read_out(tmp_path: Path) -> None:
    torch.save(nn.ModuleDict({"words": nn.Embedding(7, 4)}).state_dict(), path := tmp_path / "given.pt")
    with pytest.raises(Refusal, match="of another network"):
        load(nn.ModuleDict({"words": nn.Embedding(3, 4)}), path, classes=3)


def test_what_a_network_has_under_two_names_may_be_there_once(tmp_path: Path) -> None:
    tied = nn.ModuleDict({"words": nn.Embedding(6, 4), "head": nn.Linear(4, 6, bias=False)})
    tied["head"].weight = tied["words"].weight
    torch.save({"words.weight": torch.full((6, 4), 2.0)}, path := tmp_path / "given.pt")
    load(tied, path, classes=6)
    assert bool((tied["head"].weight == 2).all())


@pytest.mark.parametrize("name", ["nowhere.pt", "."])
def test_a_path_without_a_file_is_refused(name: str, tmp_path: Path) -> None:
    with pytest.raises(Refusal, match=r"model\.weights=.*such as"):
        load(net(), tmp_path / name, classes=3)


def test_safetensors_are_read(tmp_path: Path) -> None:
    library = pytest.importorskip("safetensors.torch")
    library.save_file(state(), path := tmp_path / "given.safetensors")
    made = net()
    load(made, path, classes=3)
    assert same(dict(made.state_dict()), state())
    path.write_bytes(b"no tensors")
    with pytest.raises(Refusal, match="cannot be read as safetensors"):
        load(net(), path, classes=3)


@pytest.mark.slow
def test_the_content_of_the_file_is_in_the_identity(resolve: Callable[..., Any], tmp_path: Path) -> None:
    path = tmp_path / "given.pt"
    keys = []
    for value in (1.0, 2.0):
        torch.save({"a": torch.tensor(value)}, path)
        config = resolve(f"model.weights={path}")
        keys.append(teachers.key(config, signature(config)))
    usual = resolve()
    assert len({*keys, teachers.key(usual, signature(usual))}) == 3


STILL = ("budget.steps=1", "optimizer.lr=1e-12", "optimizer.weight_decay=0")


@pytest.mark.slow
def test_a_trial_begins_where_another_ended(resolve: Callable[..., Any]) -> None:
    first = train.trial(resolve("model.width=16", "budget.steps=100"), overrides=[])
    path = f"{first['folder']}/weights.pt"
    again = train.trial(resolve("model.width=16", f"model.weights={path}", *STILL), overrides=[])
    assert again["metrics"]["test/loss"] == pytest.approx(first["metrics"]["test/loss"], rel=1e-5)
    assert again["facts"]["weights"]["path"] == again["facts"]["files"]["model.weights"]["path"] == path
    with pytest.raises(Refusal, match=r"layers\.1\.weight is 16 x 64 there and 8 x 64 here"):
        train.trial(resolve("model.width=8", f"model.weights={path}", *STILL), overrides=[])


@pytest.mark.slow
def test_a_teacher_that_began_from_weights_is_built_like_any_other(
    resolve: Callable[..., Any], tmp_path: Path
) -> None:
    first = train.trial(resolve("model.width=16", "budget.steps=20"), overrides=[])
    words = f"['data=digits','model.width=16','budget.steps=20','model.weights={first['folder']}/weights.pt']"
    config = resolve("budget.steps=2", "compress=[distill]", f"compress.distill.teacher.recipe={words}")
    assert train.trial(config, overrides=[])["status"] == "done"
