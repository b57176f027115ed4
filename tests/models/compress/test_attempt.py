"""A try before anything is trained: what works is remembered, what fails or dies is refused in a sentence."""

import os
import signal
import sys

import pytest
import torch
from torch import nn

from models.compress.attempt import Attempt
from models.compress.gains import gains_nothing
from models.compress.int8_weights import Int8Weights
from refusal import Refusal

ON_LINUX = pytest.mark.skipif(sys.platform != "linux", reason="children are forked on Linux alone")


@pytest.fixture(autouse=True)
def nothing_proven(monkeypatch, tmp_path):
    monkeypatch.setenv("TORCHINDUCTOR_CACHE_DIR", str(tmp_path / "code"))


def net(width: int = 64) -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Flatten(), nn.Linear(64, width), nn.Linear(width, 10)).eval()


class Dying(nn.Module):
    """Ends its process as a kernel does that reads beyond its memory."""

    def forward(self, x):
        os.kill(os.getpid(), signal.SIGSEGV)
        return x


class Leaving(nn.Module):
    def forward(self, x):
        os._exit(3)


class Raising(nn.Module):
    def forward(self, x):
        raise AssertionError("expected stride 1==20\nat dim 1")


@ON_LINUX
@pytest.mark.parametrize(("kind", "end"), [(Dying, "by SIGSEGV"), (Leaving, "with code 3")])
def test_a_kernel_that_ends_its_process_is_refused_and_this_one_lives(kind, end, context) -> None:
    attempt = Attempt("int8_odd", net(), context(), "compress=[bf16]")
    with pytest.raises(Refusal, match=f"it ends the process {end}") as refused:
        attempt.run(kind)
    said = str(refused.value)
    assert "compress=int8_odd on Sequential with inputs (32, 1, 8, 8) and weights (10, 64), (64, 64)" in said
    assert said.endswith("choose compress=[bf16].") and "\n" not in said
    assert not attempt.proven


def test_what_raises_is_refused_with_its_first_line(context) -> None:
    with pytest.raises(Refusal, match=r"not work \(AssertionError: expected stride 1==20\): choose x\.$"):
        Attempt("odd", net(), context(), "x").run(Raising)


def test_a_refusal_inside_comes_out_as_it_is(context) -> None:
    def make() -> nn.Module:
        raise Refusal("no graph.")

    with pytest.raises(Refusal, match=r"^no graph\.$"):
        Attempt("odd", net(), context(), "x").run(make)


def test_what_worked_is_not_tried_again_and_other_shapes_are(context) -> None:
    Attempt("own", net(), context(), "x").run(net)
    again = Attempt("own", net(), context(), "x")
    assert again.proven
    again.run(Raising)
    assert not Attempt("own", net(65), context(), "x").proven
    assert not Attempt("other", net(), context(), "x").proven
    assert Attempt("other", net(), context(), "x", code="own").proven


def test_other_settings_of_the_same_weights_are_another_network(context) -> None:
    narrow, wide = (nn.Sequential(nn.Conv2d(1, 4, 3, padding=size), nn.Flatten()) for size in (0, 1))
    Attempt("own", narrow, context(), "x").run(lambda: narrow)
    assert not Attempt("own", wide, context(), "x").proven


@ON_LINUX
def test_the_child_computes_beside_a_pool_of_threads(context) -> None:
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        (torch.randn(512, 512) @ torch.randn(512, 512)).relu().sum()
        wide = net(512)
        Attempt("own", wide, context(), "x").run(lambda: wide)
    finally:
        torch.set_num_threads(before)


@pytest.mark.slow
def test_int8_that_is_neither_smaller_nor_faster_is_refused(context) -> None:
    tiny = nn.Sequential(nn.AvgPool2d(8), nn.Flatten(), nn.Linear(1, 10))
    with pytest.raises(Refusal, match=r"int8_weights on .* is no gain: 1\.\d\d of the bytes, 0\.\d\d of"):
        Int8Weights(smallest=1).check(tiny, context("int8_weights"))


@pytest.mark.parametrize(
    ("ratios", "nothing"),
    [((1.1, 0.5, 0.4), True), ((0.9, 0.5, 0.4), False), ((1.1, 1.2, 0.4), False), ((1.1, 0.5, 1.0), False)],
)
def test_a_gain_is_in_bytes_or_in_either_speed(ratios, nothing) -> None:
    assert gains_nothing(*ratios) is nothing
