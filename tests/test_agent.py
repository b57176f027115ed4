"""`python agent.py`: understood or refused in a sentence, and a small campaign through `train.py` itself."""

import json
import os
import re
import signal
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest

from agent_forked import asked
from cases import each
from research.store.store import Store
from research.tasks.line import page, quoted

ROOT = Path(__file__).parent.parent
SMALL = (
    "budget.seconds=1200",
    "screen.turns=4",
    "promote.arms=2",
    "promote.seeds=[1]",
    "confirm.seeds=3",
    "confirm.arms=1",
    "confirm.looks=1",
    "confirm.estimate=0",
    "sprint.count=1",
)
CLOCKLESS = "goal=90 % accuracy with the fewest parameters"
"""no clock takes part in the answer, so none is spoilt by what else this machine does"""


def start(folder: Path, *arguments: str) -> subprocess.Popen[str]:
    own = (f"root={folder}/runs", f"store.url=sqlite:///{folder}/lab.db")
    command = [sys.executable, str(ROOT / "agent.py"), *own, *arguments]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    return subprocess.Popen(command, cwd=folder, env=os.environ | {"COLUMNS": "300"}, **pipes)


def agent(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    process = start(folder, *arguments)
    out, err = process.communicate(timeout=1200)
    return subprocess.CompletedProcess(arguments, process.returncode, out, err)


def trained(folder: Path) -> int:
    with sqlite3.connect(folder / "lab.db") as sql:
        return sql.execute("select count(*) from trial").fetchone()[0]


@pytest.mark.parametrize(
    ("argument", "read"),
    [
        ("goal=Design a CNN for CIFAR-10 with >75% accuracy", "Design a CNN for CIFAR-10 with >75% accuracy"),
        ("goal=accuracy >= 0.9, under 50k parameters", "accuracy >= 0.9, under 50k parameters"),
        ("goal='fewer joules'", "fewer joules"),
        ("goal=it's ${oc.env:HOME} \\ [x]", "it’s  {oc.env:HOME}   [x]"),
        ("goal=", ""),
        ("goal='", "’"),
    ],
)
def test_a_goal_reaches_hydra_as_plain_words(argument: str, read: str) -> None:
    from hydra.core.override_parser.overrides_parser import OverridesParser

    parsed = OverridesParser.create().parse_override(quoted([argument])[0])
    value = parsed.value()
    assert (value if isinstance(value, str) else value.text) == read


@pytest.mark.parametrize(
    ("argument", "read"),
    [
        ("base=[data=mnist1d,budget.steps=300]", ["data=mnist1d", "budget.steps=300"]),
        ("base=data=mnist1d", ["data=mnist1d"]),
        (
            "base=[callbacks=[checkpoint,divergence], 'name=a,b']",
            ["callbacks=[checkpoint,divergence]", "name=a,b"],
        ),
        ("base=[]", []),
        (
            "objective.constraints=[accuracy >= 0.9, under 50k parameters]",
            ["accuracy >= 0.9", "under 50k parameters"],
        ),
        ("objective.constraints=null", None),
    ],
)
def test_lists_of_words_reach_hydra_as_they_were_typed(argument: str, read: list[str] | None) -> None:
    from hydra.core.override_parser.overrides_parser import OverridesParser

    value = OverridesParser.create().parse_override(quoted([argument])[0]).value()
    assert (value if value is None else [getattr(one, "text", one) for one in value]) == read


def test_other_arguments_are_left_alone() -> None:
    assert quoted(["screen.turns=3", "--help", "+x=[a]"]) == ["screen.turns=3", "--help", "+x=[a]"]


def test_the_help_names_every_option_of_every_group() -> None:
    text = page([], ROOT / "conf").page
    for group in ("llm", "proposer", "store", "domain"):
        named = text.split(f"\n{group}: ")[1].split("\n")[0].split(", ")
        assert set(named) == {path.stem for path in (ROOT / "conf" / group).glob("*.yaml")}


HEAVY = {
    "torch",
    "lightning",
    "litellm",
    "hydra",
    "optuna",
    "scipy",
    "sklearn",
    "pandas",
    "numpy",
    "codecarbon",
}
"""each takes from a quarter of a second to ten of CPU time to import; one and a half were allowed in all"""


def imported(folder: Path, *arguments: str) -> tuple[set[str], str]:
    """The packages that a command imports, and what it prints."""
    line = [
        sys.executable,
        "-X",
        "importtime",
        str(ROOT / "agent.py"),
        f"store.url=sqlite:///{folder}/lab.db",
    ]
    done = subprocess.run([*line, *arguments], cwd=folder, capture_output=True, text=True, check=True)
    lines = [one for one in done.stderr.splitlines() if one.startswith("import time:")]
    return {one.rpartition("|")[2].strip().partition(".")[0] for one in lines}, done.stdout


@pytest.mark.slow
def test_help_imports_nothing_heavy(tmp_path: Path) -> None:
    packages, told = imported(tmp_path, "--help")
    assert "goal=" in told and "$CONFIG" not in told
    assert "budget:" in told and "asked before each spend" in told
    assert "research" in packages and not packages & (HEAVY | {"sqlalchemy"})


@pytest.mark.slow
def test_status_imports_nothing_heavy_but_the_database(tmp_path: Path) -> None:
    Store(f"sqlite:///{tmp_path}/lab.db").close()
    packages, told = imported(tmp_path, "task=status")
    assert "queued for task=run" in told
    assert "sqlalchemy" in packages and not packages & HEAVY


@pytest.mark.slow
def test_a_document_is_all_that_stdout_holds_in_json(tmp_path: Path) -> None:
    few = ("count=2", "domain=efficiency", "focus=size", "queue=true", "json=true", "base=[budget.steps=60]")
    found = json.loads(agent(tmp_path, "task=suggest", CLOCKLESS, *few).stdout)
    assert [one["id"] for one in found["suggestions"]] == [1, 2] and found["domain"] == "efficiency"
    ran = agent(tmp_path, "task=run", "id=proposal:1", "json=true")
    assert json.loads(ran.stdout)["left"] == 1, ran.stderr
    assert " seed 0 " in ran.stderr  # what is told on the way
    shown = json.loads(agent(tmp_path, "task=show", "id=1", "json=true").stdout)
    assert shown["kind"] == "trial" and shown["figures"]["train/energy_j"] > 0
    again = json.loads(agent(tmp_path, "task=reproduce", "id=1", "json=true").stdout)
    assert {one["word"] for one in again["checks"] if one["metric"].startswith(("test/", "size/"))} == {
        "equal"
    }


@pytest.mark.slow
@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("task=dance",), "task=dance is unknown"),
        (("task=show", "id=12"), "There is no database"),
        (("gaol=x",), "gaol"),
        (("goal=",), "The goal is empty"),
        (("llm.api_key=sk-aaaaaaaaaaaaaaaaaaaaaaaa",), "environment only"),
    ],
)
def test_an_error_is_a_json_document_too(tmp_path: Path, arguments: tuple[str, ...], said: str) -> None:
    done = agent(tmp_path, *arguments, "json=true")
    assert done.returncode == 2 and said in json.loads(done.stdout)["error"]
    assert "Traceback" not in done.stderr and not (tmp_path / "runs").exists()


