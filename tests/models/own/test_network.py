"""A network of a person's own is made of what its constructor asks for, and tried before it trains."""

import sys
from collections.abc import Callable, Iterator
from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest
import torch

import construct
import own_nets
import train
from models.own import fits
from models.own.network import build
from refusal import Refusal
from trainings import blobs

SAID = {"shape": (12,), "classes": 4, "task": "classification"}


@pytest.fixture
def nets(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """The module of a person, imported from where they are."""
    before = set(construct._trusted)
    monkeypatch.syspath_prepend(str(own_nets.written(tmp_path)))
    sys.modules.pop("nets", None)
    import nets

    yield nets
    sys.modules.pop("nets", None)
    construct._trusted.clear()
    construct._trusted.update(before)


def test_what_the_constructor_asks_for_is_filled_from_the_data(nets: Any) -> None:
    net = build(nets.Tiny, {"width": 7}, **SAID)
    assert [tuple(weight.shape) for weight in net.parameters()] == [(7, 12), (7,), (4, 7), (4,)]
    assert vars(net)["described"] == {"target": "nets.Tiny", "filled": {"in_features": 12, "num_classes": 4}}
    tokens = SAID | {"shape": (9,), "vocabulary": 50}
    assert build(nets.Reader, {"dim": 3}, **tokens).words.weight.shape == (50, 3)
    assert isinstance(build(nets.made, **SAID), nets.Tiny)


KINDS: list[tuple[dict[str, Any], str, Any]] = [
    ({"shape": (3, 8, 8)}, "in_channels in_chans", 3),
    ({"shape": (3, 8, 8)}, "image_size img_size", 8),
    ({"shape": (1, 4, 6)}, "image_size", (4, 6)),
    ({"shape": (2, 40)}, "seq_len length", 40),
    ({"shape": (2, 40)}, "in_features input_dim", 80),
    ({"shape": (16,), "classes": 256, "task": "language"}, "vocab_size num_classes", 256),
    ({"shape": (16,), "classes": 256, "task": "language"}, "block_size max_length", 16),
    ({"shape": (16,), "vocabulary": 99}, "vocab_size num_embeddings", 99),
    ({"shape": (5,)}, "shape input_shape", (5,)),
    ({"shape": (5, 1)}, "shape input_shape", (5,)),
    ({"shape": (5, 1)}, "in_features input_dim", 5),
    ({"shape": (5, 1), "vocabulary": 9}, "shape input_shape", (5, 1)),
]


@pytest.mark.parametrize(("said", "names", "value"), KINDS)
def test_each_usual_name_gets_what_the_data_say(said: dict[str, Any], names: str, value: Any) -> None:
    for name in names.split():
        seen: dict[str, Any] = {}
        scope: dict[str, Any] = {"torch": torch, "seen": seen}
        exec(f"def make({name}):\n    seen['it'] = {name}\n    return torch.nn.Identity()", scope)
        build(scope["make"], **(SAID | said))
        assert seen["it"] == value, name


@pytest.mark.slow
def test_columns_come_as_other_networks_take_them() -> None:
    net = build(torch.nn.Linear, {"out_features": 4}, **(SAID | {"shape": (5, 1)}))
    columns = torch.randn(3, 5, 1)
    assert torch.equal(net(columns), torch.nn.functional.linear(columns[..., 0], net.weight, net.bias))
    traced = torch.export.export(net, (columns,)).module()
    assert torch.equal(traced(columns), net(columns))
    assert torch.equal(deepcopy(net)(columns), net(columns))


@pytest.mark.parametrize(
    ("target", "args", "said"),
    [
        ("Tiny", {"wdith": 3}, "nets.Tiny takes no argument wdith: it takes in_features, num_classes, width"),
        ("Reader", {"dim": 3}, "asks for vocab_size, which nobody gave: type model.args.vocab_size=VALUE"),
        (
            "broken",
            {},
            r"nets.broken\(classes=4\) cannot be made: RuntimeError: no such layer \(nets.py:\d+\)",
        ),
        ("number", {}, "nets.number makes a int: model.target names a torch.nn.Module"),
        ("Tiny", {"width": "wide"}, "cannot be made: TypeError"),
    ],
)
def test_what_cannot_be_made_is_refused_in_a_sentence(nets: Any, target: str, args: Any, said: str) -> None:
    with pytest.raises(Refusal, match=said) as refused:
        build(getattr(nets, target), args, **SAID)
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize(
    ("target", "args", "said"),
    [
        (
            "Tiny",
            {"in_features": 9},
            r"nets.Tiny cannot take a batch of this data, \(2, 12\) float32: RuntimeError",
        ),
        (
            "Tiny",
            {"num_classes": 3},
            r"answers \(2, 3\) float32 to a batch of \(2, 12\) float32: .* need \(2, 4\)",
        ),
        ("Pairs", {}, "answers a tuple, no tensor"),
    ],
)
def test_a_network_that_does_not_fit_is_refused_on_a_batch(
    nets: Any, target: str, args: Any, said: str
) -> None:
    with pytest.raises(Refusal, match=said):
        fits.check(build(getattr(nets, target), args, **SAID), blobs())


def test_a_look_changes_nothing(nets: Any) -> None:
    net = build(nets.Noisy, **SAID)
    net.norm.eval()
    before, drawn = {name: value.clone() for name, value in net.state_dict().items()}, torch.get_rng_state()
    fits.check(net, blobs())
    assert all(torch.equal(value, before[name]) for name, value in net.state_dict().items())
    assert torch.equal(torch.get_rng_state(), drawn) and net.calls == 0
    assert (net.training, net.norm.training) == (True, False)


OWN = ("model=own", "model.target=nets.Tiny")


def test_only_what_a_person_has_typed_is_imported(nets: Any, resolve: Callable[..., Any]) -> None:
    config = resolve(*OWN)
    with pytest.raises(Refusal, match=r"'nets\.Tiny' is not called"):
        train.build(config["model"])
    row = {"deep": [{"_target_": "models.own.network.build", "target": "os.system"}]}
    with pytest.raises(Refusal, match=r"'os\.system' is not called"):
        construct.refuse_untrusted(row)
    with pytest.raises(Refusal, match=r"is not called|names a class"):
        train.build({"_target_": "models.own.network.build", "_args_": ["os.system"], **SAID})
    construct.trust({}, ["base=[model=own,model.target=nets.Tiny]"])
    assert isinstance(train.build(config["model"]), nets.Tiny)


def test_an_own_option_names_code_too(nets: Any, tmp_path: Path) -> None:
    (tmp_path / "options" / "model").mkdir(parents=True)
    (tmp_path / "options" / "model" / "tiny.yaml").write_text("defaults: [own]\ntarget: nets.Tiny\n")
    construct.trust_folder(tmp_path / "options")
    assert construct.is_trusted("nets.Tiny") and not construct.is_trusted("nets.Reader")


@pytest.mark.parametrize(
    ("target", "said"),
    [
        ("nets.Tny", "has no attribute 'Tny'"),
        ("nots.Tiny", "No module named 'nots', looked for in"),
        ("models.mine.Net", "models is the lab's own, so call yours otherwise"),
        ("ill.Net", "SyntaxError"),
    ],
)
def test_what_cannot_be_imported_is_refused_in_a_sentence(
    nets: Any, tmp_path: Path, target: str, said: str
) -> None:
    (tmp_path / "ill.py").write_text("class Net(:\n")
    construct.trust({}, [f"model.target={target}"])
    with pytest.raises(Refusal, match=said):
        construct.called(target)


@pytest.mark.slow
def test_its_source_is_in_the_identity(nets: Any, resolve: Callable[..., Any], tmp_path: Path) -> None:
    from research.space.sources import code_digest

    before = code_digest(resolve(*OWN))
    assert before != code_digest(resolve())
    (tmp_path / "nets.py").write_text(own_nets.NETS + "\n# another\n")
    assert code_digest(resolve(*OWN)) != before


SHORT = ("budget.steps=5", "logger=none")


@pytest.mark.slow
def test_it_trains_from_a_folder_that_is_not_the_clone(tmp_path: Path) -> None:
    own_nets.written(tmp_path)
    done = own_nets.command(tmp_path, "train.py", *OWN, "model.args.width=8", *SHORT)
    assert done.returncode == 0 and "size/parameters 610" in done.stdout, done.stdout + done.stderr
    again = own_nets.command(tmp_path, "train.py", *OWN, "model.args={width: 8}", *SHORT)
    assert "nothing was trained" in again.stdout, again.stdout + again.stderr
    swept = own_nets.command(tmp_path, "train.py", "-m", *OWN, "model.args.width=8,12", *SHORT)
    assert swept.returncode == 0 and "model.args.width=12" in swept.stdout, swept.stdout + swept.stderr
    for words, said in (
        ((*OWN, "model.args.wdith=8"), "takes no argument wdith"),
        (("model=own",), "model.target"),
        (("model.args.width=8",), "there is no model.args"),
        (("model=own", "model.target=nets.Pairs"), "answers a tuple"),
    ):
        refused = own_nets.command(tmp_path, "train.py", *words, *SHORT)
        assert refused.returncode == 2 and said in refused.stderr, refused.stdout + refused.stderr
