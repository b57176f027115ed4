"""A claim whose bound is open is told as that, in every paper."""

from pathlib import Path

from research.report import campaign as sprint_report
from research.report import summary
from research.report.findings import Findings
from research.stats.alpha import errors
from research.stats.claims import Part
from research.stats.sentences import claim_sentence
from research.stats.verdicts import PartVerdict, judged, verdict
from research.types import Insight
from rows_lab import FLOOR, WINNER, opened


def test_what_is_open_is_the_bound_and_so_is_what_to_do_next(tmp_path: Path) -> None:
    """The energy is settled: its power and its pairs are no answer to an open bound."""
    with opened(tmp_path) as lab:
        sprint = lab.sprint(1)
        control, ids = lab.arm((), range(5), 20.0), lab.arm(WINNER, range(5), 10.0)
        lab.experiment(sprint, (), "control", confirmed=control)
        tried = lab.experiment(sprint, WINNER, "open", confirmed=ids)
        figures = [
            {one.seed: lab.store.results([one.id])[one.id].metrics["train/energy_j"] for one in rows}
            for rows in (lab.store.trials(ids=control), lab.store.trials(ids=ids))
        ]
        parts = [
            judged(Part.of("train/energy_j", "less_by", "10 %"), *figures, errors(0.05)),  # type: ignore[arg-type]
            PartVerdict(Part.keeping(FLOOR), "open", "test/accuracy >= 0.9: mean 0.91 ± 0.02", None),
        ]
        found = verdict(parts, [*control, *ids])
        said = claim_sentence(WINNER, found, "min", [FLOOR], "estimated")
        insight = Insight(claim=said, verdict=found, energy_method="estimated", command="x")
        lab.store.add_insight(insight, sprint_id=sprint, proposal_id=tried, facts={})
        read = Findings(lab.store, sprint)
        report, told = sprint_report.text(read), summary.text(read)
    first = report.split("\n\n")[2]
    arm = "A (`optimizer.lr=0.01 budget.steps=200`)"
    assert first.startswith(f"**Open.** Whether {arm} keeps test/accuracy >= 0.9 is open: mean 0.91 ± 0.02; ")
    assert "training energy changes by -49." in first or "training energy changes by -50." in first
    assert "Power:" not in report and "- power" not in told
    assert "- A: more seeds (`confirm.seeds`), or an arm further inside test/accuracy >= 0.9" in told
    assert "pairs of seeds" not in told
