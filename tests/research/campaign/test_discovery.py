"""A confirmed discovery becomes a recipe that both programs run, and a person's edits stay."""

import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hydra import compose, initialize_config_dir
from omegaconf import OmegaConf

from refusal import Refusal
from research.campaign.discovery import write_recipe
from research.campaign.recipe import expanded, names, recipe
from research.space.gate import Space
from research.stats.claims import Claim
from research.stats.rubric import RubricFacts, rating
from research.stats.verdicts import judge
from research.types import Constraint, Insight, Verdict

ROOT = Path(__file__).parents[3]
SPACE = Space(ROOT / "conf", ROOT / "conf" / "space.yaml")
KEYS = ("Question", "Claim", "Control", "Arms", "Metric", "Smallest effect", "Command", "Expected", "Cost")
FIXED = ("data=digits", "budget.steps=300", "model.width=64")
ARM = ("optimizer=lion", "optimizer.lr=1e-3", "compress=[prune50, int8_static]", "model.depth=2")
FLOOR = Constraint(metric="test/accuracy", op=">=", bound=0.9)
RATED = rating(RubricFacts(ran=True, pairs=5, word="supported", fresh=True, new=True))


def joules(factor: float = 0.5) -> Insight:
    control = {1000 + seed: 10.0 + seed for seed in range(5)}
    arm = {seed: value * (factor + 0.001 * (seed % 3)) for seed, value in control.items()}
    verdict = judge(
        control, arm, metric="train/energy_j", direction="min", scale="relative", smallest_effect=20
    )
    return Insight(claim="c", verdict=verdict, energy_method="estimated", command="python train.py")


def claimed(*bounds: Constraint, metric: str = "train/energy_j", least: float = 20.0) -> Claim:
    return Claim.improvement(metric, "min" if metric == "train/energy_j" else "max", least, bounds)


def written(conf: Path, **changed: Any) -> Path:
    given = {
        "insight": joules(),
        "fixed": FIXED,
        "overrides": ARM,
        "seeds": tuple(range(1000, 1005)),
        "rating": RATED,
        "campaign": "fewer-joules-1a2b3c4d",
        "date": "2026-11-22",
        "space": SPACE,
        "claim": claimed(FLOOR),
        "machine": "cpu:Xeon x2",
    }
    return write_recipe(conf / "experiment" / "discovered", **{**given, **changed})


def test_a_recipe_names_nothing_without_effect(tmp_path: Path) -> None:
    idle = ("model.linear_blocks=2", "trainer.recompute_keep=matmuls")
    path = written(tmp_path, overrides=(*ARM, *idle))
    assert path == written(tmp_path) and "linear_blocks" not in path.read_text()


