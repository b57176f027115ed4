"""The report of a sweep: the best arm, whether that is settled, what failed, and what is not compared."""

import math
import statistics
from pathlib import Path

import pytest
from scipy.stats import t

from refusal import Refusal
from report_tables import arms
from research.report.sweep import write
from research.types import Key
from rows_lab import opened

NAMES = ("optimizer=adam", "optimizer=lion", "optimizer=sgd")


def test_the_best_arm_is_compared_with_the_first(tmp_path: Path) -> None:
    with opened(tmp_path) as lab:
        for seed in range(4):
            for place, name in enumerate(NAMES):
                lab.trial(
                    (name,), seed, 10.0 + seed, 0.8 + 0.05 * place + 0.003 * (seed * place % 3), sweep="s"
                )
        got = lab.store.claim(Key("f", "c", "d", "cpu:test"), config={}, overrides=["a|b"], sweep="s")
        lab.store.fail(got, "diverged | <b> [printed: noise]", {"spent": {"train/energy_j": 4.25}})
        report = write(lab.store, "s", tmp_path).read_text()
        values = {
            name: [value for (value,) in lab.sql(
                "select value from metric join trial on trial.id = trial_id where point = -1 "
                "and key = 'test/accuracy' and overrides like ? order by seed", f"%{name}%")]
            for name in NAMES
        }  # fmt: skip
    changes = [b - a for a, b in zip(values[NAMES[0]], values[NAMES[2]], strict=True)]
    half = t.ppf(1 - 0.05 / 4, 3) * statistics.stdev(changes) / math.sqrt(4)
    mean = statistics.fmean(changes)
    told = f"{mean:+.5f} [{mean - half:.5f}, {mean + half:.5f}]"
    head, asked, best = report.split("\n\n")[:3]
    assert head == "# Sweep s: which of 3 arms is best by test/accuracy?"
    assert asked == "Asked was which of 3 arms is best by test/accuracy (accuracy), over 4 seeds."
    assert best.startswith("**C has the best mean, 0.9") and best.endswith("It is `optimizer=sgd`.")
    assert arms(report) == dict(zip("ABC", ("nothing (`optimizer=adam`)", *NAMES[1:]), strict=True))
    assert f"Its difference from the first arm is {told}, n = 4 pairs: settled." in report
    assert f"| C | 4 | {told} | settled |" in report and "97.5 % interval" in report
    assert "- `a/b`: diverged / &lt;b>" in report and "noise" not in report
    assert "python train.py -m optimizer=adam seed=0,1,2,3" in report
    assert "13 trials (12 done, 1 failed)" in report
    assert "- 138 J for the training of those that are done (joules are" in report
    assert "- 4.25 J more for attempts that failed or were killed" in report
    assert (tmp_path / "train-energy_j.svg").is_file() and (tmp_path / "curves.svg").is_file()


def test_where_the_arm_asked_for_first_failed_the_next_is_not_called_so(tmp_path: Path) -> None:
    with opened(tmp_path) as lab:
        for seed in range(3):
            key = Key(f"{NAMES[0]} {seed}", "c", "d", "cpu:test")
            line = [NAMES[0], f"seed={seed}"]
            lab.store.fail(lab.store.claim(key, config={}, overrides=line, seed=seed, sweep="s"), "diverged")
            for place, name in enumerate(NAMES[1:]):
                lab.trial((name,), seed, 10.0, 0.9 - 0.05 * place, sweep="s")
        report = write(lab.store, "s", tmp_path).read_text()
    assert "it is what the others are compared with below" in report and "it is the first arm" not in report
    said = "Asked for first was `optimizer=adam`, which has no figures; A is the first that has some."
    assert said in report


def test_one_seed_settles_nothing(tmp_path: Path) -> None:
    with opened(tmp_path) as lab:
        for name, accuracy in zip(NAMES, (0.8, 0.9, 0.7), strict=True):
            lab.trial((name,), 0, 10.0, accuracy, sweep="s")
        report = write(lab.store, "s", tmp_path).read_text()
    assert "**B has the best mean, 0.9000 (n = 1).** That is not settled" in report
    assert "inf" not in report and "| B | 1 | +0.1 (no interval) | open |" in report


def test_trials_known_from_before_are_in_it(tmp_path: Path) -> None:
    with opened(tmp_path) as lab:
        known = lab.trial((NAMES[0],), 0, 10.0, 0.8, sweep="earlier")
        lab.trial((NAMES[1],), 0, 10.0, 0.7, sweep="s")
        assert "which of 2 arms" in write(lab.store, "s", tmp_path, [known]).read_text()
        with pytest.raises(Refusal, match="no sweep 'none'"):
            write(lab.store, "none", tmp_path)
