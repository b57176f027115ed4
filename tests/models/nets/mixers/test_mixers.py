"""Every mixer: equal to its plain recurrence, blind to the future, and of the state that it states."""

import math

import pytest
import torch
from torch.nn.functional import elu
from torch.utils.flop_counter import FlopCounterMode

from cases import each
from models.measure.cost import measure
from models.nets.mixers.choice import BOTH_WAYS, NAMES, mixer, names
from models.nets.mixers.delta import replace
from models.nets.mixers.gated import retain
from models.nets.mixers.linear import causal_sums, whole_sums
from models.nets.mixers.window import banded
from refusal import Refusal

LENGTHS = [1, 5, 64, 65, 150]


def make(name, width=16, heads=4, length=150, **options):
    torch.manual_seed(0)
    return mixer(name, width, heads, length, **({"causal": True, "rotary": False, "window": 8} | options))


def heads_of(length, count=3, wide=4):
    torch.manual_seed(length)
    return [torch.randn(2, 3, length, wide, requires_grad=True) for _ in range(count)]


def agree(chunked, plain, inputs):
    """Same values and same gradients."""
    assert torch.allclose(chunked, plain, atol=2e-5)
    weights = torch.randn_like(plain)
    both = [torch.autograd.grad((out * weights).sum(), inputs) for out in (chunked, plain)]
    assert all(torch.allclose(one, other, atol=2e-4) for one, other in zip(*both, strict=True))


@pytest.mark.parametrize("length", LENGTHS)
def test_linear_attention_is_its_recurrence(length):
    q, k, v = inputs = heads_of(length)
    state, norm, read = torch.zeros(2, 3, 4, 4), torch.zeros(2, 3, 4), []
    for query, key, value in zip((elu(q) + 1).unbind(2), (elu(k) + 1).unbind(2), v.unbind(2), strict=True):
        state, norm = state + key[..., :, None] * value[..., None, :], norm + key
        read.append((query[..., None, :] @ state).squeeze(-2) / (query * norm).sum(-1, keepdim=True))
    agree(causal_sums(*inputs), torch.stack(read, 2), inputs)


def test_linear_attention_both_ways_ends_as_the_causal_one_does():
    q, k, v = heads_of(70)
    assert torch.allclose(whole_sums(q, k, v)[:, :, -1], causal_sums(q, k, v)[:, :, -1], atol=1e-5)


@pytest.mark.parametrize("length", LENGTHS)
def test_gated_retention_is_its_recurrence(length):
    q, k, v = heads_of(length)
    fading = (-torch.rand(2, 3, length) * 2).requires_grad_()
    state, read = torch.zeros(2, 3, 4, 4), []
    for query, key, value, fade in zip(*(x.unbind(2) for x in (q, k, v, fading)), strict=True):
        state = fade.exp()[..., None, None] * state + key[..., :, None] * value[..., None, :]
        read.append((query[..., None, :] @ state).squeeze(-2) / math.sqrt(4))
    agree(retain(q, k, v, fading), torch.stack(read, 2), [q, k, v, fading])


def test_a_gate_that_forgets_all_is_no_overflow():
    q, k, v = heads_of(130)
    fading = torch.full((2, 3, 130), -60.0, requires_grad=True)
    out = retain(q, k, v, fading)
    assert torch.allclose(out, (q * k).sum(-1, keepdim=True) / 2 * v, atol=1e-5)
    assert all(grad.isfinite().all() for grad in torch.autograd.grad(out.sum(), [q, k, v, fading]))


def delta_recurrence(q, k, v, rates):
    state, read = torch.zeros(*q.shape[:2], 4, 4, dtype=q.dtype), []
    for query, key, value, rate in zip(*(x.unbind(2) for x in (q, k, v, rates)), strict=True):
        wrong = value - (key[..., None, :] @ state).squeeze(-2)
        state = state + rate[..., None, None] * key[..., :, None] * wrong[..., None, :]
        read.append((query[..., None, :] @ state).squeeze(-2))
    return torch.stack(read, 2)


@pytest.mark.parametrize("length", LENGTHS)
def test_the_delta_rule_is_its_recurrence(length):
    q, k, v = heads_of(length)
    k = torch.nn.functional.normalize(k, dim=-1)
    rates = torch.rand(2, 3, length).requires_grad_()
    agree(replace(q, k, v, rates), delta_recurrence(q, k, v, rates), [q, k, v, rates])


def test_the_delta_rule_is_exact_for_one_key_again_and_again():
    q, k, v = heads_of(128)
    k = torch.nn.functional.normalize(k[:, :, :1], dim=-1).expand_as(k)
    rates = torch.ones(2, 3, 128)
    wide = delta_recurrence(*(x.double() for x in (q, k, v, rates)))
    assert torch.allclose(replace(q, k, v, rates).double(), wide, atol=1e-5)


@pytest.mark.parametrize("causal", [True, False])
@pytest.mark.parametrize(("length", "window"), [(5, 8), (24, 8), (29, 8), (7, 1), (33, 32)])
def test_a_window_is_masked_attention(length, window, causal):
    q, k, v = inputs = heads_of(length)
    distance = torch.arange(length)[:, None] - torch.arange(length)
    seen = (distance < window) & (distance >= (0 if causal else 1 - window))
    plain = ((q @ k.transpose(-1, -2) / 2).masked_fill(~seen, -math.inf)).softmax(-1) @ v
    agree(banded(*inputs, window, causal=causal), plain, inputs)


