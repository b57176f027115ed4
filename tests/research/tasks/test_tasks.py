"""A task that does not exist, or a key of another task, is one sentence; help and JSON are complete."""

import json
import re
import shlex
import sys
from importlib import import_module
from inspect import signature
from pathlib import Path
from types import NoneType
from typing import get_origin, get_type_hints

import pytest

from cases import each
from redact import shown
from refusal import Refusal
from research.campaign.campaign import CONF, Campaign
from research.tasks import line
from research.tasks.answer import Answer, Page
from research.tasks.task import composer, kinds_of, perform, task, tasks, usual

FILES = composer(CONF).files
TASKS = tasks(FILES)
KINDS = {
    "row": {int, str, NoneType},
    "text": {str, NoneType},
    "whole number": {int},
    "number": {float},
    "list": {list},
    "true or false": {bool},
}


def config(*typed: str) -> dict:
    return line.settings(typed, CONF)


def function(name: str):
    module, _, found = FILES.load(f"task/{name}").content["task"]["does"].partition(":")
    return getattr(import_module(module), found)


def test_the_folder_is_the_list_of_tasks() -> None:
    assert list(TASKS) == sorted(path.stem for path in (CONF / "task").glob("*.yaml")) and "export" in TASKS
    assert all(FILES.load(f"task/{name}").content["task"]["name"] == name for name in TASKS)


@each("name", TASKS)
def test_each_task_is_a_function_that_answers_and_takes_the_keys_of_its_file(name: str) -> None:
    does = function(name)
    hints = get_type_hints(does, localns=vars(import_module("research.campaign.campaign")))
    assert does.__doc__ and issubclass(hints["return"], Answer)
    _, *wanted = signature(does).parameters
    assert {*TASKS[name].own} - {"llm"} <= {*wanted} <= {*TASKS[name].keys}


@each("name", TASKS)
def test_what_a_file_says_that_a_key_takes_its_function_takes(name: str) -> None:
    """The page of help is read from the file, and a value is checked by the function."""
    told = line.page([f"task={name}", "--help"], CONF).keys
    assert list(told) == [key for key in TASKS[name].own if key != "llm"]
    for key, said in told.items():
        taken = {
            get_origin(kind) or kind
            for kind in kinds_of(signature(function(name)).parameters[key].annotation)
        }
        default = usual(FILES, name)[key]
        assert KINDS[said.partition(":")[0]] in (taken, taken - {NoneType}), key
        assert type(default) in taken, key


@each("name", TASKS)
def test_each_task_has_its_page(name: str) -> None:
    page = line.page([f"task={name}", "--help"], CONF)
    assert page.task == name and f"python agent.py task={name}" in page.page
    assert all(f"\n{key}: " in page.page.replace('"', "") for key in TASKS[name].own)
    assert json.loads(page.document())["page"] == page.text()


@each("name", TASKS)
def test_the_examples_of_a_page_compose(name: str) -> None:
    for example in TASKS[name].examples:
        assert config(f"task={name}", *shlex.split(example))["task"]["name"] == name


def test_the_page_of_all_tasks_names_each() -> None:
    page = line.page(["--help"], CONF).page
    assert all(f"task={name}" in page for name in TASKS) and "$TASKS" not in page


def test_every_command_of_the_readme_and_the_help_composes() -> None:
    told = (CONF.parent / "README.md").read_text() + line.page(["--help"], CONF).page
    lines = re.findall(r"python agent\.py ([^`\n]*?)(?: {2,}.*| *#.*|`.*)?$", told, re.MULTILINE)
    assert len(lines) > 10
    for text in lines:
        typed = [word for word in shlex.split(text) if not word.startswith("-") and word != "..."]
        assert config(*typed)["task"]["name"] in TASKS


