"""Layers go back to 32 bits, the worst first, until the validation score holds; all of it is told."""

import copy

import pytest
import torch
from torch import nn

from models.backends.inductor import Inductor
from models.compress.context import Context
from models.compress.int8_static import Int8Static, rebuilt
from models.compress.raising import check_tolerance, held, sensitivities
from models.data.dataset import Dataset, Split
from refusal import Refusal


class Outliers(nn.Module):
    """Two layers of which the first has outputs of very different size: one scale of its output is coarse."""

    def __init__(self):
        super().__init__()
        self.first, self.wild, self.last = nn.Linear(12, 24), nn.Linear(24, 24), nn.Linear(24, 4)

    def forward(self, x):
        return self.last(self.wild(torch.relu(self.first(x))))


def learnt(net, data, steps=200):
    optimizer = torch.optim.AdamW(net.parameters(), lr=0.01)
    for _ in range(steps):
        optimizer.zero_grad()
        nn.functional.cross_entropy(net(data.train.inputs), data.train.targets).backward()
        optimizer.step()
    return net.eval().requires_grad_(False)


@pytest.fixture(scope="module")
def points():
    generator = torch.Generator().manual_seed(0)
    targets = torch.randint(0, 4, (1024,), generator=generator)
    centres = 1.5 * torch.randn(4, 12, generator=generator)
    inputs = centres[targets] + torch.randn(1024, 12, generator=generator)
    splits = [Split(inputs[cut], targets[cut]) for cut in (slice(0, 512), slice(512, 768), slice(768, None))]
    return Dataset(*splits, "classification", (12,), 4, 64)


@pytest.fixture(scope="module")
def wild(points):
    """Learnt, then one hidden unit is made huge and read by nobody: int8 keeps little of the others."""
    torch.manual_seed(0)
    net = learnt(Outliers(), points)
    net.wild.weight[0] *= 0
    net.wild.bias[0] = 4000.0
    net.last.weight[:, 0] = 0
    return net


def context(points, tmp_path, tolerance=None):
    fixed = (points, "cpu", 0, "32-true", tmp_path, lambda net, *_: net)
    return Context(*fixed, ("int8_static",), (Inductor(),), tolerance=tolerance)


def test_the_layer_that_reads_an_outlier_is_the_most_sensitive(wild, points, tmp_path):
    before = copy.deepcopy(wild.state_dict())
    found = sensitivities(wild, context(points, tmp_path), 4)
    assert next(name for name, _ in found) == "last"
    assert found[0][1] > 20 * found[1][1]
    assert sorted(name for name, _ in found) == ["first", "last", "wild"]
    assert all(torch.equal(before[name], value) for name, value in wild.state_dict().items())


def test_layers_are_raised_in_their_order_until_the_bound_holds(wild, points, tmp_path):
    """By made-up int8 forms: what is wrong is wrong until `last` is kept."""
    wrong = copy.deepcopy(wild)
    wrong.last.weight.zero_()
    asked = []

    def make(kept):
        asked.append(kept)
        return (wild if "last" in kept else wrong), {"kept": sorted(kept)}

    where = context(points, tmp_path, 0.01)
    made, facts = held(wild, where, 4, make)
    assert made is wild and asked == [frozenset(), {"last"}]
    (raised,) = facts["raised"]
    assert raised["layer"] == "last" and raised["score"] == where.score(wild) and raised["error"] > 0
    assert facts["scores"] == {"exact": where.score(wild), "all_int8": where.score(wrong)}
    assert "missed" not in facts


def test_where_no_layer_is_enough_the_best_comes_out_and_says_so(wild, points, tmp_path):
    wrong = copy.deepcopy(wild)
    wrong.last.weight.zero_()
    made, facts = held(wild, context(points, tmp_path, 0.0), 4, lambda kept: (wrong, {}))
    assert made is wrong and "was asked" in facts["missed"] and facts["raised"] == []


def test_without_a_tolerance_nothing_is_raised(wild, points, tmp_path):
    made, facts = held(wild, context(points, tmp_path), 4, lambda kept: (wild, {"kept": sorted(kept)}))
    assert made is wild and facts == {"kept": []}


@pytest.mark.slow
def test_int8_keeps_the_score_that_it_loses_without(wild, points, tmp_path):
    """By inductor's own graph: more than ten points are lost, and one layer brings them back."""
    plain = Int8Static(4)
    where = context(points, tmp_path)
    lost = where.score(wild) - where.score(plain.after(copy.deepcopy(wild), where))
    assert lost > 0.1
    step, where = Int8Static(4), context(points, tmp_path, 0.01)
    final = step.after(copy.deepcopy(wild), where)
    assert where.score(wild) - where.score(final) <= 0.01
    assert next(row["layer"] for row in step.facts["raised"]) == "last"
    assert "last.weight" not in step.facts["int8"] and "first.weight" in step.facts["int8"]
    # What was saved says itself which layers stay in 32 bits.
    state = final.state_dict()
    fresh = rebuilt(Outliers().eval(), state, points.test.inputs[:1], "int8_static")
    fresh.load_state_dict(state)
    assert torch.equal(fresh(points.test.inputs), final.eager(points.test.inputs))


@pytest.mark.parametrize("tolerance", [-0.1, 1, "0.01", True])
def test_what_is_no_loss_is_refused(tolerance):
    with pytest.raises(Refusal, match=r"compress\.tolerance=.* is no loss of the score"):
        check_tolerance(tolerance)
    check_tolerance(None)
    check_tolerance(0.01)
