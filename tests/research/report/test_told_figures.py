"""What a report says of its rows is what they hold: n, ties, intervals, power, seeds that failed."""

import base64
import math
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pytest

from cases import each
from research.notebook import CampaignView
from research.page import counted
from research.report import analysis, answer, cost
from research.report.arms import ArmNames, Read, arms_table
from research.report.card import Card
from research.report.cost import price
from research.report.findings import of_campaign
from research.report.sweep import write
from research.stats import power
from research.stats.alpha import Errors
from research.stats.intervals import compare
from research.stats.verdicts import judge
from research.store.queries import first_of_each_seed, siblings
from research.tasks.research import outcome
from research.types import Comparison, Key
from rows_lab import CAMPAIGN, WINNER, RowsLab, opened


@pytest.fixture
def rows(tmp_path: Path) -> Iterator[RowsLab]:
    with opened(tmp_path) as lab:
        yield lab


def finished(
    lab: RowsLab, overrides: tuple[str, ...], seed: int, told: dict[str, float], **facts: object
) -> int:
    line = [*overrides, f"seed={seed}"]
    key, config = Key(" ".join(line), "c", "d", "cpu:test"), {"score": "val/accuracy"}
    kept = {"overrides": line, "seed": seed, "sweep": CAMPAIGN, "folder": "f"}
    got = lab.store.claim(key, config=config, **kept, force=True)
    how = {"energy_method": "estimated", "torch": "2", "threads": 1, "energy": {}}
    lab.store.finish(got, told, how | facts)
    return got.trial_id


def examples_of(right: np.ndarray) -> dict[str, dict[str, object]]:
    kept = base64.b64encode(np.packbits(right).tobytes()).decode()
    return {"accuracy": {"bits": kept, "count": len(right)}, "loss": {"count": 0, "means": ""}}


def test_an_arm_of_a_sweep_whose_seeds_failed_is_not_settled(rows: RowsLab, tmp_path: Path) -> None:
    def swept(name: str, most: int) -> str:
        for seed in range(5):
            rows.trial(("optimizer=adam",), seed, 10.0, 0.8 + 0.001 * seed, sweep=name)
        for seed in range(5):
            line = (f"optimizer={name}",)
            if seed < most:
                rows.trial(line, seed, 10.0, 0.8 + 0.1 * (name == "sgd") + 0.001 * seed**2, sweep=name)
            else:
                key = Key(f"{name} {seed}", "c", "d", "cpu:test")
                got = rows.store.claim(
                    key, config={}, overrides=[*line, f"seed={seed}"], seed=seed, sweep=name
                )
                rows.store.fail(got, "diverged")
        return write(rows.store, name, tmp_path).read_text()

    assert "of 10 trials have no value" in swept("sgd", 3)
    assert "of 10 trials" not in swept("lion", 5)


def test_fewer_seeds_on_purpose_are_no_failures(rows: RowsLab, tmp_path: Path) -> None:
    for seed in range(5):
        rows.trial(("optimizer=adam",), seed, 10.0, 0.8 + 0.001 * seed, sweep="s")
    for seed in range(3):
        rows.trial(("optimizer=sgd",), seed, 10.0, 0.9 + 0.001 * seed**2, sweep="s")
    assert "n = 3 pairs: settled." in write(rows.store, "s", tmp_path).read_text()


def test_a_mean_says_of_how_many_it_is(rows: RowsLab) -> None:
    ids = [
        finished(rows, ("a=1",), seed, {"test/accuracy": 0.9, "test/r2": math.nan if seed else 0.5}
                 | ({"train/steps_to_target": 100.0 + 10 * seed} if seed < 2 else {}))
        for seed in range(5)
    ]  # fmt: skip
    arm = Read(rows.store, ids).arm(("a=1",), "person", "ran", ids)
    (line,) = [
        line
        for line in arms_table([arm], ["test/accuracy", "train/steps_to_target"], ArmNames([arm]))
        if line.startswith("| A | 5 |")
    ]
    assert line.count("(n = 2)") == 1 and "(n = 5)" not in line


