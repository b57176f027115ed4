"""The report of a campaign: every number in it is recomputed from the database, and what it says follows."""

import io
import json
import math
import re
import sqlite3
import statistics
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest
from scipy.stats import t

from campaign_lab import Lab, Scripted, energy, opened
from refusal import Refusal
from report_tables import WIDTH, arms, narrowest, tables
from report_tables import rows as table
from research.metrics import METRICS, VALIDATION, quantity
from research.report import analysis
from research.report.arms import figure
from research.report.campaign import write
from research.report.findings import Findings
from research.report.summary import text as summary_of
from research.stats.intervals import summary
from research.types import Objective


@pytest.fixture
def lab(tmp_path: Path) -> Iterator[Lab]:
    with opened(tmp_path) as made:
        yield made


class Rows:
    """The database read by plain SQL, without the store's own readers."""

    def __init__(self, path: Path, sprint_id: int) -> None:
        self.sql = sqlite3.connect(path)
        rows = self.sql.execute(
            "select proposal, status, facts from proposal where sprint_id = ?", (sprint_id,)
        ).fetchall()
        self.experiments = [
            (json.loads(proposal), status, json.loads(facts)) for proposal, status, facts in rows
        ]

    def ids(self, name: str, overrides: str, stage: str) -> list[int]:
        """Trial ids of an arm by its name in the report and what that says of it."""
        role = name if name.startswith("control") else ""
        for proposal, _, facts in self.experiments:
            own = "control" if proposal["proposer"] == "control" else ""
            own = "control, stopped" if facts.get("stopped") else own
            alike = own == "control" or " ".join(proposal["overrides"]) == overrides
            if own == role and alike and stage in facts:
                return facts[stage]
        raise AssertionError(f"no experiment is {name}, {overrides}")

    def values(self, ids: list[int], key: str) -> list[float]:
        marks = ",".join("?" * len(ids))
        asked = f"select value from metric where point = -1 and key = ? and trial_id in ({marks})"
        return [value for (value,) in self.sql.execute(asked, (key, *ids))]

    def one(self, query: str, *values: object) -> float:
        return self.sql.execute(query, values).fetchone()[0]


@pytest.fixture(scope="module")
def done(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, Rows, Findings]]:
    """A campaign with a repeat, a refusal and a failure among its proposals: report, rows, findings."""
    with opened(tmp_path_factory.mktemp("report")) as lab:
        charter = lab.charter(energy())
        scripted = Scripted("model.width=64", "model.width=64", "model.width=99999", "optimizer.lr=0.09")
        found = lab.campaign(charter, [scripted, *lab.proposers(charter)])
        rows = Rows(lab.folder / "lab.db", found.sprint["id"])
        yield (Path(found.sprint["folder"]) / "report.md").read_text(), rows, found
        rows.sql.close()


def cell(key: str, values: list[float]) -> str:
    """The cell of the table by formulas of our own: Student's t with n - 1 degrees of freedom.

    What a cheap look has left unmeasured has no figure.
    """
    if not values:
        return "-"
    mean = statistics.fmean(values)
    shown = f"{mean:.0f}" if key.startswith("size/") else quantity(key, mean)
    if len(values) < 2 or statistics.stdev(values) == 0:
        return shown
    half = t.ppf(0.975, len(values) - 1) * statistics.stdev(values) / math.sqrt(len(values))
    unit = shown.partition(" ")[2]
    scale = {"": 1.0, "J": 1.0, "mJ": 1e3, "kJ": 1e-3, "s": 1.0, "ms": 1e3, "µs": 1e6}[unit]
    places = max(0, 1 - math.floor(math.log10(scale * half)))
    return f"{scale * mean:.{places}f} ± {scale * half:.{places}f} {unit}".rstrip()


KEYS = {row.words: key for key, row in {**METRICS, **VALIDATION}.items()}


@pytest.mark.parametrize(("title", "stage"), [("Confirmed", "confirmed"), ("Screened", "screened")])
def test_every_cell_is_a_query_over_the_database(done: tuple, title: str, stage: str) -> None:
    report, rows, _ = done
    found, named = table(report, title), arms(report)
    assert len(found) >= 2 and found[0]["arm"] == "control"
    for row in found:
        ids = rows.ids(row["arm"], named[row["arm"]], stage)
        assert int(row["n"]) == len(ids)
        heads = {head: KEYS.get(head.split(" [")[0]) for head in row}
        figures = {key: row[head] for head, key in heads.items() if key}
        assert len(figures) >= 4
        for key, text in figures.items():
            assert text == cell(key, rows.values(ids, key)), (row["arm"], key)


