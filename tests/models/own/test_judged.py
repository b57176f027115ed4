"""A loss and a metric of a person's own are functions of answers and targets, and told like ours."""

import math
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

import own_nets
import train as lab
from models.own.judged import OwnLoss, OwnMetric, scores
from models.training.fit import fit
from refusal import Refusal
from trainings import blobs, network, parts

LOGITS = torch.tensor([[2.0, 0.0, 1.0], [0.0, 1.0, 0.5], [0.0, 0.0, 3.0]])
TARGETS = torch.tensor([0, 2, 0])


def test_a_function_gets_its_arguments_and_a_class_is_made_of_them() -> None:
    usual, sharp = OwnLoss(own_nets.focal), OwnLoss(own_nets.focal, {"gamma": 0.0})
    assert sharp(LOGITS, TARGETS).item() == pytest.approx(nn.functional.cross_entropy(LOGITS, TARGETS).item())
    assert usual(LOGITS, TARGETS) < sharp(LOGITS, TARGETS)
    smooth = OwnLoss(nn.CrossEntropyLoss, {"label_smoothing": 0.1})
    theirs = nn.functional.cross_entropy(LOGITS, TARGETS, label_smoothing=0.1)
    assert torch.equal(smooth(LOGITS, TARGETS), theirs)


def test_tokens_come_flat_with_what_is_not_asked_marked() -> None:
    logits, targets = torch.randn(2, 5, 7), torch.randint(0, 7, (2, 5))
    targets[0, 0] = -100
    found = OwnLoss(nn.CrossEntropyLoss)(logits, targets)
    assert torch.equal(found, nn.functional.cross_entropy(logits.flatten(0, 1), targets.flatten()))


def test_a_split_is_judged_whole() -> None:
    data, net = blobs(), network()
    inputs, targets = data.val.whole()
    with torch.no_grad():
        logits = net.eval()(inputs)
    judges = OwnLoss(own_nets.focal), OwnMetric(own_nets.top2)
    found = scores(net, data.val, 7, judges)
    assert found["own_loss"] == pytest.approx(own_nets.focal(logits, targets).item(), rel=1e-5)
    best = logits.topk(2).indices.tolist()
    share = sum(t in two for t, two in zip(targets.tolist(), best, strict=True)) / len(best)
    assert found["own_score"] == pytest.approx(share)
    assert scores(net, data.val, 7, [OwnMetric(own_nets.top2, better="min")]).keys() == {"own_error"}
    assert scores(net, data.val, 7, [nn.functional.cross_entropy, None]) == {}


@pytest.mark.parametrize(
    ("judge", "said"),
    [
        (lambda logits, targets: logits, r"answers \(3, 3\): a loss is one number"),
        (lambda logits, targets: 3, "answers int: a loss is one number"),
        (lambda logits: logits.sum(), r"cannot judge logits \(3, 3\) and targets \(3,\): TypeError"),
    ],
)
def test_what_is_no_loss_is_refused(judge: Any, said: str) -> None:
    with pytest.raises(Refusal, match=said):
        OwnLoss(judge)(LOGITS, TARGETS)


def test_what_is_no_metric_is_refused() -> None:
    with pytest.raises(Refusal, match="answers str, no number"):
        scores(network(), blobs().val, 8, [OwnMetric(lambda logits, targets: "good")])
    with pytest.raises(Refusal, match=r"metric\.better=higher is no direction"):
        OwnMetric(own_nets.top2, better="higher")
    with pytest.raises(Refusal, match="names a function of yours"):
        OwnMetric("own_nets.top2")


def test_a_score_that_nothing_gives_is_refused(resolve: Callable[..., Any]) -> None:
    for score, group in (("val/own_score", "metric"), ("val/own_loss", "loss")):
        for word in (f"score={score}", f"budget.target='{score}>=0.5'"):
            with pytest.raises(Refusal, match=f"is of your own {group}: add {group}=own"):
                lab.trial(resolve(word), overrides=[])


def test_the_curve_has_it_and_a_training_may_end_by_it(tmp_path: Path) -> None:
    judges = [OwnLoss(own_nets.focal), OwnMetric(own_nets.top2)]
    fitted = fit(**parts(tmp_path, steps=40, val_every=10), beside=partial(scores, judges=judges))
    assert [row["step"] for row in fitted.curve] == [10, 20, 30, 40]
    last = scores(fitted.net, blobs().val, 7, judges)
    assert fitted.curve[-1]["val/own_score"] == pytest.approx(last["own_score"])
    assert fitted.curve[-1]["val/own_loss"] == pytest.approx(last["own_loss"], rel=1e-5)
    reached = fitted.curve[1]["val/own_loss"]
    assert fitted.curve[0]["val/own_loss"] > reached > last["own_loss"]
    early = parts(tmp_path / "early", steps=40, val_every=10, target=f"val/own_loss <= {reached + 1e-9}")
    assert fit(**early, beside=partial(scores, judges=judges)).steps == 20


@pytest.mark.slow
def test_a_trial_learns_by_it_and_tells_it(resolve: Callable[..., Any]) -> None:
    own = ["loss=own", "loss.target=own_nets.focal", "metric=own", "metric.target=own_nets.top2"]
    config = resolve("model.width=16", "budget.steps=100", "score=val/own_score", *own)
    answer = lab.trial(config, overrides=[])
    figures = answer["metrics"]
    assert answer["score"] == figures["val/own_score"] > figures["val/accuracy"] > 0.5
    assert 0 < figures["test/own_loss"] < figures["test/loss"] and math.isfinite(figures["test/loss"])
