import pytest

from models import trial
from models.measure import cost, latency, peak
from models.training.side import taken
from refusal import Ended, Refusal
from trainings import parts


def fails(error):
    def work(*arguments, **settings):
        raise error

    return work


@pytest.mark.parametrize(
    "error", [ZeroDivisionError("by zero"), RuntimeError("no memory"), Refusal("no"), KeyError("x")]
)
def test_a_figure_that_cannot_be_taken_is_said_and_left_out(error):
    notes: list[str] = []
    with pytest.warns(RuntimeWarning, match="some/figure could not be taken"):
        assert taken("some/figure", fails(error), {"none": 0.0}, notes) == {"none": 0.0}
    (note,) = notes
    assert type(error).__name__ in note and "some/figure" in note


@pytest.mark.parametrize("error", [KeyboardInterrupt(), SystemExit(143), Ended("stopped")])
def test_what_should_end_the_process_does(error):
    with pytest.raises(type(error)):
        taken("some/figure", fails(error), None, [])


def test_a_figure_that_is_there_leaves_no_note():
    notes: list[str] = []
    assert taken("some/figure", lambda: 7.0, 0.0, notes) == 7.0 and notes == []


BROKEN = {
    "train/fraction_of_peak": (peak, "share"),
    "infer/latency_s_p50": (latency, "measure"),
    "compute/flops_forward": (cost, "measure"),
    "numerics/error_vs_fp32": (trial, "error_vs_fp32"),
    "train/activation_bytes": ("models.training.fit", "activation_bytes"),
}


@pytest.mark.parametrize("key", BROKEN)
def test_no_side_figure_loses_a_finished_training(tmp_path, one_thread, monkeypatch, key):
    place, name = BROKEN[key]
    if isinstance(place, str):
        monkeypatch.setattr(f"{place}.{name}", fails(ZeroDivisionError("held up")))
    else:
        monkeypatch.setattr(place, name, fails(ZeroDivisionError("held up")))
    own = parts(tmp_path, 6)
    loggers, net, settings = own.pop("loggers"), own.pop("net"), own.pop("settings")
    own.pop("folder")
    with pytest.warns(RuntimeWarning, match="ZeroDivisionError: held up"):
        measured = trial.train_and_measure(loggers, tmp_path, compress={}, model=net, trainer=settings, **own)
    own["meter"].stop()
    assert key not in measured.metrics
    assert any("ZeroDivisionError: held up" in note for note in measured.facts["notes"])
    assert {"test/accuracy", "val/accuracy", "train/seconds", "train/energy_j"} <= measured.metrics.keys()
    others = {one for one in BROKEN if one != key}
    # The share of the peak needs the count of operations.
    others -= {"train/fraction_of_peak"} if key == "compute/flops_forward" else set()
    assert others <= measured.metrics.keys()
