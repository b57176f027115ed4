"""reproduce: a trial or an insight run again, and whether it comes out the same."""

import json
import random
import sqlite3
from contextlib import closing

import pytest

from command_lab import Room
from refusal import Refusal
from research.types import Comparison, Insight, Verdict


@pytest.mark.slow
def test_a_trial_comes_out_again_or_is_said_to_differ(room: Room, monkeypatch: pytest.MonkeyPatch) -> None:
    seeds = [room.trial("budget.steps=200", seed=seed) for seed in range(5)]
    found = room.ask("reproduce", id=seeds[0])
    words = {check.metric: check.word for check in found.checks}
    assert words["test/accuracy"] == words["size/parameters"] == "equal"
    assert words["train/energy_j"] == "within" and found.agrees is True and found.notes == ()
    (again,) = room.store.trials(ids=[found.replicates[seeds[0]]])
    assert again.replicate == 1 and again.sweep is None
    task = room.lab.task
    monkeypatch.setattr(room.lab, "task", lambda config, rng: task(config, random.Random(1)))
    other = room.ask("reproduce", id=seeds[0])
    assert other.agrees is False
    assert next(one for one in other.checks if one.metric == "test/accuracy").word == "differs"
    assert "trial:1 does not agree" in other.text()


def test_a_trial_of_an_earlier_version_is_run_again_by_the_present_names(room: Room) -> None:
    number = room.trial("budget.steps=200")
    (trial,) = room.store.trials(ids=[number])
    earlier = trial.config | {"budget": trial.config["budget"] | {"_target_": "models.budget.Budget"}}
    with closing(sqlite3.connect(room.lab.folder / "lab.db")) as sql, sql:
        # Nor did that version take a digest.
        sql.execute(
            "update trial set config = ?, config_sha = null where id = ?", (json.dumps(earlier), number)
        )
    found = room.ask("reproduce", id=number)
    assert found.notes == (
        f"the row of trial {number} has no digest, so its configuration was taken as it stands",
    )
    (replicate,) = room.store.trials(ids=[found.replicates[number]])
    assert replicate.config["budget"]["_target_"] == "models.training.budget.Budget"


def test_too_few_earlier_values_make_no_interval(room: Room) -> None:
    found = room.ask("reproduce", id=room.trial("budget.steps=200"))
    assert found.agrees is None and "as far as it can be told" in found.text()
    timed = next(one for one in found.checks if one.metric == "train/energy_j")
    assert timed.word == "open" and "1 of the 3 earlier values" in timed.reason


def test_only_earlier_values_of_the_same_instrument_say_where_repetitions_lie(
    room: Room, monkeypatch: pytest.MonkeyPatch
) -> None:
    seeds = [room.trial("budget.steps=200", seed=seed) for seed in range(7)]
    told = {number: 10 + 0.01 * at for at, number in enumerate(seeds)}
    how = [{"energy_method": "estimated", "energy_basis": "4 W"}] * 5
    how += [how[0] | {"disturbed": {"train": "its threads waited"}}, how[0] | {"energy_basis": "40 W"}]
    told |= {seeds[5]: 60.0, seeds[6]: 100.0}
    with closing(sqlite3.connect(room.lab.folder / "lab.db")) as sql, sql:
        for number, facts in zip(seeds, how, strict=True):
            sql.execute("update trial set facts = ? where id = ?", (json.dumps(facts), number))
            own = (told[number], number)
            sql.execute("update metric set value = ? where trial_id = ? and key = 'train/energy_j'", own)
    finish = room.store.finish
    monkeypatch.setattr(
        room.store,
        "finish",
        lambda claim, metrics, facts: finish(claim, metrics | {"train/energy_j": 20.0}, facts | how[0]),
    )
    found = Comparison(
        metric="m", n=3, difference=1, low=0, high=2, effect_size=None, p_value=None, level=0.9
    )
    verdict = Verdict(word="open", comparison=found, reason="r", trial_ids=tuple(seeds[:2]))
    insight = Insight(claim="c", verdict=verdict, energy_method="estimated", command="x")
    done = room.ask("reproduce", id=f"insight:{room.store.add_insight(insight)}")
    checks = [check for check in done.checks if check.metric == "train/energy_j"]
    # Five values of 10 J: neither the disturbed one, nor the other basis, nor the other new replicate.
    assert [(check.word, check.reason) for check in checks] == [("differs", "n = 5 earlier")] * 2
    assert checks[0].low is not None and 9.9 < checks[0].low < 10.02


@pytest.mark.slow
def test_an_insight_is_reproduced_by_all_of_its_trials(room: Room) -> None:
    ids = tuple(room.trial("budget.steps=200", seed=seed) for seed in range(3))
    found = Comparison(
        metric="m", n=3, difference=1, low=0, high=2, effect_size=None, p_value=None, level=0.9
    )
    verdict = Verdict(word="open", comparison=found, reason="r", trial_ids=ids)
    insight = Insight(claim="c", verdict=verdict, energy_method="estimated", command="x")
    number = room.store.add_insight(insight)
    done = room.ask("reproduce", id=f"insight:{number}")
    assert set(done.replicates) == set(ids) and done.of == f"insight:{number}" and done.agrees is not False


def test_only_finished_trials_are_reproduced(room: Room) -> None:
    from research.types import Key

    claim = room.store.claim(Key("a", "c", "d", "h"), config={})
    with pytest.raises(Refusal, match="Trial 1 is running: only what was trained to its end"):
        room.ask("reproduce", id=claim.trial_id)
    with pytest.raises(Refusal, match="There is no insight 7"):
        room.ask("reproduce", id="insight:7")
    assert room.lab.ran == []
