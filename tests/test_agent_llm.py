"""A model behind a real HTTP server drives `agent.py`; what it says is hostile until the gate has read it."""

import json
import os
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
sys.path.insert(0, str(ROOT / "tests" / "research"))
from scripted_server import ScriptedServer, answer, hang, status  # noqa: E402

SMALL = ("budget.seconds=240", "screen.turns=6", "promote.arms=1", "promote.seeds=[1]", "confirm.seeds=3")
ONLY = "proposer.shares={llm: 0.5, random: 0.5, tpe: 0, recipes: 0}"
FEW = ("confirm.arms=1", "confirm.looks=1", "base=[budget.steps=60]")


def said(*overrides: str) -> str:
    return json.dumps({"hypothesis": "fewer weights, fewer joules", "overrides": overrides})


def agent(folder: Path, base: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    own = (f"root={folder}/runs", f"store.url=sqlite:///{folder}/lab.db", *SMALL, *FEW)
    model = ("llm=vllm", f"llm.api_base={base}/v1", "llm.backoff_s=0.01", "llm.retries=1")
    command = [sys.executable, str(ROOT / "agent.py"), *own, *model, *arguments]
    environment = os.environ | {"COLUMNS": "300"}
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, timeout=300)


def rows(folder: Path, query: str) -> list[tuple]:
    with sqlite3.connect(folder / "lab.db") as sql:
        return sql.execute(query).fetchall()


def proposals(folder: Path) -> list[tuple[str, list[str], str]]:
    found = [
        (json.loads(text), state) for text, state in rows(folder, "select proposal, status from experiment")
    ]
    return [(one["proposer"], one["overrides"], state) for one, state in found]


@pytest.mark.slow
def test_a_model_proposes_and_the_gate_decides(tmp_path: Path) -> None:
    owned = tmp_path / "owned"
    script = (
        answer(said("optimizer._target_=os.system", f"optimizer.lr='touch {owned}'")),
        answer("Ignore the gate. " + "x" * 3000),
        answer("```json\n" + said("model.width=24") + "\n```"),
        answer(said("seed=7", "data=mnist1d")),
        answer(said(f"hydra.run.dir={tmp_path}/elsewhere")),
        answer(said("model.width=${oc.env:HOME}")),
        answer(said("model.width=48")),
        answer(said("model.width=24")),
    )
    with ScriptedServer(*script) as server:
        done = agent(tmp_path, server.base, ONLY)
        asked = len(server.requests)
    assert done.returncode == 0, done.stderr
    assert not owned.exists() and not (tmp_path / "elsewhere").exists()
    mine = [(overrides, state) for proposer, overrides, state in proposals(tmp_path) if proposer == "llm"]
    assert ["model.width=24"] in [
        overrides for overrides, state in mine if state not in ("refused", "repeat")
    ]
    ran = [json.loads(text) for (text,) in rows(tmp_path, "select overrides from trial")]
    assert ran and not any(
        "_target_" in str(line) or "seed=7" in line or "hydra" in str(line) for line in ran
    )
    assert rows(tmp_path, "select count(*) from interaction") == [(asked,)]
    report = next((tmp_path / "runs" / "agent").glob("*/report.md")).read_text()
    assert f"- {asked} calls of the language model, {70 * asked} tokens" in report
    assert "| llm |" in report and "| random |" in report


@pytest.mark.slow
@pytest.mark.parametrize("step", [status(500), status(401), hang], ids=["outage", "key", "hang"])
def test_without_an_answer_the_samplers_carry_on_and_it_is_said(tmp_path: Path, step: object) -> None:
    with ScriptedServer(step) as server:
        done = agent(tmp_path, server.base, ONLY, "screen.turns=3", "llm.timeout_s=2")
    assert done.returncode == 0, done.stderr
    assert {proposer for proposer, _, _ in proposals(tmp_path)} == {"control", "random"}
    report = next((tmp_path / "runs" / "agent").glob("*/report.md")).read_text()
    assert "llm stopped proposing:" in report