def test_ties_take_no_part_in_a_sign_test() -> None:
    assert analysis._sign_test(0, 0) == 1
    assert analysis._sign_test(0, 5) == pytest.approx(0.0625)


def test_pairs_are_those_of_the_comparison_and_not_of_another_sprint(rows: RowsLab) -> None:
    sides = [
        (rows.arm((), range(start, start + 5), 10.0), rows.arm(WINNER, range(start, start + 5), joules))
        for start, joules in ((10, 5.0), (20, 9.8))
    ]
    for number, (control, arm) in enumerate(sides, start=1):
        sprint = rows.sprint(number)
        rows.experiment(sprint, (), "control", confirmed=control)
        mine = rows.experiment(sprint, WINNER, "supported", confirmed=arm)
        rows.finding(sprint, mine, control, arm)
    said = analysis.text(of_campaign(rows.store, CAMPAIGN))
    assert "of 10 pairs" not in said and said.count("of 5 pairs") == 2


def test_what_is_told_beside_a_finding_knows_the_examples(rows: RowsLab) -> None:
    rng, hard, ids = np.random.default_rng(3), np.random.default_rng(4).random(100), {(): [], WINNER: []}
    for seed in range(5):
        for arm, ease in (((), 0.9), (WINNER, 0.84)):
            right = hard < ease + rng.normal(0, 0.005)
            joules = (5 + 5 * (arm == ())) * (1 + rng.random() / 99)
            told = {"test/accuracy": float(right.mean()), "train/energy_j": joules}
            ids[arm].append(finished(rows, arm, seed, told, examples=examples_of(right)))
    sprint = rows.sprint(1)
    rows.experiment(sprint, (), "control", confirmed=ids[()])
    mine = rows.experiment(sprint, WINNER, "supported", confirmed=ids[WINNER])
    rows.finding(sprint, mine, ids[()], ids[WINNER])
    found = of_campaign(rows.store, CAMPAIGN)
    (line,) = [one for one in price(found, found.found[0]) if one.startswith("test/accuracy")]
    assert "its examples' variance included" in line


def test_replicates_of_a_seed_are_one_seed_and_two_bases_are_none(rows: RowsLab) -> None:
    ids = []
    for at, (joules, watts) in enumerate(((10.0, 4), (10.0, 4), (30.0, 12)), start=1):
        told = {"infer/latency_s_p50": 1e-3 * at, "train/energy_j": joules, "test/accuracy": 0.9}
        ids.append(finished(rows, (), 0, told, energy_basis=f"{watts} W a core"))
    last = rows.store.trials(ids=[ids[-1]])[0]
    others = siblings(rows.store, last)
    results = rows.store.results([one.id for one in others])
    kept = [*(first_of_each_seed(others, results) | {last.seed: last}).values()]
    assert [one.id for one in kept] == [last.id]
    both = [*rows.store.trials(ids=ids[1:])]
    card = Card(last, results[last.id], [results[one.id] for one in both], both)
    assert "2 seeds" in card._interval("infer/latency_s_p50")
    assert "seeds" not in card._interval("train/energy_j")


def test_a_network_that_nothing_compressed_is_not_called_compressed(rows: RowsLab) -> None:
    number = finished(rows, (), 0, {"test/accuracy": 0.9})
    ((trial,), result) = rows.store.trials(ids=[number]), rows.store.results([number])[number]
    titles = []
    for steps in ({}, {"prune50": {"_target_": "models.compress.prune"}}):
        config = {"compress": {"tolerance": None, **steps}, "data": {}, "model": {}}
        titles += Card(trial.model_copy(update={"config": config}), result, [], [])._title()[:1]
    assert ["compressed" in title for title in titles] == [False, True]
    assert titles[1].endswith(", compressed by `prune50`")


