"""Networks of timm and torchvision are made for the data, and what is not there is said."""

from collections.abc import Callable
from typing import Any

import pytest
import torch

import own_nets
from models.own import zoo
from models.own.weights import load
from refusal import Refusal

PICTURES = {"shape": (1, 8, 8), "classes": 3, "task": "classification"}


@pytest.fixture(params=["timm", "torchvision"])
def make(request: pytest.FixtureRequest) -> Callable[..., Any]:
    own_nets.at_hand(request.param)
    return {"timm": zoo.timm, "torchvision": zoo.torchvision}[request.param]


@pytest.mark.slow
def test_it_is_made_for_the_channels_and_classes_of_the_data(make: Callable[..., Any]) -> None:
    net = make("resnet18", **PICTURES).eval()
    grey = torch.randn(2, 1, 8, 8)
    assert net(grey).shape == (2, 3)
    colours = make("resnet18", **(PICTURES | {"shape": (3, 8, 8)})).eval()
    assert colours(torch.randn(2, 3, 8, 8)).shape == (2, 3)
    assert vars(net)["described"]["target"].endswith(" resnet18")


@pytest.mark.slow
def test_grey_is_shown_to_torchvision_as_colour() -> None:
    own_nets.at_hand("torchvision")
    net = zoo.torchvision("resnet18", **PICTURES).eval()
    grey = torch.randn(2, 1, 8, 8)
    shown = net(grey)
    net._forward_pre_hooks.clear()
    assert torch.equal(net(grey.expand(-1, 3, -1, -1)), shown)


@pytest.mark.slow
def test_a_published_file_begins_it_with_another_read_out(make: Callable[..., Any], tmp_path: Any) -> None:
    published = make("resnet18", **(PICTURES | {"shape": (3, 8, 8), "classes": 1000}))
    torch.save(published.state_dict(), path := tmp_path / "resnet18.pth")
    net = make("resnet18", **(PICTURES | {"shape": (3, 8, 8)}))
    told = load(net, path, classes=3)
    assert told.facts["new"] == ["fc.weight", "fc.bias"] and "1000 classes" in told.notes[0]
    assert torch.equal(net.layer1[0].conv1.weight, published.layer1[0].conv1.weight)


@pytest.mark.slow
def test_what_is_not_there_is_named(make: Callable[..., Any]) -> None:
    with pytest.raises(Refusal, match=r"has no network resnet18x, perhaps resnet"):
        make("resnet18x", **PICTURES)
    with pytest.raises(Refusal, match="cannot be made: "):
        make("resnet18", {"no_such": 3}, **PICTURES)


@pytest.mark.parametrize("make", [zoo.timm, zoo.torchvision])
def test_only_pictures_are_taken(make: Callable[..., Any]) -> None:
    with pytest.raises(Refusal, match=r"takes pictures \(C, H, W\) and the data has shape \[12\]"):
        make("resnet18", shape=(12,), classes=3, task="classification")
    with pytest.raises(Refusal, match="one answer per token"):
        make("resnet18", shape=(12,), classes=3, task="language")


def test_a_package_that_is_missing_is_named_with_the_line_that_installs_it() -> None:
    with pytest.raises(Refusal, match=r'needs nowhere .*pip install -e "\.\[timm\]"'):
        zoo.package("nowhere.models", "timm")


def test_a_package_of_another_build_is_said_to_be_one(tmp_path, monkeypatch) -> None:
    (tmp_path / "for_another_torch.py").write_text("raise RuntimeError('operator nms does not exist')")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(Refusal, match=r"nms does not exist.*does not load, as a build for another torch"):
        zoo.package("for_another_torch", "timm")
