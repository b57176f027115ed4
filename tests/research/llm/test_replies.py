"""Raw replies get their verdicts: the shared cases, their kin, and whatever Hypothesis writes."""

import json
import time
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from cases import each
from research.llm.replies import LIMIT, ReadReply, read
from research.propose.model import Draft
from research.space.gate import Space
from research.team.forms import Builds, Hypotheses
from research.types import Record

GATE = Path(__file__).parents[2] / "gate"
CASES = [json.loads(line) for line in (GATE / "replies.jsonl").read_text().splitlines()]
GOOD = '{"hypothesis":"lion beats adam","overrides":["optimizer=lion","optimizer.lr=3e-4"]}'


def reading(text: Any, finish_reason: str | None = "stop") -> ReadReply[Draft]:
    return read(text, finish_reason, Draft)


def with_hypothesis(text: str) -> str:
    return f'{{"hypothesis":"{text}","overrides":["optimizer=lion"]}}'


@pytest.fixture(scope="module")
def space() -> Space:
    return Space(GATE / "conf", GATE / "space.yaml")


@each("case", CASES, ids=lambda case: f"{case['id']}-{case['category']}")
def test_the_shared_cases_get_their_verdicts(case: dict[str, str], space: Space) -> None:
    found = reading(case["reply"], case["finish_reason"])
    complaints = space.check(list(found.record.overrides)) if found.record else found.complaints
    assert ("reject" if complaints else "accept") == case["expected"], complaints
    assert found.fenced == (case["category"] == "fenced")


def test_a_refusal_is_told_from_nonsense() -> None:
    outcomes = {case["category"]: set() for case in CASES}
    for case in CASES:
        outcomes[case["category"]].add(reading(case["reply"], case["finish_reason"]).outcome)
    assert outcomes["refusal"] == {"refused"} and not reading("I can't do that.").repairable
    assert outcomes["content_filter"] == {"filtered"} and not reading("", "content_filter").repairable
    assert outcomes["truncated"] | outcomes["truncated_valid"] == {"truncated"}
    assert outcomes["empty"] <= {"empty", "malformed"}
    assert outcomes["hostile_override"] == outcomes["stored_injection"] == {"accepted"}  # the gate's business


