"""Studies of recipes: read strictly, complete in every recipe that has one, reported, and looked at again."""

import re
from pathlib import Path

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from cases import each
from refusal import Refusal
from research.campaign.recipe import Study, counts, earlier, header, names, recipe, unseen
from research.metrics import is_timed
from research.report.markdown import plain
from research.space.gate import Space
from research.stats.alpha import errors
from research.stats.claims import Part, Size

CONF = Path(__file__).parents[3] / "conf"
SPACE = Space(CONF, CONF / "space.yaml")
STUDIED = [name for name in names(CONF) if "/" not in name and recipe(CONF, name).study]
KEYS = (
    *("Question", "Claim", "Control", "Arms", "Metric", "Smallest effect", "Equal cost"),
    *("Command", "Expected", "Cost"),
)
SMALL = {
    "question": "q",
    "claim": "c",
    "control": "a=1",
    "arms": ["a=2", {"line": "a=3 b=4", "needs": "gpu"}],
    "seeds": 3,
    "claims": [{"says": "s", "all": [{"metric": "m", "less_by": "2x"}]}],
}


@each("name", STUDIED)
def test_a_recipe_says_what_it_claims_and_each_arm_composes(name: str) -> None:
    found = recipe(CONF, name)
    assert found.study is not None
    assert set(KEYS) <= found.header.keys(), f"{name}: the header lacks {set(KEYS) - found.header.keys()}"
    assert found.header["Command"].startswith(f"python agent.py experiment={name}")
    base = SPACE.signature(SPACE.resolve([f"experiment={name}"]))
    lines = [found.study.control, *(arm.line for arm in found.study.arms)]
    signed = [SPACE.signature(SPACE.resolve([f"experiment={name}", *line.split()])) for line in lines]
    assert signed[0] == base, f"{name}: without -m the recipe is its control"
    assert len(set(signed)) == len(signed), f"{name}: two arms are the same configuration"


@pytest.mark.parametrize("name", STUDIED)
def test_a_recipe_whose_claim_is_timed_runs_its_trials_alone(name: str) -> None:
    study = recipe(CONF, name).study
    assert study is not None
    if study.timed:
        assert SPACE.resolve([f"experiment={name}"])["launcher"]["jobs"] == 1
    assert study.timed or not any(is_timed(metric) for metric in study.metrics)


@each("name", STUDIED)
def test_what_a_method_costs_is_in_its_claim_unless_the_cost_is_equal(name: str) -> None:
    found = recipe(CONF, name)
    assert found.study is not None
    costs = {"train/energy_j", "train/cpu_seconds", "train/seconds"}
    assert found.header["Equal cost"].startswith("yes") or costs & {*found.study.metrics}, name


def test_a_student_is_held_to_one_that_trains_alone_for_as_many_joules() -> None:
    study = recipe(CONF, "knowledge_distillation").study
    assert study is not None
    equal = next(claim for claim in study.claims if claim.arm == "compress=[] budget.steps=540")
    assert "labels=soft" in str(equal.against)
    assert [part.words for part in equal.all] == [
        "test/bits_per_byte less by 0.05",
        "train/energy_j not more by 10 %",
    ]


def test_a_study_is_read_with_its_short_forms() -> None:
    study = Study.model_validate(SMALL)
    assert study.seeds == (1000, 1001, 1002) and study.turned == {"a", "b"} and study.metrics == ("m",)
    assert [arm.line for arm in study.at_hand({"trainer": {"accelerator": "cpu"}})] == ["a=1", "a=2"]
    on_gpu = study.at_hand({"trainer": {"accelerator": "gpu"}})
    assert [arm.overrides for arm in on_gpu] == [("a=1",), ("a=2",), ("a=3", "b=4")]


@pytest.mark.parametrize(
    ("changed", "says"),
    [
        ({"seeds": 2}, "3 or more"),
        ({"seeds": [1, 1, 2]}, "different"),
        ({"arms": ["a=1"]}, "twice"),
        ({"arms": []}, "at least 1"),
        ({"control": ""}, "at least 1"),
        ({"claims": [{"says": "s", "arm": "a=9", "all": [{"metric": "m", "at_most": 1}]}]}, "not listed"),
        ({"claims": [{"says": "s", "all": []}]}, "at least 1"),
        ({"question": None}, "string"),
        ({"other": 1}, "permitted"),
    ],
)
def test_a_study_that_says_too_little_or_too_much_is_refused(changed: dict, says: str) -> None:
    with pytest.raises(ValidationError, match=says):
        Study.model_validate({**SMALL, **changed})


