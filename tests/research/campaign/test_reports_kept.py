"""docs/experiments has the report of every recipe with a study, about the question that it asks today."""

from pathlib import Path

from research.campaign.recipe import recipe
from research.report.markdown import plain

ROOT = Path(__file__).parents[3]
KEPT = ROOT / "docs" / "experiments"
TO_COME = frozenset({"lm_ablation", "lm_compression"})
"""recipes whose claims were settled anew, for equal cost and on fresh seeds, and whose run is to come"""


def studies() -> list[str]:
    texts = {path.stem: path.read_text() for path in sorted((ROOT / "conf" / "experiment").glob("*.yaml"))}
    return [name for name, text in texts.items() if "\nstudy:" in text]


def test_every_recipe_with_a_question_has_its_report() -> None:
    assert [path.name for path in sorted(KEPT.iterdir())] == studies()


def test_what_is_to_come_says_so_and_is_not_there_yet() -> None:
    for name in TO_COME:
        found = recipe(ROOT / "conf", name)
        seeds = f"seeds {min(found.study.seeds)} to {max(found.study.seeds)}, test split"
        assert "the run is to come" in found.header["Expected"], name
        assert seeds not in (KEPT / name / "report.md").read_text(), f"{name} was run: take it off the list"


def test_a_kept_report_answers_what_its_recipe_asks_today() -> None:
    for name in sorted({*studies()} - TO_COME):
        study = recipe(ROOT / "conf", name).study
        report = (KEPT / name / "report.md").read_text()
        assert report.startswith(f"# {name}: {plain(study.question)}\n"), name
        assert f"Expected was: {plain(study.claim.rstrip('.'))}." in report, name
        first, last = min(study.seeds), max(study.seeds)
        assert f"seeds {first} to {last}, test split" in report, name
        assert f"python agent.py experiment={name}" in report, name