@pytest.mark.slow
def test_a_daemon_is_stopped_by_sigterm_and_leaves_nothing_running(tmp_path: Path) -> None:
    assert agent(tmp_path, "task=suggest", "count=1", "queue=true").returncode == 0
    process = start(tmp_path, "task=run", "daemon=true")
    assert process.stdout and "waiting for proposals" in process.stdout.readline()
    process.send_signal(signal.SIGTERM)
    _, err = process.communicate(timeout=1200)
    assert process.returncode == 0 and "Traceback" not in err, err
    with sqlite3.connect(tmp_path / "lab.db") as sql:
        assert sql.execute("select status from proposal").fetchall() in ([("queued",)], [("screened",)])


@each(
    ("argument", "said"),
    [
        ("goal=", "The goal is empty"),
        ("goal=make me a sandwich", "was not understood"),
        ("goal=a ResNet-50 for ImageNet", "is no data set that is here"),
        ("goal=best accuracy for fewer joules", "two things at once"),
        ("objective.metric=test/beauty", "objective.direction=min|max"),
        ("base=[seed=3]", "base cannot hold 'seed=3'"),
        ("base=[model.widht=3]", "model.widht"),
        ("base=[data=moon]", "moon"),
        ("budget.trials=0", "buys nothing"),
        ("budget.trials=1.5", "is no number of trials"),
        ("screen.seeds=[]", "screen.seeds is empty"),
        ("promote.seeds=[2,2]", "give each seed once"),
        ("llm=openai", "openai/gpt-5.4-mini needs a key: set OPENAI_API_KEY"),
        ("literature=folder", "there is no folder literature"),
        ("launcher.jobs=0", "launcher.jobs=0: give a number above 0"),
        ("screen.turns=many", "screen.turns"),
        ("confirm.first_seed=0", "not fresh"),
        ("llm.api_key=sk-aaaaaaaaaaaaaaaaaaaaaaaa", "environment only"),
    ],
)
def test_bad_input_is_one_sentence(tmp_path: Path, argument: str, said: str) -> None:
    done = asked(tmp_path, argument)
    assert done.returncode == 2 and said in done.stderr, done.stderr
    assert "Traceback" not in done.stderr and len(done.stderr.strip().splitlines()) == 1
    assert done.stdout == "" and not list(tmp_path.iterdir())


