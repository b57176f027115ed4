"""A training ends where it falls below its bar or runs away with its joules, and is else unchanged."""

import pytest

from models.energy.disturbance import Watch
from models.energy.meter import Meter
from models.training.budget import Budget
from models.training.callbacks.halving import HalvingStop, Stopped
from models.training.record import TrainingRecord
from refusal import Refusal
from trainings import steady, weights


def test_a_training_that_passes_every_bar_ends_bit_for_bit_as_one_without(train, tmp_path):
    plain = train(folder=tmp_path / "a")
    watched = train(callbacks={"halving": HalvingStop(bars={"0.3": 0.0}, cap=1e9)}, folder=tmp_path / "b")
    assert weights(plain.net).equal(weights(watched.net)) and watched.steps == 40


def test_it_ends_at_the_rung_below_its_bar_and_tells_what_it_spent(train):
    with pytest.raises(
        Stopped, match=r"val/accuracy is .* of the budget, where what goes on has 1\.5"
    ) as ended:
        train(callbacks={"halving": HalvingStop(bars={0.5: 1.5})})
    spent = ended.value.spent
    assert 0.5 <= spent["share"] < 1 and spent["train/energy_j"] > 0 and spent["train/seconds"] > 0
    assert 0 <= spent["at/0.5"] < 1.5


def test_less_is_better_where_the_metric_is_a_loss(train, tmp_path):
    bars = {"metric": "val/loss", "direction": "min"}
    assert train(callbacks={"h": HalvingStop(**bars, bars={0.5: 1e9})}, folder=tmp_path / "a").steps == 40
    with pytest.raises(Stopped, match="val/loss"):
        train(callbacks={"h": HalvingStop(**bars, bars={0.5: 1e-9})}, folder=tmp_path / "b")


def watched_by(watch: Watch) -> Meter:
    return Meter(grid_g_per_kwh=475.0, counters=steady, watch=lambda: watch)


def test_a_cost_is_projected_from_the_share_that_is_spent(train, tmp_path):
    quiet = watched_by(Watch(tmp_path / "nothing to read"))
    with pytest.raises(Stopped, match=r"CPU s at .* come to at least .* CPU s, more than") as ended:
        train(steps=200, callbacks={"halving": HalvingStop(cap=1e-6, rest=0)}, meter=quiet)
    spent = ended.value.spent
    assert 0.2 <= spent["share"] < 0.6
    assert spent["projected/cpu_seconds"] > spent["train/cpu_seconds"] > 0


def test_a_rest_that_costs_less_than_a_start_is_not_worth_ending(train, tmp_path):
    quiet = watched_by(Watch(tmp_path / "nothing to read"))
    found = train(steps=200, callbacks={"halving": HalvingStop(cap=1e-6, rest=1e6)}, meter=quiet)
    assert found.steps == 200


class Neighbour:
    """A watch on a machine where every thread waits as long as it runs."""

    def __init__(self) -> None:
        self.looks = 0

    def read(self, children: list[int]) -> dict[str, float]:
        self.looks += 1
        return {"ran": float(self.looks), "waited": float(self.looks)}


def test_a_disturbed_training_is_not_ended_for_its_joules(train):
    busy = watched_by(Neighbour())
    found = train(steps=200, callbacks={"halving": HalvingStop(cap=1e-6, rest=0)}, meter=busy)
    assert found.steps == 200 and "waited" in found.facts["disturbed"]["train"]
    with pytest.raises(Stopped, match="val/accuracy"):
        train(callbacks={"halving": HalvingStop(bars={0.5: 1.5}, cap=1e-6)}, meter=watched_by(Neighbour()))


def test_what_makes_no_sense_is_refused():
    for wrong in (
        {"bars": {1.0: 0.5}},
        {"bars": {0.0: 0.5}},
        {"direction": "up"},
        {"settled": 1.0},
        {"cost": "wall"},
    ):
        with pytest.raises(Refusal, match="halving"):
            HalvingStop(**wrong)


class Run:
    """Of a training of 100 steps that nobody disturbs."""

    total = 100

    class clock:
        """As the module has one."""

        disturbed = staticmethod(dict)

    def __init__(self, target: str | None = None) -> None:
        self.budget, self.record = Budget(steps=100, target=target), TrainingRecord()

    def see(
        self, halving: HalvingStop, points: list[tuple[float, float]], column: str = "cpu_second"
    ) -> None:
        """Steps and what they cost by then."""
        for step, spent in points:
            row = {"step": step, "second": 1.0, "cpu_second": spent, column: spent}
            self.record.curve.append(row)
            halving.on_train_batch_end(None, self, None, None, 0)


def test_what_starting_took_is_not_projected():
    run, halving = Run(), HalvingStop(cap=30.0, rest=0)
    run.see(halving, [(10.0, 12.0), (20.0, 13.0), (30.0, 14.0)])  # 12 s to the first point, then 1 s a tenth
    assert halving._reached["projected"] == pytest.approx(14 + 7 * 1.0)


def test_the_cheapest_stretch_is_what_is_projected():
    """A neighbour made one stretch five times dearer: the rest is not taken to be like it."""
    run, halving = Run(), HalvingStop(cap=14.0, rest=0)
    run.see(halving, [(10.0, 1.0), (20.0, 6.0), (30.0, 7.0)])
    assert halving._reached["projected"] == pytest.approx(7 + 7 * 1.0)
    with pytest.raises(Stopped, match=r"9 CPU s at 40% of the budget come to at least 15 CPU s"):
        run.see(halving, [(40.0, 9.0)])


def test_a_training_that_may_end_at_its_target_is_held_to_what_it_has_spent():
    run, halving = Run("val/accuracy >= 0.5"), HalvingStop(cap=10.0, rest=0)
    run.see(halving, [(10.0, 2.0), (20.0, 4.0), (30.0, 6.0), (40.0, 8.0)])  # 20 s if it never got there
    with pytest.raises(Stopped, match="12 CPU s at 60% of the budget"):
        run.see(halving, [(60.0, 12.0)])


def test_two_points_say_nothing_of_the_rest():
    run, halving = Run(), HalvingStop(cap=1e-3, rest=0)
    run.see(halving, [(30.0, 1.0), (60.0, 9.0)])
    assert "projected" not in halving._reached
    with pytest.raises(Stopped):
        run.see(halving, [(90.0, 17.0)])


def test_joules_are_projected_where_a_gpu_draws_them():
    run, halving = Run(), HalvingStop(cap=3.0, cost="joule", rest=0)
    points = [(10.0, 0.2), (20.0, 0.4), (30.0, 0.6)]
    with pytest.raises(Stopped, match=r"0\.6 J at 30% of the budget come to at least 2 J"):
        Run().see(HalvingStop(cap=1.5, cost="joule", rest=0), points, "joule")
    run.see(halving, points, "joule")
