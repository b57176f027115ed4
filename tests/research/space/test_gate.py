"""The gate's verdicts: every recorded case, and what mutations of the cases may not change."""

import json
import re
from pathlib import Path
from typing import Any

import pytest
from hydra import compose, initialize_config_dir
from hydra.core.override_parser.overrides_parser import OverridesParser
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from omegaconf import OmegaConf

from cases import each
from research.space.gate import Space

GATE = Path(__file__).parents[2] / "gate"
SPACE = Space(GATE / "conf", GATE / "space.yaml")


def lines(name: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (GATE / name).read_text(encoding="utf-8").splitlines()]


CASES, SETS = lines("overrides.jsonl"), lines("sets.jsonl")
ACCEPTED = [case["override"] for case in CASES if case["expected"] == "accept"]
REJECTED = [case["override"] for case in CASES if case["expected"] == "reject"]
SWEEPS = [case["override"] for case in CASES if case["category"] == "must_accept/sweep"]
ONCE = settings(max_examples=120, deadline=None, suppress_health_check=[HealthCheck.too_slow])


@each("case", CASES, ids=lambda case: case["id"])
def test_the_verdict_on_one_override(case: dict[str, Any]) -> None:
    complaints = SPACE.check([case["override"]])
    assert bool(complaints) == (case["expected"] == "reject"), (case["override"], complaints)


@each("entry", SETS, ids=lambda entry: entry["id"])
def test_the_verdict_on_a_proposal(entry: dict[str, Any]) -> None:
    assert bool(SPACE.check(entry["overrides"])) == (entry["expected"] == "reject")


@each("text", REJECTED, ids=lambda text: ascii(text)[:40])
def test_a_complaint_is_one_short_printable_sentence(text: str) -> None:
    for complaint in SPACE.check([text]):
        assert re.fullmatch(r"[ -~]{10,400}[.?]", complaint)
        assert not re.search(r"append to your config|use \+|Traceback|Exception", complaint)


def key(text: str) -> str:
    return text.partition("=")[0].strip()


@st.composite
def good_mutations(draw: st.DrawFn) -> list[str]:
    """An accepted override: other spelling, other company, other order."""
    text = draw(st.sampled_from(ACCEPTED))
    name, _, value = text.strip().partition("=")
    bare = re.fullmatch(r"[A-Za-z][A-Za-z0-9-]*", value)
    spelt = draw(
        st.sampled_from(
            [f" {text} ", f"{name} = {value.strip()}", f"{name}={value.strip()} "]
            + ([f"{name}='{value}'", f'{name}="{value}"'] if bare and value not in ("null", "true") else [])
            + ([f"{name}=choice({value})"] if "(" not in value and "null" not in value.split(",") else [])
        )
    )
    # Company that touches other groups, so that no constraint between keys can break.
    free = [
        other for other in ACCEPTED if key(other).split(".")[0] != name.split(".")[0] and other not in SWEEPS
    ]
    company = {key(other): other for other in draw(st.lists(st.sampled_from(free), max_size=3))}
    company = {one: other for one, other in company.items() if not {one, name} & {"model", "optimizer"}}
    return draw(st.permutations([spelt, *company.values()]))


@pytest.mark.slow
@ONCE
@given(good_mutations())
def test_accepted_overrides_stay_accepted_however_they_are_spelt(overrides: list[str]) -> None:
    assert SPACE.check(overrides) == []


@pytest.mark.slow
@ONCE
@given(good_mutations())
def test_the_points_of_what_is_accepted_are_typed_as_hydra_takes_them(overrides: list[str]) -> None:
    parser = OverridesParser.create()
    for point in SPACE.expand(overrides):
        assert not any(override.is_sweep_override() for override in parser.parse_overrides(point))


@pytest.mark.slow
def test_the_points_of_what_is_accepted_are_what_hydra_composes() -> None:
    proposals = [[text] for text in ACCEPTED] + [
        entry["overrides"] for entry in SETS if entry["expected"] == "accept"
    ]
    with initialize_config_dir(str(GATE / "conf"), version_base="1.3"):
        for point in [SPACE.expand(overrides)[-1] for overrides in proposals]:
            theirs: Any = OmegaConf.to_container(compose("config", point), resolve=True)
            assert SPACE.resolve(point) == theirs and SPACE.check(point) == []


