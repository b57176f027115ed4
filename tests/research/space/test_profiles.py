"""Profiles of hardware: what exceeds one is refused before a run, with the ceiling and what to lower.

The estimate behind them is held against the networks themselves, which research/ never builds.
"""

import re
from pathlib import Path
from typing import Any

import pytest

from cases import each
from construct import build
from refusal import Refusal
from research.space.gate import Space
from research.space.profiles import Ceilings, complaints, counted, memory, refuse, tokens

CONF = Path(__file__).parents[3] / "conf"
SPACE = Space(CONF, CONF / "space.yaml")
BATCH = 8
BUDGETS = {
    name: SPACE.resolve([f"budget={name}"])["budget"] for name in SPACE.composer.files.options("budget")
}
PROFILES = [name for name, budget in BUDGETS.items() if budget.get("ceilings")]
GPU = ["trainer=gpu", "trainer.precision=32-true"]
EXCEEDED = {
    "batch_size": (["data.batch_size=5000"], "allows data.batch_size up to .*: 5000 is more"),
    "length": (["data=pytext", "model=gpt", "data.shape=[9000]"], "sequences of up to .* positions.*9000"),
    "memory_bytes": (["model.width=100000", "model.depth=9"], "would take about .* GiB .*lower model.width"),
}


def test_there_is_a_profile_for_each_kind_of_machine_under_its_own_name() -> None:
    assert set(PROFILES) == {"cpu", "laptop", "t4", "h200"}
    for name in PROFILES:
        assert (
            Ceilings.model_validate(SPACE.resolve([f"budget={name}"])["budget"]["ceilings"]).profile == name
        )


@pytest.mark.parametrize("name", PROFILES)
def test_the_defaults_fit_every_profile(name: str) -> None:
    assert complaints(SPACE.resolve([f"budget={name}"])) == []
    assert SPACE.check(["optimizer=lion"], given=[f"budget={name}"]) == []


@each("name", PROFILES)
@each("ceiling", EXCEEDED)
def test_what_exceeds_a_profile_is_refused_with_the_reason(name: str, ceiling: str) -> None:
    overrides, says = EXCEEDED[ceiling]
    config = SPACE.resolve([f"budget={name}", *overrides])
    assert any(re.match(f"budget={name} .*{says}", one) for one in complaints(config))
    with pytest.raises(Refusal, match=f"^budget={name} allows"):
        refuse(config)
    config["budget"]["ceilings"] = None
    refuse(config)


def test_an_agent_is_told_the_same_sentence_as_a_person() -> None:
    given = ["budget=t4", "trainer=gpu", "trainer.precision=16-mixed"]
    (told,) = SPACE.check(["data.batch_size=512"], given=given)
    assert told == "budget=t4 allows data.batch_size up to 256: 512 is more, so lower it."
    with pytest.raises(Refusal, match=told):
        refuse(SPACE.resolve([*given, "data.batch_size=512"]))
    assert SPACE.check(["data.batch_size=128,256"], given=given) == []
    assert SPACE.check(["data.batch_size=128,512"], given=given) == [told]
    assert SPACE.check(["budget.ceilings.batch_size=9999"], given=given) != [], "a ceiling is not an agent's"


def test_a_t4_computes_no_bf16_and_a_cpu_no_fp16() -> None:
    for name, precision, fits in [
        ("t4", "bf16-mixed", False), ("t4", "16-mixed", True), ("t4", "32-true", True),
        ("cpu", "16-mixed", False), ("laptop", "bf16-mixed", True), ("h200", "bf16-mixed", True),
    ]:  # fmt: skip
        config = SPACE.resolve([f"budget={name}", f"trainer.precision={precision}"])
        assert (complaints(config) == []) == fits, (name, precision)


def test_experts_have_a_ceiling_too() -> None:
    config = SPACE.resolve(["budget=t4", "data=pytext", "model=gpt"])
    config["model"] = config["model"] | {"experts": 64}
    assert complaints(config)[0] == "budget=t4 allows model.experts up to 8: 64 is more, so lower it."


