"""`task=zoo` tells the best networks whose weights are there, chosen by validation over their seeds."""

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
    assert "the weights of 1 more trials are gone" in found.text() and "task=export id=" in found.text()


def test_without_a_bound_those_of_campaigns_are_taken_and_another_is_refused(room: command_lab.Room) -> None:
    kept(room, "model.width=32", s0=(0.91, 0.95))
    assert {one.bound for one in room.ask("zoo").kept} == {""}
    with pytest.raises(Refusal, match=r"constraint 'nice' was not understood"):
        room.ask("zoo", bound=["nice"])
    with pytest.raises(Refusal, match=r"'test/accuracy >= control - 0.01' asks for a control"):
        room.ask("zoo", bound=["at most 1 point of accuracy lost"])
    with pytest.raises(Refusal, match="of=mnist1d: no network at hand learnt from it; there are digits"):
        room.ask("zoo", of="mnist1d")
