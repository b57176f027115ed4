"""The papers of a goal: every figure again from the rows by plain SQL, and what no row tells is left out."""

import math
import re
import statistics
from collections.abc import Iterator
from pathlib import Path

import pytest
import sqlalchemy as sa
from markdown_it import MarkdownIt
from scipy.stats import t

from refusal import Refusal
from report_tables import arms, rows
from research.metrics import quantity
from research.report import campaign as sprint_report
from research.report import proposal
from research.report.cost import cost, used
from research.report.findings import Findings, of_campaign
from research.store.schema import attempt
from rows_lab import CAMPAIGN, HOSTILE, WINNER, RowsLab, campaign, opened

SECTION = re.compile(r"^## (.*)$", re.MULTILINE)


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RowsLab]:
    with opened(tmp_path_factory.mktemp("rows")) as made:
        campaign(made)
        yield made


@pytest.fixture(scope="module")
def papers(lab: RowsLab, tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    paths = sprint_report.papers(lab.store, CAMPAIGN, tmp_path_factory.mktemp("papers"))
    return {path.name: path.read_text() for path in paths}


@pytest.fixture(scope="module")
def report(papers: dict[str, str]) -> str:
    return papers["report.md"]


def trials(lab: RowsLab, line: str, stage: str = "confirmed") -> list[int]:
    found = [row for row in lab.store.proposals() if " ".join(row["proposal"].overrides) == line]
    return next(row["facts"][stage] for row in reversed(found) if stage in row["facts"])


def test_the_answer_comes_first_with_its_power_and_its_rating(report: str) -> None:
    lines = [line for line in report.splitlines() if line]
    assert lines[0] == "# fewer joules"
    assert lines.pop(1).startswith("Asked was: Minimise training energy (train/energy_j) by at least 10 %")
    arm = "A (`optimizer.lr=0.01 budget.steps=200`)"
    assert lines[1].startswith(f"**Supported.** {arm} lowers training energy")
    assert lines[2].startswith("Power: an effect of 10 % is told from none with a chance of ")
    assert lines[3].startswith("Beside that, against the same control: test/accuracy -0.000")
    over = "5 pairs on these examples alone, their variance not included"
    assert f"(98 % interval, n = {over}) (as good within 0.01)." in lines[3]
    assert lines[4].startswith("Rated 7 of 10 by the rubric, which begins at 1. Counted: ran. Missing: new (")
    assert lines[5].startswith("In the words of the model that validated it: ")
    assert lines[6] == "It is kept as the recipe `conf/experiment/discovered/x.yaml`."


def test_every_figure_of_the_table_is_a_query(lab: RowsLab, report: str) -> None:
    for line, row in zip(("", " ".join(WINNER)), rows(report, "Confirmed"), strict=True):
        ids = trials(lab, line)
        assert row["n"] == str(len(ids))
        heads = {"train/energy_j": "training energy [estimated]", "test/accuracy": "accuracy"}
        for key, head in heads.items():
            told = quantity(key, lab.mean(ids, key)).split(" ")[0]
            assert float(row[head].split(" ±")[0]) == pytest.approx(float(told), rel=0.01)


def test_the_cost_is_that_of_every_trial_call_and_run(lab: RowsLab, report: str) -> None:
    asked = "select sum(value), count(*) from metric where point = -1 and key = 'train/energy_j'"
    joules, count = lab.sql(asked)[0]
    assert f"- {count} trials trained to their end, 0 stopped early, 0 failed" in report
    told = f"- {quantity('train/energy_j', joules)} for the training of all its trials, attempts that were"
    assert f"{told} killed among them (joules are estimated" in report
    assert "2 calls of the language model, 30 tokens, $0.7500" in report
    assert "an estimate: 2 J for 1 call, unknown for the other 1" in report
    assert "early stopping ended 5 trials and saved 50 J" in report
    assert "4 proposals were refused because their failure was predicted; 1 of them would have run" in report
    assert "memory=on: nothing was recalled for a model" in report and "memory=on: 2 episodes were" in report


def test_what_a_killed_attempt_was_trained_for_is_in_the_cost(lab: RowsLab) -> None:
    before = used(of_campaign(lab.store, CAMPAIGN)).joules
    killed = {"trial_id": trials(lab, " ".join(WINNER))[0], "n": 99, "token": "killed", "outcome": "lost"}
    times = {"started": 0.0, "seen": 1.0, "ended": 1.0}
    with lab.store.write() as connection:
        connection.execute(sa.insert(attempt).values(**killed, **times, owner="", engine="local", joules=7.0))
    try:
        assert used(of_campaign(lab.store, CAMPAIGN)).joules == pytest.approx(before + 7.0)
    finally:
        with lab.store.write() as connection:
            connection.execute(sa.delete(attempt).where(attempt.c.token == "killed"))


def test_a_sprints_figures_are_the_sprints(lab: RowsLab) -> None:
    """The first has trained the control and a screening, the second the fresh seeds and a plain arm."""
    first, second = (row["id"] for row in lab.store.sprints())
    parts = [Findings(lab.store, first), Findings(lab.store, second), of_campaign(lab.store, CAMPAIGN)]
    told = [used(found) for found in parts]
    assert [(one.trials, one.calls, one.tokens, one.seconds) for one in told] == [
        (7, 1, 15, 10.0),
        (6, 1, 15, 10.0),
        (13, 2, 30, 20.0),
    ]
    own = trials(lab, " ".join(WINNER)) + trials(lab, "model.width=64", "screened")
    marks = ",".join("?" * len(own))
    asked = "select sum(value) from metric where point = -1 and key = 'train/energy_j' and trial_id in "
    assert told[1].joules == pytest.approx(lab.sql(f"{asked}({marks})", *own)[0][0])
    assert told[0].joules + told[1].joules == pytest.approx(told[2].joules)
    assert ["for this sprint" in " ".join(cost(found)) for found in parts] == [True, True, False]
    assert "10.0 s by the clock for this sprint" in sprint_report.text(parts[0])


def test_it_is_paid_back_after_an_interval_of_uses(lab: RowsLab, report: str) -> None:
    sides = [lab.store.results(trials(lab, line)) for line in ("", " ".join(WINNER))]
    before, after = ([one.metrics["train/energy_j"] for one in side.values()] for side in sides)
    saved = [one - other for one, other in zip(before, after, strict=True)]
    half = t.ppf(0.975, 4) * statistics.stdev(saved) / math.sqrt(5)
    mean = statistics.fmean(saved)
    asked = "select sum(value) from metric where point = -1 and key = 'train/energy_j'"
    spent = lab.sql(asked)[0][0] + 2.0  # what is known of the model's joules
    uses, *ends = (f"{spent / one:.0f}" for one in (mean, mean + half, mean - half))
    assert f"paid back after {uses} trainings [{', '.join(ends)}]" in report
    assert "what the model used unknown to us comes on top" in report
    assert f"paid back after {1000 * spent / mean:,.0f} inferences" in report


def test_the_lanes_stand_beside_each_other(lab: RowsLab, report: str) -> None:
    with_model, without = rows(report, "With and without the model")
    assert with_model["supported"] == "1" and without["supported"] == "0"
    for row, line in ((with_model, " ".join(WINNER)), (without, "model.width=64")):
        joules = quantity("train/energy_j", lab.mean(trials(lab, line, "screened"), "train/energy_j"))
        assert row["joules"] == row["best training energy"] == joules
        assert arms(report)[row["arm"]] == line


def test_what_both_lanes_proposed_is_a_finding_of_both_and_what_waits_has_a_column(tmp_path: Path) -> None:
    with opened(tmp_path) as lab:
        sprint = lab.sprint(1)
        ids = lab.arm(WINNER, [0], 10.0)
        lab.experiment(sprint, WINNER, "screened", screened=ids, lane="team", signature="s")
        lab.experiment(sprint, WINNER, "supported", screened=ids, lane="control", signature="s")
        lab.experiment(sprint, ("a=1",), "queued", lane="team", proposer="llm")
        report = sprint_report.text(Findings(lab.store, sprint))
    assert [row["supported"] for row in rows(report, "With and without the model")] == ["1", "1"]
    llm = next(row for row in rows(report, "Who proposed") if row["proposer"] == "llm")
    assert llm["proposed"] == llm["waiting"] == "1" and llm["ran"] == "0"


def test_a_proposal_that_was_carried_on_is_counted_once(report: str) -> None:
    counted = {row["proposer"]: row for row in rows(report, "Who proposed")}
    assert counted["llm"]["proposed"] == counted["llm"]["ran"] == "1"
    assert counted["llm"]["gain per joule"] == "0.05"
    assert [counted["tpe"][name] for name in ("proposed", "refused", "dropped", "failed")] == [
        "4",
        "1",
        "1",
        "1",
    ]
    assert "2 reviews, 1 of them by a statistical stand-in" in report
    assert [row["by"] for row in rows(report, "Reviews")] == ["model", "stand-in"]


def test_each_sprint_says_how_it_went(report: str) -> None:
    first, second = rows(report, "Sprints")
    assert first["judged"] == "nothing" and second["judged"] == "1 supported"
    assert (first["seconds"], second["seconds"]) == ("10.0", "10.0"), "each its own"
    assert second["discuss / implement / validate"] == "40 of 100 s / 40 of 100 s / 40 of 100 s"


def test_every_row_has_its_command(report: str) -> None:
    commands = re.findall(r"^python train\.py -m .*$|^python train\.py data.*$", report, re.MULTILINE)
    assert commands[0] == "python train.py data=digits optimizer.lr=0.01 budget.steps=200"
    assert len(commands) == 1 + len(rows(report, "Confirmed")) + len(rows(report, "Screened"))


def test_hostile_texts_are_only_read(papers: dict[str, str]) -> None:
    for name in ("report.md", "research_summary.md", "statistical_analysis.md"):
        html = MarkdownIt("commonmark").enable("table").render(papers[name])
        assert "<script" not in html and "e.vil</a>" not in html and 'src="u"' not in html
        assert "<h1>Supported" not in html and "\u202e" not in html
        assert html.count("<h1>") == 1


def test_the_summary_tells_what_failed_and_what_is_next(papers: dict[str, str]) -> None:
    summary = papers["research_summary.md"]
    assert SECTION.findall(summary) == [
        "What was asked",
        "What was found, and how sure it is",
        "What was tried and did not work",
        "What to do next",
        "What it cost",
        "Arms",
    ]
    assert "5 proposals were made and 2 of them ran; 1 was compared" in summary
    assert "1 proposal was screened and came no further" in summary and "- try &lt;script>" in summary


def test_the_analysis_lists_the_comparison_and_its_pairs(lab: RowsLab, papers: dict[str, str]) -> None:
    analysis = papers["statistical_analysis.md"]
    row = rows(analysis, "Every comparison")[0]
    before, after = ([one.metrics["train/energy_j"] for one in lab.store.results(trials(lab, line)).values()]
                     for line in ("", " ".join(WINNER)))  # fmt: skip
    logs = [math.log(other / one) for one, other in zip(before, after, strict=True)]
    half = t.ppf(0.99, 4) * statistics.stdev(logs) / math.sqrt(5)
    mean, low, high = (100 * math.expm1(statistics.fmean(logs) + one) for one in (0, -half, half))
    assert row["difference"] == f"{mean:+.2f} % [{low:.2f}, {high:.2f}]"
    assert row["level"] == "98 %" and row["n"] == "5" and row["verdict"] == "supported"
    changes = ", ".join(f"{100 * (b / a - 1):+.3g}" for a, b in zip(before, after, strict=True))
    assert changes in analysis and "p = 0.0625" in analysis
    assert "at most 5 % of campaigns such as this would report a finding" in analysis
    assert "- two one-sided tests of test/accuracy: as good within 0.01" in analysis
    assert "each test of being as good counted: 2 (open, supported)" in analysis


def test_an_old_campaign_has_no_section_that_its_rows_do_not_tell(tmp_path: Path) -> None:
    with opened(tmp_path) as lab:
        sprint = lab.store.add_sprint(
            "old", objective={"metric": "train/energy_j", "direction": "min", "constraints": []},
            folder="f", status="interrupted", facts={"campaign": "old", "notes": ["interrupted: again"]},
        )  # fmt: skip
        lab.experiment(sprint, (), "control", screened=lab.arm((), [0], 20.0, sweep="old"))
        papers = [path.read_text() for path in sprint_report.papers(lab.store, "old", tmp_path)]
    assert SECTION.findall(papers[0]) == [
        "What was asked",
        "Arms",
        "Pictures",
        "Screened, validation split (the control alone)",
        "What the search cost",
        "Repeat it",
        "Notes",
    ]
    assert papers[0].splitlines()[4] == "**Nothing was confirmed.** Interrupted: again."
    assert "type the same command again" in papers[1] and "None: no contender" in papers[2]


def test_figures_of_two_meters_never_stand_side_by_side(tmp_path: Path) -> None:
    with opened(tmp_path) as lab:
        sprint = lab.sprint(1)
        lab.experiment(sprint, (), "control", confirmed=lab.arm((), range(3), 20.0))
        other = lab.arm(WINNER, range(3), 10.0, method="nvml")
        lab.experiment(sprint, WINNER, "open", confirmed=other)
        report = sprint_report.text(Findings(lab.store, sprint))
        drawn = {path.name for path in sprint_report.papers(lab.store, CAMPAIGN, tmp_path)}
    control, arm = rows(report, "Confirmed")
    energy = "training energy [estimated]"
    assert float(control[energy].split()[0]) == pytest.approx(20, rel=0.05) and "10" not in arm[energy]
    assert arm[energy] == "not comparable" and arm["accuracy"].startswith("0.9")
    assert "Not comparable: train/energy_j was taken by different methods (estimated, nvml)" in report
    assert "confirmed-train-energy_j.svg" not in drawn


@pytest.mark.slow
def test_a_huge_campaign_stays_readable(tmp_path: Path) -> None:
    with opened(tmp_path) as lab:
        sprint = lab.sprint(1)
        ids = lab.arm((), [0], 20.0)
        lab.experiment(sprint, (), "control", screened=ids)
        for number in range(60):
            lab.experiment(sprint, (f"model.width={number}",), "screened", screened=ids)
            own = lab.experiment(sprint, (f"a={number}",), "refused", reasons=[f"reason {number}"])
            lab.store.add_review(own, role="reviewer", score=1.0, content={"by": "model", "reasons": ["no"]})
        report = sprint_report.text(of_campaign(lab.store, CAMPAIGN))
    assert "the best 10 of 60" in report
    assert "- and 55 more reasons for which proposals were refused" in report
    assert "60 reviews, 0 of them by a statistical stand-in; 48 of them are only in the database" in report
    assert len(report.splitlines()) < 170


def test_an_experiment_has_its_own_report(lab: RowsLab, tmp_path: Path) -> None:
    found = {row["status"]: row["id"] for row in lab.store.proposals()}
    won = proposal.write(lab.store, found["supported"], tmp_path / "won").read_text()
    assert "**Supported.** A (`optimizer.lr=0.01" in won and "## Confirmed on fresh seeds, test split" in won
    assert (tmp_path / "won" / "curves.svg").is_file() and rows(won, "Reviews")[0]["score"] == "7.5"
    refused = proposal.write(lab.store, found["refused"], tmp_path / "no").read_text()
    assert "**Refused**: refused &lt;script>" in refused and HOSTILE not in refused
    with pytest.raises(Refusal, match="no experiment 999"):
        proposal.write(lab.store, 999, tmp_path)


def test_a_campaign_that_is_not_there_is_refused(lab: RowsLab, tmp_path: Path) -> None:
    with pytest.raises(Refusal, match="no campaign 'x'"):
        sprint_report.papers(lab.store, "x", tmp_path)