@each(
    ("change", "chance"),
    [(-10.0, (0.0, 0.12)), (-20.0, (0.7, 1.0))],
)
def test_the_power_that_is_told_is_that_of_the_claim(change: float, chance: tuple[float, float]) -> None:
    """A claim of 10 % at least is supported where the effect is well beyond 10 %, and hardly ever at 10 %."""
    rng, supported, told = np.random.default_rng(5), 0, None
    for _ in range(150):
        before = {seed: 10 * math.exp(rng.normal(0, 0.05)) for seed in range(5)}
        after = {seed: 10 * (1 + change / 100) * math.exp(rng.normal(0, 0.05)) for seed in range(5)}
        verdict = judge(before, after, metric="train/energy_j", direction="min", smallest_effect=10.0,
                        scale="relative", rate=Errors(0.02, 0.02))  # fmt: skip
        supported += verdict.word == "supported"
        told = told or (verdict.comparison and power.told(verdict.comparison, 10.0))
    assert chance[0] <= supported / 150 <= chance[1]
    assert told is not None and told.supportable > 12
    assert f"{told.supportable:.3g} % or more to be beyond 10 %" in answer.power_words(told, " %")


def test_no_number_of_seeds_is_told_where_the_test_set_is_what_is_small() -> None:
    pairs = [{seed: 0.8 + 0.01 * seed for seed in range(5)}, {seed: 0.81 + 0.012 * seed for seed in range(5)}]
    compared = compare(*pairs, "test/accuracy", 0.95)

    def needed(said: Comparison) -> int | None:
        found = power.told(said, 0.015)
        assert found is not None
        return found.needed

    assert needed(compared.model_copy(update={"over": "splits"}))
    assert needed(compared.model_copy(update={"over": "examples"})) is None


def test_means_of_fewer_seeds_and_disturbed_carbon_say_so(rows: RowsLab) -> None:
    held = {"disturbed": {"train": "its threads waited"}}
    ids = [
        finished(
            rows, (), seed, {"train/energy_j": joules, "train/co2_kg": 1e-5, "test/accuracy": 0.9}, **how
        )
        for seed, (joules, how) in enumerate([(10.0, {}), (12.0, {}), (99.0, held)])
    ]
    rows.experiment(rows.sprint(1), (), "control", confirmed=ids)
    found = outcome(rows.store, Path("f/report.md"))
    (arm,) = found.figures
    assert (arm.n, arm.means["train/energy_j"], arm.energy_method) == (3, 11.0, "estimated")
    assert arm.fewer == {"train/energy_j": 2, "train/co2_kg": 2}
    html = CampaignView(found)._repr_html_()
    assert "11 J (n = 2)" in html and "0.9000<" in html and "joules: estimated" in html
    results = rows.store.results(ids)
    sources = [
        Card(trial, results[trial.id])._carbon()["co2_eq_emissions"]["source"]
        for trial in rows.store.trials(ids=ids)
    ]
    assert [source.endswith("; others disturbed it") for source in sources] == [False, False, True]


def test_one_is_told_as_one() -> None:
    spent = cost.Cost(1, 0, 0, 0, 1.0, 1.0, 1, 1, 0.5, 2.0, 0, None)
    assert cost.model(spent) == [
        "- 1 call of the language model, 1 token, $0.5000; its joules are an estimate: 2 J"
    ]
    assert counted(0, "trial") == "0 trials" and counted(1, "trial") == "1 trial"


@each(
    ("clocks", "said"),
    [
        ([(1, 10.0)], "this run of the command"),
        ([(1, 10.0), (2, 25.0)], "this run of the command"),  # sprint after sprint on one clock
        ([(1, 10.0), (2, 8.0)], "the last run of the command"),  # the clock began anew
        ([(1, 10.0), (1, 25.0)], "the last run of the command"),  # the same sprint once more
    ],
)
def test_seconds_say_which_run_of_the_command_they_are_of(clocks: list[tuple[int, float]], said: str) -> None:
    with TemporaryDirectory() as folder, opened(Path(folder)) as lab:
        control = lab.arm((), [0], 20.0)
        for number, seconds in clocks:
            sprint = lab.sprint(number, seconds=seconds)
            lab.experiment(sprint, (), "control", screened=control)
        told = cost.cost(of_campaign(lab.store, CAMPAIGN))
    assert told[0].startswith("- 1 trial trained to its end, ")
    assert f"- {clocks[-1][1]:.1f} s by the clock for {said}" in told
