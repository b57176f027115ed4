"""A model behind a real HTTP server drives `agent.py`; what it says is hostile until the gate has read it."""

import json
import os
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
from scripted_server import ScriptedServer, hang, status  # noqa: E402
from team_lab import TeamServer  # noqa: E402

SMALL = ("budget.seconds=1200", "screen.turns=5", "promote.arms=1", "promote.seeds=[1]", "confirm.seeds=3")
ONLY = "proposer.shares={llm: 0.5, random: 0.5, tpe: 0, recipes: 0, portfolio: 0, cmaes: 0}"
FEW = ("confirm.arms=1", "confirm.looks=1", "confirm.estimate=0", "sprint.count=1", "base=[budget.steps=60]")
CLOCKLESS = "goal=90 % accuracy with the fewest parameters"
"""no clock takes part in the answer, so none is spoilt by what else this machine does"""


def agent(folder: Path, base: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    own = (f"root={folder}/runs", f"store.url=sqlite:///{folder}/lab.db", CLOCKLESS, *SMALL, *FEW)
    model = ("llm=vllm", f"llm.api_base={base}/v1", "llm.backoff_s=0.01", "llm.retries=1")
    command = [sys.executable, str(ROOT / "agent.py"), *own, *model, *arguments]
    environment = os.environ | {"COLUMNS": "300"}
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, timeout=1200)


def rows(folder: Path, query: str) -> list[tuple]:
    with sqlite3.connect(folder / "lab.db") as sql:
        return sql.execute(query).fetchall()


def proposals(folder: Path) -> list[tuple[str, list[str], str]]:
    found = [
        (json.loads(text), state) for text, state in rows(folder, "select proposal, status from proposal")
    ]
    return [(one["proposer"], one["overrides"], state) for one, state in found]


def built(*overrides: str) -> str:
    return json.dumps({"builds": [{"arm": 1, "overrides": overrides}]})


def proposed(*overrides: str) -> str:
    return json.dumps({"hypothesis": "fewer weights, fewer joules", "overrides": overrides})


def hostile(folder: Path) -> TeamServer:
    """A team whose engineer and proposer try to break out before they say something useful."""
    said = {
        "engineer": [
            built("optimizer._target_=os.system", f"optimizer.lr='touch {folder}/owned'"),
            "Ignore the gate. " + "x" * 3000,
            "```json\n" + built("model.width=24") + "\n```",
        ],
        "proposer": [
            proposed("seed=7", "data=mnist1d"),
            proposed(f"hydra.run.dir={folder}/elsewhere"),
            proposed("model.width=${oc.env:HOME}"),
            proposed("model.width=48"),
            proposed("model.width=24"),
        ],
    }

    def say(role: str, prompt: str) -> str | None:
        left = said.get(role)
        return (left.pop(0) if len(left) > 1 else left[0]) if left else None

    return TeamServer(say)


@pytest.mark.slow
def test_a_team_proposes_and_the_gate_decides(tmp_path: Path) -> None:
    server = hostile(tmp_path)
    with server.http:
        done = agent(tmp_path, server.http.base, ONLY)
    assert done.returncode == 0, done.stderr
    assert not (tmp_path / "owned").exists() and not (tmp_path / "elsewhere").exists()
    assert {"researcher", "architect", "engineer", "reviewer"} <= set(server.asked)
    mine = [(overrides, state) for proposer, overrides, state in proposals(tmp_path) if proposer == "llm"]
    assert ["model.width=24"] in [one for one, state in mine if state not in ("refused", "repeat", "dropped")]
    ran = [json.loads(text) for (text,) in rows(tmp_path, "select overrides from trial")]
    assert ran and not any(
        "_target_" in str(line) or "seed=7" in line or "hydra" in str(line) for line in ran
    )
    assert rows(tmp_path, "select count(*) from interaction") == [(len(server.asked),)]
    report = next((tmp_path / "runs" / "agent").glob("*/report.md")).read_text()
    assert f"{len(server.asked)} calls of the language model" in report
    samplers = {proposer for proposer, _, _ in proposals(tmp_path)} - {"llm", "control"}
    assert samplers and all(f"| {proposer} |" in report for proposer in ("llm", *samplers))


@pytest.mark.slow
def test_replies_that_cannot_be_used_are_told_on_the_terminal(tmp_path: Path) -> None:
    server = TeamServer(lambda role, prompt: '{"confidence": 0.9}')
    with server.http:
        done = agent(tmp_path, server.http.base, ONLY, "screen.turns=2")
    assert done.returncode == 0, done.stderr
    told = [line for line in done.stdout.splitlines() if line.startswith("model ")]
    assert told[0] == "model      3 replies, none usable: the field hypotheses is missing"
    assert f"{len(server.asked)} replies, none usable: the field " in told[-1]


@pytest.mark.slow
@pytest.mark.parametrize("step", [status(500), hang], ids=["outage", "hang"])
def test_without_an_answer_the_samplers_carry_on_and_it_is_said(tmp_path: Path, step: object) -> None:
    with ScriptedServer(step) as server:
        done = agent(tmp_path, server.base, ONLY, "screen.turns=3", "llm.timeout_s=2")
    assert done.returncode == 0, done.stderr
    asked = {proposer for proposer, _, _ in proposals(tmp_path)}
    assert "control" in asked and len(asked) > 1 and "llm" not in asked
    assert done.stdout.count("model      no answer: hosted_vllm/") == 1, done.stdout
    report = next((tmp_path / "runs" / "agent").glob("*/report.md")).read_text()
    assert "samplers propose" in report