def test_a_trial_that_could_not_win_is_told_as_stopped_and_not_as_failed() -> None:
    from rich.console import Console

    from research.run.lines import Lines

    console = Console(record=True, width=200, file=io.StringIO())
    lines = Lines(console)
    lines.trial(("a=1",), "tpe", 0, "failed", {}, "stopped early: 4 J come to 9 J [printed: runs/1.log]")
    lines.trial(("a=2",), "tpe", 0, "failed", {}, "diverged: the loss is nan [printed: runs/2.log]")
    one, other = console.export_text().splitlines()
    assert "stopped: 4 J come to 9 J   a=1" in one
    assert "failed: diverged: the loss is nan [printed: runs/2.log]   a=2" in other


def test_energies_carry_their_method(done: tuple) -> None:
    report, _, _ = done
    assert "training energy [estimated]" in report and "joules are estimated, not measured" in report


def test_the_answer_is_the_verdict_of_the_trials(done: tuple) -> None:
    report, rows, found = done
    asked, first = report.splitlines()[2:5:2]
    insight = found.insights[-1]
    arm = f"A (`{' '.join(found.arms('confirmed')[-1].overrides)}`)"
    bound = "keeping test/accuracy >= 0.9"
    assert asked == "Asked was: Minimise training energy (train/energy_j), with accuracy at least 90 %."
    assert f"{bound} (joules are estimated, not measured)" in first
    assert "by training shorter (`budget.steps=" in first, "the split of the gain"
    told = found.found[-1]["facts"]["estimated"]
    n = len(told["seeds"])
    deciding = {trial.seed for trial in found.store.trials(ids=insight.verdict.trial_ids)}
    assert n == 5 and not deciding & {*told["seeds"]}, "the size is told by seeds that did not decide"
    control, treated = (
        rows.values(ids, "train/energy_j") for ids in (told["trials"][:n], told["trials"][n:])
    )
    ratios = [math.log(after / before) for before, after in zip(control, treated, strict=True)]
    saved = -100 * math.expm1(statistics.fmean(ratios))
    half = t.ppf(0.975, n - 1) * statistics.stdev(ratios)
    low = -100 * math.expm1(statistics.fmean(ratios) + half / math.sqrt(n))
    assert first.startswith(f"**Supported.** {arm} lowers training energy by {saved:.4g} % [{low:.4g}, ")
    assert f"(95 % interval, {n} seeds that did not decide)" in first


def test_the_counts_are_the_rows_of_the_experiments(done: tuple) -> None:
    report, rows, _ = done
    counted = {row["proposer"]: row for row in table(report, "Who proposed")}
    for proposer, row in counted.items():
        mine = [status for proposal, status, _ in rows.experiments if proposal["proposer"] == proposer]
        ended = Counter(status if status in ("repeat", "refused", "failed") else "ran" for status in mine)
        assert int(row["proposed"]) == len(mine)
        assert {name: int(row[name]) for name in ("ran", "repeat", "refused", "failed")} == {
            name: ended[name] for name in ("ran", "repeat", "refused", "failed")
        }
    assert counted["scripted"]["repeat"] == counted["scripted"]["refused"] == "1"
    assert "- failed 1 x: diverged" in report and "- refused 1 x: model.width takes" in report


def test_the_cost_is_the_sum_over_the_campaigns_trials(done: tuple) -> None:
    report, rows, found = done
    sweep = found.facts["campaign"]
    asked = "select count(*) from trial where sweep = ? and status = ?"
    ran, failed = rows.one(asked, sweep, "done"), rows.one(asked, sweep, "failed")
    assert (
        f"- {ran} trials trained to their end, 0 stopped early, {failed} failed, 0 known from before"
        in report
    )
    joules = rows.one(
        "select sum(value) from metric join trial on trial.id = trial_id "
        "where point = -1 and key = 'train/energy_j' and sweep = ?",
        sweep,
    )
    assert f"- {quantity('train/energy_j', joules)} for the training" in report
    assert f"- {found.facts['seconds']:.1f} s by the clock for this run" in report
    confirmed = found.arms("confirmed")
    control, winner = found.telling(found.winner, confirmed[0], confirmed[-1])
    assert not {*control.seeds} & {*confirmed[0].seeds}
    saved = control.of("train/energy_j").mean - winner.of("train/energy_j").mean
    assert f"paid back after {joules / saved:.0f} trainings" in report