@each(
    ("typed", "said"),
    [
        (["task=dance"], "task=dance is unknown: choose one of backup, calibrate, compare"),
        (["task=exprt"], "task=exprt is unknown, perhaps export: choose one of "),
        (
            ["task=export", "goal=fewer joules"],
            "task=export takes no goal, which task=improve|research|review|run|suggest takes: "
            "its own keys are path, id, format, target, licence and status.",
        ),
        (
            ["task=status", "count=7"],
            "task=status takes no count, which task=suggest takes: its own key is budget.",
        ),
        (
            ["task=list", "daemon=true"],
            "task=list takes no daemon, which task=run takes: its own keys are what, ",
        ),
        (["task=suggest", "limit=3"], "count and queue, beside those of a campaign."),
        (["task=research", "id=3"], "task=research takes no id, which task="),
        (["task=show", "experiment=x"], "task=show takes no experiment, which task=research takes"),
        (["task=show", "sprint.count=2"], "task=show takes no sprint, which task=improve|"),
        (["gaol=fewer joules"], "task=research takes no gaol, perhaps goal: "),
        (
            ["task=status", "limt=3"],
            "takes no limt, perhaps limit, which task=improve|list|queue|",
        ),
        (
            ["budget.sconds=3"],
            "there is no budget.sconds, perhaps budget.seconds: budget takes trials, ",
        ),
        (["llm=vllm", "llm.api_bse=x"], "there is no llm.api_bse, perhaps llm.api_base: llm takes model, "),
        (["task.does=os:system"], "task.does=os:system is not to be set: choose a task by its name"),
        (["+task.does=os:system"], "is not to be set"),
        (["experiment=lm_ablation", "budget.sconds=3"], "there is no budget.sconds, perhaps budget.seconds"),
        (["llm=oracle"], "llm has no option 'oracle': choose one of "),
        (["seed=1,2"], "is a sweep: add -m"),
    ],
)
def test_what_a_task_does_not_take_is_refused_in_a_sentence(typed: list[str], said: str) -> None:
    with pytest.raises(Refusal) as stop:
        line.quickly(typed, CONF)
    assert said in str(stop.value) and re.search(r"\.\s", str(stop.value)) is None


@pytest.mark.parametrize(
    "typed", [["task=export", "goal=x", "-m"], ["-m", "task=status,export", "limit=1,2"]]
)
def test_so_is_it_in_a_sweep(typed: list[str]) -> None:
    with pytest.raises(Refusal, match="takes no "):
        line.quickly(typed, CONF)


@pytest.mark.parametrize(
    ("typed", "said"),
    [
        (["task=forget", "id=sprint:1", "yes=no"], "yes=no is neither yes nor no: write yes=true or yes="),
        (["task=suggest", "queue=perhaps"], "queue=perhaps is neither yes nor no"),
        (["task=suggest", "count=many"], "count=many is no whole number"),
        (["task=queue", "limit=null"], "limit=null is no whole number"),
        (["task=list", "what=trials", "limit=1.5"], "limit=1.5 is no whole number"),
        (["task=calibrate", "seconds=long"], "seconds=long is no number"),
        (["task=calibrate", "readings=3"], "readings="),
        (["objective=3"], "objective takes metric, direction and constraints: write objective.metric=VALUE."),
        (["launcher=null"], "launcher takes jobs, threads, timeout_s, stall_s and"),
        (["~goal"], "~goal takes away what the task needs: leave it out."),
        (["screen.stop=0.5"], "screen.stop takes keep, rungs, "),
    ],
)
def test_a_value_of_another_kind_is_refused(tmp_path: Path, typed: list[str], said: str) -> None:
    with (
        Campaign(config(*typed, f"store.url=sqlite:///{tmp_path}/lab.db")) as campaign,
        pytest.raises(Refusal) as stop,
    ):
        perform(campaign)
    assert said in str(stop.value)


def test_a_file_in_the_folder_is_a_task(tmp_path: Path) -> None:
    """One YAML and one function: nothing else has to know of it."""
    (tmp_path / "conf" / "task").mkdir(parents=True)
    (tmp_path / "conf" / "agent.yaml").write_text("defaults: [_self_, {task: echo}]\njson: false\n")
    own = "task: {name: echo, does: 'x:y', examples: [words=hello]}\nwords: null\n"
    (tmp_path / "conf" / "task" / "echo.yaml").write_text(f"# @package _global_\n# Say it again.\n{own}")
    files = composer(tmp_path / "conf").files
    assert task(files, "echo").own == ("words",) and task(files, "echo").about == "Say it again."
    assert line.settings(["task=echo", "words=hello"], tmp_path / "conf")["words"] == "hello"


def test_the_command_line_and_python_values_say_the_same() -> None:
    told = line.overrides({"budget": {"seconds": 60}, "queue": True, "base": ["a=1"], "focus": None})
    assert told == ["budget.seconds=60", "queue=true", "base=[a=1]", "focus=null"]
    composed = config("budget.seconds=60", "goal=it's > 5 % $x", "experiment=lm_ablation", "focus=null")
    assert composed["budget"]["seconds"] == 60 and composed["recipe"] == "lm_ablation"
    assert composed["goal"] == "it’s > 5 %  x" and composed["focus"] is None