@each("name", NAMES)
@each("convolution", [0, 3])
@each("kv_heads", [None, 2])
def test_no_position_sees_a_later_one(name, convolution, kv_heads):
    net = make(name, convolution=convolution, kv_heads=kv_heads)
    x = torch.randn(2, 90, 16)
    changed = x.clone()
    changed[:, 70:] += 1
    before, after = net(x), net(changed)
    assert torch.allclose(before[:, :70], after[:, :70], atol=1e-5)
    assert (before[:, 70:] - after[:, 70:]).abs().amax(-1).min() > 1e-4


@pytest.mark.parametrize("name", BOTH_WAYS)
def test_both_ways_each_position_sees_its_two_neighbours(name):
    net, x = make(name, causal=False), torch.randn(2, 40, 16)
    for place in (0, 20, 39):
        changed = x.clone()
        changed[:, place] += 1
        moved = (net(x) - net(changed)).abs().amax((0, 2)) > 1e-6
        assert moved[max(0, place - 1) : place + 2].all()
        assert moved.all() == (name != "window")


@pytest.mark.parametrize("name", NAMES)
def test_shared_keys_and_values_are_those_of_more_heads_repeated(name):
    few, full = make(name, kv_heads=2), make(name)
    with torch.no_grad():
        query, kv = few.qkv.weight.split((16, 16))
        kv = kv.view(2, 2, 4, 16).repeat_interleave(2, 1).reshape(32, 16)
        full.qkv.weight.copy_(torch.cat([query, kv]))
        full.out.weight.copy_(few.out.weight)
        for gate in {"gate", "rate"} & dict(few.named_children()).keys():
            for kind, own in few.get_submodule(gate).named_parameters():
                full.get_parameter(f"{gate}.{kind}").copy_(own.repeat_interleave(2, 0))
    x = torch.randn(2, 20, 16)
    assert torch.allclose(few(x), full(x), atol=1e-5)
    assert few.state_bytes(100) < full.state_bytes(100)


@pytest.mark.parametrize(
    ("name", "numbers", "at_length"),
    [
        ("softmax", 2 * 100 * 16, 200),
        ("window", 2 * 8 * 16, 100),
        ("linear", 4 * 4 * 5, 100),
        ("gated", 4 * 16, 100),
        ("delta", 4 * 16, 100),
    ],
)
def test_the_state_is_as_large_as_stated(name, numbers, at_length):
    net = make(name)
    assert net.state_bytes(100) == 4 * numbers
    assert net.state_bytes(200) == 4 * numbers * at_length // 100
    assert make(name, convolution=4).state_bytes(100) == 4 * (numbers + 3 * 48)
    assert make(name).half().state_bytes(100) == 2 * numbers


@pytest.mark.parametrize("name", NAMES)
def test_half_precision_gives_nearly_the_same_and_its_own_type(name):
    net, x = make(name), torch.randn(2, 100, 16)
    wide = net(x)
    with torch.autocast("cpu", torch.bfloat16):
        mixed = net(x)
    assert mixed.dtype == torch.bfloat16
    assert (mixed - wide).abs().max() < 0.05 * wide.abs().max()
    narrow = net.to(torch.bfloat16)(x.to(torch.bfloat16))
    assert narrow.dtype == torch.bfloat16
    assert (narrow - wide).abs().max() < 0.1 * wide.abs().max()


@pytest.mark.parametrize("name", ["window", "linear", "gated", "delta"])
def test_arithmetic_is_counted_and_grows_with_the_length_and_no_faster(name):
    net = make(name, length=1024, window=64)
    counted = [measure(net, torch.randn(1, length, 16)) for length in (256, 1024)]
    assert all(facts == {"flops_uncounted": []} for _, facts in counted)
    grown = counted[1][0]["compute/flops_train"] / counted[0][0]["compute/flops_train"]
    assert grown == pytest.approx(4, rel=0.01)


def test_the_triangular_solve_is_counted_as_arithmetic():
    inputs = [torch.randn(1, 1, 64, 4) for _ in range(3)] + [torch.rand(1, 1, 64)]
    with FlopCounterMode(display=False) as counter:
        replace(*inputs)
    assert counter.get_total_flops() == 3 * 2 * 64 * 64 * 4 + 3 * 2 * 64 * 4 * 4 + 64 * 64 * 8


@pytest.mark.parametrize(
    ("name", "options", "advice"),
    [
        ("convolution", {}, "softmax, window, linear, gated, delta"),
        ("gated", {"causal": False}, "choose from softmax, window, linear"),
        ("delta", {"causal": False}, "choose from softmax, window, linear"),
        ("window", {"window": 0}, "model.window 0"),
        ("softmax", {"heads": 3}, "heads 3 does not divide model.width 16: choose one of 1, 2, 4, 8, 16"),
        ("linear", {"kv_heads": 3}, "kv_heads 3 does not divide model.heads 4: choose one of 1, 2, 4"),
        ("softmax", {"heads": 16, "rotary": True}, "choose an even quotient"),
    ],
)
def test_what_does_not_fit_is_refused_with_what_would(name, options, advice):
    with pytest.raises(Refusal, match=advice):
        make(name, **options)


def test_a_pattern_repeats_over_the_depth():
    assert names("delta", 2) == ["delta", "delta"]
    assert names(["linear", "linear", "softmax"], 5) == ["linear", "linear", "softmax", "linear", "linear"]
    assert names("gated-softmax", 3) == ["gated", "softmax", "gated"]
    for pattern in ([], ["linear", "softmax"], "linear-softmax"):
        with pytest.raises(Refusal, match=r"model\.depth is 1"):
            names(pattern, 1)
