"""`task=zoo` tells the best networks whose weights are there, chosen by validation over their seeds."""

import json
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

import command_lab
from refusal import Refusal


@pytest.fixture
def room(tmp_path: Path) -> Iterator[command_lab.Room]:
    with command_lab.opened(tmp_path) as opened:
        yield opened


def kept(room: command_lab.Room, line: str, **scores: tuple[float, float]) -> list[int]:
    """Trials of one configuration with weights: seed -> (validation, test) accuracy."""
    numbers = []
    for seed, (val, test) in scores.items():
        number = room.trial(line, seed=int(seed[1:]))
        folder = room.lab.folder / "kept" / str(number)
        folder.mkdir(parents=True)
        (folder / "weights.pt").touch()
        with closing(sqlite3.connect(room.lab.folder / "lab.db")) as sql, sql:
            sql.execute("update trial set folder = ? where id = ?", (str(folder), number))
            for key, value in (("val/accuracy", val), ("test/accuracy", test)):
                sql.execute(
                    "update metric set value = ? where trial_id = ? and key = ?", (value, number, key)
                )
        numbers.append(number)
    return numbers


def test_the_best_are_chosen_by_validation_and_told_by_test(room: command_lab.Room) -> None:
    kept(room, "model.width=64", s0=(0.90, 0.99), s1=(0.99, 0.90), s2=(0.80, 0.99))
    wide = kept(room, "model.width=128", s0=(0.95, 0.91), s1=(0.96, 0.93))
    small = kept(room, "model.width=32", s0=(0.91, 0.95))
    room.trial("model.width=256")
    found = room.ask("zoo", bound=["test/accuracy >= 0.9"])
    best, cheapest, *_ = found.kept
    # A seed that was lucky, and a test that is better, choose nothing.
    assert (best.trial, best.seeds, best.overrides) == (wide[1], 2, ("data=digits", "model.width=128"))
    assert best.figures["test/accuracy"] == pytest.approx(0.92) and best.best == "test/accuracy"
    assert {one.bound for one in found.kept} == {"", "test/accuracy >= 0.9"}
    assert cheapest.trial in (small[0], wide[1]) and found.networks == 3 and found.gone == 1
    energy = next(one for one in found.kept if one.best == "train/energy_j")
    assert energy.trial in (small[0], *wide), "the mean of the 64 wide one's validation is below the bound"
    assert "the weights of 1 more trial are gone" in found.text() and "task=export id=" in found.text()


def measured(room: command_lab.Room, number: int, joules: float, facts: dict[str, object]) -> None:
    """A trial's joules, and how they were taken."""
    with closing(sqlite3.connect(room.lab.folder / "lab.db")) as sql, sql:
        told = (joules, number, "train/energy_j")
        sql.execute("update metric set value = ? where trial_id = ? and key = ?", told)
        sql.execute("update trial set facts = ? where id = ?", (json.dumps(facts), number))


def replicate(room: command_lab.Room, number: int) -> int:
    """The same trial once more."""
    (of,), result = room.store.trials(ids=[number]), room.store.results([number])[number]
    asked = {"config": of.config, "overrides": of.overrides, "seed": of.seed, "folder": of.folder}
    claim = room.store.claim(of.key, **asked, force=True)
    room.store.finish(claim, result.metrics)
    return claim.trial_id


def test_a_seed_counts_once_and_joules_of_another_instrument_win_nothing(room: command_lab.Room) -> None:
    how = {"energy_method": "estimated", "energy_basis": "4 W a core"}
    held = how | {"disturbed": {"train": "its threads waited"}}
    # Cheaper by far by another calibration's watts, and older, so not what the rest stands beside.
    for number in kept(room, "model.width=32", s0=(0.95, 0.95), s1=(0.95, 0.95)):
        measured(room, number, 1.0, how | {"energy_basis": "1 W a core"})
    first, second, busy = kept(room, "model.width=64", s0=(0.95, 0.95), s1=(0.95, 0.95), s2=(0.95, 0.95))
    again = replicate(room, first)
    for number, joules, facts in ((first, 10.0, how), (second, 12.0, how), (busy, 99.0, held)):
        measured(room, number, joules, facts)
    measured(room, again, 50.0, how)
    found = room.ask("zoo", bound=["test/accuracy >= 0.9"])
    (energy,) = [one for one in found.kept if one.best == "train/energy_j"]
    # By hand: seeds 0 and 1 undisturbed, the replicate of seed 0 is no seed of its own.
    assert energy.figures["train/energy_j"] == pytest.approx(11.0)
    assert (energy.seeds, energy.fewer) == (3, {"train/energy_j": 2}) and energy.energy_method == "estimated"
    assert "11 J (n = 2) [estimated]" in found.text()


def test_without_a_bound_those_of_campaigns_are_taken_and_another_is_refused(room: command_lab.Room) -> None:
    kept(room, "model.width=32", s0=(0.91, 0.95))
    assert {one.bound for one in room.ask("zoo").kept} == {""}
    with pytest.raises(Refusal, match=r"constraint 'nice' was not understood"):
        room.ask("zoo", bound=["nice"])
    with pytest.raises(Refusal, match=r"'test/accuracy >= control - 0.01' asks for a control"):
        room.ask("zoo", bound=["at most 1 point of accuracy lost"])
    with pytest.raises(Refusal, match="of=mnist1d: no network at hand learnt from it; there are digits"):
        room.ask("zoo", of="mnist1d")
