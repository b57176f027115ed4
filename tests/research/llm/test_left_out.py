"""What nobody asked for, and a faulty part, are left out of a reply with a note; the rest is used."""

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from llm_lab import GOOD
from research.llm.replies import ReadReply, read
from research.propose.model import Draft
from research.team import forms
from research.team.forms import Build, Builds, Hypotheses
from research.types import Record


def reading(text: str) -> ReadReply[Draft]:
    return read(text, "stop", Draft)


EXTRA = {
    "confidence": ('"confidence":0.9', "not asked for and left out: confidence"),
    "prototype": ('"__proto__":{}', "not asked for and left out: __proto__"),
    "thoughts of two lines": ('"thoughts":"first\\nthen"', "not asked for and left out: thoughts"),
    "surrogate in its name": ('"\\ud800":1', "not asked for and left out: ?"),
    "a bell in its name": ('"a\\u0007":[[["b"]]]', "not asked for and left out: a?"),
    "three": ('"a":1,"b":null,"c":{"d":[2]}', "not asked for and left out: a, b, c"),
    "many": (
        ",".join(f'"k{number}":{number}' for number in range(2500)),
        "not asked for and left out: k0, k1, k2, k3, k4 and 2495 more",
    ),
}


@pytest.mark.parametrize("name", EXTRA)
def test_a_field_that_nobody_asked_for_is_left_out_with_a_note(name: str) -> None:
    more, note = EXTRA[name]
    found = reading(f"{GOOD[:-1]},{more}}}")
    assert found.record == reading(GOOD).record and found.complaints == ()
    assert found.notes == (note,) and note.isprintable()
    assert reading(GOOD).notes == ()


def test_fields_are_left_out_at_any_depth() -> None:
    hypothesis = {"claim": "c", "because": "b", "cites": [], "confidence": "high"}
    found = read(json.dumps({"hypotheses": [hypothesis], "plan": "x"}), "stop", Hypotheses)
    assert found.record is not None and found.record.hypotheses[0].claim == "c"
    assert found.notes == ("not asked for and left out: plan, hypotheses.0.confidence",)


def test_a_field_under_a_wrong_name_is_missed_and_the_wrong_name_told() -> None:
    found = reading('{"hypothesis":"x","override":["optimizer=lion"]}')
    assert found.complaints == ("the field overrides is missing: you wrote override.",)


def test_of_a_list_that_is_too_long_the_first_are_taken() -> None:
    told = {"feasibility": 7, "impact": 6.5, "clarity": 8, "chance": 0.4, "reasons": list("abcdefgh")}
    found = read(json.dumps(told | {"risks": [], "novelty": 9}), "stop", forms.Review)
    assert found.record is not None and found.record.reasons == tuple("abcdef")
    assert found.notes == ("not asked for and left out: novelty, reasons after 6",)
    planned = {"hypothesis": 1, "change": "c"}
    plan = read(json.dumps({"metric": "train/energy_j under 2 J", "arms": [planned] * 9}), "stop", forms.Plan)
    assert plan.record is not None and len(plan.record.arms) == 8
    whole = {"arm": 1, "overrides": [f"k{number}=1" for number in range(33)]}
    assert read(json.dumps({"builds": [whole]}), "stop", Builds).record is None, "an arm is whole or none"


def test_a_faulty_part_costs_no_other() -> None:
    good, bad = {"arm": 2, "overrides": ["model.width=32"]}, {"arm": "1", "overrides": "optimizer=lion"}
    found = read(json.dumps({"builds": [bad, good]}), "stop", Builds)
    assert found.record == Builds(builds=(Build(**good),))
    assert found.notes == (
        "builds.0.arm: Input should be a valid integer.",
        "builds.0.overrides: Input should be a valid array.",
    )
    alone = read(json.dumps({"builds": [bad]}), "stop", Builds)
    assert alone.record is None and alone.complaints[:2] == found.notes
    elsewhere = read(json.dumps({"builds": {"arm": 1}}), "stop", Builds)
    assert elsewhere.record is None


LEAVES = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5)
JSON = st.recursive(
    LEAVES,
    lambda x: st.lists(x, max_size=3) | st.dictionaries(st.text(max_size=3), x, max_size=3),
    max_leaves=4,
)


FINITE = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**63 - 1) | st.text(max_size=5),
    lambda x: st.lists(x, max_size=3) | st.dictionaries(st.text(max_size=3), x, max_size=3),
    max_leaves=4,
)
FORMS = [
    Draft,
    *(form for form in vars(forms).values() if isinstance(form, type) and form.__module__ == forms.__name__),
]


@pytest.mark.slow
@settings(deadline=None, max_examples=60)
@given(st.dictionaries(st.text(max_size=6), FINITE, max_size=4))
def test_no_further_field_is_a_reason_to_refuse(extra: dict[str, Any]) -> None:
    content = extra | json.loads(GOOD)
    found = reading(json.dumps(content))
    assert found.record == reading(GOOD).record
    assert bool(found.notes) == (len(content) > 2)


@pytest.mark.slow
@settings(deadline=None, max_examples=80)
@given(st.sampled_from(FORMS), st.data())
def test_any_object_for_any_role_is_a_record_or_a_sentence(kind: type[Record], data: st.DataObject) -> None:
    names = st.sampled_from([*kind.model_fields, "hypothesis", "arm", "metric", "x"])
    inner = st.dictionaries(names | st.text(max_size=3), JSON, max_size=4)
    content = data.draw(st.dictionaries(names, JSON | inner | st.lists(inner, max_size=2), max_size=5))
    found = read(json.dumps(content), "stop", kind)
    assert (found.record is None) == bool(found.complaints)
    for said in (*found.complaints, *found.notes):
        assert said.isprintable() and len(said) < 400