@pytest.mark.parametrize("changed", [{"margin": 1.5}, {"batch_size": 0}, {"memory": 1}, {"profile": None}])
def test_ceilings_that_make_no_sense_are_refused(changed: dict[str, Any]) -> None:
    config = SPACE.resolve(["budget=t4"])
    config["budget"]["ceilings"] |= changed
    with pytest.raises(Refusal, match=r"budget\.ceilings"):
        refuse(config)


def test_a_profile_changes_no_result_and_so_no_identity() -> None:
    signed = [SPACE.signature(SPACE.resolve([f"budget={name}"])) for name in ("default", *PROFILES)]
    assert len(set(signed)) == 1


def test_the_estimate_follows_what_costs_memory() -> None:
    def total(*overrides: str) -> float:
        return memory(SPACE.resolve(["data=pytext", "model=gpt", *overrides])).total

    plain = total()
    assert total("data.batch_size=64") > 1.8 * plain and total("model.depth=4") > 1.5 * plain
    assert total("trainer.accumulate_grad_batches=4") < plain / 2
    assert total(*GPU[:1], "trainer.precision=bf16-mixed") < plain
    weights = memory(SPACE.resolve(["model.width=1000"]))
    sgd = memory(SPACE.resolve(["model.width=1000", "optimizer=sgd"]))
    assert weights.optimizer == 2 * weights.weights and sgd.optimizer == sgd.weights == weights.gradients


def test_positions_are_tokens_points_or_patches() -> None:
    def seen(*overrides: str) -> int:
        return tokens(SPACE.resolve(list(overrides)))

    assert seen("data=pytext", "model=gpt") == 128
    assert seen("data=mnist1d", "model=transformer") == 10
    assert seen("data=digits", "model=transformer", "model.patch=2") == 16
    assert seen("data=mnist1d", "model=gru", "model.stride=2") == 20


@pytest.mark.slow
@pytest.mark.parametrize("data", ["digits", "mnist1d", "cifar10", "mqar", "pytext"])
def test_every_network_is_estimated_within_its_factor(data: str) -> None:
    import torch

    for model in SPACE.options["model"]:
        if SPACE.check([f"model={model}"], given=[f"data={data}"]):
            continue
        config = SPACE.resolve([f"data={data}", f"model={model}", f"data.batch_size={BATCH}"])
        net = build(config["model"])
        shape = (BATCH, *config["data"]["shape"])
        by_token = config["data"]["task"] != "classification"
        x = torch.zeros(shape, dtype=torch.int64) if by_token else torch.zeros(shape)
        told = counted(config)
        weights, products = sum(one.numel() for one in net.parameters()), products_of(net, x[:1])
        assert weights / 2 <= told.weights <= 2 * weights, (model, data, weights, told)
        assert products / 3 <= told.products <= 3 * products, (model, data, products, told)
        held, need = kept(net, x), memory(config).activations
        assert held / 3 <= need <= 3 * held, (model, data, held, need)


def products_of(net, x) -> float:
    """Products of a forward pass, half of the operations that torch counts."""
    import torch
    from torch.utils.flop_counter import FlopCounterMode

    with FlopCounterMode(display=False) as counter, torch.no_grad():
        net(x)
    return counter.get_total_flops() / 2


def kept(net, x) -> int:
    """Bytes that a forward pass and its loss keep for the backward pass, weights left out, each once."""
    import torch

    own = {one.untyped_storage().data_ptr() for one in net.parameters()}
    sizes: dict[int, int] = {}

    def pack(tensor):
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in own:
            sizes[storage.data_ptr()] = storage.nbytes()
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        logits = net(x).flatten(0, -2)
        torch.nn.functional.cross_entropy(logits, torch.zeros(len(logits), dtype=torch.int64))
    return sum(sizes.values())
