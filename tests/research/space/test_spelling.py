"""The vocabulary of the repository as a model reads it: what can apply to the data, with its ranges, once."""

from pathlib import Path

import pytest
import yaml

from research.space.domain import Scope, read
from research.space.gate import Space
from research.space.spelling import names, spelled
from research.space.vocabulary import narrowed

CONF = Path(__file__).parents[3] / "conf"
DIGITS, TEXT = ("data=digits",), ("data=pytext", "model=gpt")


@pytest.fixture(scope="module")
def space() -> Space:
    return Space(CONF, CONF / "space.yaml")


@pytest.fixture(scope="module")
def digits(space: Space) -> dict:
    return narrowed(space, DIGITS)


def lines(text: str) -> dict[str, str]:
    return dict(line.split(": ", 1) for line in text.split("\n") if ": " in line and not line.startswith("!"))


def test_each_range_is_told_with_the_options_that_have_it(digits: dict) -> None:
    told = lines(spelled(digits, DIGITS, cards=False))
    assert told["data.batch_size"] == "int 8..1024 log, default 128"
    assert told["model.depth"] == (
        "int 1..4 (cnn*,convnext*,mobilenet*,resnet); int 1..3 (gru); int 1..6 (mlp); "
        "int 1..8 (transformer), default 1"
    )
    assert told["model.kv_heads"] == "1|2|4|8|null (transformer)"
    assert told["model.linear_blocks"] == (
        "2|4|8 (convnext*,mlp,transformer), default 4, acts when model.linear in ['grouped', 'monarch']"
    )
    assert told["optimizer.betas"].startswith("[0..0.9999,0..0.9999] (adam,adamw,lion,")
    assert told["trainer.precision"] == "32-true|bf16-mixed|auto, default 32-true"
    assert "'val/accuracy >= 0.9'" in told["budget.target"]


def test_what_cannot_apply_to_the_data_is_not_told(space: Space, digits: dict) -> None:
    images, text = spelled(digits, DIGITS), spelled(narrowed(space, TEXT), TEXT)
    for word in (
        "gpt_micro",
        "moe",
        "model.experts",
        "model.tied",
        "data.task",
        "pytext",
        "mnist1d",
        "one answer per token",
    ):
        assert word not in images, word
    for word in ("mobilenet_micro", "model.kernel", "model.readout", "Data without axes", "model=gpt|"):
        assert word not in text, word
    assert "model.pattern: softmax|window|linear" in text and "budget.steps: int 5..5000 log" in text


def test_a_constraint_that_no_choice_can_break_is_not_told(space: Space, digits: dict) -> None:
    said = {line[2:] for line in spelled(digits, DIGITS).split("\n") if line.startswith("! ")}
    assert "model.linear_blocks must divide model.width" in said
    assert "optimizer.nesterov=true needs optimizer.momentum above 0" in said
    assert "model.heads must divide model.width" not in said  # all widths of a transformer are multiples
    assert "model.stride must divide the length of the data" not in said
    own = set(digits["constraints"])
    broken = [rule.say for rule in space.file.rules if rule.say not in own]
    assert own and broken and own.isdisjoint(broken)


@pytest.mark.parametrize(
    ("overrides", "sentence"),
    [
        (["model.linear=monarch", "model.width=25"], "model.linear_blocks must divide model.width"),
        (
            ["optimizer=sgd", "optimizer.momentum=0"],
            "optimizer.nesterov=true needs optimizer.momentum above 0",
        ),
        (["model=linear", "optimizer=muon"], "model=linear has no hidden matrix for optimizer=muon"),
        (["trainer.recompute=['blocks.*']"], "trainer.recompute=[blocks.*] needs a network of blocks"),
    ],
)
def test_what_the_gate_refuses_by_a_constraint_is_told(
    space: Space, digits: dict, overrides: list[str], sentence: str
) -> None:
    assert any(sentence in said for said in space.check(overrides, given=DIGITS))
    assert f"! {sentence}" in spelled(digits, DIGITS)


def test_an_option_that_needs_another_choice_is_offered_with_it(space: Space, digits: dict) -> None:
    told = spelled(digits, DIGITS, cards=False)
    assert "|schedulefree (only with scheduler=constant), default adamw" in told
    assert space.check(["optimizer=schedulefree", "scheduler=constant"], given=DIGITS) == []
    assert "soap,schedulefree" in lines(told)["optimizer.lr"]
    assert "schedulefree" not in digits["groups"]["optimizer"]["options"]  # samplers draw a group at a time


def test_what_is_fixed_is_not_told_and_its_group_has_the_fixed_option(space: Space) -> None:
    fixed = ("data=digits", "model=cnn", "budget.steps=100")
    told = spelled(narrowed(space, fixed), fixed, cards=False)
    assert "model=" not in told.split("\n")[0] and "budget.steps:" not in told
    assert lines(told)["model.width"] == "int 4..128 log, default 32"
    assert "model.heads:" not in told


def test_to_change_a_proposal_the_keys_beside_it_are_enough(digits: dict) -> None:
    told = spelled(digits, DIGITS, cards=False, about=["model=gru", "optimizer.lr=0.01"])
    assert lines(told)["model.width"] == "int 8..256 log, default 32"
    assert lines(told)["optimizer.lr"] == "1e-05..0.1 log, default 0.003"
    assert "model.kernel" not in told and "kv_heads" not in told and "model=cnn|" in told


def test_a_field_is_told_with_its_own_keys_and_constraints_alone(digits: dict) -> None:
    rates = yaml.safe_load((CONF / "domain" / "optimization.yaml").read_text())
    told = spelled(Scope(read(rates).focused("rates")).narrowed(digits, DIGITS), DIGITS, cards=False)
    assert set(lines(told)) == {"optimizer.lr", "optimizer.weight_decay", "optimizer.betas"}
    assert "schedulefree" not in told and "model" not in told


def test_a_list_of_options_is_shown_as_it_is_typed(digits: dict) -> None:
    told = spelled(digits, DIGITS, cards=False)
    assert "compress=[a,b], one list of different options that act in this order: bf16|" in told


def test_names_are_the_keys_and_options_alone(digits: dict) -> None:
    told = names(digits, DIGITS)
    assert "scheduler=constant|cosine|linear|onecycle|rsqrt|wsd, default cosine" in told
    keys = told.split("\n")[-1].split()
    assert "data.batch_size" in keys and "model.experts" not in keys
    assert set(keys) == {
        key for key in lines(spelled(digits, DIGITS, cards=False)) if "." in key and "=" not in key
    }