@pytest.mark.slow
def test_what_only_hydra_reads_leaves_no_state_of_hydra_behind() -> None:
    from hydra.core.global_hydra import GlobalHydra

    composed = config("proposer.shares={llm: 0.5, random: 0.5, tpe: 0, recipes: 0}")
    assert composed["proposer"]["shares"]["llm"] == 0.5
    assert not GlobalHydra.instance().is_initialized()


@each(
    ("typed", "said"),
    [
        (["--json"], "--json is no option: write json=VALUE"),
        (["task=status", "--limit=3"], "--limit is no option: write limit=VALUE"),
        (["status"], "'status' is no key=value"),
        (["-m", "status"], "'status' is no key=value"),
        (["--cfg=foo"], "argument --cfg/-c: invalid choice: 'foo'"),
        (["--cfg", "task=status"], "argument --cfg/-c: invalid choice: 'task=status'"),
        (["seed=0,1", "-m", "optimizer=adam"], None),
        (["seed=0", "-c", "job", "json=true"], "unrecognized arguments: json=true: write flags first"),
        (["--cfg", "job", "task=status"], None),
        (["goal=a=b", "~x", "+y=1", "--multirun"], None),
    ],
)
def test_a_word_that_is_no_override_is_refused(typed: list[str], said: str | None) -> None:
    if said is None:
        line.refuse_flags(typed, CONF)
        return
    with pytest.raises(Refusal) as stop:
        line.refuse_flags(typed, CONF)
    assert said in str(stop.value)


def test_flags_and_sweeps_are_left_to_hydra() -> None:
    assert line.quickly(["--cfg", "job"], CONF) is None
    assert line.quickly(["seed=1,2", "-m"], CONF) is None
    assert line.quickly(["task=status,doctor", "-m", "json=true"], CONF) is None
    assert line.quickly(["llm=none,openai", "experiment=lm_ablation,lm_schedules", "-m"], CONF) is None
    assert line.quickly(["seed=1"], CONF) is not None


@pytest.mark.slow
def test_the_fast_configuration_is_hydras_own() -> None:
    from research.compose.compose import compose
    from research.compose.defaults import Files
    from research.compose.trees import resolved

    typed = ["goal=90 % accuracy", "domain=compression", "llm=vllm", "base=[data=mnist1d]", "task=suggest"]
    for words in ([], typed, *([f"task={name}"] for name in TASKS)):
        own = compose(Files(CONF), "agent", line.arguments(words))
        assert resolved(own.tree) == line.settings(words, CONF)


@pytest.mark.parametrize(("typed", "asked"), [(["json=true"], True), (["json=false"], False), ([], False)])
def test_json_is_known_before_anything_is_read(typed: list[str], asked: bool) -> None:
    assert line.as_document(typed) is asked


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
    with pytest.raises(SystemExit) as stop, line.told(True):
        print("progress")
        raise error
    out, err = capsys.readouterr()
    assert stop.value.code == code and said in json.loads(out)["error"] and err == "progress\n"


def test_a_bug_is_a_json_document_and_keeps_its_traceback(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(ZeroDivisionError), line.told(True):
        _ = 1 / 0
    assert json.loads(capsys.readouterr().out) == {"error": "ZeroDivisionError: division by zero"}


def test_what_a_model_said_cannot_move_the_cursor() -> None:
    assert shown("a\x1b[2Jb\tc\nd\x00\u202ee\x9b") == "a\\x1b[2Jb\tc\nd\\x00\\u202ee\\x9b"


def test_a_document_reads_back_as_it_is_and_cannot_move_the_cursor(
    capsys: pytest.CaptureFixture[str],
) -> None:
    said = "a\x1b[2J \x9b \u202e ä\n"
    line.say(Page(task=None, page=said), True, sys.stdout)
    out = capsys.readouterr().out
    assert json.loads(out)["page"] == said and not set(out) & set("\x1b\x9b\u202e") and "ä" in out


@pytest.mark.slow
def test_the_module_of_a_task_starts_nothing_heavy() -> None:
    import subprocess

    code = "import sys, research.tasks.status, research.tasks.task;"
    code += "print({'hydra','optuna','scipy','litellm','wandb','numpy','rich'} & set(sys.modules))"
    root = Path(__file__).parents[3]
    done = subprocess.run([sys.executable, "-c", code], cwd=root, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"
