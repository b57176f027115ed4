"""The Weights & Biases Report is built for real, without a network, and holds what the package reads back."""

import json
import os
import subprocess
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from research.report import wandb
from research.tasks.line import settings
from rows_lab import CAMPAIGN, WINNER, campaign, opened

ROOT = Path(__file__).parents[3]
WRITE = """
import socket, sys
from pathlib import Path

def refused(*given, **named):
    raise AssertionError("building a report reached for the network")

socket.socket.connect = socket.create_connection = socket.getaddrinfo = refused
from research.report import wandb
from research.store.store import Store

store = Store(sys.argv[1])
print(wandb.write(store, sys.argv[2], Path(sys.argv[3])))
print(wandb.logged_in())
import wandb_workspaces.reports.v2 as wr
from wandb_workspaces.reports.v2.internal import ReportViewspec
given = wandb.built(wandb.of_campaign(store, sys.argv[2]), "joulelab")
back = wr.Report._from_model(given._to_model())
print([type(block).__name__ for block in back.blocks])
"""


@pytest.mark.slow
def test_it_is_built_and_read_back_offline(tmp_path: Path) -> None:
    plain = {name: value for name, value in os.environ.items() if not name.startswith("WANDB")}
    with opened(tmp_path) as lab:
        campaign(lab)
        call = [sys.executable, "-W", "error", "-c", WRITE, f"sqlite:///{lab.path}", CAMPAIGN, str(tmp_path)]
        env = {**plain, "NETRC": str(tmp_path / "none"), "HOME": str(tmp_path)}
        done = subprocess.run(call, cwd=ROOT, env=env, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    path, logged, blocks = done.stdout.splitlines()
    assert path == str(tmp_path / "wandb_report.json") and logged == "False"
    assert "PanelGrid" in blocks and blocks.count("MarkdownBlock") == 5
    spec = json.loads(Path(path).read_text())["spec"]
    grid = next(block for block in spec["blocks"] if block["type"] == "panel-grid")["metadata"]
    names = [one["name"] for one in grid["runSets"]]
    assert names == ["control", " ".join(WINNER), "all trials of the campaign"]
    values = [one["filters"]["filters"][0]["value"] for one in grid["runSets"]]
    assert values[2] == CAMPAIGN and len(values[0]) == len(values[1]) == 5
    panels = [one["viewType"] for one in grid["panelBankSectionConfig"]["panels"]]
    assert panels.count("Scatter Plot") == 2 and panels.count("Run History Line Plot") == 2
    assert "Parallel Coordinates Plot" in panels
    texts = [block["content"] for block in spec["blocks"] if block["type"] == "markdown-block"]
    assert "\n\n**Supported.** A (`optimizer.lr=0.01" in texts[0] and "<script" not in "".join(texts)


def test_runs_that_were_not_logged_are_named_with_the_command_that_logs_them(tmp_path: Path) -> None:
    with opened(tmp_path) as lab:
        campaign(lab)
        found = wandb.of_campaign(lab.store, CAMPAIGN)
        said = wandb.missing(found)
        arms = [*found.arms("confirmed"), *found.arms("screened")]
        every = {trial.id: trial for arm in arms for trial in arm.rows}
        first, *others = every.values()
        first.config["logger"] = {"wandb": {}}
        some = wandb.missing(found)
        for one in others:
            one.config["logger"] = {"wandb": {}}
        assert wandb.missing(found) is None
    assert said.startswith(f"None of its {len(every)} trials logged a run") and "panels are empty" in said
    assert settings(["quiet=[logger=wandb]"], ROOT / "conf")["quiet"] == ["logger=wandb"]
    assert "python agent.py 'goal=fewer joules' 'quiet=[logger=wandb]' store.url=sqlite:///" in said
    assert (
        f"{len(every) - 1} of its {len(every)} trials (" in some and "lack them" in some and "\n" not in some
    )


SAVE = """
import sys
from pathlib import Path
from refusal import Refusal
from research.report import wandb
from research.store.store import Store

try:
    print(wandb.write(Store(sys.argv[1]), sys.argv[2], Path(sys.argv[3])))
except Refusal as refused:
    print(f"refused: {refused}")
"""
VIEWER = {
    **dict.fromkeys(("id", "username", "email", "name"), "u"),
    **{"entity": "team", "defaultEntity": {"name": "team"}, "admin": False, "flags": "{}", "deletedAt": None},
    **{key: {"edges": []} for key in ("teams", "apiKeys")},
}
PROJECT = {"id": "p1", "internalId": "p1", "name": "joulelab", "entityName": "team"}
NODE = {**PROJECT, "createdAt": "2026-01-01", "isBenchmark": False, "user": VIEWER}
PAGE = {"edges": [{"node": NODE, "cursor": "a"}], "pageInfo": {"endCursor": "a", "hasNextPage": False}}
TIMES = {"createdAt": "2026-01-01T00:00:00", "updatedAt": "2026-01-01T00:00:00"}
VIEW = {"id": "v1", "type": "runs", "name": "n", "description": "", "project": PROJECT, **TIMES}


class Server(ThreadingHTTPServer):
    """Speaks as much of the GraphQL of Weights & Biases as saving a report asks for; keeps what is saved."""

    daemon_threads = True

    def __init__(self, error: str | None = None) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.error, self.saved = error, list[dict[str, Any]]()

    def answer(self, asked: dict[str, Any]) -> dict[str, Any]:
        if "upsertView" not in asked["query"]:
            return {"data": {"viewer": VIEWER, "project": PROJECT, "models": PAGE}}
        if self.error:
            return {"errors": [{"message": self.error}]}
        given = asked["variables"]
        self.saved.append(given)
        view = {**VIEW, "displayName": given["displayName"], "spec": given["spec"]}
        return {"data": {"upsertView": {"view": view, "inserted": True}}}


class Handler(BaseHTTPRequestHandler):
    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        assert isinstance(self.server, Server)
        reply = self.server.answer(json.loads(body)) if self.path == "/graphql" else {}
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.end_headers()
        self.wfile.write(json.dumps(reply).encode())

    def log_message(self, *given: object) -> None:
        pass


@pytest.mark.slow
@pytest.mark.parametrize("error", [None, "permission denied"])
def test_it_is_saved_where_somebody_is_logged_in(error: str | None, tmp_path: Path) -> None:
    plain = {name: value for name, value in os.environ.items() if not name.startswith("WANDB")}
    with opened(tmp_path) as lab, Server(error) as server:
        campaign(lab)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        login = {"WANDB_BASE_URL": f"http://127.0.0.1:{server.server_port}", "WANDB_API_KEY": "a" * 40}
        env = {**plain, **login, "HOME": str(tmp_path)}
        call = [sys.executable, "-c", SAVE, f"sqlite:///{lab.path}", CAMPAIGN, str(tmp_path)]
        done = subprocess.run(call, cwd=ROOT, env=env, capture_output=True, text=True, timeout=600)
        server.shutdown()
    said = done.stdout.strip().splitlines()[-1]
    assert (tmp_path / "wandb_report.json").is_file()
    if error:
        assert said.startswith("refused: Weights & Biases did not take the report: ") and error in said
        assert server.saved == []
    else:
        assert said.endswith("/team/joulelab/reports/fewer-joules--v1")
        assert [one["displayName"] for one in server.saved] == ["fewer joules"]
        assert "**Supported.** A (`optimizer.lr=0.01" in server.saved[0]["spec"]


@pytest.mark.slow
def test_a_login_is_found_without_asking(tmp_path: Path) -> None:
    netrc = tmp_path / "netrc"
    netrc.write_text(f"machine api.wandb.ai\n  login user\n  password {'a' * 40}\n")
    netrc.chmod(0o600)
    code = "from research.report.wandb import logged_in; print(logged_in())"
    plain = {name: value for name, value in os.environ.items() if not name.startswith("WANDB")} | {
        "HOME": str(tmp_path)
    }
    ways = [
        ({"NETRC": str(netrc)}, "True"),
        ({"NETRC": str(tmp_path / "none"), "WANDB_API_KEY": "a" * 40}, "True"),
        ({"NETRC": str(netrc), "WANDB_MODE": "offline"}, "False"),
    ]
    for given, said in ways:
        call, env = [sys.executable, "-c", code], {**plain, **given}
        done = subprocess.run(call, cwd=ROOT, env=env, capture_output=True, text=True, check=True)
        assert done.stdout.strip() == said, given
