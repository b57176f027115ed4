"""A task that does not exist, or a key of another task, is one sentence; help and JSON are complete."""

import json
from importlib import import_module
from pathlib import Path
from typing import get_type_hints

import pytest
import yaml

from refusal import Refusal
from research.tasks import help, line, spoken
from research.tasks.answer import Answer, plain
from research.tasks.desk import CONF
from research.tasks.task import TASKS, checked

USUAL = yaml.safe_load((CONF / "agent.yaml").read_text())


def config(*typed: str) -> dict:
    return line.settings(typed, CONF)


@pytest.mark.parametrize("name", TASKS)
def test_each_task_is_a_function_that_answers_and_takes_keys_that_exist(name: str) -> None:
    module, function = TASKS[name].target.split(":")
    found = getattr(import_module(f"research.tasks.{module}"), function)
    assert found.__doc__ and issubclass(
        get_type_hints(found, localns=vars(import_module("research.tasks.desk")))["return"], Answer
    )
    assert set(TASKS[name].takes) <= USUAL.keys()


@pytest.mark.parametrize("name", TASKS)
def test_each_task_has_its_page(name: str) -> None:
    page = help.page([f"task={name}", "--help"], CONF)
    assert page.task == name and f"python agent.py task={name}" in page.page
    assert all(f"\n{key}: " in page.page.replace('"', "") for key in TASKS[name].takes)
    assert json.loads(page.document())["page"] == page.text()


@pytest.mark.parametrize("name", TASKS)
def test_the_examples_of_a_page_compose(name: str) -> None:
    import shlex

    for example in TASKS[name].examples:
        composed = config(f"task={name}", *shlex.split(example))
        assert checked(composed, USUAL) is TASKS[name]


def test_the_page_of_all_tasks_names_each() -> None:
    page = help.page(["--help"], CONF).page
    assert all(f"task={name}" in page for name in TASKS) and "$TASKS" not in page


@pytest.mark.parametrize(
    ("typed", "said"),
    [
        (["task=dance"], "task=dance is unknown: choose one of research, suggest"),
        (["task=status", "count=7"], "task=status takes no count: task=suggest does."),
        (["task=list", "daemon=true"], "task=list takes no daemon: task=run does."),
        (["task=run", "limit=3"], "task=run takes no limit: task=review|improve|list does."),
        (["task=forget", "id=sprint:1", "yes=no"], "yes=no is neither yes nor no: write yes=true or yes="),
        (["task=suggest", "queue=perhaps"], "queue=perhaps is neither yes nor no"),
        (["task=research", "id=3"], "task=research takes no id: "),
    ],
)
def test_what_belongs_to_another_task_is_refused(typed: list[str], said: str) -> None:
    with pytest.raises(Refusal) as stop:
        checked(config(*typed), USUAL)
    assert said in str(stop.value)
    assert str(stop.value).count(".") <= 2


def test_the_command_line_and_python_values_say_the_same() -> None:
    told = line.overrides({"budget": {"seconds": 60}, "queue": True, "base": ["a=1"], "id": None})
    assert told == ["budget.seconds=60", "queue=true", "base=[a=1]", "id=null"]
    composed = config("budget.seconds=60", "goal=it's > 5 % $x", "experiment=lm_ablation", "id=null")
    assert composed["budget"]["seconds"] == 60 and composed["recipe"] == "lm_ablation"
    assert composed["goal"] == "it’s > 5 %  x" and composed["id"] is None


@pytest.mark.slow
def test_what_only_hydra_reads_leaves_no_state_of_hydra_behind() -> None:
    from hydra.core.global_hydra import GlobalHydra

    composed = config("proposer.shares={llm: 0.5, random: 0.5, tpe: 0, recipes: 0}")
    assert composed["proposer"]["shares"]["llm"] == 0.5
    assert not GlobalHydra.instance().is_initialized()


@pytest.mark.parametrize(
    ("typed", "said"),
    [
        (["--json"], "--json is no option: write json=VALUE"),
        (["task=status", "--limit=3"], "--limit is no option: write limit=VALUE"),
        (["status"], "'status' is no key=value"),
        (["-m", "status"], None),
        (["--cfg", "job", "task=status"], None),
        (["goal=a=b", "~x", "+y=1", "--multirun"], None),
    ],
)
def test_a_word_that_is_no_override_is_refused(typed: list[str], said: str | None) -> None:
    if said is None:
        line.refuse_flags(typed)
        return
    with pytest.raises(Refusal) as stop:
        line.refuse_flags(typed)
    assert said in str(stop.value)


def test_flags_sweeps_and_mistakes_are_left_to_hydra() -> None:
    assert line.quickly(["--cfg", "job"], CONF) is None
    assert line.quickly(["seed=1,2", "-m"], CONF) is None
    assert line.quickly(["gaol=x"], CONF) is None
    assert line.quickly(["seed=1"], CONF) is not None


@pytest.mark.slow
def test_the_fast_configuration_is_hydras_own() -> None:
    from research.compose.compose import compose
    from research.compose.interpolation import resolved

    typed = ["goal=90 % accuracy", "domain=compression", "llm=vllm", "base=[data=mnist1d]", "task=status"]
    own = compose(CONF, "agent", line.arguments(typed))
    assert resolved(own.tree) == line.settings(typed, CONF)


@pytest.mark.parametrize(("typed", "asked"), [(["json=true"], True), (["json=false"], False), ([], False)])
def test_json_is_known_before_anything_is_read(typed: list[str], asked: bool) -> None:
    assert spoken.asked(typed) is asked


@pytest.mark.parametrize(
    ("error", "code", "said"),
    [
        (Refusal("Say more."), 2, "Say more."),
        (KeyboardInterrupt(), 130, "interrupted"),
    ],
)
def test_an_error_is_one_json_document(
    error: BaseException, code: int, said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as stop, spoken.told(True):
        print("progress")
        raise error
    out, err = capsys.readouterr()
    assert stop.value.code == code and said in json.loads(out)["error"] and err == "progress\n"


def test_a_bug_is_a_json_document_and_keeps_its_traceback(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(ZeroDivisionError), spoken.told(True):
        _ = 1 / 0
    assert json.loads(capsys.readouterr().out) == {"error": "ZeroDivisionError: division by zero"}


def test_what_a_model_said_cannot_move_the_cursor() -> None:
    assert plain("a\x1b[2Jb\tc\nd\x00") == "a\ufffd[2Jb\tc\nd\ufffd"


@pytest.mark.slow
def test_the_module_of_a_task_starts_nothing_heavy() -> None:
    import subprocess
    import sys

    code = "import sys, research.tasks.status, research.tasks.desk, research.tasks.task;"
    code += "print({'hydra','optuna','scipy','litellm','wandb','numpy','rich'} & set(sys.modules))"
    root = Path(__file__).parents[3]
    done = subprocess.run([sys.executable, "-c", code], cwd=root, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"
