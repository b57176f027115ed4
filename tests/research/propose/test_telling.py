"""A search as it is told: one table with whole rows of five figures; what was stopped has not failed."""

import re
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from research.llm.prompt import table
from research.propose.model import history, range_of, said, spread, tried
from research.propose.proposer import Seen, State
from research.types import Constraint, Objective

ENERGY = Objective(
    metric="train/energy_j",
    direction="min",
    constraints=(Constraint(metric="val/accuracy", op=">=", bound=0.9615026944),),
)
STOPPED = "stopped early at 30 % of its training: it cannot win"


def read(block: str) -> tuple[str, list[list[str]]]:
    """Source and cells of a table, the columns first."""
    head, *lines, end = block.split("\n")
    assert end == "</data>" and all(line.startswith("| ") for line in lines)
    source = re.fullmatch(r'<data source="(.*)">', head)
    assert source
    return source[1], [line[2:].split(" | ") for line in lines]


def done(*overrides: str, joules: float = 1.0, **more) -> Seen:
    figures = {"train/energy_j": joules, "val/accuracy": 0.97, "val/loss": 0.1, "train/seconds": 2.0}
    figures |= {"size/parameters": 9610.0, "train/peak_bytes": 1e6, "compute/flops_forward": 1e4}
    return Seen(overrides=overrides, proposer="tpe", status="done", metrics=figures, **more)


def lost(reason: str, *overrides: str) -> Seen:
    return Seen(overrides=overrides, proposer="tpe", status="failed", reason=reason)


def state(*seen: Seen, control: Seen | None = None) -> State:
    best = min(
        (one for one in seen if one.metrics), key=lambda one: one.metrics["train/energy_j"], default=None
    )
    return State(goal="g", objective=ENERGY, fixed=(), control=control, incumbent=best, seen=seen)


CELL = st.text(st.characters(codec="utf-8"), max_size=20)


@given(st.lists(CELL, min_size=1, max_size=4), st.data(), st.integers(10, 200))
def test_every_row_of_a_table_reads_back_whole(
    columns: Sequence[str], data: st.DataObject, limit: int
) -> None:
    rows = data.draw(st.lists(st.lists(CELL, min_size=len(columns), max_size=len(columns)), max_size=5))
    source, (head, *cells) = read(table(columns, rows, "things", limit))
    assert len(head) == len(columns) and all(len(row) == len(columns) for row in cells)
    left = re.fullmatch(r"things(?:; (\d+) rows left out)?", source)
    assert left and len(cells) + int(left[1] or 0) == len(rows)
    whole = read(table(columns, rows, "things", 10**6))[1][1:]
    assert cells == whole[: len(cells)]  # what is there is as long as without a limit


def test_a_row_has_its_trials_five_figures_and_what_came() -> None:
    more = {"means": {"train/energy_j": 1.25, "val/accuracy": 0.9712}, "spread": {"train/energy_j": 0.031}}
    told = done("model.width=8", trials=(4, 7, 9), verdict="refuted", **more)
    control = done(trials=(1,), joules=3.0).model_copy(update={"proposer": "control"})
    source, (columns, *rows) = read(history(state(told, control=control)))
    figures = ["train/energy_j", "val/accuracy", "train/seconds", "size/parameters", "train/peak_bytes"]
    assert columns == ["trials", "overrides", "by", *figures, "n", "what came"]
    assert rows[0] == ["1", "the control", "control", "3", "0.97", "2", "9610", "1e+06", "1", "control"]
    assert rows[1][:5] == ["4 7 9", "model.width=8", "tpe", "1.25±0.031", "0.9712"]
    assert rows[1][-2:] == ["3", "best so far, refuted"]
    assert source.startswith("what was tried, 2 of 2 rows")


def test_what_was_stopped_is_told_as_that_and_what_failed_with_its_reason() -> None:
    seen = (done("a=1"), done("a=2", joules=2.0), lost(f"seed 0: {STOPPED}", "a=3"), lost("diverged", "a=4"))
    rows = {row[1]: row[-1] for row in read(history(state(*seen)))[1]}
    assert rows["a=3"].startswith("stopped: seed 0: stopped early") and rows["a=4"] == "failed: diverged"
    (told,) = range_of(state(*seen))
    assert '{"results":2,"least":1.0,"median":1.5,"most":2.0,"failed":1,"stopped":1}' in told


def test_a_long_history_keeps_the_best_and_the_latest_in_their_order() -> None:
    seen = [done(f"a={n}", joules=float(100 - n if n < 50 else n)) for n in range(100)]
    source, (_, *rows) = read(history(state(*seen)))
    best = [f"a={n}" for n in (*range(42, 50), *range(50, 57))]
    latest = [f"a={n}" for n in range(92, 100)]
    told = [row[1] for row in rows]
    assert told[0] == "a=50" or told[0] == "a=49"
    assert told[1:] == sorted(told[1:], key=lambda text: int(text[2:])) and len(told) == 17
    assert set(latest) < set(told) and set(told) - set(latest) <= set(best)
    assert source.startswith("what was tried, 17 of 100 rows")
    assert tried(state(*seen))[-1] == "a=99" and len(tried(state(*seen))) == 24


def test_an_objective_is_told_with_six_digits_and_a_bound_of_the_control_in_its_words() -> None:
    assert said(ENERGY) == "minimise train/energy_j with val/accuracy >= 0.961503"
    relative = Constraint(metric="val/accuracy", op=">=", bound=-0.01, of_control="difference")
    told = said(ENERGY.model_copy(update={"constraints": (relative,)}))
    assert told == "minimise train/energy_j with val/accuracy >= control - 0.01"
    size = Constraint(metric="size/parameters", op="<=", bound=123456)
    assert said(ENERGY.model_copy(update={"constraints": (size,)})).endswith("size/parameters <= 123456")


@pytest.mark.parametrize("own", [{}, {"train/energy_j": 0.2}])
def test_the_spread_is_the_controls(own: dict[str, float]) -> None:
    control = done(trials=(1, 2), spread={"train/energy_j": 0.1, "train/seconds": 3.0})
    told = spread(state(control=control).model_copy(update={"spread": own}))
    assert told == [
        '<data source="standard deviation of the control over seeds">\n'
        f'| {{"train/energy_j":{own.get("train/energy_j", 0.1)}}}\n</data>'
    ]
