"""What `model.freeze` holds stays as it was to the last bit, and costs neither gradient nor state."""

from collections import OrderedDict
from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
import torch
from torch import nn

import train as training
from models.measure.cost import cost
from models.own.beginning import Beginning, freeze
from models.pipeline import Pipeline
from refusal import Refusal
from trainings import blobs, parts


def net() -> nn.Module:
    torch.manual_seed(0)
    named = [("a", nn.Linear(12, 16)), ("norm", nn.BatchNorm1d(16)), ("b", nn.Linear(16, 16))]
    named += [("c", nn.Linear(16, 4))]
    return nn.Sequential(OrderedDict(named))


CASES = [
    (["a"], {"a.weight", "a.bias"}),
    (["a", "norm"], {"a.weight", "a.bias", "norm.weight", "norm.bias"}),
    (["*.bias"], {"a.bias", "norm.bias", "b.bias", "c.bias"}),
    (["[ab]"], {"a.weight", "a.bias", "b.weight", "b.bias"}),
    (["b.weight"], {"b.weight"}),
]


@pytest.mark.parametrize(("patterns", "held"), CASES)
@pytest.mark.parametrize("fused", [True, False])
def test_what_is_held_does_not_move(train, patterns: list[str], held: set[str], fused: bool) -> None:
    made = net()
    freeze(made, patterns)
    before = {name: value.clone() for name, value in made.state_dict().items()}
    adamw = partial(torch.optim.AdamW, lr=0.01, weight_decay=0.1, fused=fused)
    fitted = train(net=made, optimizer=adamw)
    after = fitted.net.state_dict()
    still = {name for name, _ in made.named_parameters() if torch.equal(before[name], after[name])}
    assert still == held
    assert {name for name, weight in made.named_parameters() if weight.grad is None} >= held
    moved = sum(weight.numel() for name, weight in made.named_parameters() if name not in held)
    counts = 4 * (sum(1 for _ in made.parameters()) - len(held))
    assert fitted.metrics["train/optimizer_bytes"] == 2 * 4 * moved + counts
    assert torch.equal(before["norm.running_mean"], after["norm.running_mean"]) == ("norm" in patterns)


def test_a_step_costs_what_is_left_of_it() -> None:
    whole, held = net(), net()
    freeze(held, ["a", "norm", "b"])
    forward = 2 * (12 * 16 + 16 * 16 + 16 * 4)
    assert cost(held, torch.zeros(1, 12))["compute/flops_train"] == forward + 2 * 16 * 4
    assert cost(whole, torch.zeros(1, 12))["compute/flops_train"] == 3 * forward - 2 * 12 * 16


@pytest.mark.parametrize(
    ("patterns", "said"),
    [
        (
            ["encoder.*"],
            r"'encoder\.\*' names no parameter or module .* which has a, norm, b, c",
        ),
        (["a", "d"], "'d' names no parameter"),
        (["*"], "nothing is left to train"),
        ("a", r"write model\.freeze=\[a\]"),
    ],
)
def test_what_holds_nothing_or_all_is_refused(patterns: Any, said: str) -> None:
    with pytest.raises(Refusal, match=said):
        freeze(net(), patterns)


def test_what_a_compression_replaces_cannot_be_held(tmp_path) -> None:
    from models.compress.low_rank import LowRank

    steps = {"low_rank_init": training.build(_low_rank())}
    own = parts(tmp_path, net=net())
    own.pop("loggers")
    made = own.pop("net")
    begun = Beginning(freeze=["b"]).begin(made, blobs())
    pipeline = Pipeline(steps, made, **own)
    assert any(isinstance(module, LowRank) for module in pipeline.net.modules())
    with pytest.raises(Refusal, match=r"compress=\[low_rank_init\] puts others in place"):
        begun.check(pipeline.net, list(steps))


def _low_rank() -> dict[str, Any]:
    import yaml

    from research.campaign.campaign import CONF

    return dict(yaml.safe_load((CONF / "compress" / "low_rank_init.yaml").read_text())["low_rank_init"])


def test_a_rank_is_a_number_and_a_layer_must_be_there_to_adapt() -> None:
    for rank in (0, True, "8"):
        with pytest.raises(Refusal, match="is no rank"):
            Beginning(lora=rank).begin(net(), blobs())
    alone = nn.Sequential(nn.Linear(12, 4))
    with pytest.raises(Refusal, match=r"has none: try model\.freeze"):
        Beginning(lora=4).begin(alone, blobs())