@pytest.fixture(scope="module")
def own(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return shutil.copytree(ROOT / "conf", tmp_path_factory.mktemp("lab") / "conf")


@pytest.fixture
def conf(own: Path) -> Iterator[Path]:
    """The lab's own config folder, to write into."""
    folder = own / "experiment" / "discovered"
    shutil.rmtree(folder, ignore_errors=True)
    yield own
    shutil.rmtree(folder, ignore_errors=True)


def test_the_recipe_is_the_campaigns_control_and_arm(conf: Path) -> None:
    path = written(conf)
    name = f"discovered/{path.stem}"
    assert re.fullmatch(r"discovered/digits_training_energy_[0-9a-f]{8}", name) and name in names(conf)
    study, space = recipe(conf, name).study, Space(conf, conf / "space.yaml")
    assert study is not None and study.seeds == tuple(range(1000, 1005)) and study.timed

    def signed(*overrides: str) -> str:
        return space.signature(space.resolve(overrides))

    base = f"experiment={name}"
    assert signed(base) == signed(base, *study.control.split()) == signed(*FIXED)
    assert signed(base, *study.arms[0].overrides) == signed(*FIXED, *ARM)
    assert space.resolve([base])["launcher"]["jobs"] == 1


def test_it_draws_the_splits_that_confirmed_it(conf: Path) -> None:
    name = f"discovered/{written(conf).stem}"
    assert recipe(conf, name).study.split == "seed"
    jobs = expanded([[f"experiment={name}"]], conf, Space(conf, conf / "space.yaml").resolve)
    assert all(job[-2] == "data.split_seed=${seed}" for job in jobs)
    fixed = f"discovered/{written(conf, fixed=(*FIXED, 'data.split_seed=3')).stem}"
    assert recipe(conf, fixed).study.split == "fixed"
    assert Space(conf, conf / "space.yaml").resolve([f"experiment={fixed}"])["data"]["split_seed"] == 3


@pytest.mark.slow
def test_hydra_reads_it_as_the_gate_does(conf: Path) -> None:
    name = f"discovered/{written(conf).stem}"
    study = recipe(conf, name).study
    line = [f"experiment={name}", *study.arms[0].overrides, "seed=1000"]
    with initialize_config_dir(str(conf), version_base="1.3"):
        config = OmegaConf.to_container(compose("train", line), resolve=True)
    assert Space(conf, conf / "space.yaml").resolve(line) == config


def test_its_card_says_what_the_others_say_and_what_was_found(conf: Path) -> None:
    path = written(conf)
    name = f"discovered/{path.stem}"
    found = recipe(conf, name)
    assert set(KEYS) <= found.header.keys()
    assert found.header["Command"].startswith(
        f"python agent.py experiment={name} by hand: python train.py -m"
    )
    assert found.header["Smallest effect"] == "20 %, keeping test/accuracy >= 0.9"
    assert found.header["Control"] == "optimizer=adamw optimizer.lr=0.003 compress=[] model.depth=1"
    assert found.header["Arms"].startswith("optimizer=lion optimizer.lr=0.001 compress=[prune50,int8_static]")
    expected = r"supported: lowers training energy by 49\.880 % \[.*\] \(95 % interval, n = 5 pairs\); joules"
    assert re.match(expected, found.header["Expected"])
    assert "(2026-11-22, cpu:Xeon x2)" in found.header["Expected"]
    assert found.header["Rating"] == "7 of 10, publishable"
    assert [part.words for part in found.study.claims[0].all] == [
        "train/energy_j less by 20 %",
        "test/accuracy at least 0.9",
    ]


def test_the_same_discovery_has_the_same_file_and_another_another(conf: Path) -> None:
    path = written(conf)
    text = path.read_text()
    assert written(conf) == path and path.read_text() == text
    again = written(
        conf, date="2026-12-01", fixed=FIXED[::-1], overrides=(*ARM[:1], "optimizer.lr=0.001", *ARM[2:])
    )
    assert again == path and "2026-12-01" in path.read_text()
    assert written(conf, overrides=("optimizer=lion",)) != path
    assert written(conf, fixed=("data=mnist1d",)) != path
    assert written(conf, claim=claimed()) != path
    assert not list(path.parent.glob("*.new"))


@pytest.mark.parametrize(
    "edit", [("seeds:", "seeds: "), ("# Seal: ", "# Sealed: "), ("Rating: 7", "Rating: 9")]
)
def test_what_a_person_edited_stays(conf: Path, edit: tuple[str, str]) -> None:
    path = written(conf)
    text = path.read_text().replace(*edit)
    path.write_text(text)
    with pytest.raises(Refusal, match="edited by a person"):
        written(conf, date="2026-12-01")
    assert path.read_text() == text


def test_a_recipe_that_the_person_built_on_is_written_out(conf: Path) -> None:
    path = written(
        conf, fixed=("+experiment=efficient_optimizer", "budget.steps=200"), overrides=("optimizer=lion",)
    )
    space = Space(conf, conf / "space.yaml")
    fixed = space.resolve(["experiment=efficient_optimizer", "budget.steps=200"])
    assert space.signature(space.resolve([f"experiment=discovered/{path.stem}"])) == space.signature(fixed)


def test_an_arm_that_only_its_own_option_has_is_compared_with_the_control(conf: Path) -> None:
    path = written(
        conf, overrides=("model.experts=4",), fixed=("data=mqar", "model=moe_gpt"), claim=claimed()
    )
    assert "control: model.experts=" in path.read_text()
    alone = written(
        conf, overrides=("compress=[prune50]", "compress.prune50.sparsity=0.7"), fixed=("data=digits",)
    )
    study = recipe(conf, f"discovered/{alone.stem}").study
    assert study is not None and study.control == "compress=[]"


def test_the_claim_of_any_gain_in_a_cost_compares_ratios_as_its_confirmation_did(conf: Path) -> None:
    path = written(conf, claim=claimed(FLOOR, least=0))
    (claim,) = recipe(conf, f"discovered/{path.stem}").study.claims
    assert claim.first.size.scale == "relative" and claim.first.words == "train/energy_j less"
    assert claim.all == claimed(FLOOR, least=0).all


def test_a_bound_relative_to_the_control_is_the_recipes_claim_as_it_was_confirmed(conf: Path) -> None:
    near = Constraint(metric="test/accuracy", op=">=", bound=-0.01, of_control="difference")
    quick = Constraint(metric="train/seconds", op="<=", bound=1.02, of_control="ratio")
    path = written(conf, claim=claimed(near, quick))
    (claim,) = recipe(conf, f"discovered/{path.stem}").study.claims
    assert claim.all == claimed(near, quick).all and claim.constraints == (near, quick)
    kept = "keeping test/accuracy >= control - 0.01 and train/seconds <= 1.02 * control"
    assert kept in path.read_text().replace("\n#", "")
    assert path.stem != written(conf).stem


def test_accuracy_is_claimed_in_its_own_unit(conf: Path) -> None:
    control = {seed: 0.9 + 0.001 * seed for seed in range(5)}
    better = {seed: value + 0.03 + 0.001 * (seed % 2) for seed, value in control.items()}
    verdict = judge(control, better, metric="test/accuracy", smallest_effect=0.01)
    insight = Insight(claim="c", verdict=verdict, energy_method="estimated", command="x")
    path = written(conf, insight=insight, claim=claimed(metric="test/accuracy", least=0.01))
    study = recipe(conf, f"discovered/{path.stem}").study
    assert study.claims[0].all[0].words == "test/accuracy more by 0.01" and not study.timed
    path = written(conf, insight=insight, claim=claimed(metric="test/accuracy", least=0))
    assert recipe(conf, f"discovered/{path.stem}").study.claims[0].all[0].words == "test/accuracy more"


@pytest.mark.parametrize(
    ("changed", "says"),
    [
        ({"overrides": ("name='a b'",)}, "without spaces"),
        ({"overrides": ("optimizer=adam,lion",)}, "one plain value"),
        ({"overrides": ("name=${oc.env:HOME}",)}, "cannot stand in a recipe"),
        ({"fixed": ("~data",)}, "cannot stand in a recipe"),
        ({"insight": joules(1.2)}, "refuted is no discovery"),
    ],
)
def test_what_cannot_be_a_recipe_is_refused_and_nothing_is_written(
    conf: Path, changed: dict, says: str
) -> None:
    with pytest.raises(Refusal, match=says):
        written(conf, **changed)
    assert not (conf / "experiment" / "discovered").exists()


def test_a_folder_that_cannot_be_written_is_refused(conf: Path) -> None:
    (conf / "experiment" / "discovered").write_text("in the way")
    with pytest.raises(Refusal, match="discovered=FOLDER"):
        written(conf)
    (conf / "experiment" / "discovered").unlink()


def test_open_is_no_discovery(tmp_path: Path) -> None:
    verdict = Verdict(word="open", comparison=None, reason="", trial_ids=())
    insight = Insight(claim="c", verdict=verdict, energy_method="", command="x")
    with pytest.raises(Refusal, match="confirm it first"):
        write_recipe(tmp_path, insight, claimed(), (), (), (), RATED, "c", "2026-11-22", space=SPACE)


@pytest.mark.slow
def test_train_py_plans_it_and_agent_py_lists_it(conf: Path, tmp_path: Path) -> None:
    lab = tmp_path / "lab"
    path = written(conf, claim=claimed())
    shutil.copytree(conf, lab / "conf")
    for name in ("research", "models", "power", "reading", "hydra_plugins"):
        shutil.copytree(ROOT / name, lab / name, ignore=shutil.ignore_patterns("__pycache__"))
    for path_of in ROOT.glob("*.py"):
        shutil.copy(path_of, lab / path_of.name)

    def typed(*line: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run([sys.executable, *line], cwd=lab, capture_output=True, text=True, check=False)

    plan = typed("train.py", "-m", f"experiment=discovered/{path.stem}", "dry_run=true")
    assert "10 trials: 0 known, 10 to run" in plan.stdout, plan.stderr
    listed = typed("agent.py", "task=list", "what=recipes")
    assert f"discovered/{path.stem}" in listed.stdout, listed.stderr
    wrong = typed("agent.py", f"experiment=discovered/{path.stem}", "base=[optimizer=sgd]")
    assert wrong.returncode == 2 and "base cannot set optimizer" in wrong.stderr, wrong.stderr
