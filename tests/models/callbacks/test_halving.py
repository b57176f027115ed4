"""A training ends where it falls below its bar or runs away with its joules, and is else unchanged."""

import pytest
from trainings import steady, weights

from models.budget import Budget
from models.callbacks.halving import Halving, Stopped
from models.disturbance import Watch
from models.energy import Meter
from models.record import Record
from refusal import Refusal


def test_a_training_that_passes_every_bar_ends_bit_for_bit_as_one_without(train, tmp_path):
    plain = train(folder=tmp_path / "a")
    watched = train(callbacks={"halving": Halving(bars={"0.3": 0.0}, joules=1e9)}, folder=tmp_path / "b")
    assert weights(plain.net).equal(weights(watched.net)) and watched.steps == 40


def test_it_ends_at_the_rung_below_its_bar_and_tells_what_it_spent(train):
    with pytest.raises(
        Stopped, match=r"val/accuracy is .* of the budget, where what goes on has 1\.5"
    ) as ended:
        train(callbacks={"halving": Halving(bars={0.5: 1.5})})
    spent = ended.value.spent
    assert 0.5 <= spent["share"] < 1 and spent["train/energy_j"] > 0 and spent["train/seconds"] > 0
    assert 0 <= spent["at/0.5"] < 1.5


def test_less_is_better_where_the_metric_is_a_loss(train, tmp_path):
    bars = {"metric": "val/loss", "direction": "min"}
    assert train(callbacks={"h": Halving(**bars, bars={0.5: 1e9})}, folder=tmp_path / "a").steps == 40
    with pytest.raises(Stopped, match="val/loss"):
        train(callbacks={"h": Halving(**bars, bars={0.5: 1e-9})}, folder=tmp_path / "b")


def watched_by(watch: Watch) -> Meter:
    return Meter(grid_g_per_kwh=475.0, counters=steady, watch=lambda: watch)


def test_joules_are_projected_from_the_share_that_is_spent(train, tmp_path):
    quiet = watched_by(Watch(tmp_path / "nothing to read"))
    with pytest.raises(Stopped, match=r"J at .* come to .* J, more than") as ended:
        train(steps=200, callbacks={"halving": Halving(joules=1e-6)}, meter=quiet)
    assert 0.2 <= ended.value.spent["share"] < 0.6


class Neighbour:
    """A watch on a machine where every thread waits as long as it runs."""

    def __init__(self) -> None:
        self.looks = 0

    def read(self, children: list[int]) -> dict[str, float]:
        self.looks += 1
        return {"ran": float(self.looks), "waited": float(self.looks)}


def test_a_disturbed_training_is_not_ended_for_its_joules(train):
    busy = watched_by(Neighbour())
    found = train(steps=200, callbacks={"halving": Halving(joules=1e-6)}, meter=busy)
    assert found.steps == 200 and "waited" in found.facts["disturbed"]["train"]
    with pytest.raises(Stopped, match="val/accuracy"):
        train(callbacks={"halving": Halving(bars={0.5: 1.5}, joules=1e-6)}, meter=watched_by(Neighbour()))


def test_what_makes_no_sense_is_refused():
    for wrong in ({"bars": {1.0: 0.5}}, {"bars": {0.0: 0.5}}, {"direction": "up"}, {"settled": 1.0}):
        with pytest.raises(Refusal, match="halving"):
            Halving(**wrong)


def test_what_starting_took_is_not_projected():
    class Run:
        budget = Budget(steps=100)
        total = 100
        record = Record()

        class clock:
            """Of a training that nobody disturbs."""

            disturbed = staticmethod(dict)

    halving, joules = Halving(joules=30.0), [12.0, 13.0, 14.0]
    for tenth, joule in enumerate(joules, 1):
        Run.record.curve.append({"step": 10.0 * tenth, "second": 1.0, "joule": joule})
        halving.on_train_batch_end(None, Run, None, None, 0)  # 12 J to the first point, then 1 J a tenth
    Run.record.curve.append({"step": 40.0, "second": 1.0, "joule": 23.0})
    with pytest.raises(Stopped, match=r"23 J at 40% of the budget come to 45 J, more than 30 J") as ended:
        halving.on_train_batch_end(None, Run, None, None, 0)
    assert ended.value.spent["projected"] == pytest.approx(45.0)
