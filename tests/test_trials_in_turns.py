"""Real trials that take turns in a process have the figures, to the last bit, that they have alone."""

import hashlib
import itertools
import sqlite3
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from research.compose.compose import Composer
from research.metrics import is_timed
from research.run.runner import Job, Outcome, Runner
from research.store.store import Store

CONF = Path(__file__).parents[1] / "conf"
SMALL = ("budget.steps=12", "budget.epochs=null", "data.batch_size=32", "callbacks.divergence.window=5")
BY_THE_CLOCK = {"second", "cpu_second", "joule"}
FACTS = ("confusion", "examples", "flops_uncounted", "threads", "precision", "stop")
pytestmark = pytest.mark.slow


def jobs(folder: Path, lines: Sequence[Sequence[str]]) -> list[Job]:
    composer = Composer(CONF, "train")
    own = [f"store.url=sqlite:///{folder}/lab.db", f"root={folder}/runs"]
    typed = [[*SMALL, "logger=csv", *line] for line in lines]
    return [Job(composer.resolve([*own, *line]).config, line, "turns") for line in typed]


def ran(folder: Path, lines: Sequence[Sequence[str]], **settings: Any) -> list[Outcome]:
    """Their outcomes, in the order of the lines."""
    folder.mkdir()
    asked = jobs(folder, lines)
    with Runner(threads=1, logs=folder / "logs", **settings) as runner:
        ended = {id(one.job): one for one in runner.run(asked)}
    outcomes = [ended[id(job)] for job in asked]
    assert [one.status for one in outcomes] == ["done"] * len(lines), [one.reason for one in outcomes]
    return outcomes


def processes(folder: Path) -> list[str]:
    """The process that claimed each row, by the order of the rows."""
    database = sqlite3.connect(f"file:{folder / 'lab.db'}?mode=ro", uri=True)
    try:
        return [owner for (owner,) in database.execute("select owner from trial order by id")]
    finally:
        database.close()


def shared(folder: Path) -> list[str]:
    """The process of each row, where trials took turns: most are of one, and who took no more says why.

    A thread that was told to end may need longer than the process waits for it, on a busy machine.
    """
    lines = [line for log in sorted((folder / "logs").glob("*")) for line in log.read_text().splitlines()]
    whys, owners = [line for line in lines if "takes no further trial" in line], processes(folder)
    assert len(set(owners)) <= 1 + len(whys) and 2 * len(set(owners)) <= len(owners), (owners, whys)
    return owners


def learnt(folder: Path, outcome: Outcome) -> dict[str, Any]:
    """All that a trial stores but for what a clock or the system's memory says."""
    assert outcome.trial_id is not None
    store = Store(f"sqlite:///{folder}/lab.db")
    row, curve = store.trials(ids=[outcome.trial_id])[0], store.curve(outcome.trial_id)
    store.close()
    aside = ("train/fraction_of_peak", "train/peak_bytes")
    found: dict[str, Any] = {
        name: value for name, value in outcome.metrics.items() if not is_timed(name) and name not in aside
    }
    found |= {name: outcome.facts.get(name) for name in FACTS}
    found["curve"] = [{key: point[key] for key in point.keys() - BY_THE_CLOCK} for point in curve]
    found["key"] = tuple(row.key)
    weights = (Path(str(row.folder)) / "weights.pt").read_bytes()
    return found | {"weights": hashlib.sha256(weights).hexdigest()}


MIXED = [
    ["seed=0"],
    ["seed=1"],
    ["seed=1", "model=cnn"],
    ["seed=1", "model=transformer", "optimizer=muon"],
    ["seed=0", "model=cnn", "trainer.precision=bf16-mixed"],
    ["seed=2", "data=mnist1d", "model=gru", "optimizer=sophia"],
    [
        "seed=2",
        "data=pytext",
        "data.max_bytes=300000",
        "model=gpt_micro",
        "optimizer=soap",
        "scheduler=onecycle",
    ],
    ["seed=3", "model.dropout=0.3", "trainer.accumulate_grad_batches=2", "optimizer=schedulefree"],
    ["seed=2", "model.width=48"],
]


def test_figures_of_trials_in_turns_equal_those_of_trials_alone(tmp_path: Path) -> None:
    alone = ran(tmp_path / "alone", MIXED, jobs=2, turns=1)
    in_turns = ran(tmp_path / "turns", MIXED, jobs=1)
    assert len(set(processes(tmp_path / "alone"))) == len(MIXED)
    assert shared(tmp_path / "turns")
    for line, one, other in zip(MIXED, alone, in_turns, strict=True):
        assert learnt(tmp_path / "alone", one) == learnt(tmp_path / "turns", other), line
    seeds = [one.metrics["test/loss"] for one in in_turns[:2]]
    assert seeds[0] != seeds[1], "equal figures would mean nothing"


def test_each_has_its_own_row_folder_and_cpu_seconds(tmp_path: Path) -> None:
    outcomes = ran(tmp_path / "lab", [[f"seed={seed}"] for seed in range(4)], jobs=1)
    assert shared(tmp_path / "lab")
    store = Store(f"sqlite:///{tmp_path}/lab/lab.db")
    rows = store.trials()
    store.close()
    assert len({row.id for row in rows}) == len({row.folder for row in rows}) == 4
    assert [row.seed for row in rows] == [0, 1, 2, 3]
    for earlier, later in itertools.pairwise(rows):
        assert earlier.finished is not None and earlier.finished <= later.started
    for one in outcomes:
        parts = sum(one.metrics[f"{window}/cpu_seconds"] for window in ("train", "harness"))
        # By three clocks: of the windows, of the trial, of the process as the server sees it.
        assert parts < one.metrics["trial/cpu_seconds"] < one.cpu_s
    whole = [one.metrics["trial/cpu_seconds"] for one in outcomes]
    assert max(whole[1:]) < sum(whole[:2]), "what came before is in no later one"


def test_memory_does_not_grow_from_turn_to_turn(tmp_path: Path) -> None:
    lines = [[f"seed={seed}", "logger=none", "unmeasured=[infer]"] for seed in range(16)]
    outcomes = ran(tmp_path / "lab", lines, jobs=1)
    # The most that the process ever held: it may rise while kinds of work are new, and then no more.
    for _, own in itertools.groupby(zip(shared(tmp_path / "lab"), outcomes, strict=True), lambda one: one[0]):
        peaks = [outcome.peak_bytes for _, outcome in own][3:]
        assert not peaks or peaks[-1] - peaks[0] < 6 * 2**20


@pytest.mark.parametrize(
    "line",
    [["logger=wandb"], ["compress=[fp16]"]],
    ids=["a service of its own", "compression"],
)
def test_what_leaves_something_behind_is_followed_by_a_fresh_process(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, line: list[str]
) -> None:
    monkeypatch.setenv("WANDB_MODE", "offline")
    ran(tmp_path / "lab", [[*line, "seed=2"], ["seed=0"], ["seed=1"]], jobs=1)
    first, second, third = processes(tmp_path / "lab")
    assert first not in (second, third)