@pytest.mark.slow
def test_adapters_are_trained_and_merged_into_what_they_stand_beside(train) -> None:
    pytest.importorskip("peft")
    made, inputs = net(), torch.randn(8, 12)
    before = {name: value.clone() for name, value in made.state_dict().items()}
    answers = made.eval()(inputs)
    begun = Beginning(lora=2).begin(made, blobs())
    assert torch.allclose(made.eval()(inputs), answers, atol=1e-6)
    assert begun.facts["trainable_parameters"] == 2 * (12 + 16) + 2 * (16 + 16) + 16 * 4 + 4
    fitted = train(net=made).net.eval()
    trained = fitted(inputs)
    merged = begun.ended(fitted).eval()
    assert torch.allclose(merged(inputs), trained, atol=1e-5) and merged.state_dict().keys() == before.keys()
    moved = {name for name, value in merged.state_dict().items() if not torch.equal(value, before[name])}
    assert {name for name in moved if not name.startswith("norm.")} == {
        "a.weight",
        "b.weight",
        "c.weight",
        "c.bias",
    }
    ranks = torch.linalg.matrix_rank(merged.b.weight - before["b.weight"], atol=1e-5)
    assert int(ranks) <= 2
    with pytest.raises(Refusal, match=r"model\.lora trains beside layers"):
        begun.check(merged, ["int8_static"])


def narrow() -> nn.Module:
    """Of four classes, with a layer before the read-out that is as wide by chance."""
    torch.manual_seed(0)
    return nn.Sequential(
        OrderedDict(a=nn.Linear(12, 16), b=nn.Linear(16, 4), relu=nn.ReLU(), c=nn.Linear(4, 4))
    )


@pytest.mark.slow
def test_the_read_out_is_what_answers_and_not_whatever_is_as_wide() -> None:
    pytest.importorskip("peft")
    made = narrow()
    begun = Beginning(lora=2).begin(made, blobs())
    trained = {name for name, weight in made.named_parameters() if weight.requires_grad}
    assert {name for name in trained if "lora" not in name} == {"c.weight", "c.bias"}
    assert begun.facts["trainable_parameters"] == 2 * (12 + 16) + 2 * (16 + 4) + 4 * 4 + 4


class Encoder(nn.Module):
    """Torch's own block of a transformer, which in evaluation reads the weights of its layers by itself."""

    def __init__(self) -> None:
        super().__init__()
        self.block = nn.TransformerEncoderLayer(12, 2, 16, 0.0, batch_first=True)
        self.head = nn.Linear(12, 4)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.head(self.block(x[:, None])[:, 0])


@pytest.mark.slow
def test_adapters_answer_in_evaluation_too() -> None:
    pytest.importorskip("peft")
    torch.manual_seed(0)
    made, x = Encoder(), torch.randn(8, 12)
    begun = Beginning(lora=2).begin(made, blobs())
    adapters = {name: weight for name, weight in made.named_parameters() if "lora" in name}
    # What attention reads by itself calls no layer, so nothing could be learnt beside it.
    assert {name.partition(".lora")[0] for name in adapters} == {"block.linear1", "block.linear2"}
    with torch.no_grad():
        for weight in adapters.values():
            weight.normal_()
        learnt, asked = made.train()(x), made.eval()(x)
        merged = begun.ended(made).eval()(x)
    assert torch.allclose(asked, learnt, atol=1e-5) and torch.allclose(merged, learnt, atol=1e-4)


def test_a_network_without_a_linear_read_out_is_refused() -> None:
    made = nn.Sequential(nn.Linear(12, 8), nn.Unflatten(1, (8, 1)), nn.Conv1d(8, 4, 1), nn.Flatten())
    with pytest.raises(Refusal, match="no linear layer of this network answers 4 classes"):
        Beginning(lora=2).begin(made, blobs())


@pytest.mark.slow
def test_a_trial_tells_how_much_of_it_was_trained(resolve: Callable[..., Any]) -> None:
    config = resolve("model.width=16", "budget.steps=5", "model.freeze=[layers.1]")
    facts = training.trial(config, overrides=[])["facts"]
    assert facts["trainable_parameters"] == 16 * 10 + 10