def test_sizes_are_plain_or_of_the_control() -> None:
    read = {text: Part(metric="m", more_by=text).size for text in (0, "0.01", "10 %", "10%", "2.5x", 3)}  # type: ignore[arg-type]
    assert list(read.values()) == [
        Size(0, ""), Size(0.01, ""), Size(10, "%"), Size(10, "%"), Size(2.5, "x"), Size(3, "")
    ]  # fmt: skip
    assert Part(metric="size/bytes", less_by="3.5x").words == "size/bytes less by 3.5x"  # type: ignore[arg-type]
    assert Part(metric="m", more_by=0).words == "m more"  # type: ignore[arg-type]
    assert Part(metric="m", not_less_by="10 %").words == "m not less by 10 %"  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "given",
    [
        {},
        {"less_by": 1, "more_by": 1},
        {"less_by": "half"},
        {"less_by": "1x"},
        {"less_by": "-1"},
        {"not_less_by": 0},
        {"less_by": True},
        {"at_most": "10 %"},
        {"better_by": 1},
    ],
)
def test_a_part_has_exactly_one_kind_with_a_size_that_makes_sense(given: dict) -> None:
    with pytest.raises(ValidationError):
        Part(metric="m", **given)


def test_an_unknown_experiment_is_refused_with_the_names(tmp_path: Path) -> None:
    for name in ("nope", "../train", ""):
        with pytest.raises(Refusal, match=r"choose one of .*efficient_optimizer"):
            recipe(CONF, name)
    (tmp_path / "experiment").mkdir()
    path = tmp_path / "experiment" / "x.yaml"
    path.write_text(yaml.safe_dump({"study": {**SMALL, "seeds": 1}}))
    with pytest.raises(Refusal, match=re.escape(f"The study of {path} is wrong at")):
        recipe(tmp_path, "x")
    path.write_text("# @package _global_\n# Question: q?\n# Cost: one\n#   and two\nstudy: null\n")
    assert recipe(tmp_path, "x") == ("x", None, {"Question": "q?", "Cost": "one and two"})
    assert header("seed: 1\n# Cost: none\n") == {}


KEPT = CONF.parent / "docs" / "experiments"


def studies() -> list[str]:
    texts = {path.stem: path.read_text() for path in sorted((CONF / "experiment").glob("*.yaml"))}
    return [name for name, text in texts.items() if "\nstudy:" in text]


def test_every_recipe_with_a_question_has_its_report() -> None:
    assert [path.name for path in sorted(KEPT.iterdir())] == studies()


def test_a_kept_report_answers_what_its_recipe_asks_today() -> None:
    for name in studies():
        study = recipe(CONF, name).study
        report = (KEPT / name / "report.md").read_text()
        assert report.startswith(f"# {name}: {plain(study.question)}\n"), name
        assert f"Expected was: {plain(study.claim.rstrip('.'))}." in report, name
        first, last = min(study.seeds), max(study.seeds)
        assert f"seeds {first} to {last}, test split" in report, name
        assert f"python agent.py experiment={name}" in report, name


LOOKED_AT = {
    "question": "q", "claim": "c", "control": "model.width=128", "arms": ["model.width=64"], "seeds": 5,
    "claims": [{"says": "It is smaller", "all": [{"metric": "size/parameters", "less_by": 0}]}],
}  # fmt: skip


def row(folder: str = "here", **changed) -> dict:
    study = Study.model_validate(LOOKED_AT | changed)
    return {"folder": folder, "facts": {"study": study.model_dump(mode="json")}}


def test_more_seeds_of_the_same_claims_are_another_look() -> None:
    more = Study.model_validate(LOOKED_AT | {"seeds": 8, "question": "in other words"})
    other = [{"says": "It is smaller", "all": [{"metric": "size/parameters", "less_by": 10}]}]
    rows = [row(), row("elsewhere", seeds=6), row(claims=other, seeds=7), {"folder": "here", "facts": {}}]
    runs = earlier(rows, "here", more)
    assert runs == [(1000, 1001, 1002, 1003, 1004)]
    assert counts(runs, more.seeds) == (5, 8) and counts([], more.seeds) == (8,)
    assert counts([*runs, more.seeds], more.seeds) == (5, 8), "typed again it is the same look"
    first, second = (errors(0.05).at(looks, None).tails[0] for looks in ((5,), (5, 8)))
    assert second < first < 0.85 * 0.05, "what the first look has spent is spent"


@given(st.sets(st.integers(990, 1030)), st.integers(3, 9), st.integers(0, 9))
def test_seeds_of_a_discovery_are_its_own_or_nobodys(seen: set[int], wanted: int, known: int) -> None:
    before = [tuple(range(2000, 2000 + known))] if known else []
    found = unseen(before, range(1000, 1000 + wanted), seen)
    assert len(found) == len(set(found)) == wanted
    assert not seen & set(found) and set(found) >= set((before[0] if before else ())[:wanted])
    assert unseen([found], range(1000, 1000 + wanted), seen | set(found)) == found


def test_seeds_are_read_as_a_study_has_them() -> None:
    with pytest.raises(ValueError, match="3 or more"):
        Study.model_validate(LOOKED_AT | {"seeds": 2})
