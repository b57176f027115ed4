"""What may be called: what an option names, nothing else, wherever it stands."""

import random
import sys
import types
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hydra.errors import InstantiationException
from hypothesis import given, settings
from hypothesis import strategies as st

import construct
from cases import each
from refusal import Refusal
from research.space.gate import Space
from target_trees import leaves, nodes, ours  # noqa: F401 - a fixture

CONF = Path(__file__).parent.parent / "conf"
SPACE = Space(CONF, CONF / "space.yaml")
GROUPS = sorted(set(SPACE.resolve([])) & {folder.name for folder in CONF.iterdir() if folder.is_dir()})
OPTIONS = [(group, file.stem) for group in GROUPS for file in sorted((CONF / group).glob("*.yaml"))]


@pytest.fixture
def nothing_called(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Fails a test in which something is imported that was not, or handed to Hydra."""
    before = set(sys.modules)
    monkeypatch.setattr(construct, "_by_hydra", lambda node, recursive: pytest.fail(f"handed on: {node}"))
    yield
    assert set(sys.modules) - before <= {"pkgutil"}


HOSTILE = [
    "os.system",
    "pathlib.Path.write_text",
    "builtins.exec",
    "shutil.rmtree",
    "antigravity.webbrowser",
    "hydra.utils.call",
    "hydra.utils.instantiate",
    "functools.partial",
    "models.trial.platform.os.system",
    "models.trial.random.seed",
    "models.nets.mlp.MLP.__init__.__globals__",
    "models.nets.mlp.nn.Module",
    "models.nets.mlp:MLP",
    "models.nets..mlp.MLP",
    ".models.nets.mlp.MLP",
    "..os.system",
    "models.nets.mlp.MLP.",
    "models.nets.mlp.MLP ",
    "models.nets.mlp.\uff2dLP",  # a full-width M, which Python itself reads as one
    "models.budget.os.system",  # an old name of a module, then a way out of it
    "models.losses.os.system",
    "research.proposers.tpe.os.system",
    "torch.optim.os.system",
    "torch.optim.RMSprop",  # harmless, and no option's
    "torch.hub.load",
    "models",
    "",
]


@pytest.mark.slow
@each("target", [*HOSTILE, None, 3, ["os.system"], {"_target_": "os.system"}, True])
@each(
    "around",
    [
        lambda target: {"_target_": target},
        lambda target: {"_target_": target, "_partial_": True, "_args_": ["x"]},
        lambda target: {"_target_": target, "_convert_": "object"},
        lambda target: {"deep": [[{"er": {"_target_": target}}]]},
        lambda target: {"_target_": "own_targets.Call", "a": {"_target_": target}},
        lambda target: {"_target_": "own_targets.Call", "_args_": [[{"_target_": target}]]},
        # Not built here, and still none to be handed to anybody who might.
        lambda target: {"_target_": "own_targets.Call", "_recursive_": False, "a": {"_target_": target}},
        lambda target: {"_target_": "own_targets.Call", "_convert_": "all", "a": ({"_target_": target},)},
    ],
)
def test_what_no_option_names_is_not_called_wherever_it_stands(
    target: Any, around: Callable[[Any], Any], nothing_called: None
) -> None:
    said = r"no option of conf/ names it|has no .* among its options|names nothing: write module"
    with pytest.raises(Refusal, match=said):
        construct.build(around(target))


@pytest.mark.slow
@settings(deadline=None, max_examples=100)
@given(st.recursive(leaves, nodes, max_leaves=8), st.sampled_from(HOSTILE), st.randoms())
def test_no_tree_hides_a_target(tree: Any, target: str, chance: random.Random) -> None:
    """Planted anywhere in any tree, it is found."""
    hostile: Any = {"_target_": target}
    for _ in range(chance.randrange(4)):
        hostile = chance.choice(
            [
                {"a": hostile, "b": tree},
                [tree, hostile],
                {"_target_": "own_targets.Call", "_args_": [hostile]},
            ]
        )
    with pytest.raises(Refusal):
        construct.build(hostile)


def test_what_a_target_returns_by_name_is_refused_too(nothing_called: None) -> None:
    for target in HOSTILE:
        with pytest.raises(Refusal):
            construct.called(target)


@pytest.fixture
def forgotten() -> Iterator[None]:
    """What a test trusts is not trusted after it."""
    before = set(construct._trusted)
    yield
    construct._trusted.clear()
    construct._trusted.update(before)


@pytest.mark.usefixtures("forgotten")
def test_what_is_typed_or_an_own_option_names_is_called(tmp_path: Path) -> None:
    lists = {
        "torch.optim.RMSprop": lambda: construct.trust({"optimizer": {"_target_": "torch.optim.RMSprop"}}),
        "torch.optim.Rprop": lambda: construct.trust({}, ["base=[optimizer._target_=torch.optim.Rprop]"]),
        "torch.optim.ASGD": lambda: construct.trust_composed({}, hydra(tmp_path)),
    }
    (tmp_path / "optimizer").mkdir()
    (tmp_path / "optimizer" / "mine.yaml").write_text("# Mine.\n\"_target_\": 'torch.optim.ASGD'\nlr: 0.1\n")
    for target, trusting in lists.items():
        node = {"_target_": target, "_partial_": True}
        with pytest.raises(Refusal):
            construct.build(node)
        trusting()
        assert construct.build(node).func.__name__ == target.rpartition(".")[2]


@pytest.mark.usefixtures("forgotten")
@pytest.mark.parametrize("finder", ["get_method", "get_class", "get_object", "get_static_method"])
def test_what_is_found_by_its_name_is_named_like_a_target(finder: str) -> None:
    node = {"_target_": f"hydra.utils.{finder}", "path": "torch.nn.GELU"}
    construct.trust({"a": [node]})
    assert construct.build({**node, "_partial_": True}).keywords == {"path": "torch.nn.GELU"}
    for other in ({"path": "os.system"}, {"_args_": ["os.system"]}, {"path": ["os.system"]}):
        with pytest.raises(Refusal, match=r"'os\.system' is not called"):
            construct.build({"_target_": f"hydra.utils.{finder}", **other})


@pytest.mark.usefixtures("forgotten")
def test_a_recipe_which_the_lab_may_have_written_puts_nothing_on_the_list(tmp_path: Path) -> None:
    (tmp_path / "experiment" / "discovered").mkdir(parents=True)
    (tmp_path / "experiment" / "discovered" / "x.yaml").write_text("# _target_: torch.optim.ASGD\n")
    construct.trust_composed({}, hydra(tmp_path))
    assert not construct.is_trusted("torch.optim.ASGD")


def hydra(folder: Path) -> Any:
    """As much of Hydra's own configuration as is asked for."""
    source = types.SimpleNamespace(schema="file", provider="command-line", path=str(folder))
    return types.SimpleNamespace(
        runtime=types.SimpleNamespace(config_sources=[source]), overrides=types.SimpleNamespace(task=[])
    )


@pytest.mark.usefixtures("forgotten")
def test_hydras_list_of_what_may_not_be_called_holds() -> None:
    node = {"_target_": "own_targets.Call", "a": {"_target_": "shutil.rmtree", "path": "x"}}
    construct.trust(node)
    with pytest.raises(InstantiationException, match=r"os\.system|shutil\.rmtree"):
        construct.build(node)


@pytest.mark.usefixtures("forgotten")
def test_nothing_is_looked_up_for_a_text(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LAB_SECRET", "hunter2")
    node = {"_target_": "own_targets.Call", "_convert_": "all", "a": ["${oc.env:LAB_SECRET}"]}
    with pytest.raises(Refusal, match="write the value itself"):
        construct.build(node)


@pytest.mark.usefixtures("forgotten")
def test_a_refusal_comes_out_as_it_is() -> None:
    construct.trust({"_target_": "hydra.utils.call"})
    for target in ("models.training.budget.Budget", "hydra.utils.call"):
        with pytest.raises(Refusal, match="budget"):
            construct.build(
                {"_target_": target, "steps": -1}
                if target.startswith("models")
                else {
                    "_target_": target,
                    "config": {"_target_": "models.training.budget.Budget", "steps": -1},
                }
            )
