"""What is typed for a group, and what Hydra itself chokes on: one sentence, and never a traceback."""

from pathlib import Path

import pytest
from hydra import compose, initialize_config_dir

from agent_forked import asked
from cases import each
from refusal import Refusal, sentence
from research.compose.compose import Composer
from research.space.sources import code_digest
from research.tasks.line import refuse_flags, training

CONF = Path(__file__).parent.parent / "conf"


@each(
    ("typed", "says"),
    [
        (["optimizer=[adam,lion]"], "optimizer=adam, or -m optimizer=adam,lion"),
        (["-m", "optimizer=[adam,lion],sgd"], "optimizer takes one option"),
        (["-m", "optimizer=choice([adam,lion],sgd)"], "optimizer takes one option"),
        (["-m", "hydra/launcher=basic", "data=[digits,mnist1d]"], "data takes one option"),
        (["model=[]"], "model takes one option"),
        (["experiment=[lm_ablation,moe_routing]"], "experiment takes one option"),
        (["-m", "optimizer=null,adam"], "optimizer=null is none"),
        (["-m", "compress=null"], "compress=null is none"),
        (["-m", "compress=[[prune50]]"], "compress takes the name of an option"),
        (["optimizer={lr:3}"], "optimizer takes the name of an option"),
        (["data={}"], "data takes the name of an option"),
        (["launcher=3"], "write launcher.jobs=VALUE"),
        (["launcher=null"], "write launcher.jobs=VALUE"),
        (["-x"], "-x is no option"),
        (["~optimizer"], "~optimizer takes away what the trial needs"),
        (["-m", "~launcher", "seed=1,2"], "~launcher takes away what the trial needs"),
        (["+new=3"], "+new adds a key that nothing reads"),
        (["++new.sub=3"], "+new adds a key that nothing reads"),
    ],
)
def test_what_is_typed_for_a_group_is_one_option_of_it(typed: list[str], says: str) -> None:
    with pytest.raises(Refusal) as told:
        training(typed, CONF)
    assert says in str(told.value)


@each(
    "typed",
    [
        ["optimizer=[adam]"],
        ["-m", "optimizer=adam,lion"],
        ["compress=prune50"],
        ["compress=[prune50,low_rank]"],
        ["callbacks=[]"],
        ["-m", "compress=[],[prune50,low_rank]"],
        ["-m", "optimizer=glob(a*)"],
        ["launcher={}"],
        ["-m", "launcher.jobs=2"],
        ["+backend=onnx"],
        ["~budget.steps"],
    ],
)
def test_lists_are_taken_where_they_belong(typed: list[str]) -> None:
    training(typed, CONF)


def test_a_composer_merges_no_two_options_of_a_group() -> None:
    composer = Composer(CONF, "train")
    with pytest.raises(Refusal, match="optimizer takes one option"):
        composer.resolve(["optimizer=[adam,adamw]"])
    assert set(composer.resolve(["compress=[prune50,low_rank]"]).config["compress"]) > {"prune50", "low_rank"}


@each(
    ("typed", "says"),
    [
        (["llm=[none,openai]", "dry_run=true"], "llm takes one option"),
        (["-m", "store=[sqlite,postgresql]", "task=status"], "store takes one option"),
        (["base=[optimizer=[adam,lion]]", "dry_run=true"], "optimizer takes one option"),
        (["base=[launcher=3]", "dry_run=true"], "write launcher.jobs=VALUE"),
        (["+new=3", "task=status"], "+new adds a key that nothing reads"),
        (["-m", "seed=range(0)"], "nothing is swept"),
        (["root=null", "task=status"], "root=runs"),
        (["--resolve"], "--resolve flag can only be used"),
        (["-m", "--cfg=job"], "Only one of"),
        (["hydra.sweeper.params.seed=1"], "Hydra cannot read what was typed"),
        (["hydra.job.env_copy=[NO_SUCH_VARIABLE]"], "NO_SUCH_VARIABLE"),
    ],
)
def test_agent_refuses_it_in_a_sentence(typed: list[str], says: str, tmp_path: Path) -> None:
    ended = asked(tmp_path, *typed)
    assert ended.returncode == 2, ended.stderr
    assert says in ended.stderr and len(ended.stderr.strip().splitlines()) == 1, ended.stderr


def test_what_hydra_raises_of_any_kind_is_a_sentence_and_our_own_stays_a_bug() -> None:
    with initialize_config_dir(str(CONF), version_base="1.3"), pytest.raises(ValueError) as told:
        compose("train", ["optimizer=1"])
    assert type(told.value) is ValueError
    assert str(sentence(told.value)).startswith("refused: Config group override must be a string")
    with pytest.raises(AttributeError) as own:
        refuse_flags([3], CONF)  # type: ignore[list-item]
    assert sentence(own.value) is None


def test_a_target_without_a_name_is_refused_by_whoever_calls_it() -> None:
    assert code_digest({"model": {"_target_": ""}}), "a key is known before anything is called"


def test_no_ladder_is_a_choice_where_hydra_reads_the_line(tmp_path: Path) -> None:
    ended = asked(tmp_path, "-m", "ladder=null", "dry_run=true")
    assert ended.returncode == 0, ended.stderr


def test_a_sweep_of_nothing_says_so() -> None:
    from hydra_plugins.hydra_joulelab_launcher.grid import combinations, read

    with pytest.raises(Refusal, match="nothing is swept"):
        combinations(read(["seed=range(0)"]), None)
    assert len(combinations(read(["seed=range(2)"]), None)) == 2