ACCEPTED = {
    "pretty": json.dumps(json.loads(GOOD), indent=2).replace("\n", "\r\n"),
    "other order": '{"overrides":["optimizer=lion"],"hypothesis":"nothing else changes"}',
    "raw unicode": with_hypothesis("caffè \U0001f600 größer β₂"),
    "joined emoji": with_hypothesis("\U0001f469\u200d\U0001f52c wins"),
    "escaped slash": with_hypothesis("a\\/b \\u00e9"),
    "fence with a language": f"```json\n{GOOD}\n```",
    "fence with spaces": f"\n```JSON \r\n {GOOD}\r\n```  \n",
}
REJECTED = {
    "two fences": f"```\n{GOOD}\n```\n```\n{GOOD}\n```",
    "text before a fence": f"Here:\n```json\n{GOOD}\n```",
    "text after a fence": f"```json\n{GOOD}\n```\nGood luck",
    "other language": f"```python\n{GOOD}\n```",
    "unclosed fence": f"```json\n{GOOD}",
    "thinking aloud": f"<think>hm</think>{GOOD}",
    "text after": f"{GOOD} I hope this helps",
    "single quotes": "{'hypothesis':'x','overrides':[]}",
    "comment": '{"hypothesis":"x", // why\n"overrides":["optimizer=lion"]}',
    "unquoted keys": '{hypothesis:"x",overrides:[]}',
    "two objects": f"{GOOD}{GOOD}",
    "lines of objects": f"{GOOD}\n{GOOD}",
    "no-break space": f"\u00a0{GOOD}",
    "python literals": '{"hypothesis":"x","overrides":None}',
    "minus infinity": '{"hypothesis":"x","overrides":["optimizer=lion"],"c":-Infinity}',
    "overflow": '{"hypothesis":"x","overrides":["optimizer=lion"],"c":1e999}',
    "65 bits": '{"hypothesis":"x","overrides":["optimizer=lion"],"c":18446744073709551616}',
    "deep object": '{"a":' * 5000 + "1" + "}" * 5000,
    "deep mixed": '{"hypothesis":"x","overrides":' + '[{"a":' * 3000 + "1" + "}]" * 3000 + "}",
    "many overrides": json.dumps({"hypothesis": "x", "overrides": ["seed=1"] * 65}),
    "very many overrides": json.dumps({"hypothesis": "x", "overrides": ["a=1"] * 5000}),
    "long override": json.dumps({"hypothesis": "x", "overrides": ["a=" + "1" * 600]}),
    "long hypothesis": json.dumps({"hypothesis": "x" * 2001, "overrides": []}),
    "blank hypothesis": with_hypothesis("  "),
    "number for text": '{"hypothesis":1,"overrides":["optimizer=lion"]}',
    "object for list": '{"hypothesis":"x","overrides":{"optimizer":"lion"}}',
    "true in list": '{"hypothesis":"x","overrides":[true]}',
    "missing list": '{"hypothesis":"x"}',
    "missing hypothesis": '{"overrides":["optimizer=lion"]}',
    "null list": '{"hypothesis":"x","overrides":null}',
    "other case": '{"Hypothesis":"x","overrides":["optimizer=lion"]}',
    "wrapped": f'{{"proposal":{GOOD}}}',
    "text of json": json.dumps(GOOD),
    "nothing to change": '{"hypothesis":"x","overrides":[]}',
    "duplicate list": '{"hypothesis":"x","overrides":["a=1"],"overrides":["optimizer=lion"]}',
    "duplicate by escape": '{"hypothesis":"x","hypothesi\\u0073":"y","overrides":["optimizer=lion"]}',
    "duplicate deep": '{"hypothesis":"x","overrides":["optimizer=lion"],"m":{"a":1,"a":2}}',
    "escape sequence": with_hypothesis("\\u001b[31mred"),
    "new line": with_hypothesis("a\\nb"),
    "C1 control": with_hypothesis("a\u009bb"),
    "line separator": with_hypothesis("a\\u2028b"),
    "right to left": with_hypothesis("abc\\u202edcba"),
    "zero width": with_hypothesis("a\\u200bb"),
    "tag characters": with_hypothesis("a\\udb40\\udc49"),
    "low surrogate": with_hypothesis("\\udc00"),
    "noncharacter": with_hypothesis("\\uffff"),
    "control in override": '{"hypothesis":"x","overrides":["optimizer=lion\\u0000"]}',
    "gateway page": "<html><body><h1>502 Bad Gateway</h1></body></html>",
    "stream": 'data: {"choices":[{"delta":{"content":"{}"}}]}\n\ndata: [DONE]',
    "plain error": "Internal Server Error",
    "error object": '{"error":"overloaded"}',
    "null": "null",
    "empty text": '""',
    "empty list": "[]",
    "nothing": "",
}


@pytest.mark.parametrize("name", ACCEPTED)
def test_accepted(name: str) -> None:
    assert reading(ACCEPTED[name]).record is not None, reading(ACCEPTED[name]).complaints


@each("name", REJECTED)
def test_rejected_with_a_sentence_that_is_safe_to_print(name: str) -> None:
    found = reading(REJECTED[name])
    assert found.record is None and found.repairable and found.complaints
    for complaint in found.complaints:
        assert complaint.isprintable() and len(complaint) < 300 and complaint.endswith(".")


@pytest.mark.parametrize(
    ("finish_reason", "outcome"),
    [
        ("stop", "accepted"),
        ("end_turn", "accepted"),
        ("length", "truncated"),
        ("max_tokens", "truncated"),
        ("content_filter", "filtered"),
        ("refusal", "refused"),
        ("tool_calls", "malformed"),
        ("error", "truncated"),
        (None, "truncated"),
    ],
)
def test_why_the_model_stopped_comes_before_its_text(finish_reason: str | None, outcome: str) -> None:
    assert reading(GOOD, finish_reason).outcome == outcome


@pytest.mark.parametrize(
    "text",
    [
        "I’m sorry, but I can’t help with that.",
        "I am unable to comply with this request.",
        "I won't propose that.",
        "Sorry, no.",
        "As an AI language model, I cannot run experiments.",
        "Unfortunately I must decline.",
        "I'm really sorry, I cannot.",
    ],
)
def test_refusals_in_other_words(text: str) -> None:
    assert reading(text).outcome == "refused"