def test_the_commands_repeat_the_rows(done: tuple) -> None:
    report, _, found = done
    lines = re.findall(r"^python train\.py .*$", report, re.MULTILINE)
    winner = " ".join(found.arms("confirmed")[-1].overrides)
    assert lines[0] == f"python train.py data=digits {winner}"
    assert lines[1] == "python train.py -m data=digits seed=1000,1001,1002,1003,1004"
    named = [row["arm"] for title in ("Confirmed", "Screened") for row in table(report, title)]
    assert len(lines) == 1 + len(named)
    for name, line in zip(named, lines[1:], strict=True):
        assert line.startswith("python train.py")
        assert name == "control" or f" {arms(report)[name]} seed=" in line


def test_every_table_can_be_read_on_a_telephone(done: tuple) -> None:
    """Ten figures of an arm are several tables of its name and some of them; a single word is never cut."""
    report, _, found = done
    for text in (report, analysis.text(found), summary_of(found)):
        for shown in tables(text):
            assert len(shown[0]) == 2 or narrowest(shown) <= WIDTH, shown[0]
    assert any(len(shown[0]) > 2 for shown in tables(report))


@pytest.mark.slow
def test_a_model_that_proposes_is_counted_with_what_it_cost(lab: Lab) -> None:
    charter = lab.charter(energy())
    sprint = lab.sprint(charter)
    said = {"role": "proposer", "model": "m", "prompt": "p", "reply": "r", "outcome": "ok"}
    for dollars in (0.25, 0.5):
        lab.store.add_interaction(sprint_id=sprint.id, **said, tokens_in=10, tokens_out=5, dollars=dollars)
    report = sprint.run([Scripted("model.width=64")]).read_text()
    assert "- 2 calls of the language model, 30 tokens, $0.7500" in report
    lab.store.add_interaction(sprint_id=sprint.id, **said, tokens_in=1, tokens_out=1, dollars=None)
    assert "31 tokens" not in report
    assert "32 tokens, an unknown price" in write(lab.store, sprint.id, sprint.folder).read_text()


@pytest.mark.slow
def test_a_report_that_cannot_be_written_leaves_the_old_one(lab: Lab) -> None:
    charter = lab.charter(energy())
    sprint = lab.sprint(charter)
    sprint.run([Scripted("model.width=64")])
    (sprint.folder / "report.md").write_text("the old one")
    (sprint.folder / "report.md.new").mkdir()
    with pytest.raises(Refusal, match="root=FOLDER"):
        write(lab.store, sprint.id, sprint.folder)
    assert (sprint.folder / "report.md").read_text() == "the old one"


@pytest.mark.slow
def test_foreign_text_cannot_build_a_section(lab: Lab) -> None:
    charter = lab.charter(energy())
    goal = charter.goal.model_copy(update={"text": "fewer joules\n# Supported\n| all | is | well |"})
    found = lab.campaign(charter.model_copy(update={"goal": goal}), [Scripted("model.width=64")])
    report = (Path(found.sprint["folder"]) / "report.md").read_text()
    assert report.splitlines()[0] == "# fewer joules # Supported / all / is / well /"


def test_a_figure_that_was_not_taken_is_a_dash() -> None:
    assert figure("train/energy_j", summary([])) == "-"
    assert figure("size/parameters", summary([10.0, 10.0])) == "10"


def test_a_campaign_that_found_nothing_says_so_first(lab: Lab) -> None:
    objective = Objective(metric="test/accuracy", direction="max")
    found = lab.campaign(lab.charter(objective), [Scripted("model.width=4")])
    report = (Path(found.sprint["folder"]) / "report.md").read_text()
    assert report.splitlines()[2] == "Asked was: Maximise accuracy (test/accuracy)."
    assert report.splitlines()[4].startswith("**Nothing was confirmed.** No proposal beat the control")