@pytest.mark.slow
def test_data_that_cannot_be_had_ends_at_once_with_how_to_bring_it(tmp_path: Path) -> None:
    done = agent(tmp_path, "goal=Design a CNN for CIFAR-10 with >75% accuracy", "base=[data.path=/nowhere]")
    assert done.returncode == 2 and "data.path" in done.stderr.splitlines()[-1]
    assert "objective  Maximise accuracy (test/accuracy)" in done.stdout
    assert "Traceback" not in done.stderr


@pytest.mark.slow
def test_a_campaign_through_train_py_and_typed_again(tmp_path: Path) -> None:
    words = (CLOCKLESS, *SMALL)
    done = agent(tmp_path, *words)
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert lines[1].startswith("objective  Minimise parameters (size/parameters)")
    assert "llm=none" in done.stdout and lines[-1].startswith("report")
    (report,) = (tmp_path / "runs" / "agent").glob("*/report.md")
    assert report.read_text().startswith("# 90 % accuracy with the fewest parameters\n\nAsked was: Minimise")
    first = trained(tmp_path)
    with sqlite3.connect(tmp_path / "lab.db") as sql:
        sources = sql.execute("select source, count(*) from trial group by source").fetchall()
        configs = [json.loads(text) for (text,) in sql.execute("select config from trial")]
    assert sources == [("agent", first)] and first >= 5 + 3
    assert {config["data"]["_target_"] for config in configs} == {"models.data.digits.load"}
    again = agent(tmp_path, *words)
    assert again.returncode == 0 and trained(tmp_path) == first, again.stdout
    told, told_again = (re.findall(r" seed \d+ ", out) for out in (done.stdout, again.stdout))
    assert len(told) >= first and not told_again
    assert again.stdout.splitlines()[-2:] == lines[-2:]


@pytest.mark.slow
def test_a_campaign_on_joules_ends_with_an_answer_or_names_what_disturbed_it(tmp_path: Path) -> None:
    done = agent(tmp_path, "goal=90 % accuracy for fewer joules", *SMALL, "screen.turns=2")
    told = done.stdout.splitlines()
    assert told[1].startswith("objective  Minimise training energy (train/energy_j), with accuracy")
    store = Store(f"sqlite:///{tmp_path}/lab.db")
    rows = {one.id: one for one in store.trials(status="done")}
    ended = list(store.results(list(rows)).values())
    store.close()
    assert all(one.metrics["train/energy_j"] > 0 and one.facts["energy_basis"] for one in ended)
    spoilt = [one for one in ended if "train" in (one.facts["disturbed"] or {})]
    if done.returncode == 0:
        (report,) = (tmp_path / "runs" / "agent").glob("*/report.md")
        assert told[-1].startswith("report") and len(ended) > len(spoilt)
        assert report.read_text().startswith("# 90 % accuracy for fewer joules\n\nAsked was: Minimise")
    else:
        # A seed of the control was never left alone, however often it was run again; others may have been.
        assert done.returncode == 2 and "The machine is too busy to settle train/energy_j" in done.stderr
        assert "Traceback" not in done.stderr and len(spoilt) > 1
        keys = {number: (row.key.signature, row.seed) for number, row in rows.items()}
        alone = {keys[one.trial_id] for one in ended if one not in spoilt}
        assert {keys[one.trial_id] for one in spoilt} - alone


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_ctrl_c_and_kill_report_and_exit_130(tmp_path: Path, number: signal.Signals) -> None:
    process = start(tmp_path, CLOCKLESS, *SMALL, "screen.turns=200")
    assert process.stdout
    for line in process.stdout:
        if any(f" {source} " in line for source in ("neighbour", "forest", "random")):
            break
    process.send_signal(number)
    _, err = process.communicate(timeout=1200)
    assert process.returncode == 130 and "Traceback" not in err, err
    (report,) = (tmp_path / "runs" / "agent").glob("*/report.md")
    assert "interrupted: the same command continues" in report.read_text()
