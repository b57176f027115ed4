"""What a default campaign on digits sends to a team: how much, and what each role is told of its past."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from prompt_lab import Prompt, PromptLab, by_sprint
from research.team.roles import roles

pytestmark = pytest.mark.slow  # two sprints of made-up trials: 6 CPU seconds
CONF = Path(__file__).parents[3] / "conf"
TOKENS = 20_000
PER_TOKEN = 3.3
"""characters of these prompts: 3.35 as benchmarks/prompt_tokens.py counts them"""


@pytest.fixture(scope="module")
def sprints(tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[list[Prompt]]]:
    lab = PromptLab(tmp_path_factory.mktemp("lab"), "sprint.count=2")
    lab.run()
    lab.close()
    yield by_sprint(lab.prompts)


def last(prompts: list[Prompt], role: str) -> str:
    return [prompt for prompt in prompts if prompt.role == role][-1].text


def block(text: str, source: str) -> list[str]:
    found = re.search(rf'<data source="{source}[^"]*">\n((?:\| .*\n)*)</data>', text)
    assert found, (source, re.findall(r'source="([^"]*)"', text))
    return [line[2:] for line in found[1].splitlines()]


def test_a_sprint_costs_at_most_twenty_thousand_tokens(sprints: list[list[Prompt]]) -> None:
    assert len(sprints) == 2
    for prompts in sprints:
        asked = {role: sum(prompt.role == role for prompt in prompts) for role in ("reviewer", "improver")}
        assert asked == {"reviewer": 6, "improver": 2}
        assert sum(len(prompt.text) for prompt in prompts) <= TOKENS * PER_TOKEN


def test_every_table_and_block_is_whole(sprints: list[list[Prompt]]) -> None:
    for prompt in (prompt for prompts in sprints for prompt in prompts):
        assert "characters left out" not in prompt.text
        if prompt.role != "validator":
            rows = [line.split(" | ") for line in block(prompt.text, "what was tried")]
            assert {len(row) for row in rows} == {len(rows[0])} and rows[0][0] == "trials"


def test_the_second_sprint_sees_the_first(sprints: list[list[Prompt]]) -> None:
    told = last(sprints[1], "researcher")
    columns, *rows = [line.split(" | ") for line in block(told, "what was tried")]
    control = rows[0]
    assert control[1] == "the control" and len(control[0].split()) == int(control[columns.index("n")]) == 4
    assert "±" in control[columns.index("train/energy_j")]
    judged = [row for row in rows if re.search(r"\b(open|refuted)$", row[-1])]
    assert judged and all(len(row[0].split()) >= 4 for row in judged)
    verdicts = [line.split(" | ") for line in block(told, "verdicts of earlier sprints")]
    assert [row[2] for row in verdicts[1:]] and {row[2] for row in verdicts[1:]} <= {"open", "refuted"}
    assert all(re.match(r"insight \d+$", row[0]) for row in verdicts[1:])
    assert "the same steps with a wider network" in block(told, "what the validator named to do next")
    assert "test/accuracy 0." not in told and "test/accuracy=" not in told


def test_who_plans_is_told_the_setting_what_is_left_and_the_curve(sprints: list[list[Prompt]]) -> None:
    for role in ("researcher", "architect"):
        told = last(sprints[0], role)
        setting = "\n".join(block(told, "data, machine"))
        assert "1,079 training, 359 validation" in setting and "[1, 8, 8]" in setting
        assert "estimated, CPU seconds x 4 W" in setting and "cpu:" in setting
        left = dict(line.split(": ", 1) for line in block(told, "what is left"))
        assert left["sprint"] == "1 of 2" and left["turns"].startswith("24 ")
        assert re.fullmatch(r"\d+ of 120", left["trials"])
        curve = [line.split(" | ") for line in block(told, "learning curve of the control")]
        assert curve[0][:3] == ["step", "joule", "val/accuracy"] and curve[-1][0] == "500"
        assert "The bound is stricter while searching" in told and "test/accuracy >= 0.95" in told


def test_each_role_has_the_parts_that_its_file_names(sprints: list[list[Prompt]]) -> None:
    sources = {"curve": "learning curve", "left": "what is left", "setting": "data, machine"}
    sources |= {"verdicts": "verdicts of", "tried": "overrides that were tried"}
    for role in roles(CONF):
        if role.name != "validator":
            told = last(sprints[1], role.name)
            assert {part: f'source="{source}' in told for part, source in sources.items()} == {
                part: part in role.parts for part in sources
            }, role.name


def test_the_team_sees_its_own_lane_only(sprints: list[list[Prompt]]) -> None:
    assert not [prompt for prompts in sprints for prompt in prompts if "control/" in prompt.text]
