"""Constraints read keys of the config, apply where these exist, and can do nothing else."""

import pytest

from refusal import Refusal
from research.compose.compose import Resolved
from research.space.conditions import constraint

CONFIG = {"model": {"width": 100, "heads": 7, "kind": "gpt", "sizes": [1, 2, 3], "none": None}, "seed": 0}
POINT = Resolved(CONFIG, {"model": "transformer", "callbacks": ("a", "b"), "optimizer": "lion_digits"})


@pytest.mark.parametrize(
    "kept",
    [
        "model.width == 100 and model.heads == 7",
        "model.width % model.heads == 2 or False",
        "1 < model.heads <= 7",
        "not model.width < 0",
        "model.kind in ['gpt', 'gru'] and model.kind not in ('mlp',)",
        "chosen(model) == 'transformer'",
        "'a' in chosen(callbacks) and family(model) == 'transformer' and family(optimizer) == 'lion'",
        "has(model.width) and not has(model.depth)",
        "len(model.sizes) == 3 and min(model.sizes) == 1 and max(2, model.heads) == 7 and abs(-1) == 1",
        "model.none == None",
        "model.sizes[0] == 1 and model.sizes[-1] == 3",
        "(model.width + 5) * 2 / 7 - 30 == 0 and model.width // 3 == 33",
    ],
)
def test_what_holds_is_no_complaint(kept: str) -> None:
    assert constraint({"require": kept, "say": "x"}).complaint(POINT) is None


def test_the_complaint_names_the_values() -> None:
    rule = constraint({"require": "model.width % model.heads == 0", "say": "heads must divide width."})
    assert rule.complaint(POINT) == "heads must divide width (here model.width=100, model.heads=7)."


def test_it_applies_where_its_keys_exist_and_when_it_says_so() -> None:
    absent = constraint({"require": "model.depth == 1", "say": "x"})
    elsewhere = constraint({"require": "model.width == 1", "when": "chosen(model) == 'mlp'", "say": "x"})
    here = constraint({"require": "model.width == 1", "when": "chosen(model) == 'transformer'", "say": "x"})
    assert absent.complaint(POINT) is None and elsewhere.complaint(POINT) is None
    assert here.complaint(POINT) is not None


@pytest.mark.parametrize(
    "undecided", ["model.width % 0 == 0", "model.none > 1", "model.kind < 1", "model.sizes[9] == 1"]
)
def test_what_cannot_be_judged_has_not_passed(undecided: str) -> None:
    assert constraint({"require": undecided, "say": "x"}).complaint(POINT) is not None


@pytest.mark.parametrize(
    "text",
    [
        "__import__('os').system('id')", "open('x')", "model.width ** 9", "[x for x in model.sizes]",
        "lambda: 1", "a := 1",
        "f'{seed}'", "(1).real", "len(*model.sizes)", "max(1, key=abs)", "has(1)", "1 +",
        "", "b'x'",
        "model.sizes[0:1]", "seed if seed else 1", "{1: 2}", "1 << 9999999999", "...",
    ],
)  # fmt: skip
def test_the_language_has_nothing_else(text: str) -> None:
    with pytest.raises(Refusal):
        constraint({"require": text, "say": "x"})


def test_an_entry_has_require_and_say() -> None:
    with pytest.raises(Refusal, match="require, say"):
        constraint({"require": "True"})
    with pytest.raises(Refusal, match="require, say"):
        constraint({"require": "True", "say": "x", "help": "y"})
