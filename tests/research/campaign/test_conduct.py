"""An experiment from its recipe to its report: seeds paired, nothing run twice, killed and typed again."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
import yaml

from campaign_lab import Lab, opened
from refusal import Refusal
from report_tables import arms, rows
from research.campaign.recipe import ArmLine, expanded, ordered
from research.campaign.study import written_again
from research.run.runner import Job
from research.store.schema import attempt
from research.store.store import Store

STUDY = {
    "question": "Is a narrow network cheaper?",
    "claim": "Half the width costs less at the same accuracy.",
    "control": "model.width=128",
    "arms": ["model.width=64", "model.width=8", {"line": "model.width=4", "needs": "gpu"}],
    "seeds": 5,
    "claims": [
        {
            "says": "It is smaller and not less accurate",
            "all": [
                {"metric": "size/parameters", "less_by": "1.5x"},
                {"metric": "test/accuracy", "not_less_by": 0.02},
            ],
        }
    ],
}


@pytest.fixture
def lab(tmp_path: Path) -> Iterator[Lab]:
    with opened(tmp_path) as made:
        conf = made.folder / "conf"
        root = "defaults: [{data: digits}, {model: mlp}, {optimizer: adamw}, {experiment: none}]\n"
        rest = (conf / "train.yaml").read_text().split("\n", 1)[1]
        (conf / "train.yaml").write_text(
            f"{root}{rest}launcher: {{jobs: null, threads: null, timeout_s: null}}\n"
        )
        write(conf, "none", None)
        write(conf, "narrow", STUDY)
        write(conf, "plain", None)
        space = (conf / "space.yaml").read_text().replace("inert: [", "inert: [launcher, study, ")
        (conf / "space.yaml").write_text(space)
        made.space = type(made.space)(conf, conf / "space.yaml")
        yield made


def write(conf: Path, name: str, study: dict | None) -> None:
    (conf / "experiment").mkdir(exist_ok=True)
    content = {"study": study} if study else {}
    text = f"# @package _global_\n# Question: q\n{yaml.safe_dump(content)}"
    (conf / "experiment" / f"{name}.yaml").write_text(text)


def run(lab: Lab, name: str = "narrow", **changed: Any) -> str:
    return lab.conduct(name, **changed)


def test_arms_are_run_over_the_same_seeds_and_each_gets_its_verdict(lab: Lab) -> None:
    report = run(lab)
    assert len(lab.ran) == 15 and {one[-1] for one in lab.ran} == {
        f"seed={seed}" for seed in range(1000, 1005)
    }
    assert all(one[0] == "experiment=narrow" for one in lab.ran)
    asked, found = report.split("\n\n")[1:3]
    expected = "Half the width costs less at the same accuracy."
    assert asked == f"Asked was: Is a narrow network cheaper? Expected was: {expected}"
    assert found == "Found was, of 2 claims: 1 supported, 1 refuted.", "nothing of it is about joules"
    assert "**Supported.** It is smaller and not less accurate (A against control)" in report
    assert "**Refuted.** It is smaller and not less accurate (B against control)" in report
    named = {"control": "nothing (`model.width=128`)", "A": "model.width=64", "B": "model.width=8"}
    assert arms(report) == named and list(named) == [row["arm"] for row in rows(report, "Figures")]
    assert [row["n"] for row in rows(report, "Figures")] == ["5", "5", "5"]
    judged = {row["claim"]: (row["part"], row["verdict"]) for row in rows(report, "How it was judged")}
    assert judged["2a"] == ("size/parameters less by 1.5x", "supported")
    assert judged["2b"] == ("test/accuracy not less by 0.02", "refuted") and len(judged) == 4
    assert "each is judged at 0.025" in report and "joules are estimated" in report
    assert "`model.width=4` was left out: it needs a GPU" in report
    assert "python train.py -m experiment=narrow model.width=64 seed=1000,1001,1002,1003,1004" in report


@pytest.mark.slow
def test_typed_again_nothing_is_run_and_the_report_is_the_same(lab: Lab) -> None:
    first = run(lab)
    count = len(lab.ran)
    assert run(lab) == first and len(lab.ran) == count
    assert len(lab.store.sprints()) == 1 and len(lab.store.insights()) == 2
    assert [row["status"] for row in lab.store.proposals()] == ["control", "supported", "refuted"]


@pytest.mark.slow
def test_its_report_is_written_again_from_its_rows_alone(lab: Lab) -> None:
    """Whatever the code is by now: a digest that has changed would train all of it anew."""
    study = STUDY | {"arms": [*STUDY["arms"], "optimizer.lr=0.08"]}  # type: ignore[misc]
    write(lab.folder / "conf", "narrow", study)
    first = run(lab)
    (sprint,) = lab.store.sprints()
    path = Path(sprint["folder"]) / "report.md"
    path.write_text("lost")
    assert written_again(lab.store, sprint) == path and path.read_text() == first
    assert "seed 1004 of `optimizer.lr=0.08` failed: diverged" in first
    facts = {**sprint["facts"], "study": {"of": "a later version"}}
    with pytest.raises(
        Refusal, match=r"sprint:1 was kept by another version of joulelab: type its agent\.py"
    ):
        written_again(lab.store, {**sprint, "facts": facts})


def test_interrupted_it_goes_on_where_it_was(lab: Lab) -> None:
    lab.interrupt_after = 7
    with pytest.raises(KeyboardInterrupt):
        run(lab)
    assert [row["status"] for row in lab.store.sprints()] == ["interrupted"]
    lab.interrupt_after = None
    run(lab)
    assert len(lab.ran) == 15 and len(set(lab.ran)) == 15
    assert [row["status"] for row in lab.store.sprints()] == ["done"]


def test_what_train_py_ran_by_hand_is_not_run_again(lab: Lab) -> None:
    jobs = expanded([["experiment=narrow"]], lab.folder / "conf", lab.space.resolve)
    assert len(jobs) == 15
    for job in jobs[:9]:
        resolved = lab.space.resolve(job) | {"root": "elsewhere", "store": {"url": "x"}}
        lab.one(Job(resolved, job, sweep="by-hand"))
    run(lab)
    assert len(lab.ran) == 15


def test_a_metric_that_is_missing_is_said_and_never_invented(lab: Lab) -> None:
    study = STUDY | {"claims": [{"says": "It is cooler", "all": [{"metric": "train/kelvin", "less_by": 0}]}]}
    write(lab.folder / "conf", "narrow", study)
    report = run(lab)
    assert report.count("**Open.** It is cooler") == 2 and "10 of 10 trials have no value" in report
    assert "| 5 | - |" in report


def test_a_failing_arm_leaves_the_others_and_is_noted(lab: Lab) -> None:
    study = STUDY | {"arms": ["model.width=64", "optimizer.lr=0.08"]}
    write(lab.folder / "conf", "narrow", study)
    report = run(lab)
    assert "**Supported.** It is smaller" in report and "5 of 10 trials have no value" in report
    assert "seed 1000 of `optimizer.lr=0.08` failed: diverged" in report
    with lab.store.write() as connection:
        connection.execute(sa.update(attempt).where(attempt.c.outcome != "done").values(joules=2.0))
    assert "- 10 J more for attempts that failed or were killed" in run(lab)


def test_base_is_part_of_every_trial_and_of_the_commands(lab: Lab) -> None:
    report = run(lab, base=["optimizer=lion"])
    assert all(one[:2] == ("experiment=narrow", "optimizer=lion") for one in lab.ran)
    assert "python agent.py experiment=narrow base=[optimizer=lion]" in report
    assert len(lab.store.sprints()) == 1
    with pytest.raises(Refusal, match=r"cannot set model\.width"):
        run(lab, base=["model.width=3"])


@pytest.mark.parametrize(("name", "says"), [("plain", "claims nothing"), ("nope", "choose one of")])
def test_what_cannot_be_conducted_is_refused(lab: Lab, name: str, says: str) -> None:
    with pytest.raises(Refusal, match=says):
        run(lab, name=name)


def test_joules_of_two_methods_are_not_compared(lab: Lab) -> None:
    claims = [{"says": "It is cheaper", "all": [{"metric": "train/energy_j", "less_by": "1.2x"}]}]
    write(lab.folder / "conf", "narrow", STUDY | {"claims": claims, "arms": ["model.width=64"]})
    assert "**Supported.** It is cheaper" in run(lab)
    other = Store(f"sqlite:///{lab.folder / 'lab.db'}")
    with other.write() as sql:
        sql.execute(sa.text("update trial set facts = replace(facts, 'estimated', 'nvml') where id = 1"))
    other.close()
    assert "**Open.** It is cheaper" in run(lab)


def test_every_seed_meets_all_arms_in_an_order_by_lot() -> None:
    arms = [ArmLine(line=text) for text in ("a=1", "a=2", "a=3")]
    pairs = ordered(arms, range(40))
    assert pairs == ordered(arms, range(40)), "the same every time"
    firsts = [pairs[place][0].line for place in range(0, 120, 3)]
    assert all(6 <= firsts.count(arm.line) <= 21 for arm in arms)
    assert all({arm.line for arm, seed in pairs if seed == one} == {"a=1", "a=2", "a=3"} for one in range(40))


def test_what_is_typed_wins_over_the_recipe(lab: Lab) -> None:
    conf, resolve = lab.folder / "conf", lab.space.resolve

    def jobs(*typed: str) -> list[list[str]]:
        return expanded([list(typed)], conf, resolve)

    assert jobs("optimizer=lion") == [["optimizer=lion"]] and jobs("experiment=plain") == [
        ["experiment=plain"]
    ]
    assert jobs("experiment=narrow", "seed=7") == [
        ["experiment=narrow", "seed=7", f"model.width={width}"] for width in (128, 64, 8)
    ]
    own = jobs("experiment=narrow", "model.width=3")
    assert [job[-1] for job in own] == [f"seed={seed}" for seed in range(1000, 1005)]
    assert jobs("experiment=narrow", "model.width=3", "seed=1") == [
        ["experiment=narrow", "model.width=3", "seed=1"]
    ]


ENERGY = STUDY | {"claims": [{"says": "It is cheaper", "all": [{"metric": "train/energy_j", "less_by": 0}]}]}
WHY = "its threads waited 2.1 s for a processor while they ran 1 s"


@pytest.mark.slow
def test_a_trial_that_a_neighbour_disturbed_is_run_again_and_the_replicate_is_judged(lab: Lab) -> None:
    write(lab.folder / "conf", "narrow", ENERGY)
    lab.neighbour = lambda job: (
        {} if job.config.get("force") or job.config["seed"] != 1002 else {"train": WHY}
    )
    report = run(lab)
    assert report.count("**Supported.** It is cheaper") == 2 and "n = 5" in report
    assert len(lab.ran) == 18 and "disturbed" not in report
    run(lab)
    assert len(lab.ran) == 18, "typed again the replicates are known"


@pytest.mark.slow
def test_a_recipe_on_a_machine_that_stays_busy_is_open_and_says_why(lab: Lab) -> None:
    write(lab.folder / "conf", "narrow", ENERGY)
    lab.neighbour = lambda job: {"train": WHY}
    report = run(lab)
    assert report.count("**Open.** It is cheaper") == 2 and WHY in report and "15 trials" in report
    assert len(lab.ran) <= 15 + 4, "repeats that are in vain end"
    lab.neighbour = lambda job: {}
    assert run(lab).count("**Supported.** It is cheaper") == 2, "the same command goes on when it is quiet"
