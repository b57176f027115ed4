"""A key of the other command is answered with the line that is to be typed, which then composes."""

import re
import shlex

import pytest

from cases import each
from refusal import Refusal
from research.campaign.campaign import CONF
from research.compose.compose import Composer
from research.compose.typed import quoted
from research.tasks.foreign import refuse_campaigns
from research.tasks.line import refuse_flags, settings


@pytest.mark.parametrize(
    ("typed", "base"),
    [
        (["data=mnist1d"], "base=[data=mnist1d]"),
        (["data=mnist1d", "model.width=64", "goal=fewer joules"], "base=[data=mnist1d,model.width=64]"),
        (["data=mnist1d", "base=[optimizer=lion]"], "base=[optimizer=lion,data=mnist1d]"),
        (["compress=[prune50,int8_static]"], "base=[compress=[prune50,int8_static]]"),
        (["budget.steps=20"], "base=[budget.steps=20]"),
        (["budget=cpu"], "base=[budget=cpu]"),
        (["trainer.precision=auto"], "base=[trainer.precision=auto]"),
        (["optimizer.momentum=0.9", "optimizer=sgd"], "base=[optimizer.momentum=0.9,optimizer=sgd]"),
    ],
)
def test_a_key_of_a_training_goes_into_base(typed: list[str], base: str) -> None:
    with pytest.raises(Refusal) as refused:
        settings(typed, CONF)
    assert str(refused.value).endswith(f": write {base}.") and "train.py" in str(refused.value)
    assert settings([base], CONF)["base"] == Composer(CONF, "agent").resolve(quoted([base])).config["base"]


@pytest.mark.parametrize(
    ("typed", "says"),
    [
        ("logger=none", "write quiet=[logger=none]"),
        ("score=test/loss", "objective.metric=test/loss"),
        ("force=true", "python train.py ... force=true"),
        ("budget.sconds=3", "perhaps budget.seconds"),
        ("goals=x", "perhaps goal"),
    ],
)
def test_what_base_is_not_for_is_told_so(typed: str, says: str) -> None:
    with pytest.raises(Refusal, match=re.escape(says)):
        settings([typed], CONF)


@pytest.mark.parametrize(
    ("typed", "line"),
    [
        (["goal=fewer joules"], ["goal=fewer joules"]),
        (["goal=fewer joules", "data=mnist1d"], ["goal=fewer joules", "base=[data=mnist1d]"]),
        (["screen.turns=3", "root=/tmp/x"], ["screen.turns=3", "root=/tmp/x"]),
        (["task=status"], ["task=status"]),
        (["llm=openai"], ["llm=openai"]),
        (["-m", "memory=on", "optimizer=lion"], ["memory=on", "base=[optimizer=lion]"]),
    ],
)
def test_a_key_of_a_campaign_is_answered_with_agents_line(typed: list[str], line: list[str]) -> None:
    with pytest.raises(Refusal) as refused:
        refuse_campaigns(typed, CONF)
    told = str(refused.value).partition("python agent.py ")[2].removesuffix(".")
    assert shlex.split(told) == line
    settings(line, CONF)


@pytest.mark.parametrize(
    ("typed", "says"),
    [
        ("optimzer=adam", "perhaps optimizer"),
        ("budget.sconds=3", "perhaps budget.seconds"),
        ("optimizer.ler=3", "perhaps optimizer.lr"),
        ("seed=0,1", "add -m to run each of its values"),
        ("optimizer=adam,lion", "add -m to run each of its values"),
    ],
)
def test_a_slip_in_train_is_told_with_what_is_near(typed: str, says: str) -> None:
    with pytest.raises(Refusal, match=re.escape(says)):
        refuse_campaigns([typed], CONF)


@pytest.mark.parametrize(
    "typed",
    [
        ["-m", "optimizer=adam,lion", "seed=0,1", "hydra/launcher=joblib", "hydra.launcher.n_jobs=2"],
        ["experiment=efficient_optimizer", "launcher.jobs=2", "budget.steps=3", "meter.country=FRA"],
        ["--config-dir", "more", "mine=x"],
        [
            "compress=[prune50]",
            "callbacks=[]",
            "data.split_seed=${seed}",
            "+optimizer.nonesuch=1",
            "~budget.steps",
        ],
        ["model._target_=user.net", "optimizer=sgd", "optimizer.momentum=0.9", "data=pytext", "data.path=x"],
        [],
    ],
)
def test_what_train_takes_passes(typed: list[str]) -> None:
    refuse_campaigns(typed, CONF)


def test_a_bare_word_that_is_an_option_is_told_with_its_group() -> None:
    with pytest.raises(Refusal, match="'mnist1d' is no key=value, perhaps data=mnist1d:"):
        refuse_flags(["mnist1d"], CONF)


@each("value", ["1e20", "100000000000000000000", "-1e300"])
@each("key", ["sprint.count", "screen.turns", "seed", "confirm.first_seed", "budget.trials"])
def test_a_number_that_nothing_counts_to_is_one_sentence(key: str, value: str) -> None:
    from research.tasks.task import composer, refuse_large, usual

    with pytest.raises(Refusal, match=f"{re.escape(key)}=.*is larger than anything that is counted"):
        refuse_large(settings([f"{key}={value}"], CONF), usual(composer(CONF).files, "research"))
    refuse_large(settings([f"{key}=7"], CONF), usual(composer(CONF).files, "research"))


@pytest.mark.parametrize(
    "link", ["data.split_seed=${seed}", "'data.split_seed=${seed}'", r"data.split_seed=\${seed}"]
)
def test_a_link_in_base_is_of_each_trial(link: str) -> None:
    assert settings([f"base=[{link}]", "seed=5"], CONF)["base"] == ["data.split_seed=${seed}"]