@pytest.mark.parametrize("depth", [250, 3000])
def test_too_deep_a_reply_is_told_so_whichever_parser_gives_up(depth: int) -> None:
    found = reading(f'{{"hypothesis":"x","overrides":{"[" * depth}{"]" * depth}}}')
    assert found.outcome == "malformed"
    assert found.complaints == ("the reply is nested too deeply: answer with one flat object.",)


def test_a_sorry_before_an_object_is_bad_form_and_not_a_refusal() -> None:
    assert reading(f"Sorry, here it is: {GOOD}").outcome == "malformed"


@each("cut", range(1, len(GOOD)))
def test_no_beginning_of_a_reply_is_completed_by_guessing(cut: int) -> None:
    assert reading(GOOD[:cut]).record is None


@settings(deadline=None)
@given(st.text(min_size=1).filter(lambda text: text.strip(" \t\r\n")), st.booleans())
def test_nothing_may_stand_around_the_object(text: str, before: bool) -> None:
    assert reading(text + GOOD if before else GOOD + text).record is None


LEAVES = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5)
JSON = st.recursive(
    LEAVES,
    lambda x: st.lists(x, max_size=3) | st.dictionaries(st.text(max_size=3), x, max_size=3),
    max_leaves=4,
)


@settings(deadline=None, max_examples=60)
@given(st.text() | st.binary().map(lambda raw: raw.decode("latin-1")) | JSON.map(json.dumps))
@example("\ud800")
@example("{\x00}")
def test_any_text_is_read_or_refused_and_never_raises(text: str) -> None:
    found = reading(text)
    assert (found.record is None) == bool(found.complaints)
    for complaint in found.complaints:
        complaint.encode("utf-8")
        assert "\n" not in complaint and "\x1b" not in complaint


@settings(deadline=None, max_examples=50)
@given(st.dictionaries(st.sampled_from(["hypothesis", "overrides", "x"]), JSON))
def test_only_the_exact_shape_is_a_record(content: dict[str, Any]) -> None:
    found = reading(json.dumps(content))
    if found.record is not None:
        assert found.record.model_dump(mode="json") | {"x": content.get("x")} == {"x": None} | content
        assert found.notes == (("not asked for and left out: x",) if "x" in content else ())


@pytest.mark.parametrize(
    ("reply", "form", "told"),
    [
        ({"builds": [{"arm": "1", "overrides": ["a=1"]}]}, Builds, ["builds.0.arm: "]),
        ({"builds": []}, Builds, ["builds: Tuple should have at least 1 item"]),
        ({"hypotheses": [{"hypothesis": "x"}] * 9}, Hypotheses, ["the field hypotheses.0."]),
    ],
)
def test_a_fault_is_told_once_and_of_the_field_that_has_it(
    reply: dict[str, Any], form: type[Record], told: list[str]
) -> None:
    said = read(json.dumps(reply), "stop", form).complaints
    assert [one for one in said if one.startswith(told[0])], said
    assert not [one for one in said if "you wrote hypotheses after" in one]
    assert len([one for one in said if "at least 1 item" in one]) == ("at least" in told[0])


WORST = {
    "lists": "[" * LIMIT,
    "objects": '{"a":' * (LIMIT // 5),
    "quotes": '"' * LIMIT,
    "escapes": '\\"' * (LIMIT // 2),
    "fences": "```\n" * (LIMIT // 4),
    "blank lines in a fence": "```\n" + " \n" * (LIMIT // 2 - 4),
    "digits": '{"hypothesis":' + "9" * (LIMIT - 20) + "}",
    "fraction": '{"hypothesis":0.' + "9" * (LIMIT - 20) + "}",
    "empty objects": "[" + "{}," * (LIMIT // 3 - 1) + "{}]",
    "keys": json.dumps({f"k{i}": i for i in range(4500)}),
    "strings": json.dumps({"hypothesis": "x", "overrides": ["a"] * 13000}),
    "numbers": '{"hypothesis":"x","overrides":[' + "1," * (LIMIT // 2 - 40) + "1]}",
    "escaped emoji": with_hypothesis("\\ud83d\\ude00" * (LIMIT // 12 - 10)),
    "dots": "." * LIMIT,
    "over the limit": "x" * 5_000_000,
}


@pytest.mark.parametrize("name", WORST)
def test_no_reply_costs_more_than_50_ms(name: str) -> None:
    def once() -> float:
        started = time.thread_time()
        assert reading(WORST[name]).record is None
        return time.thread_time() - started

    assert min(once() for _ in range(3)) < 0.05
