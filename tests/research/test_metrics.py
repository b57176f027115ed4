"""The table of figures: every clock that models/ writes has a row, and a figure reads in its row's unit."""

import re
from pathlib import Path

from cases import each
from research import metrics
from research.metrics import (
    METRICS,
    VALIDATION,
    is_energy,
    is_timed,
    quantity,
    screening,
    twin,
    untested,
    window,
)

ROOT = Path(__file__).parents[2]
WRITERS = (ROOT / "models", ROOT / "research" / "run")
CLOCKED = r"seconds|energy|co2|latency|per_second|speedup|fraction_of_peak"


def test_every_clock_that_a_training_writes_is_known_as_one() -> None:
    sources = "\n".join(path.read_text() for folder in WRITERS for path in folder.rglob("*.py"))
    written = set(re.findall(rf'"(\w+/\w*(?:{CLOCKED})\w*)"', sources))
    assert {"train/energy_j", "infer/latency_s_p95_batch", "compress/speedup_single"} <= written
    assert [metric for metric in sorted(written) if not is_timed(metric)] == []
    whole = {metric for metric in written if window(metric) is None}
    assert {metric.partition("/")[0] for metric in whole} == {"trial", "projected", "distill"}


def test_each_score_has_a_twin_that_a_search_may_see() -> None:
    scores = [metric for metric in METRICS if metric.startswith("test/")]
    assert [screening(metric) for metric in scores] == list(VALIDATION)
    assert [twin(metric) for metric in VALIDATION] == scores
    assert metrics.words("val/accuracy") == "validation accuracy" and twin("size/bytes") == "size/bytes"
    assert untested({"test/loss": 1.0, "val/loss": 2.0, "size/bytes": 3.0}) == {
        "val/loss": 2.0,
        "size/bytes": 3.0,
    }


def test_what_is_no_clock_and_no_joule_is_not_taken_for_one() -> None:
    still = (
        "stability/nonfinite_steps",
        "train/largest_batch",
        "compress/accuracy_lost",
        "seconds",
        "energy",
    )
    assert not any(is_timed(metric) or is_energy(metric) for metric in still)


@each(
    ("metric", "value", "told"),
    [
        ("train/energy_j", 1234.5, "1.23 kJ"),
        ("compress/energy_j", 0.0123, "12.3 mJ"),
        ("train/co2_kg", 2.5e-6, "2.5 mg"),
        ("infer/latency_s_p50_batch", 4.2e-4, "420 µs"),
        ("infer/samples_per_second", 51200.0, "51.2 k samples/s"),
        ("train/steps_per_second", 0.783, "0.783 steps/s"),
        ("train/steps_per_second", 1154.2, "1,154 steps/s"),
        ("train/steps_per_second", 999.7, "1,000 steps/s"),
        ("train/seconds", 999.9, "16.7 min"),
        ("train/seconds", 20000.0, "5.56 h"),
        ("train/steps_to_target", 0.5, "0.5"),
        ("train/energy_j", 999.96, "1 kJ"),
        ("size/bytes", 1900.0, "1.9 kB"),
        ("compute/flops_train", 3.1e9, "3.1 GFLOP"),
        ("size/parameters", 640.0, "640"),
        ("train/steps_to_target", 0.0, "0"),
        ("val/accuracy", 0.97123, "0.9712"),
        ("compress/speedup", 1.5, "1.5000"),
        ("moe/load_entropy", 0.25, "0.2500"),
        ("test/rmse", 3.21e-6, "3.21e-06"),
        ("test/rmse", 0.0, "0.0000"),
        ("train/seconds", float("nan"), "not a number"),
    ],
)
def test_a_figure_reads_in_its_unit(metric: str, value: float, told: str) -> None:
    assert quantity(metric, value) == told