@st.composite
def bad_mutations(draw: st.DrawFn) -> list[str]:
    """A rejected override: dressed up, signed, swept, or hidden among accepted ones."""
    text = draw(st.sampled_from(REJECTED))
    name, _, value = text.partition("=")
    dressed = draw(
        st.sampled_from(
            [
                text,
                f" {text}",
                f"{text} ",
                f"+{text}",
                f"++{text}",
                f"~{text}",
                f"{text};",
                f"'{text}'",
                f"{text}\n",
            ]
            + ([f"{name}@x={value}", f"x.{name}={value}", f"hydra.{name}={value}"] if value else [])
            + ([f"{name}={value},{value}", f"{name}=choice({value})", f"{name}=[{value}]"] if value else [])
        )
    )
    if dressed == f"{name}=[{value}]" and key(text) in ("tags", "model.hidden", "optimizer.betas"):
        dressed = text  # a list of it may be the very list that was meant
    company = draw(st.lists(st.sampled_from(ACCEPTED), max_size=2, unique_by=key))
    return draw(st.permutations([dressed, *company]))


@pytest.mark.slow
@ONCE
@given(bad_mutations())
def test_rejected_overrides_stay_rejected_however_they_are_dressed(overrides: list[str]) -> None:
    assert SPACE.check(overrides) != []


@ONCE
@given(
    st.sampled_from(
        ["model", "optimizer", "model.norm", "data", "scheduler", "loss", "trainer", "trainer.callbacks.0"]
    ),
    st.sampled_from(
        ["_target_", "_args_", "_partial_", "_recursive_", "_convert_", "_self_", "__class__", "_x"]
    ),
    st.text(st.characters(min_codepoint=33, max_codepoint=126), max_size=30),
)
def test_no_key_with_an_underscore_in_front_is_ever_taken(node: str, name: str, value: str) -> None:
    assert SPACE.check([f"{node}.{name}={value}"]) != []


@ONCE
@given(st.sampled_from(list(SPACE.file.keys)), st.text(max_size=40))
def test_no_value_holds_what_could_be_resolved_or_run_later(name: str, text: str) -> None:
    for value in (
        "${" + text + "}",
        f"'${{{text}}}'",
        f"{text}\\${{x}}",
        f"{{_target_: {text}}}",
        f"[{{{text}: 1}}]",
    ):
        assert SPACE.check([f"{name}={value}"]) != []


@ONCE
@given(st.sampled_from(list(SPACE.options)), st.text(max_size=30))
def test_a_group_takes_a_listed_option_only(group: str, text: str) -> None:
    spelt = re.sub(r"^ +| +$|^(['\"])(.*)\1$", r"\2", text.strip(" "))
    assert (SPACE.check([f"{group}={text}"]) == []) <= (
        spelt in SPACE.options[group] or "," in text or "(" in text
    )


@ONCE
@given(
    st.sampled_from([name for name, knob in SPACE.file.keys.items() if knob.type in ("int", "float")]),
    st.data(),
)
def test_a_number_is_taken_exactly_within_its_range(name: str, data: st.DataObject) -> None:
    knob = SPACE.file.keys[name]
    under = {"model.heads": ["model=transformer"]}.get(name, [])
    whole = st.integers(-10, 10**10) | st.sampled_from([knob.low, knob.high, knob.low - 1, knob.high + 1])
    real = st.floats(allow_nan=True, width=32) | st.sampled_from([float(knob.low), float(knob.high)])
    number = data.draw(whole if knob.type == "int" else whole | real)
    inside = knob.low <= number <= knob.high
    if isinstance(number, float) and knob.type == "int":
        inside = False
    complaints = [one for one in SPACE.check([*under, f"{name}={number!r}"]) if "must divide" not in one]
    assert (complaints == []) == (inside or "8 GiB" in str(complaints))


@pytest.mark.slow
@ONCE
@given(st.lists(st.integers(1, 70), min_size=1, max_size=3))
def test_the_size_of_a_sweep_is_the_product_of_its_axes(sizes: list[int]) -> None:
    axes = [f"{name}=range({size})" for name, size in zip(("seed", "scheduler.warmup"), sizes, strict=False)]
    lrs = ",".join(f"{index + 1}e-4" for index in range(sizes[2])) if len(sizes) > 2 else "1e-3"
    product = 1
    for size in sizes:
        product *= size
    assert (SPACE.check([*axes, f"optimizer.lr={lrs}"]) == []) == (product <= SPACE.file.caps.points)
